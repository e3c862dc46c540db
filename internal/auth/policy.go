package auth

import "fmt"

// Audience is whom an operation is for.
type Audience string

// The audiences, by groups of paths.
const (
	Platform       Audience = "platform"       // /admin: the platform, and partners for their own tenants
	Me             Audience = "me"             // /me: the signed-in user
	Tenant         Audience = "tenant"         // /tenants/{tenant_id}: its administrators, its partner, the platform
	Everyone       Audience = "everyone"       // /sessions, /audit-events: each of these, for what is theirs
	Administrators Audience = "administrators" // /revocation-jobs: those of the platform, of a partner or of a tenant, for what is theirs
	Service        Audience = "service"        // lifecycle and introspection: the services that sign users in or ask
	Issuer         Audience = "issuer"         // logout: the token issuer itself, whose signed body is the proof; no caller
)

// Rule says who may call one operation.
type Rule struct {
	Audience Audience
	// Scopes are alternatives, the narrowest first. For Platform, Tenant, Everyone and Administrators the position says what a scope covers: the own tenant,
	// the own partner, everything. A user needs none for their own sessions.
	Scopes []string
	// ChecksSession: the operation itself looks whether the caller's own session has ended, in the statement that it sends anyhow (see
	// store.CallerSession), and fails when it has. For every other operation that is known before it begins.
	ChecksSession bool
}

// checksSession is a rule of an operation that checks the caller's session.
func checksSession(rule Rule) Rule {
	rule.ChecksSession = true
	return rule
}

// Rules is a policy: the rule of each operation under its generated name. An operation that is not in it is allowed to nobody.
type Rules map[string]Rule

// Policy returns who may do what. It is the only place that says so: Authorize applies it, and the tests are derived from it.
func Policy() Rules {
	return Rules{
		"ListSessions":      checksSession(platformRule("read")),
		"GetSession":        checksSession(platformRule("read")),
		"RevokeAllSessions": platformRule("write"),
		"RevokeSession":     platformRule("write"),

		"ListMySessions":        checksSession(Rule{Audience: Me}),
		"RevokeMyOtherSessions": {Audience: Me},
		"RevokeMySession":       {Audience: Me},
		"ListMyDevices":         {Audience: Me},
		"RevokeMyDevice":        {Audience: Me},

		"ListTenantSessions":      checksSession(tenantRule("read")),
		"ListUserSessions":        checksSession(tenantRule("read")),
		"GetTenantSession":        checksSession(tenantRule("read")),
		"GetTenantSessionStats":   tenantRule("read"),
		"RevokeAllTenantSessions": tenantRule("write"),
		"RevokeUserSessions":      tenantRule("write"),
		"RevokeTenantSession":     tenantRule("write"),

		"SearchSessions":    everyoneRule("read"),
		"GetSessionHistory": everyoneRule("read"),
		"ListAuditEvents":   everyoneRule("read"),

		"CreateRevocationJob": administratorRule("write"),
		"ListRevocationJobs":  administratorRule("read"),
		"GetRevocationJob":    administratorRule("read"),
		"PauseRevocationJob":  administratorRule("write"),
		"ResumeRevocationJob": administratorRule("write"),
		"CancelRevocationJob": administratorRule("write"),

		"RegisterSession":       {Audience: Service, Scopes: []string{"sessions:ingest"}},
		"RecordSessionActivity": {Audience: Service, Scopes: []string{"sessions:ingest"}},
		"RecordSessionApp":      {Audience: Service, Scopes: []string{"sessions:ingest"}},
		"IntrospectToken":       {Audience: Service, Scopes: []string{"sessions:introspect", "sessions:ingest"}},

		"BackchannelLogout": {Audience: Issuer},
	}
}

func platformRule(action string) Rule {
	return Rule{Audience: Platform, Scopes: []string{"partner:sessions:" + action, "admin:sessions:" + action}}
}

func tenantRule(action string) Rule {
	return Rule{Audience: Tenant, Scopes: []string{
		"sessions:" + action, "partner:sessions:" + action, "admin:sessions:" + action,
	}}
}

func everyoneRule(action string) Rule {
	rule := tenantRule(action)
	rule.Audience = Everyone
	return rule
}

func administratorRule(action string) Rule {
	rule := tenantRule(action)
	rule.Audience = Administrators
	return rule
}

