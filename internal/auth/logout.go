package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"
)

// logoutEvent is the member of events that makes a token a logout token (Back-Channel Logout 1.0, section 2.4).
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutMaxAge is how long after its iat a logout token is taken. A provider sends it at once, so an older one is a copy.
const logoutMaxAge = 2 * time.Minute

// Logout is what a verified logout token asks for. Either SessionID or Subject is not empty.
type Logout struct {
	SessionID string // the session that ended, empty when all of the subject's did
	Subject   string // whose it is, empty when the token names the session only
	TenantID  string // where, empty when the token names no tenant
	Issuer    string // who says so: the identity provider
	ClientID  string // the client that the user has signed out of: the one of LogoutAudiences that the token names first
	id        logoutID
}

// logoutID stands for a token's jti, which may be of any length.
type logoutID [sha256.Size]byte

// LogoutError refuses a logout token: 400 (section 2.8). Its sentence is made of fixed text only.
type LogoutError struct{ detail string }

// Error returns the sentence for the provider, like Detail.
func (e *LogoutError) Error() string { return e.detail }

// Detail returns one plain sentence. It gives the reason: a logout that fails leaves a session alive, and whoever runs the
// provider must be able to find out why.
func (e *LogoutError) Detail() string { return e.detail }

func errLogout(reason string) *LogoutError {
	return &LogoutError{detail: "The logout token is not valid: " + reason + "."}
}

// VerifyLogout returns what a logout token asks for (Back-Channel Logout 1.0, section 2.6). The error is a *LogoutError
// when the token is not valid; any other error says that it could not be verified. Call LogoutDone when the sessions have
// ended: until then the provider may try again with the same token.
func (v *Verifier) VerifyLogout(ctx context.Context, token string) (Logout, error) {
	claims, _, err := v.open(ctx, token, []string{"logout+jwt", "jwt", ""}, v.keys)
	if refused, ok := errors.AsType[*Error](err); ok {
		return Logout{}, errLogout(refused.cause.Error()) // the sentence speaks of access tokens, the cause does not
	}
	if err != nil {
		return Logout{}, err
	}
	client, err := v.checkLogoutPurpose(claims)
	if err != nil {
		return Logout{}, err
	}
	if err := v.checkLogoutTimes(claims); err != nil {
		return Logout{}, err
	}
	logout, err := v.logout(claims)
	if err != nil {
		return Logout{}, err
	}
	logout.Issuer, logout.ClientID = v.config.Issuer, client
	return logout, nil
}

// LogoutDone records that a logout has happened, so that its token is not accepted again.
func (v *Verifier) LogoutDone(logout Logout) {
	v.logouts.add(logout.id, v.now(), logoutMaxAge+2*v.config.Leeway)
}

// checkLogoutPurpose distinguishes a logout token for this service from everything else that the issuer signs with the same key, and
// returns the client that it is for.
func (v *Verifier) checkLogoutPurpose(claims claimSet) (client string, err error) {
	if issuer, ok := claims.text("iss"); !ok || issuer != v.config.Issuer {
		return "", errLogout("the iss claim is not the configured issuer")
	}
	audience, ok := claims.list("aud")
	i := slices.IndexFunc(audience, func(name string) bool { return slices.Contains(v.config.LogoutAudiences, name) })
	if !ok || i < 0 {
		return "", errLogout("the aud claim has none of the configured clients")
	}
	events, _ := claims["events"].(map[string]any)
	if _, ok := events[logoutEvent].(map[string]any); !ok {
		return "", errLogout("the events claim does not say that it is one")
	}
	// An ID token may not be passed off as a logout token, so the one has what the other must not have.
	if claims.has("nonce") {
		return "", errLogout("it has a nonce claim")
	}
	return audience[i], nil
}

func (v *Verifier) checkLogoutTimes(claims claimSet) error {
	now := v.now()
	issued, ok := claims.instant("iat")
	switch {
	case !ok || issued.IsZero():
		return errLogout("the iat claim is missing or is not a time")
	case now.Add(v.config.Leeway).Before(issued):
		return errLogout("the iat claim is in the future")
	case !now.Before(issued.Add(logoutMaxAge + v.config.Leeway)):
		return errLogout("the iat claim is too long ago")
	}
	// Final since 2022 the specification has an exp in every token; the drafts, which providers still follow, had none.
	expires, ok := claims.instant("exp")
	if !ok || !expires.IsZero() && !now.Before(expires.Add(v.config.Leeway)) {
		return errLogout("the exp claim is in the past or is not a time")
	}
	return nil
}

// logout reads whom and which token it is from claims that are good otherwise.
func (v *Verifier) logout(claims claimSet) (Logout, error) {
	var (
		logout Logout
		id     string
	)
	for _, claim := range []struct {
		name string
		to   *string
	}{
		{"sid", &logout.SessionID}, // fixed by the specification, whatever access tokens call it
		{"sub", &logout.Subject},
		{v.config.Claims.Tenant, &logout.TenantID},
		{"jti", &id},
	} {
		value, ok := claims.text(claim.name)
		if !ok {
			return Logout{}, errLogout("a claim that names something is not a non-empty text")
		}
		*claim.to = value
	}
	switch {
	case id == "":
		return Logout{}, errLogout("the jti claim is missing")
	case logout.SessionID == "" && logout.Subject == "":
		return Logout{}, errLogout("it has neither a sid nor a sub claim")
	}
	logout.id = sha256.Sum256([]byte(id))
	if v.logouts.has(logout.id, v.now()) {
		return Logout{}, errLogout("it has been used before")
	}
	return logout, nil
}
