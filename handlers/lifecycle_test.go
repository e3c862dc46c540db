package handlers_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store/storetest"
)

const (
	agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)

func TestRegisterSession(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		body := map[string]any{
			"id": "s1", "user_id": "u1", "tenant_id": "acme", "partner_id": "north", "user_email": "ada@example.com",
			"user_display_name": "Ada", "ip_address": "2001:db8::7", "user_agent": agent, "created_at": "2026-01-15T09:00:00.5+01:00",
			"expires_at": "2026-01-16T08:00:00Z",
		}
		var made gen.ApiResponseSessionResponse
		first := f.do(http.MethodPost, "/api/v1/lifecycle/sessions", f.service(), body).want(http.StatusCreated)
		first.decode(&made)
		assert.JSONEq(t, `{"id": "s1", "user_id": "u1", "user_email": "ada@example.com", "user_display_name": "Ada",
			"ip_address": "2001:db8::7", "user_agent": "`+agent+`", "device_type": "desktop", "location": null, "is_current": false,
			"created_at": "2026-01-15T08:00:00.500000Z", "last_activity_at": null, "expires_at": "2026-01-16T08:00:00.000000Z",
			"sso_apps": []}`, dataOf(t, first))
		again := f.do(http.MethodPost, "/api/v1/lifecycle/sessions", f.service(), body).want(http.StatusOK)
		assert.JSONEq(t, dataOf(t, first), dataOf(t, again))

		body["user_id"] = "u2"
		assert.Equal(t, "The session id belongs to another user or tenant.",
			f.do(http.MethodPost, "/api/v1/lifecycle/sessions", f.service(), body).want(http.StatusConflict).detail())
		assert.Equal(t, "The tenant belongs to another partner.", f.do(http.MethodPost, "/api/v1/lifecycle/sessions", f.service(),
			map[string]any{"user_id": "u1", "tenant_id": "acme", "partner_id": "south", "expires_at": "2026-01-16T08:00:00Z"}).want(http.StatusConflict).detail())
	})
}

func TestRegisterSessionOfOneTenant(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		restricted := func(request auth.TokenRequest) string {
			request.Subject, request.Scope = "idp", "sessions:ingest"
			return f.token(request)
		}
		post := func(tenantID, partnerID, token string) answer {
			body := map[string]any{"user_id": "u1", "tenant_id": tenantID, "expires_at": "2026-01-16T08:00:00Z"}
			if partnerID != "" {
				body["partner_id"] = partnerID
			}
			return f.do(http.MethodPost, "/api/v1/lifecycle/sessions", token, body)
		}
		owner := func(tenantID string) string {
			partnerID, err := f.store.TenantPartner(t.Context(), tenantID)
			require.NoError(t, err)
			return partnerID
		}
		post("acme", "", restricted(auth.TokenRequest{TenantID: "other"})).want(http.StatusForbidden)
		post("acme", "", restricted(auth.TokenRequest{TenantID: "acme"})).want(http.StatusCreated)
		refused := post("acme", "", restricted(auth.TokenRequest{PartnerID: "north"})).want(http.StatusForbidden)
		assert.Equal(t, "The token does not reach this tenant.", refused.detail())
		assert.Empty(t, owner("acme"), "a tenant that has sessions and no partner is not to be had")
		post("acme", "north", restricted(auth.TokenRequest{TenantID: "acme"})).want(http.StatusForbidden)
		post("fresh", "", restricted(auth.TokenRequest{PartnerID: "north"})).want(http.StatusCreated)
		assert.Equal(t, "north", owner("fresh"), "a partner's service makes tenants of its partner")
		post("fresh", "north", restricted(auth.TokenRequest{PartnerID: "south"})).want(http.StatusForbidden)
		post("fresh", "north", restricted(auth.TokenRequest{TenantID: "fresh", PartnerID: "south"})).want(http.StatusForbidden)
		post("unborn", "north", restricted(auth.TokenRequest{TenantID: "unborn", PartnerID: "south"})).want(http.StatusForbidden)
		post("acme", "", f.tenant("acme")).want(http.StatusForbidden)
		post("acme", "north", f.service()).want(http.StatusCreated)
		assert.Equal(t, "north", owner("acme"), "the platform's service may say so")

		f.register("acme", "u1", "s1")
		foreign := restricted(auth.TokenRequest{TenantID: "other"})
		f.do(http.MethodPost, "/api/v1/lifecycle/sessions/s1/activity", foreign, nil).want(http.StatusNotFound)
		f.do(http.MethodPut, "/api/v1/lifecycle/sessions/s1/apps/wiki", foreign, `{"application_name": "x"}`).want(http.StatusNotFound)
	})
}

