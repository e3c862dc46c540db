package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store"
)

// The tenants of the matrix: acme is where its callers are at home, acorn belongs to the same partner, globex to another.
const (
	home      = "acme"
	sibling   = "acorn"
	foreign   = "globex"
	homeOwner = "north"
)

// target is what a request is about: a user's session in a tenant.
type target struct{ name, tenant, user, session string }

// targets are the session of the user who may be asking, one of another user, of another tenant and of another partner,
// and one that is not there, as its tenant and user are not. A number tells those of one request from all others.
func targets(n int) []target {
	id := func(name string) string { return fmt.Sprintf("s%d-%s", n, name) }
	return []target{
		{"own", home, "u1", id("own")},
		{"another user's", home, "u2", id("other")},
		{"another tenant's", sibling, "u1", id("sibling")},
		{"another partner's", foreign, "u1", id("foreign")},
		{"absent", fmt.Sprintf("absent%d", n), "u1", id("absent")},
	}
}

func partnerOf(tenant string) string {
	return map[string]string{home: homeOwner, sibling: homeOwner, foreign: "south"}[tenant]
}

// asker is somebody who sends a request: with a good token, or with something else in its place.
type asker struct {
	name  string
	token auth.TokenRequest
	spoil func(f *fixture, token string) string // nil for a good token
}

func with(name, scope string, base auth.TokenRequest) asker {
	base.Scope = scope
	return asker{name: name, token: base}
}

func askers() []asker {
	admin := auth.TokenRequest{Subject: "operator"}
	partner := auth.TokenRequest{Subject: "agent", PartnerID: homeOwner}
	boss := auth.TokenRequest{Subject: "boss", TenantID: home}
	user := auth.TokenRequest{Subject: "u1", TenantID: home}
	service := auth.TokenRequest{Subject: "idp", ClientID: "idp"}
	confined := func(tenant, partner string) auth.TokenRequest {
		return auth.TokenRequest{Subject: "idp", ClientID: "idp", TenantID: tenant, PartnerID: partner}
	}
	everything := admin
	everything.Scope = "admin:sessions:read admin:sessions:write sessions:ingest"
	ended := everything
	ended.SessionID = "ended"
	return []asker{
		{"nobody", everything, func(*fixture, string) string { return "" }},
		{"a malformed token", everything, func(_ *fixture, token string) string { return token[1:] }},
		{"an expired token", everything, func(f *fixture, _ string) string {
			token, err := f.issuer.Mint(everything, f.clock.Now().Add(-2*time.Hour))
			if err != nil {
				panic(err)
			}
			return token
		}},
		{"a revoked token", ended, func(_ *fixture, token string) string { return token }},
		with("a user", "", user),
		with("a user of no tenant", "", auth.TokenRequest{Subject: "u1"}),
		with("a user with other scopes", "openid profile sessions ADMIN:SESSIONS:READ admin:sessions:* admin:sessions:readwrite", user),
		with("a tenant's administrator", "sessions:read sessions:write", boss),
		with("a tenant's reader", "sessions:read", boss),
		with("a tenant's revoker", "sessions:write", boss),
		with("a tenant's administrator of no tenant", "sessions:read sessions:write", auth.TokenRequest{Subject: "boss"}),
		with("a partner's administrator", "partner:sessions:read partner:sessions:write", partner),
		with("a partner's reader", "partner:sessions:read", partner),
		with("a partner's revoker", "partner:sessions:write", partner),
		with("a partner's administrator of no partner", "partner:sessions:read partner:sessions:write", auth.TokenRequest{Subject: "agent"}),
		with("the platform's administrator", "admin:sessions:read admin:sessions:write", admin),
		with("the platform's reader", "admin:sessions:read", admin),
		with("the platform's revoker", "admin:sessions:write", admin),
		with("a service", "sessions:ingest", service),
		with("a service that introspects", "sessions:introspect", service),
		with("a tenant's service", "sessions:ingest", confined(home, "")),
		with("a partner's service", "sessions:ingest", confined("", homeOwner)),
	}
}

// action is how an operation is called about a target.
type action struct {
	method, path string
	body         func(f *fixture, t target) any // a url.Values is sent as a form; nil for none
	good         int                            // the status of success
	on           scope                          // what it is about
	names        bool                           // the answer names the sessions
	changes      bool                           // the sessions are other ones afterwards
}

// scope is how much of a target an operation is about.
type scope int

const (
	theSession scope = iota // which answers 404 where it is not found
	theUser                 // in the tenant
	theTenant
	everyone   // whatever the caller reaches
	theToken   // the session that a token in the body names
	theOutside // nothing that is there: a registration, a logout
)