// Decide authorizes the caller for the operation, and returns the authorized scope. tenantID is the path's and matters for the
// tenant operations only; partnerOf returns the partner that a tenant belongs to, empty when none is known, and is called
// only where the decision depends on it. The error is an *Error for a refusal, wraps ErrNotInPolicy for an operation
// without a rule, and is partnerOf's own otherwise.
func (r Rules) Decide(
	operationID string, caller Caller, tenantID string, partnerOf func(tenantID string) (string, error),
) (Grant, error) {
	rule, ok := r[operationID]
	if !ok {
		return Grant{}, fmt.Errorf("%w: %s", ErrNotInPolicy, operationID)
	}
	switch rule.Audience {
	case Platform:
		return rule.decidePlatform(caller)
	case Me:
		return rule.decideMe(caller)
	case Tenant:
		return rule.decideTenant(caller, tenantID, partnerOf)
	case Everyone, Administrators:
		return rule.decideEveryone(caller)
	case Service:
		return rule.decideService(caller)
	case Issuer:
		return Grant{}, errForbidden("An access token does not open this operation.")
	default:
		return Grant{}, fmt.Errorf("%w: %s has no audience", ErrNotInPolicy, operationID)
	}
}

func (r Rule) decidePlatform(caller Caller) (Grant, error) {
	partner, admin := r.Scopes[0], r.Scopes[1]
	switch {
	case caller.HasScope(admin):
		return Grant{}, nil
	case caller.HasScope(partner) && caller.PartnerID != "":
		return Grant{PartnerID: caller.PartnerID}, nil
	case caller.HasScope(partner):
		// Without a partner, the authorized scope would be the platform's.
		return Grant{}, errForbidden("The token names no partner.")
	case caller.PartnerID != "":
		return Grant{}, errScope(partner)
	default:
		return Grant{}, errScope(admin) // the partner's scope would not help this caller
	}
}

func (r Rule) decideMe(caller Caller) (Grant, error) {
	if caller.IsClient() {
		return Grant{}, errForbidden("A client's token cannot act as a user.")
	}
	return Grant{TenantID: caller.TenantID}, nil
}

func (r Rule) decideTenant(
	caller Caller, tenantID string, partnerOf func(tenantID string) (string, error),
) (Grant, error) {
	own, partner, admin := r.Scopes[0], r.Scopes[1], r.Scopes[2]
	grant := Grant{TenantID: tenantID}
	switch {
	case !caller.HasScope(own) && !caller.HasScope(partner) && !caller.HasScope(admin):
		return Grant{}, errScope(own)
	case tenantID == "":
		// Nobody has the empty tenant id: it would equal that of a token without a tenant, and restrict nothing.
		return Grant{}, NotYourTenant()
	case caller.HasScope(admin), caller.HasScope(own) && caller.TenantID == tenantID:
		return grant, nil
	case !caller.HasScope(partner) || caller.PartnerID == "":
		return Grant{}, NotYourTenant()
	}
	switch owner, err := partnerOf(tenantID); {
	case err != nil:
		return Grant{}, err
	case owner != caller.PartnerID:
		return Grant{}, NotYourTenant()
	default:
		return grant, nil
	}
}

// decideEveryone authorizes a caller for the most that the token's scopes reach, and a user without any for what is the user's own, unless it
// is for administrators only.
func (r Rule) decideEveryone(caller Caller) (Grant, error) {
	own, partner, admin := r.Scopes[0], r.Scopes[1], r.Scopes[2]
	switch {
	case caller.HasScope(admin):
		return Grant{}, nil
	case caller.HasScope(partner) && caller.PartnerID != "":
		return Grant{PartnerID: caller.PartnerID}, nil
	case caller.HasScope(own) && caller.TenantID != "":
		return Grant{TenantID: caller.TenantID}, nil
	case r.Audience == Everyone && !caller.IsClient():
		return Grant{TenantID: caller.TenantID, UserID: caller.Subject}, nil
	case caller.HasScope(partner):
		return Grant{}, errForbidden("The token names no partner.")
	case caller.HasScope(own):
		return Grant{}, errForbidden("The token names no tenant.")
	default:
		return Grant{}, errScope(own)
	}
}

// NotYourTenant refuses (403) a tenant that is not the caller's. It is the same for somebody else's tenant and for one that does not
// exist.
func NotYourTenant() *Error {
	return errForbidden("The token does not reach this tenant.")
}

// decideService restricts the service of one tenant or partner to it; the platform's own services name neither.
func (r Rule) decideService(caller Caller) (Grant, error) {
	for _, scope := range r.Scopes {
		if !caller.HasScope(scope) {
			continue
		}
		if caller.TenantID != "" {
			return Grant{TenantID: caller.TenantID}, nil
		}
		return Grant{PartnerID: caller.PartnerID}, nil
	}
	return Grant{}, errScope(r.Scopes[0])
}
