package handlers_test

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sessiond/sessiond/internal/auth"
)

// place is a tenant of the small world in which everyone asks for everything. Each has one active session, of a user
// called ada, and those are different people.
type place string

const (
	own      place = "acme"    // the callers' tenant, where they have one
	sibling  place = "initech" // another tenant of their partner
	stranger place = "globex"  // a tenant of another partner
	direct   place = "direct"  // a tenant without a partner
	absent   place = "nowhere" // nobody's
)

var places = []place{own, sibling, stranger, direct, absent}

func (p place) partner() string {
	return map[place]string{own: "north", sibling: "north", stranger: "south"}[p]
}

// caller is a kind of caller.
type caller struct {
	name  string
	bad   string // why the token is not good: none, malformed, expired, revoked
	token auth.TokenRequest
}

const everything = "sessions:read sessions:write partner:sessions:read partner:sessions:write " +
	"admin:sessions:read admin:sessions:write sessions:ingest sessions:introspect"

func callers() []caller {
	all := []caller{
		{name: "nobody", bad: "none"},
		{name: "malformed", bad: "malformed"},
		{name: "expired", bad: "expired", token: auth.TokenRequest{Subject: "ada", Scope: everything}},
		{name: "revoked", bad: "revoked", token: auth.TokenRequest{Subject: "ada", TenantID: string(own), Scope: everything}},
		{name: "revoked, token of another tenant", bad: "revoked", token: auth.TokenRequest{Subject: "ada", TenantID: string(stranger), Scope: everything}},
		{name: "revoked, token of no tenant", bad: "revoked", token: auth.TokenRequest{Subject: "ada", Scope: everything}},
		{name: "user", token: auth.TokenRequest{Subject: "ada", TenantID: string(own)}},
		{name: "user of a partner's tenant", token: auth.TokenRequest{Subject: "ada", TenantID: string(own), PartnerID: "north"}},
		{name: "user without a tenant", token: auth.TokenRequest{Subject: "ada"}},
		{name: "client", token: auth.TokenRequest{Subject: "idp", ClientID: "idp"}},
		{name: "wrong scopes", token: auth.TokenRequest{
			Subject: "ada", TenantID: string(own), PartnerID: "north", Scope: "sessions admin sessions:* SESSIONS:READ admin:sessions write",
		}},
	}
	for role, token := range map[string]auth.TokenRequest{
		"tenant":                    {TenantID: string(own), Scope: "sessions:"},
		"tenant without a tenant":   {Scope: "sessions:"},
		"partner":                   {PartnerID: "north", Scope: "partner:sessions:"},
		"partner without a partner": {Scope: "partner:sessions:"},
		"platform":                  {Scope: "admin:sessions:"},
	} {
		token.Subject = "ada"
		prefix := token.Scope
		for may, actions := range map[string][]string{"administrator": {"read", "write"}, "reader": {"read"}, "writer": {"write"}} {
			token.Scope = prefix + strings.Join(actions, " "+prefix)
			all = append(all, caller{name: role + ", " + may, token: token})
		}
	}
	for name, token := range map[string]auth.TokenRequest{
		"service":              {Scope: "sessions:ingest"},
		"service of a tenant":  {Scope: "sessions:ingest", TenantID: string(own)},
		"service of a partner": {Scope: "sessions:ingest", PartnerID: "north"},
		"introspecting":        {Scope: "sessions:introspect"},
	} {
		token.Subject, token.ClientID = "idp", "idp"
		all = append(all, caller{name: name, token: token})
	}
	slices.SortFunc(all, func(a, b caller) int { return strings.Compare(a.name, b.name) })
	return all
}

// want is the answer that someone should get.
type want struct {
	status int
	scope  string  // that a 403 says is missing
	done   []place // whose session a success is about; none is a success about nothing
}