// actions has every operation of the policy.
func actions() map[string]action {
	json := func(text string) func(*fixture, target) any {
		return func(_ *fixture, t target) any {
			return strings.NewReplacer("{tenant}", t.tenant, "{user}", t.user, "{session}", t.session).Replace(text)
		}
	}
	token := func(member string) func(*fixture, target) any {
		return func(f *fixture, t target) any {
			subject := auth.TokenRequest{Subject: t.user, TenantID: t.tenant, PartnerID: partnerOf(t.tenant), SessionID: t.session}
			return url.Values{member: {f.token(subject)}}
		}
	}
	const admin, me, tenant, ingest = "/api/v1/admin/sessions/", "/api/v1/me/sessions", "/api/v1/tenants/{tenant}/sessions", "/api/v1/lifecycle/sessions"
	get, post, remove := http.MethodGet, http.MethodPost, http.MethodDelete
	return map[string]action{
		"ListSessions":      {get, admin + "?tenant_id={tenant}&user_id={user}", nil, 200, theUser, true, false},
		"GetSession":        {get, admin + "{session}", nil, 200, theSession, true, false},
		"RevokeAllSessions": {post, admin + "revoke-all", json(`{"tenant_id":"{tenant}","user_id":"{user}"}`), 200, theUser, true, true},
		"RevokeSession":     {remove, admin + "{session}", nil, 204, theSession, false, true},

		"ListMySessions":        {get, me, nil, 200, everyone, true, false},
		"RevokeMyOtherSessions": {post, me + "/revoke-all", nil, 200, everyone, true, true},
		"RevokeMySession":       {remove, me + "/{session}", nil, 200, theSession, true, true},

		"ListTenantSessions":      {get, tenant, nil, 200, theTenant, true, false},
		"ListUserSessions":        {get, tenant + "/users/{user}", nil, 200, theUser, true, false},
		"GetTenantSession":        {get, tenant + "/{session}", nil, 200, theSession, true, false},
		"GetTenantSessionStats":   {get, tenant + "/stats", nil, 200, theTenant, false, false},
		"RevokeAllTenantSessions": {post, tenant + "/revoke-all", nil, 200, theTenant, true, true},
		"RevokeUserSessions":      {post, tenant + "/users/{user}/revoke", json(`{"session_ids":["{session}"]}`), 200, theUser, true, true},
		"RevokeTenantSession":     {remove, tenant + "/{session}", nil, 204, theSession, false, true},

		"RegisterSession": {
			post, ingest, json(`{"id":"new-{session}","tenant_id":"{tenant}","user_id":"{user}","expires_at":"2099-01-01T00:00:00Z"}`),
			201, theOutside, false, false,
		},
		"RecordSessionActivity": {post, ingest + "/{session}/activity", json(`{"ip_address":"203.0.113.9"}`), 204, theSession, false, true},
		"RecordSessionApp":      {http.MethodPut, ingest + "/{session}/apps/mail", json(`{"application_name":"Mail"}`), 204, theSession, false, true},
		"IntrospectToken":       {post, "/oauth2/introspect", token("token"), 200, theToken, true, false},
		"BackchannelLogout":     {post, "/oauth2/backchannel-logout", token("logout_token"), 400, theOutside, false, false},
	}
}

// expectation is what a request must come to.
type expectation struct {
	status  int
	covered bool            // whether the caller may know of the target
	reaches map[string]bool // the sessions that the operation is about and the caller reaches
}

// expect says so by the rules: a caller who is not known gets 401; one without a scope of the table, or who asks by its
// path about a tenant that is not theirs, 403; a session that is not there for the caller is 404; all else succeeds, with
// what the operation is about and the caller reaches, and nothing else.
func expect(operation string, act action, who asker, aim target, world []target) expectation {
	rule := auth.Policy()[operation]
	if rule.Audience == auth.Issuer {
		return expectation{status: act.good} // the body alone decides, and an access token is no logout token
	}
	if who.spoil != nil {
		return expectation{status: http.StatusUnauthorized}
	}
	allowed, reaches := reachOf(rule, who.token)
	want := expectation{status: act.good, covered: allowed && reaches(aim), reaches: map[string]bool{}}
	there := slices.Contains(world, aim)
	switch {
	case !allowed, rule.Audience == auth.Tenant && !reaches(aim):
		want.status = http.StatusForbidden
		return want
	case act.on == theSession && (!there || !reaches(aim)):
		want.status = http.StatusNotFound
		return want
	case operation == "RegisterSession" && !reaches(aim):
		want.status = http.StatusForbidden
		if who.token.TenantID == "" && partnerOf(aim.tenant) == "" {
			want.status = http.StatusCreated // a tenant that nobody has becomes the partner's whose service is first
		} else if who.token.TenantID == "" {
			want.status = http.StatusConflict // the tenant has another partner
		}
		return want
	}
	for _, t := range world {
		about := map[scope]bool{
			theSession: t == aim, theToken: t == aim, theUser: t.tenant == aim.tenant && t.user == aim.user, theTenant: t.tenant == aim.tenant, everyone: true,
		}
		if about[act.on] && reaches(t) {
			want.reaches[t.session] = true
		}
	}
	return want
}

// reachOf says whether a token may call an operation at all, and what it reaches then.
func reachOf(rule auth.Rule, token auth.TokenRequest) (allowed bool, reaches func(target) bool) {
	has := func(prefix string) bool {
		return slices.ContainsFunc(rule.Scopes, func(needed string) bool {
			return strings.HasPrefix(needed, prefix) && slices.Contains(strings.Fields(token.Scope), needed)
		})
	}
	inTenant := func(t target) bool { return t.tenant == token.TenantID }
	ofPartner := func(t target) bool { return token.PartnerID != "" && partnerOf(t.tenant) == token.PartnerID }
	all := func(target) bool { return true }
	switch {
	case rule.Audience == auth.Me:
		mine := func(t target) bool { return t.user == token.Subject && (token.TenantID == "" || inTenant(t)) }
		return token.ClientID != token.Subject, mine
	case has("admin:"):
		return true, all
	case has("partner:"):
		return token.PartnerID != "" || rule.Audience == auth.Tenant, ofPartner
	case rule.Audience == auth.Tenant:
		return has("sessions:"), func(t target) bool { return token.TenantID != "" && inTenant(t) }
	case rule.Audience == auth.Service && token.TenantID != "":
		return has("sessions:"), inTenant
	case rule.Audience == auth.Service && token.PartnerID != "":
		return has("sessions:"), ofPartner
	default:
		return has("sessions:") && rule.Audience == auth.Service, all
	}
}

// registered is a session of the store for a target.
func registered(t target, expires time.Time) store.Session {
	owner := partnerOf(t.tenant)
	return store.Session{ID: t.session, TenantID: t.tenant, UserID: t.user, PartnerID: &owner, ExpiresAt: expires}
}
