package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sessiond/sessiond/handlers"
	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

func TestPrincipalsAreLimited(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	f.serve(f.store, func(c *handlers.Config) { c.HTTP.Rates.Principal = httpserver.Rate{PerSecond: 0.1, Burst: 3} })
	ada, grace := f.user("acme", "ada", ""), f.user("acme", "grace", "")
	for range 3 {
		f.do(http.MethodGet, "/api/v1/me/sessions", ada, nil).want(http.StatusOK)
	}
	got := f.do(http.MethodGet, "/api/v1/me/sessions?page=0", ada, nil).want(http.StatusTooManyRequests)
	assert.Equal(t, "Too many requests.", got.detail(), "429 comes before 422")
	assert.Equal(t, "10", got.header.Get("Retry-After"))
	f.do(http.MethodGet, "/api/v1/me/sessions", f.user("acme", "ada", ""), nil).want(http.StatusTooManyRequests) // another token, the same one
	f.do(http.MethodGet, "/api/v1/me/sessions", grace, nil).want(http.StatusOK)
	f.do(http.MethodGet, "/api/v1/me/sessions", f.user("globex", "ada", ""), nil).want(http.StatusOK)
	f.do(http.MethodGet, "/api/v1/me/sessions", "bad", nil).want(http.StatusUnauthorized)
	f.clock.Advance(5 * time.Second)
	assert.Equal(t, "5", f.do(http.MethodGet, "/api/v1/me/sessions", ada, nil).want(http.StatusTooManyRequests).header.Get("Retry-After"))
	f.clock.Advance(5 * time.Second)
	f.do(http.MethodGet, "/api/v1/me/sessions", ada, nil).want(http.StatusOK)
	f.do(http.MethodGet, "/api/v1/me/sessions", ada, nil).want(http.StatusTooManyRequests)
}

func TestAddressesAreLimited(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	f.serve(f.store, func(c *handlers.Config) { c.HTTP.Rates.Address = httpserver.Rate{PerSecond: 2} })
	// What a header says of an address counts for nothing, and nor does what the request is worth.
	f.do(http.MethodGet, "/api/v1/me/sessions", "bad", nil, "X-Forwarded-For", "192.0.2.1").want(http.StatusUnauthorized)
	f.do(http.MethodGet, "/nothing", "", nil, "X-Forwarded-For", "192.0.2.2", "X-Real-Ip", "192.0.2.2").want(http.StatusNotFound)
	for i := range 20 {
		spoofed := fmt.Sprintf("192.0.2.%d", i)
		f.do(http.MethodGet, "/api/v1/me/sessions", f.user("acme", "ada", ""), nil,
			"X-Forwarded-For", spoofed, "X-Real-Ip", spoofed, "Forwarded", "for="+spoofed).want(http.StatusTooManyRequests)
		f.do(http.MethodGet, "/healthz", "", nil).want(http.StatusOK)
	}
	f.clock.Advance(time.Second)
	f.do(http.MethodGet, "/readyz", "", nil).want(http.StatusOK)
}

