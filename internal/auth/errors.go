package auth

import "errors"

var (
	// ErrKeysUnavailable says that a token cannot be verified, because the issuer's keys could not be fetched and none that
	// are young enough are cached. It is a fault of the service, not of the caller: 503, and not ready.
	ErrKeysUnavailable = errors.New("the token issuer's keys are not available")
	// ErrNotInPolicy says that an operation has no rule, so nobody may call it: a fault of the program, 500.
	ErrNotInPolicy = errors.New("the operation is not in the policy table")
)

// challenge is the start of every WWW-Authenticate value here (RFC 6750, section 3).
const challenge = `Bearer realm="sessions"`

// Reason says which check a refused token has failed, in the log and in a metric. It is one of few fixed words, so that it
// reveals nothing of what the token holds.
type Reason string

// The reasons for a 401.
const (
	ReasonNoToken      Reason = "no_token"
	ReasonMalformed    Reason = "malformed" // no JWT in its strict form, or two Authorization headers
	ReasonAlgorithm    Reason = "algorithm"
	ReasonType         Reason = "type"      // typ, or claims that mark another kind of token
	ReasonKey          Reason = "key"       // no kid, or none that the issuer publishes
	ReasonSignature    Reason = "signature" // not made by the key that the token names
	ReasonIssuer       Reason = "issuer"
	ReasonAudience     Reason = "audience"
	ReasonExpired      Reason = "expired"
	ReasonNotYetValid  Reason = "not_yet_valid"
	ReasonClaims       Reason = "claims" // one is missing or has the wrong form
	ReasonSessionEnded Reason = "session_ended"
)

// Reasons are all of them.
func Reasons() []Reason {
	return []Reason{
		ReasonNoToken, ReasonMalformed, ReasonAlgorithm, ReasonType, ReasonKey, ReasonSignature, ReasonIssuer, ReasonAudience,
		ReasonExpired, ReasonNotYetValid, ReasonClaims, ReasonSessionEnded,
	}
}

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
	reason Reason
	detail string
	scope  string
	cause  error
}

// Error returns the sentence for the caller, like Detail.
func (e *Error) Error() string { return e.detail }

// Detail returns one plain sentence that may be shown to the caller.
func (e *Error) Detail() string { return e.detail }

// Reason returns which check has failed; it is empty when the caller is known but not allowed.
func (e *Error) Reason() Reason { return e.reason }

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
	return &Error{kind: noToken, reason: ReasonNoToken, detail: "A valid bearer token is required."}
}

// errInvalid refuses a token whose flaw the caller cannot mend and an attacker should not be taught; only the reason is logged.
func errInvalid(reason Reason, cause string) *Error {
	return errToken("The access token is not valid.", reason, cause)
}

// errToken refuses a token with a sentence that helps its owner.
func errToken(detail string, reason Reason, cause string) *Error {
	return &Error{kind: invalidToken, reason: reason, detail: detail, cause: errors.New(cause)}
}

func errTooLong() *Error {
	return errToken("The access token is too long.", ReasonMalformed, "the token is over 8 KiB")
}

// SessionEnded refuses (401) a caller whose own session has ended.
func SessionEnded() *Error {
	return &Error{kind: invalidToken, reason: ReasonSessionEnded, detail: "The session has ended."}
}

func errScope(scope string) *Error {
	return &Error{kind: insufficientScope, detail: "The token lacks the scope for this operation.", scope: scope}
}

func errForbidden(detail string) *Error {
	return &Error{kind: notYours, detail: detail}
}