// reaches reports whether a rule of the policy authorizes the caller for the tenant of a place.
func (a caller) reaches(rule auth.Rule, p place) bool {
	if rule.Audience == auth.Me {
		return a.token.TenantID == "" || a.token.TenantID == string(p)
	}
	if rule.Audience == auth.Everyone || rule.Audience == auth.Administrators {
		held := strings.Join(a.held(rule), " ")
		switch {
		case strings.Contains(held, "admin:"):
			return true
		case strings.Contains(held, "partner:") && a.token.PartnerID != "":
			return a.token.PartnerID == p.partner()
		default: // the tenant's, or the user's own
			return a.token.TenantID == "" || a.token.TenantID == string(p)
		}
	}
	return slices.ContainsFunc(a.held(rule), func(scope string) bool {
		kind, _, _ := strings.Cut(scope, ":")
		switch {
		case kind == "admin":
			return true
		case kind == "partner":
			return a.token.PartnerID != "" && a.token.PartnerID == p.partner()
		case rule.Audience == auth.Tenant:
			return a.token.TenantID == string(p)
		case a.token.TenantID != "": // from here a service, restricted to what its token names
			return a.token.TenantID == string(p)
		default:
			return a.token.PartnerID == "" || a.token.PartnerID == p.partner()
		}
	})
}

// administers reports whether one of the scopes that the caller has is of something that the token names.
func (a caller) administers(rule auth.Rule) bool {
	return slices.ContainsFunc(a.held(rule), func(scope string) bool {
		kind, _, _ := strings.Cut(scope, ":")
		return kind == "admin" || kind == "partner" && a.token.PartnerID != "" || kind == "sessions" && a.token.TenantID != ""
	})
}

// held are the scopes of a table's row that the caller has.
func (a caller) held(rule auth.Rule) []string {
	has := strings.Fields(a.token.Scope)
	return slices.DeleteFunc(slices.Clone(rule.Scopes), func(scope string) bool { return !slices.Contains(has, scope) })
}

// expected is the answer, by the order of the checks: who asks, may they ask this at all, may they ask about this tenant,
// is it there for them.
func expected(a caller, op operation, rule auth.Rule, tenant, session place) want {
	held := a.held(rule)
	switch {
	case rule.Audience == auth.Issuer:
		return want{status: http.StatusBadRequest} // whoever asks: only the body counts, and it is no logout token
	case a.bad != "":
		return want{status: http.StatusUnauthorized}
	case rule.Audience == auth.Me && a.token.ClientID == a.token.Subject:
		return want{status: http.StatusForbidden}
	case rule.Audience != auth.Me && (rule.Audience != auth.Everyone || a.token.ClientID == a.token.Subject) && len(held) == 0:
		return want{status: http.StatusForbidden, scope: a.missing(rule)}
	case rule.Audience == auth.Platform && len(held) == 1 && strings.HasPrefix(held[0], "partner:") && a.token.PartnerID == "":
		return want{status: http.StatusForbidden}
	case rule.Audience == auth.Administrators && !a.administers(rule):
		return want{status: http.StatusForbidden}
	case op.name == "CreateRevocationJob" && !a.reaches(rule, tenant):
		return want{status: http.StatusForbidden}
	case op.ofJob && (session == absent || !a.reaches(rule, session)):
		return want{status: http.StatusNotFound}
	case op.ofJob:
		return want{status: http.StatusOK, done: []place{session}}
	case op.inTenant && !a.reaches(rule, tenant):
		return want{status: http.StatusForbidden}
	case op.name == "RegisterSession":
		return a.registers(rule, tenant)
	case op.ofSession && (session == absent || op.inTenant && session != tenant || !a.reaches(rule, session)):
		return want{status: http.StatusNotFound}
	case op.ofSession:
		return want{status: op.success, done: []place{session}}
	}
	wanted := []place{tenant}
	if rule.Audience == auth.Me || op.name == "ListRevocationJobs" {
		wanted = places
	}
	return want{status: op.success, done: slices.DeleteFunc(slices.Clone(wanted), func(p place) bool {
		return p == absent || !a.reaches(rule, p)
	})}
}

// registers is the response to a service that registers a session in a tenant.
func (a caller) registers(rule auth.Rule, tenant place) want {
	switch {
	case a.reaches(rule, tenant), tenant == absent && a.token.TenantID == "": // a new tenant becomes its partner's
		return want{status: http.StatusCreated, done: []place{tenant}}
	default:
		return want{status: http.StatusForbidden} // a tenant that is known becomes nobody's by this
	}
}

// missing is the scope that a refusal names: the narrowest that would help this caller.
func (a caller) missing(rule auth.Rule) string {
	if rule.Audience == auth.Platform && a.token.PartnerID == "" {
		return rule.Scopes[1]
	}
	return rule.Scopes[0]
}