func TestRegisterSessionImplausibleTimes(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		for _, c := range []struct{ created, expires, member string }{ // it is 12:00:00.123456
			{"2026-01-15T12:05:01Z", "2026-01-16T08:00:00Z", "created_at"},
			{"1969-12-31T23:59:59.999999Z", "2026-01-16T08:00:00Z", "created_at"},
			{"0001-01-01T00:00:00Z", "2026-01-16T08:00:00Z", "created_at"},
			{"0001-01-01T00:00:00+01:00", "2026-01-16T08:00:00Z", "created_at"},
			{"9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59-01:00", "created_at"},
			{"2026-01-15T12:00:00Z", "9999-12-31T23:59:59-01:00", "expires_at"},
			{"2026-01-15T12:00:00Z", "0001-01-01T00:00:00+01:00", "expires_at"},
			{"2026-01-15T10:00:00Z", "2026-01-15T10:00:00Z", "expires_at"},
			{"2026-01-15T10:00:00Z", "2026-01-15T09:00:00Z", "expires_at"},
			{"", "2026-01-15T12:00:00Z", "expires_at"},
			{"", "2026-01-15T12:00:00.123456Z", "expires_at"},
			{"2026-01-15T12:05:00Z", "2026-01-16T08:00:00Z", ""},
			{"1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", ""},
			{"2026-01-15T10:00:00Z", "2026-01-15T10:00:00.000001Z", ""},
			{"", "2026-01-15T12:00:00.123457Z", ""},
		} {
			body := map[string]any{"user_id": "u1", "tenant_id": "acme", "expires_at": c.expires}
			if c.created != "" {
				body["created_at"] = c.created
			}
			got := f.do(http.MethodPost, "/api/v1/lifecycle/sessions", f.service(), body)
			if c.member == "" {
				got.want(http.StatusCreated)
				continue
			}
			assert.Contains(t, got.want(http.StatusUnprocessableEntity).body, `{"loc":["body","`+c.member+`"],"msg":"Value error, `, "%+v", c)
		}
		f.register("acme", "u1", "s1")
		for at, want := range map[string]int{"9999-12-31T23:59:59-01:00": http.StatusUnprocessableEntity, "0001-01-01T00:00:00+01:00": http.StatusUnprocessableEntity, "9999-12-31T23:59:59Z": http.StatusNoContent} {
			f.do(http.MethodPut, "/api/v1/lifecycle/sessions/s1/apps/wiki", f.service(), map[string]any{"application_name": "x", "accessed_at": at}).want(want)
			f.do(http.MethodPost, "/api/v1/lifecycle/sessions/s1/activity", f.service(), map[string]any{"expires_at": at}).want(want)
		}
		f.do(http.MethodGet, "/api/v1/admin/sessions/s1", f.admin(), nil).want(http.StatusOK)
	})
}

func TestRecordSessionActivityAndApp(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		f.register("acme", "u1", "s1", "ip_address", "192.0.2.1")
		f.clock.Advance(time.Minute)
		f.do(http.MethodPost, "/api/v1/lifecycle/sessions/s1/activity", f.service(), nil).want(http.StatusNoContent)
		f.clock.Advance(time.Minute)
		f.do(http.MethodPost, "/api/v1/lifecycle/sessions/s1/activity", f.service(),
			map[string]any{"user_agent": phone, "ip_address": nil, "expires_at": "2026-01-20T00:00:00Z"}).want(http.StatusNoContent)
		f.clock.Advance(time.Minute)
		for _, app := range []string{"wiki", "wiki"} {
			f.do(http.MethodPut, "/api/v1/lifecycle/sessions/s1/apps/"+app, f.service(), `{"application_name": "Wiki"}`).want(http.StatusNoContent)
		}
		f.do(http.MethodPut, "/api/v1/lifecycle/sessions/s1/apps/mail", f.service(),
			`{"application_name": "Mail", "accessed_at": "2026-01-15T12:00:00Z"}`).want(http.StatusNoContent)
		got := f.do(http.MethodGet, "/api/v1/admin/sessions/s1", f.admin(), nil).want(http.StatusOK)
		assert.JSONEq(t, `{"id": "s1", "user_id": "u1", "user_email": null, "user_display_name": null, "ip_address": "192.0.2.1",
			"user_agent": "`+phone+`", "device_type": "mobile", "location": null, "is_current": false,
			"created_at": "2026-01-15T12:00:00.123456Z", "last_activity_at": "2026-01-15T12:03:00.123456Z",
			"expires_at": "2026-01-20T00:00:00.000000Z",
			"sso_apps": [{"application_id": "wiki", "application_name": "Wiki", "accessed_at": "2026-01-15T12:03:00.123456Z"},
				{"application_id": "mail", "application_name": "Mail", "accessed_at": "2026-01-15T12:00:00.000000Z"}]}`, dataOf(t, got))

		f.do(http.MethodDelete, "/api/v1/admin/sessions/s1", f.admin(), nil).want(http.StatusNoContent)
		for _, again := range []answer{
			f.do(http.MethodPost, "/api/v1/lifecycle/sessions/s1/activity", f.service(), nil),
			f.do(http.MethodPut, "/api/v1/lifecycle/sessions/s1/apps/wiki", f.service(), `{"application_name": "Wiki"}`),
			f.do(http.MethodPost, "/api/v1/lifecycle/sessions", f.service(), map[string]any{
				"id": "s1", "user_id": "u1", "tenant_id": "acme", "expires_at": "2026-01-20T00:00:00Z",
			}),
		} {
			assert.Equal(t, "The session has ended.", again.want(http.StatusConflict).detail())
		}
	})
}

