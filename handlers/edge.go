package handlers

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/labstack/echo/v4"
	"github.com/rs/cors"
)

// preflightAge is for how many seconds a browser may remember what another origin's pages may do.
const preflightAge = 600

// edge is what decides about a request before it is known who asks.
type edge struct {
	before        []echo.MiddlewareFunc // in front of routing
	authenticated []echo.MiddlewareFunc // behind authentication
	address       echo.IPExtractor
}

func newEdge(config Config) (edge, error) {
	e := edge{address: clientAddress(config.TrustedProxies)}
	if len(config.Origins) > 0 {
		e.before = append(e.before, crossOrigin(config.Origins))
	}
	addresses, err := newLimiter[netip.Prefix](config.Rates.Address, config.Now)
	if err != nil {
		return edge{}, fmt.Errorf("limit addresses: %w", err)
	}
	if addresses != nil {
		e.before = append(e.before, limitAddresses(addresses))
	}
	principals, err := newLimiter[principal](config.Rates.Principal, config.Now)
	if err != nil {
		return edge{}, fmt.Errorf("limit principals: %w", err)
	}
	if principals != nil {
		e.authenticated = append(e.authenticated, limitPrincipals(principals))
	}
	return e, nil
}

// clientAddress finds the address of a client: the one that connected, because a header can say anything, unless that is
// a trusted proxy. Then it is the last one in X-Forwarded-For that is no trusted proxy either.
func clientAddress(proxies []net.IPNet) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	// Echo would trust whole kinds of networks.
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for i := range proxies {
		trust = append(trust, echo.TrustIPRange(&proxies[i]))
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}

// crossOrigin lets pages of other origins call the API (CORS, in the Fetch standard) and answers their preflights. Cookies
// are never part of it.
func crossOrigin(origins []string) echo.MiddlewareFunc {
	policy := cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete},
		AllowedHeaders: []string{
			echo.HeaderAuthorization, echo.HeaderContentType, echo.HeaderXRequestID, reasonHeader, idempotencyHeader, "Traceparent", "Tracestate",
		},
		ExposedHeaders:       []string{echo.HeaderXRequestID, echo.HeaderRetryAfter, echo.HeaderWWWAuthenticate, HasMoreHeader},
		MaxAge:               preflightAge,
		OptionsSuccessStatus: http.StatusNoContent,
	})
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			policy.HandlerFunc(c.Response(), c.Request())
			if c.Response().Committed {
				return nil // it was a preflight
			}
			return next(c)
		}
	}
}
