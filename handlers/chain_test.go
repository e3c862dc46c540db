package handlers_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/qa/sequential"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

func TestAuthentication(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	f.register("acme", "u1", "s1")
	expired := f.admin()
	f.clock.Advance(2 * time.Hour)
	for name, c := range map[string]struct{ header, challenge string }{
		"none":     {"", `Bearer realm="sessions"`},
		"basic":    {"Basic dTpw", `Bearer realm="sessions"`},
		"no token": {"Bearer x.y.z", `Bearer realm="sessions", error="invalid_token", error_description="The access token is not valid."`},
		"expired":  {"Bearer " + expired, `Bearer realm="sessions", error="invalid_token", error_description="The access token has expired."`},
	} {
		t.Run(name, func(t *testing.T) {
			headers := []string{"Authorization", c.header}
			if c.header == "" {
				headers = nil
			}
			// 401 comes before 422: the query does not fit either.
			got := f.do(http.MethodGet, "/api/v1/admin/sessions/?page=0", "", nil, headers...).want(http.StatusUnauthorized)
			assert.Equal(t, c.challenge, got.header.Get("WWW-Authenticate"))
			assert.NotEmpty(t, got.detail())
		})
	}
	t.Run("a revoked caller is out at once", func(t *testing.T) {
		me := f.user("acme", "u1", "s1")
		f.do(http.MethodGet, "/api/v1/me/sessions", me, nil).want(http.StatusOK)
		f.do(http.MethodDelete, "/api/v1/me/sessions/s1", me, nil).want(http.StatusOK)
		got := f.do(http.MethodGet, "/api/v1/me/sessions", me, nil).want(http.StatusUnauthorized)
		assert.Equal(t, `Bearer realm="sessions", error="invalid_token", error_description="The session has ended."`, got.header.Get("WWW-Authenticate"))
	})
}

func TestPolicyOverHTTP(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	f.register("acme", "u1", "s1", "partner_id", "north")
	got := f.do(http.MethodGet, "/api/v1/tenants/acme/sessions", f.user("acme", "u1", ""), nil).want(http.StatusForbidden)
	assert.Equal(t, `Bearer realm="sessions", error="insufficient_scope", scope="sessions:read"`, got.header.Get("WWW-Authenticate"))
	for name, c := range map[string]struct {
		token  string
		status int
	}{
		"its administrator":         {f.tenant("acme"), http.StatusOK},
		"another's administrator":   {f.tenant("globex"), http.StatusForbidden},
		"its partner":               {f.partner("north"), http.StatusOK},
		"another partner":           {f.partner("south"), http.StatusForbidden},
		"the platform":              {f.admin(), http.StatusOK},
		"a service":                 {f.service(), http.StatusForbidden},
		"its administrator, reader": {f.token(auth.TokenRequest{Subject: "x", TenantID: "acme", Scope: "sessions:write"}), http.StatusForbidden},
	} {
		assert.Equal(t, c.status, f.do(http.MethodGet, "/api/v1/tenants/acme/sessions", c.token, nil).status, name)
	}
	// 422 comes before 403.
	f.do(http.MethodGet, "/api/v1/tenants/acme/sessions?page=0", f.tenant("globex"), nil).want(http.StatusUnprocessableEntity)
	f.do(http.MethodGet, "/api/v1/tenants/nobody/sessions", f.partner("north"), nil).want(http.StatusForbidden)
}

func TestRouting(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
		location     string
	}{
		{http.MethodGet, "/nothing", 404, "", ""},
		{http.MethodGet, "/api/v1/tenants//sessions", 404, "", ""},
		{http.MethodGet, "/api/v1/tenants/a%2Fb/sessions", 401, "", ""},
		{http.MethodGet, "/api/v1/tenants/a%2Fb/sessions/x/y", 404, "", ""},
		{http.MethodGet, "/api/v1/admin/sessions/a/b", 404, "", ""},
		{http.MethodPatch, "/api/v1/admin/sessions/s1", 405, "DELETE, GET", ""},
		{http.MethodPut, "/api/v1/admin/sessions/revoke-all", 405, "DELETE, GET, POST", ""},
		{http.MethodHead, "/api/v1/me/sessions", 405, "GET", ""},
		{http.MethodOptions, "/api/v1/me/sessions", 405, "GET", ""},
		{http.MethodDelete, "/api/v1/admin/sessions/", 405, "GET", ""},
		{http.MethodGet, "/api/v1/admin/sessions?page=2&a=%20b", 307, "", "/api/v1/admin/sessions/?page=2&a=%20b"},
		{http.MethodPost, "/api/v1/admin/sessions", 307, "", "/api/v1/admin/sessions/"},
		{http.MethodGet, "/api/v1/me/sessions//", 307, "", "/api/v1/me/sessions"},
		{http.MethodDelete, "/api/v1/me/sessions/a%20b%3F/", 307, "", "/api/v1/me/sessions/a%20b%3F"},
		{http.MethodGet, "//evil.example/api/v1/me/sessions/", 404, "", ""},
		{http.MethodGet, "/api/v1/me/sessions%0A", 401, "", ""},
		{http.MethodGet, "/api/v1/%6De/sessions", 401, "", ""},
		{http.MethodGet, "/api/v1/admin/sessions/revoke-all", 401, "", ""},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			got := f.do(c.method, c.path, "", nil).want(c.status)
			assert.Equal(t, c.allow, got.header.Get("Allow"))
			assert.Equal(t, c.location, got.header.Get("Location"))
		})
	}
	assert.JSONEq(t, `{"detail":"Not Found"}`, f.do(http.MethodGet, "/nothing", "", nil).body)
	assert.JSONEq(t, `{"detail":"Method Not Allowed"}`, f.do(http.MethodPut, "/api/v1/me/sessions", "", nil).body)
}

