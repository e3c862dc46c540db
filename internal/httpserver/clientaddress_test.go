package httpserver_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/httpserver"
)

func networks(t *testing.T, cidrs ...string) []net.IPNet {
	t.Helper()
	parsed := make([]net.IPNet, len(cidrs))
	for i, cidr := range cidrs {
		_, network, err := net.ParseCIDR(cidr)
		require.NoError(t, err)
		parsed[i] = *network
	}
	return parsed
}

// oncePerAddress returns how a fresh server that allows an address one request answers, whoever seems to connect: 204, or 429.
func oncePerAddress(t *testing.T, proxies []net.IPNet) func(peer, forwarded, path string) int {
	t.Helper()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	limit, err := httpserver.RateLimit(httpserver.Rate{PerSecond: 1}, func() time.Time { return now }, httpserver.ClientNetwork)
	require.NoError(t, err)
	e := echo.New()
	e.IPExtractor = httpserver.ClientAddress(proxies)
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		tooOften, ok := errors.AsType[*httpserver.RateLimitError](err)
		assert.True(t, ok, err)
		assert.Equal(t, 1, tooOften.RetryAfter)
		_ = c.NoContent(http.StatusTooManyRequests)
	}
	e.Pre(limit)
	e.GET("/*", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
	return func(peer, forwarded, path string) int {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
		request.RemoteAddr = net.JoinHostPort(peer, "4711")
		request.Header.Set("X-Forwarded-For", forwarded)
		answer := httptest.NewRecorder()
		e.ServeHTTP(answer, request)
		return answer.Code
	}
}

func TestAddressesBehindAProxy(t *testing.T) {
	ask := oncePerAddress(t, networks(t, "127.0.0.0/8", "10.0.0.0/8"))
	for _, c := range []struct {
		forwarded string
		status    int
	}{
		{"192.0.2.1", 204},
		{"192.0.2.1", 429},
		{"198.51.100.7, 192.0.2.1", 429},             // what the client wrote before the proxy did
		{"192.0.2.2", 204},                           // another one
		{"192.0.2.1, 192.0.2.2, 10.1.2.3", 429},      // a second proxy of ours
		{"2001:db8:0:1::1", 204},                     //
		{"2001:db8:0:1:ffff::2", 429},                // the same network
		{"2001:db8:0:2::1", 204},                     //
		{"::ffff:192.0.2.1", 429},                    // the same address as IPv6
		{"not an address", 204},                      // then it is the proxy's own
		{"neither, " + "x\x80" + ", 192.0.2.1", 429}, // only the end counts
	} {
		assert.Equal(t, c.status, ask("127.0.0.1", c.forwarded, "/x"), c.forwarded)
	}
	for range 3 {
		assert.Equal(t, 204, ask("127.0.0.1", "192.0.2.1", "/healthz"), "whoever asks for health would restart the process")
	}
}

// TestOnlyNamedProxiesAreTrusted: no kind of network is trusted for what it is, neither the peer nor a hop before it.
func TestOnlyNamedProxiesAreTrusted(t *testing.T) {
	const named = "203.0.113.5" // the proxy, where there is one
	inner := []string{
		"127.0.0.1", "127.1.2.3", "::1", "10.1.2.3", "172.16.0.9", "192.168.1.1", "fd00::1", "169.254.1.1", "fe80::1", "::ffff:10.1.2.3",
	}
	for name, proxies := range map[string][]net.IPNet{"no proxy": nil, "a proxy": networks(t, named+"/32")} {
		for _, address := range inner {
			t.Run(name+", "+address, func(t *testing.T) {
				server := oncePerAddress(t, proxies)
				ask := func(peer, forwarded string) int { return server(peer, forwarded, "/x") }
				assert.Equal(t, http.StatusNoContent, ask(address, "192.0.2.1"))
				assert.Equal(t, http.StatusTooManyRequests, ask(address, "192.0.2.2"), "the peer says who it is, and nobody else")
				if len(proxies) == 0 {
					assert.Equal(t, http.StatusNoContent, ask(named, "192.0.2.3"))
					assert.Equal(t, http.StatusTooManyRequests, ask(named, "192.0.2.4"), "nobody is named")
					return
				}
				assert.Equal(t, http.StatusNoContent, ask(named, "192.0.2.3"))
				assert.Equal(t, http.StatusNoContent, ask(named, "192.0.2.4"), "the named one is trusted")
				assert.Equal(t, http.StatusTooManyRequests, ask(named, "192.0.2.5, "+address), "and a hop before it is not")
			})
		}
	}
}

func TestNoRateLimit(t *testing.T) {
	limit, err := httpserver.RateLimit(httpserver.Rate{Burst: 1}, nil, func(echo.Context) (string, bool) { panic("no key is needed") })
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, limit(func(echo.Context) error { return nil })(nil))
	}
}
