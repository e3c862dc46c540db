package httpserver

import (
	"net"
	"net/netip"

	"github.com/labstack/echo/v4"
)

// ClientAddress finds the address of a client: the one that connected, because a header can say anything, unless that is
// a trusted proxy. Then it is the last one in X-Forwarded-For that is no trusted proxy either.
func ClientAddress(proxies []net.IPNet) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	// Echo would trust loopback, link-local and private networks.
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for i := range proxies {
		trust = append(trust, echo.TrustIPRange(&proxies[i]))
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}

// ClientNetwork is the key of RateLimit for addresses: an IPv4 address, or an IPv6 network of 64 bits, which is what one client
// gets; the zero Prefix for what is no address. The health check is not counted: whoever asks for it would restart the process.
func ClientNetwork(c echo.Context) (netip.Prefix, bool) {
	if c.Request().URL.Path == healthPath {
		return netip.Prefix{}, false
	}
	return network(c.RealIP()), true
}

func network(address string) netip.Prefix {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	prefix, _ := ip.Prefix(bits) // these lengths fit
	return prefix
}