func TestPathParameters(t *testing.T) {
	sequential.Test(t)
	onBothEngines(t, func(f *fixture) {
		t := f.t
		for _, id := range []string{"a%b", "a b", "a+b", "ä", "...", "100%25", "a/b", "revoke-al", "stats2"} {
			f.register("acme", "u1", id)
			escaped := strings.NewReplacer("%", "%25", " ", "%20", "/", "%2F", "ä", "%C3%A4").Replace(id)
			got := f.do(http.MethodGet, "/api/v1/admin/sessions/"+escaped, f.admin(), nil).want(http.StatusOK)
			assert.Contains(t, got.body, `"id":"`+id+`"`)
		}
		for _, id := range []string{"%00", "a%00b", "%FF", "%C3%28", strings.Repeat("x", 4000)} {
			f.do(http.MethodGet, "/api/v1/admin/sessions/"+id, f.admin(), nil).want(http.StatusNotFound)
			f.do(http.MethodDelete, "/api/v1/tenants/"+id+"/sessions/x", f.admin(), nil).want(http.StatusNotFound)
			f.do(http.MethodPost, "/api/v1/lifecycle/sessions/"+id+"/activity", f.service(), nil).want(http.StatusNotFound)
		}
	})
}

func TestBodies(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	post := func(body any) answer {
		return f.do(http.MethodPost, "/api/v1/admin/sessions/revoke-all", f.admin(), body)
	}
	assert.Equal(t, "There was an error parsing the body", post("\"\xff\"").want(http.StatusBadRequest).detail())
	assert.Equal(t, "The body is larger than 1048576 bytes.",
		post(`{"user_id": "`+strings.Repeat("x", 1<<20)+`"}`).want(http.StatusRequestEntityTooLarge).detail())
	f.register("acme", "u1", "s1")
	f.register("acme", "u1", "s2")
	revoke := func(body string) answer {
		return f.do(http.MethodPost, "/api/v1/tenants/acme/sessions/users/u1/revoke", f.tenant("acme"), body)
	}
	revoke(`{"session_ids": ["s1"], "session_ids": 7}`).want(http.StatusUnprocessableEntity)
	revoke(`{"revoke_all": false, "REVOKE_ALL": true}`).want(http.StatusUnprocessableEntity)
	revoke(`{"revoke_all": true, "revoke_all": false}`).want(http.StatusUnprocessableEntity)
	assert.Equal(t, []string{"s1"}, revoke(`{"session_ids": 7, "session_ids": ["s2"], "session_ids": ["s1"]}`).revoked(), "the last one is checked, and is what counts")
	assert.Equal(t, []string{"s2"}, revoke(`{"REVOKE_ALL": "x", "Session_Ids": 1, "revoke_all": true}`).revoked(), "member names are exact, unknown ones are ignored")
}

// TestTextThatNoDatabaseTakes: a NUL, or half a character, is the client's mistake wherever it stands.
func TestTextThatNoDatabaseTakes(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		for member, good := range map[string]string{
			"id": "s1", "user_id": "u1", "tenant_id": "acme", "partner_id": "north", "user_email": "a@example.com",
			"user_display_name": "Ada", "user_agent": agent, "ip_address": "192.0.2.1",
		} {
			for _, bad := range []string{`\u0000`, good + `\u0000x`, "\xff", good + "\xc3("} {
				body := map[string]string{"user_id": "u1", "tenant_id": "acme", "expires_at": "2026-01-16T08:00:00Z", member: "MARK"}
				text, err := json.Marshal(body)
				require.NoError(f.t, err)
				got := f.do(http.MethodPost, "/api/v1/lifecycle/sessions", f.service(), strings.Replace(string(text), "MARK", bad, 1))
				assert.Contains(f.t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, got.status, "%s %q: %s", member, bad, got.body)
			}
		}
		assert.Empty(f.t, f.activeIDs("acme"))
	})
}