func TestIntrospectToken(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		f.register("acme", "u1", "s1")
		ask := func(caller, token string) string {
			return strings.TrimSpace(f.do(http.MethodPost, "/oauth2/introspect", caller, "token_type_hint=access_token&token="+token,
				"Content-Type", "application/x-www-form-urlencoded").want(http.StatusOK).body)
		}
		good := f.token(auth.TokenRequest{Subject: "u1", TenantID: "acme", SessionID: "s1", ClientID: "web", Scope: "openid mail"})
		state := ask(f.service(), good)
		assert.Regexp(t, `"jti":"[A-Z2-7]+"`, state)
		assert.JSONEq(t, fmt.Sprintf(`{"active": true, "sub": "u1", "sid": "s1", "tenant_id": "acme", "client_id": "web", "scope": "openid mail",
			"iss": "urn:sessiond:dev", "aud": ["sessiond"], "token_type": "Bearer", "iat": %d, "exp": %d, "jti": "ID"}`,
			storetest.Epoch.Unix(), storetest.Epoch.Add(time.Hour).Unix()), regexp.MustCompile(`"jti":"[^"]+"`).ReplaceAllString(state, `"jti":"ID"`))
		gateway := f.token(auth.TokenRequest{Subject: "gw", TenantID: "globex", Scope: "sessions:introspect"})
		for name, answered := range map[string]string{
			"another tenant's gateway": ask(gateway, good),
			"no token":                 ask(f.service(), "x"),
			"another user's session":   ask(f.service(), f.user("acme", "u2", "s1")),
			"another tenant's session": ask(f.service(), f.user("globex", "u1", "s1")),
			"an unknown session":       ask(f.service(), f.user("acme", "u1", "unknown")),
		} {
			assert.Equal(t, `{"active":false}`, answered, name)
		}
		assert.Contains(t, ask(f.service(), f.user("acme", "u1", "")), `"active":true`, "a token without a session")
		f.do(http.MethodDelete, "/api/v1/admin/sessions/s1", f.admin(), nil).want(http.StatusNoContent)
		assert.Equal(t, `{"active":false}`, ask(f.service(), good), "revoked: inactive in the very next answer")
		expired := f.user("acme", "u1", "")
		f.clock.Advance(2 * time.Hour)
		assert.Equal(t, `{"active":false}`, ask(f.service(), expired))
		// Errors are those of OAuth.
		const twice = "Value error, it is given more than once"
		for _, c := range [][2]string{
			{"token=", "token: Field required"},
			{"token=x&token=x", "token: " + twice},
			{"token=x&%74oken=y&token_type_hint=a&token_type_hint=b", "token: " + twice + "; token_type_hint: " + twice},
		} {
			got := f.do(http.MethodPost, "/oauth2/introspect", f.service(), c[0], "Content-Type", "application/x-www-form-urlencoded").want(http.StatusBadRequest)
			assert.JSONEq(t, fmt.Sprintf(`{"error": "invalid_request", "error_description": %q, "detail": %q}`, c[1], c[1]), got.body)
		}
		got := f.do(http.MethodPost, "/oauth2/introspect", f.admin(), "token=x", "Content-Type", "application/x-www-form-urlencoded").want(http.StatusForbidden)
		assert.JSONEq(t, `{"error": "insufficient_scope", "error_description": "The token lacks the scope for this operation.", "detail": "The token lacks the scope for this operation."}`, got.body)
		got = f.do(http.MethodPost, "/oauth2/introspect", "", "token=x", "Content-Type", "application/x-www-form-urlencoded").want(http.StatusUnauthorized)
		assert.Contains(t, got.body, `{"error":"invalid_client","error_description":"`)
		assert.NotEmpty(t, got.header.Get("WWW-Authenticate"))
	})
}

// TestTimesAndNull: what the schema says of a time and of an object is what is taken.
func TestTimesAndNull(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	register := func(id, expires string) answer {
		return f.do(http.MethodPost, "/api/v1/lifecycle/sessions", f.service(), map[string]any{"id": id, "tenant_id": "acme", "user_id": "u1", "expires_at": expires})
	}
	register("s1", "2026-01-16t08:00:00.5z").want(http.StatusCreated)
	refused := register("s2", "2099-01-01T00:00:00,5Z").want(http.StatusUnprocessableEntity)
	assert.Contains(t, refused.body, `"loc":["body","expires_at"]`)
	null := f.do(http.MethodPost, "/api/v1/lifecycle/sessions/s1/activity", f.service(), "null", "Content-Type", "application/json").want(http.StatusUnprocessableEntity)
	assert.Contains(t, null.body, `"loc":["body"]`)
	f.do(http.MethodPost, "/api/v1/lifecycle/sessions/s1/activity", f.service(), nil).want(http.StatusNoContent)
}
