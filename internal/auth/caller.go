// Package auth turns a bearer token into a caller and decides what that caller may do.
//
// The way of a request: Authenticate reads the Authorization header, a Verifier checks the token with keys from a
// KeySource, the token's own session must not have ended, and the Caller goes into the request's context. After the
// request has been held against the contract, Authorize asks the table in policy.go and adds the caller's Reach. Nothing
// here writes a response: refusals are values of Error, which the handlers turn into a status and a header.
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

// Reach is what the caller may touch beyond what the path already says. An empty field confines nothing, so the zero
// Reach is the platform's; a handler must tell it from no Reach at all by the second result of ReachFromContext.
type Reach struct {
	TenantID  string
	PartnerID string
}

// contextKey is a type of its own, so that no other package can put a caller in by accident.
type contextKey struct{}

// findings are what is found out about one request on its way. Authenticate puts them into its context and Authorize adds
// the reach in place, which spares a second copy of the request.
type findings struct {
	caller         Caller
	reach          Reach
	known, decided bool // whether there is a caller, and a reach
	session        OwnSession
}

// OwnSession is the question whether the caller's own session has ended. Where the request only reads it may stay open while
// the operation runs, which can have it answered by the statement that it sends anyhow; no answer leaves before it is.
type OwnSession struct {
	TenantID, ID string
	open, ended  bool
	failure      error // why there is no answer; it is not asked again
}

// Answer answers it.
func (s *OwnSession) Answer(ended bool) { s.open, s.ended = false, ended }

// OwnSessionFromContext returns the question, and false where there is none or it has been answered.
func OwnSessionFromContext(ctx context.Context) (*OwnSession, bool) {
	found := findingsIn(ctx)
	return &found.session, found.session.open
}

func findingsIn(ctx context.Context) *findings {
	if found, ok := ctx.Value(contextKey{}).(*findings); ok {
		return found
	}
	return &findings{}
}

// NewContext returns a context that carries the caller.
func NewContext(ctx context.Context, caller Caller) context.Context {
	return withFindings(ctx, &findings{caller: caller, known: true})
}

func withFindings(ctx context.Context, found *findings) context.Context {
	return context.WithValue(ctx, contextKey{}, found)
}

// FromContext returns the caller that Authenticate found, and false where nobody was authenticated.
func FromContext(ctx context.Context) (Caller, bool) {
	found := findingsIn(ctx)
	return found.caller, found.known
}

// ReachFromContext returns what Authorize decided, and false where nothing was decided: then nothing is allowed.
func ReachFromContext(ctx context.Context) (Reach, bool) {
	found := findingsIn(ctx)
	return found.reach, found.decided
}