func TestRequestID(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	for given, kept := range map[string]bool{
		"abc-123": true, strings.Repeat("x", 128): true, "~!": true,
		strings.Repeat("x", 129): false, "a b": false, "ä": false, "": false,
	} {
		got := f.do(http.MethodGet, "/api/v1/me/sessions", f.user("acme", "u1", ""), nil, "X-Request-ID", given).want(http.StatusOK)
		id := got.header.Get("X-Request-ID")
		assert.Equal(t, kept, id == given, given)
		assert.Contains(t, got.body, `"request_id":"`+id+`"`)
		assert.Contains(t, f.logs.String(), "request_id="+id)
	}
}

func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		detail string
	}{
		"the database is gone": {store.ErrUnavailable, http.StatusServiceUnavailable, "The service is temporarily unavailable."},
		"an unknown error":     {errors.New("secret cause"), http.StatusInternalServerError, "Internal Server Error"},
		"a panic":              {nil, http.StatusInternalServerError, "Internal Server Error"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, storetest.SQLite)
			f.serve(failing{Store: f.store, err: c.err})
			got := f.do(http.MethodGet, "/api/v1/me/sessions", f.user("acme", "u1", ""), nil, "X-Request-ID", "failure-1").want(c.status)
			assert.Equal(t, c.detail, got.detail())
			assert.Equal(t, c.status == http.StatusServiceUnavailable, got.header.Get("Retry-After") != "")
			assert.Contains(t, f.logs.String(), "request_id=failure-1")
			if c.err != nil {
				assert.Contains(t, f.logs.String(), c.err.Error())
			} else {
				assert.Regexp(t, `msg=panic cause="the list panics" stack="goroutine .*" request_id=failure-1`, f.logs.String())
			}
		})
	}
}

func TestSystemRoutes(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	for path, want := range map[string]string{
		"/healthz": `{"status":"ok"}`, "/readyz": `{"status":"ready"}`, "/openapi.yaml": "openapi: 3.1.0", "/openapi.json": `"openapi":"3.1.0"`,
		"/openapi.sdk.yaml": "SessionSelection", "/openapi.sdk.json": "SessionSelection", "/docs/": "swagger-ui",
	} {
		assert.Contains(t, f.do(http.MethodGet, path, "", nil).want(http.StatusOK).body, want, path)
	}
	explorer := f.do(http.MethodGet, "/docs/", "", nil)
	assert.Contains(t, explorer.header.Get("Content-Security-Policy"), "frame-ancestors 'none'", "nor is the explorer framed")
	assert.Equal(t, "nosniff", explorer.header.Get("X-Content-Type-Options"))
	page := explorer.body
	assert.NotRegexp(t, `(src|href)="(https?:)?//`, page, "the explorer loads nothing from elsewhere")
	for _, asset := range []string{"swagger-ui.css", "swagger-ui-bundle.js"} {
		assert.Contains(t, page, asset)
		assert.Greater(t, len(f.do(http.MethodGet, "/docs/"+asset, "", nil).want(http.StatusOK).body), 10_000, asset)
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		root := f.do(method, "/", "", nil, "Accept", "text/html,application/xhtml+xml,*/*;q=0.8").want(http.StatusFound)
		assert.Equal(t, "/docs/", root.header.Get("Location"), "a browser is shown where the API is explained")
		assert.Equal(t, "Accept", root.header.Get("Vary"))
		for _, accept := range []string{"", "*/*", "application/json"} {
			f.do(method, "/", "", nil, "Accept", accept).want(http.StatusNotFound)
		}
	}
	f.do(http.MethodPost, "/", "", nil, "Accept", "text/html").want(http.StatusNotFound)
	f.do(http.MethodGet, "/index.html", "", nil, "Accept", "text/html").want(http.StatusNotFound)
	require.NoError(t, f.store.Close())
	f.clock.Advance(time.Second)
	f.do(http.MethodGet, "/healthz", "", nil).want(http.StatusOK)
	got := f.do(http.MethodGet, "/readyz", "", nil)
	assert.GreaterOrEqual(t, got.status, 500, fmt.Sprint(got.status))
}
