package auth

import "errors"

var (
	// ErrKeysUnavailable says that no verdict is possible, because the issuer's keys could not be fetched and none that
	// are young enough are cached. It is the service's trouble, not the caller's: 503, and not ready.
	ErrKeysUnavailable = errors.New("the token issuer's keys are not available")
	// ErrNotInPolicy says that an operation has no rule, so nobody may call it: a fault of the program, 500.
	ErrNotInPolicy = errors.New("the operation is not in the policy table")
)

// challenge is the start of every WWW-Authenticate value here (RFC 6750, section 3).
const challenge = `Bearer realm="sessions"`

// kind is the form of a refusal.
type kind int

const (
	noToken kind = iota
	invalidToken
	insufficientScope
	notYours
)

// Error is a refusal: 401 unless Forbidden says 403. Its sentence and its challenge are made of fixed text and scope
// names only, so no part of a token can come back in an answer or break out of a quoted string.
type Error struct {
	kind   kind
	detail string
	scope  string
	cause  error
}

// Error returns the sentence for the caller, like Detail.
func (e *Error) Error() string { return e.detail }

// Detail returns one plain sentence that may be shown to the caller.
func (e *Error) Detail() string { return e.detail }

// Unwrap returns the finer reason, for the log only; nil when the sentence says it all. It never holds text of a token.
func (e *Error) Unwrap() error { return e.cause }

// Forbidden tells a caller who is known but not allowed (403) from one who is not known (401).
func (e *Error) Forbidden() bool { return e.kind == insufficientScope || e.kind == notYours }

// Challenge returns the value of the WWW-Authenticate header, empty when the answer has none.
func (e *Error) Challenge() string {
	switch e.kind {
	case invalidToken:
		return challenge + `, error="invalid_token", error_description="` + e.detail + `"`
	case insufficientScope:
		return challenge + `, error="insufficient_scope", scope="` + e.scope + `"`
	case notYours:
		// Another token of the same kind would not help, so there is nothing to challenge for.
		return ""
	default:
		return challenge
	}
}

// errNoToken is for a request that did not try: RFC 6750 wants no error code there.
func errNoToken() *Error {
	return &Error{kind: noToken, detail: "A valid bearer token is required."}
}

// errInvalid refuses a token whose flaw the caller cannot mend and an attacker should not be taught; the reason is logged.
func errInvalid(reason string) *Error {
	return errToken("The access token is not valid.", reason)
}

// errToken refuses a token with a sentence that helps its owner.
func errToken(detail, reason string) *Error {
	return &Error{kind: invalidToken, detail: detail, cause: errors.New(reason)}
}

func errTooLong() *Error {
	return errToken("The access token is too long.", "the token is over 8 KiB")
}

func errSessionEnded() *Error {
	return &Error{kind: invalidToken, detail: "The session has ended."}
}

func errScope(scope string) *Error {
	return &Error{kind: insufficientScope, detail: "The token lacks the scope for this operation.", scope: scope}
}

func errForbidden(detail string) *Error {
	return &Error{kind: notYours, detail: detail}
}