func TestOtherOrigins(t *testing.T) {
	const console = "https://console.example.com"
	f := newFixture(t, storetest.SQLite)
	preflight := func(origin string) answer {
		return f.do(http.MethodOptions, "/api/v1/me/sessions", "", nil,
			"Origin", origin, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization,x-request-id")
	}
	preflight(console).want(http.StatusMethodNotAllowed) // nobody is let in unless told
	f.serve(f.store, func(c *handlers.Config) {
		c.HTTP.Origins, c.HTTP.Rates.Principal = []string{console}, httpserver.Rate{PerSecond: 1}
	})
	allowed := preflight(console)
	assert.Equal(t, http.StatusNoContent, allowed.status)
	assert.Equal(t, console, allowed.header.Get("Access-Control-Allow-Origin"))
	assert.Equal(t, "GET", allowed.header.Get("Access-Control-Allow-Methods"))
	assert.Equal(t, "authorization,x-request-id", allowed.header.Get("Access-Control-Allow-Headers"))
	assert.Empty(t, allowed.header.Get("Access-Control-Allow-Credentials"))
	assert.NotEmpty(t, allowed.header.Get("Content-Security-Policy"))
	for _, origin := range []string{"https://evil.example", "null", console + ".evil.example", "http://console.example.com", console + ":8443"} {
		assert.Empty(t, preflight(origin).header.Get("Access-Control-Allow-Origin"), origin)
		got := f.do(http.MethodGet, "/healthz", "", nil, "Origin", origin).want(http.StatusOK)
		assert.Empty(t, got.header.Get("Access-Control-Allow-Origin"), origin)
		assert.Contains(t, got.header.Values("Vary"), "Origin")
	}
	ada := f.user("acme", "ada", "")
	for _, c := range []struct {
		method, path, token string
		status              int
	}{
		{http.MethodGet, "/nothing", "", 404},
		{http.MethodOptions, "/api/v1/me/sessions", "", 405},
		{http.MethodGet, "/api/v1/me/sessions", "", 401},
		{http.MethodGet, "/api/v1/me/sessions", ada, 200},
		{http.MethodGet, "/api/v1/me/sessions", ada, 429},
	} {
		got := f.do(c.method, c.path, c.token, nil, "Origin", console).want(c.status)
		assert.Equal(t, console, got.header.Get("Access-Control-Allow-Origin"), "%d", c.status)
		assert.Contains(t, strings.ToLower(got.header.Get("Access-Control-Expose-Headers")), "retry-after")
	}
}

// stuck is a store whose lists wait for as long as they may.
type stuck struct{ handlers.Store }

func (stuck) ListSessions(ctx context.Context, _ store.CallerSession, _ store.Scope, _ store.Filter, _ store.Page) ([]store.ListItem, int, error) {
	<-ctx.Done()
	return nil, 0, fmt.Errorf("list sessions: %w", ctx.Err())
}

func (stuck) NewestActive(ctx context.Context, _ store.CallerSession, _ store.Scope) ([]store.ListItem, bool, error) {
	<-ctx.Done()
	return nil, false, fmt.Errorf("list sessions: %w", ctx.Err())
}

func TestARequestHasADeadline(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	f.serve(stuck{f.store}, func(c *handlers.Config) { c.HTTP.RequestTimeout = 20 * time.Millisecond })
	got := f.do(http.MethodGet, "/api/v1/me/sessions", f.user("acme", "ada", ""), nil).want(http.StatusServiceUnavailable)
	assert.Equal(t, "2", got.header.Get("Retry-After"))
	assert.Equal(t, "The service is temporarily unavailable.", got.detail())
}

// late is a store whose lists fail when their time is up, in words of their own.
type late struct{ handlers.Store }

func (late) ListSessions(ctx context.Context, _ store.CallerSession, _ store.Scope, _ store.Filter, _ store.Page) ([]store.ListItem, int, error) {
	<-ctx.Done()
	return nil, 0, errors.New("some driver gave up")
}

func (late) NewestActive(ctx context.Context, _ store.CallerSession, _ store.Scope) ([]store.ListItem, bool, error) {
	<-ctx.Done()
	return nil, false, errors.New("some driver gave up")
}

// TestADeadlineIsNeverAFault: what fails because the time is up is a 503, whatever the error says.
func TestADeadlineIsNeverAFault(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	f.serve(late{f.store}, func(c *handlers.Config) { c.HTTP.RequestTimeout = 20 * time.Millisecond })
	got := f.do(http.MethodGet, "/api/v1/me/sessions", f.user("acme", "ada", ""), nil).want(http.StatusServiceUnavailable)
	assert.Equal(t, "2", got.header.Get("Retry-After"))
}

// TestEveryAnswerIsGuarded: whatever the status, an answer has the headers that keep it out of caches and frames.
func TestEveryAnswerIsGuarded(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	f.register("acme", "u1", "s1")
	f.register("acme", "u1", "s2")
	admin, service := f.admin(), f.service()
	seen := map[int]bool{}
	guarded := func(status int, got answer) {
		t.Helper()
		got.want(status)
		seen[status] = true
		assert.NotEmpty(t, got.header.Get("X-Request-Id"), "%d", status)
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Strict-Transport-Security": "",
		} {
			assert.Equal(t, want, got.header.Get(name), "%d %s", status, name)
		}
	}
	register := func(id, user string) answer {
		return f.do(http.MethodPost, "/api/v1/lifecycle/sessions", service, map[string]any{
			"id": id, "tenant_id": "acme", "user_id": user, "expires_at": storetest.Epoch.Add(time.Hour),
		})
	}
	guarded(200, f.do(http.MethodGet, "/api/v1/admin/sessions/s1", admin, nil))
	guarded(201, register("s3", "u1"))
	guarded(204, f.do(http.MethodDelete, "/api/v1/admin/sessions/s2", admin, nil))
	guarded(302, f.do(http.MethodGet, "/docs", "", nil))
	guarded(307, f.do(http.MethodGet, "/api/v1/admin/sessions", "", nil))
	guarded(400, f.do(http.MethodPost, "/api/v1/admin/sessions/revoke-all", admin, "\"\xff\""))
	guarded(401, f.do(http.MethodGet, "/api/v1/me/sessions", "", nil))
	guarded(403, f.do(http.MethodGet, "/api/v1/tenants/acme/sessions", f.user("acme", "u1", ""), nil))
	guarded(404, f.do(http.MethodGet, "/nothing", "", nil))
	guarded(405, f.do(http.MethodTrace, "/api/v1/me/sessions", "", nil))
	guarded(409, register("s1", "somebody else"))
	guarded(413, f.do(http.MethodPost, "/api/v1/admin/sessions/revoke-all", admin, strings.Repeat(" ", 1<<20+1)))
	guarded(422, f.do(http.MethodGet, "/api/v1/admin/sessions/?page=0", admin, nil))
	f.serve(failing{Store: f.store}, func(c *handlers.Config) { c.HTTP.Rates.Principal = httpserver.Rate{PerSecond: 1} })
	guarded(500, f.do(http.MethodGet, "/api/v1/admin/sessions/", admin, nil))
	guarded(429, f.do(http.MethodGet, "/api/v1/admin/sessions/", admin, nil))
	f.serve(failing{Store: f.store, err: store.ErrUnavailable})
	guarded(503, f.do(http.MethodGet, "/api/v1/admin/sessions/", admin, nil))
	assert.Len(t, seen, 16)
}
