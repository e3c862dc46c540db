// Package auth turns a bearer token into a caller and decides what that caller may do.
//
// The way of a request: Authenticate reads the Authorization header, a Verifier checks the token with keys from a
// KeySource, the token's own session must not have ended, and the Caller goes into the request's context. After the
// request has been validated, Authorize looks the operation up in the table in policy.go and adds the caller's Grant. Nothing
// here writes a response: refusals are values of Error, which the handlers turn into a status and a header.
//
// The session of a GET's token is checked in Authorize, or by the operation in a statement that it sends anyway; see Authenticate.
package auth

import (
	"context"
	"slices"
	"time"
)

// Caller is who a verified token speaks for. Its slices are shared by every copy and must not be changed.
type Caller struct {
	Subject   string // the user or, for a client's own token, the client
	TenantID  string // empty when the token names no tenant
	PartnerID string // empty when the token names no partner
	SessionID string // the current session (sid), empty when the token belongs to none
	ClientID  string
	TokenID   string // jti, empty when the token has none
	Scopes    []string
	Issuer    string
	Audience  []string
	IssuedAt  time.Time // zero when the token does not say
	ExpiresAt time.Time
}

// HasScope tells whether the token carries exactly this scope. Scopes do not imply each other: write is not read.
func (c Caller) HasScope(scope string) bool {
	return slices.Contains(c.Scopes, scope)
}

// IsClient tells whether a client got the token for itself (RFC 9068, section 2.2): its subject is the client then, and
// taking that for a user's id would let whoever may name a client pose as the user of the same name.
func (c Caller) IsClient() bool {
	return c.ClientID != "" && c.ClientID == c.Subject
}

// Grant is the authorized scope of a request, beyond what its path says. An empty field restricts nothing, so the zero
// Grant is the platform's; a handler must tell it from no Grant at all by the second result of GrantFromContext.
type Grant struct {
	TenantID  string
	PartnerID string
	UserID    string
}

// contextKey is a type of its own, so that no other package can put a caller in by accident.
type contextKey struct{}

// authState is what is known about the caller of a request. Authenticate puts it into the context and Authorize adds
// the grant in place, which spares a second copy of the request.
type authState struct {
	caller         Caller
	grant          Grant
	known, decided bool // whether there is a caller, and a grant
	// checked: it is known whether the caller's own session has ended, or the token belongs to none. refused is the error when it has, or
	// when it could not be found out.
	checked bool
	refused error
}

func stateIn(ctx context.Context) *authState {
	if found, ok := ctx.Value(contextKey{}).(*authState); ok {
		return found
	}
	return &authState{}
}

// NewContext returns a context that carries the caller.
func NewContext(ctx context.Context, caller Caller) context.Context {
	return withState(ctx, &authState{caller: caller, known: true, checked: true})
}

func withState(ctx context.Context, found *authState) context.Context {
	return context.WithValue(ctx, contextKey{}, found)
}

// FromContext returns the caller that Authenticate found, and false where nobody was authenticated.
func FromContext(ctx context.Context) (Caller, bool) {
	found := stateIn(ctx)
	return found.caller, found.known
}

// GrantFromContext returns what Authorize decided, and false where nothing was decided: then nothing is allowed.
func GrantFromContext(ctx context.Context) (Grant, bool) {
	found := stateIn(ctx)
	return found.grant, found.decided
}
