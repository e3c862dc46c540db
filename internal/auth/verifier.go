package auth

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"
)

// Verifier turns tokens of one issuer into callers.
type Verifier struct {
	config   Config
	keys     KeySource
	now      func() time.Time
	verified verifiedTokens
	logouts  spentLogouts
}

// NewVerifier returns a verifier, and an error when the configuration would let tokens through unchecked.
func NewVerifier(config Config, keys KeySource, now func() time.Time) (*Verifier, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	verified, err := newVerifiedTokens(maxVerified)
	if err != nil {
		return nil, err
	}
	return &Verifier{config: config, keys: keys, now: now, verified: verified}, nil
}

// Ready returns nil when tokens can be verified now, and an error that wraps ErrKeysUnavailable otherwise.
func (v *Verifier) Ready(ctx context.Context) error { return v.keys.Ready(ctx) }

// Verify returns the caller that the token identifies. The error is an *Error when the token is not valid; any other
// error, such as one that wraps ErrKeysUnavailable, says that it could not be verified. Whether the token's session has
// ended is not checked here.
//
// For a cached token the signature is not verified again, but its times are, and that the issuer still has the key: the result is
// that of a full verification.
func (v *Verifier) Verify(ctx context.Context, token string) (Caller, error) {
	if len(token) > maxToken {
		return Caller{}, errTooLong()
	}
	id, source := tokenID(sha256.Sum256([]byte(token))), v.keys
	if known, ok := v.verified.get(id); ok {
		keys, err := source.Keys(ctx, known.by.kid)
		if err != nil {
			return Caller{}, err
		}
		if slices.ContainsFunc(keys, known.by.key.same) && v.inTime(known) {
			return known.caller, nil
		}
		source = StaticKeys{known.by.kid: keys} // the issuer has been asked
	}
	claims, by, err := v.open(ctx, token, v.config.TokenTypes, source)
	if err != nil {
		return Caller{}, err
	}
	known, err := v.caller(claims)
	if err != nil {
		return Caller{}, err
	}
	known.by = by
	v.verified.add(id, known)
	return known.caller, nil
}

// open returns the claims of a token that the issuer has signed, and what says so. Its typ header must be one of
// the types, where the empty one stands for a header without.
func (v *Verifier) open(ctx context.Context, token string, types []string, source KeySource) (claimSet, signer, error) {
	parsed, err := parseCompact(token)
	if err != nil {
		return nil, signer{}, err
	}
	if !slices.Contains(v.config.Algorithms, parsed.alg) {
		return nil, signer{}, errInvalid(ReasonAlgorithm, "the algorithm is not allowed")
	}
	if !slices.Contains(types, normalizedType(parsed.typ)) {
		return nil, signer{}, errToken("The token is not an access token of the accepted type.", ReasonType, "the typ header is not accepted")
	}
	// Fetching keys comes after everything that can be refused without them.
	keys, err := source.Keys(ctx, parsed.kid)
	if err != nil {
		return nil, signer{}, err
	}
	if len(keys) == 0 {
		return nil, signer{}, errInvalid(ReasonKey, "the issuer has no key with this id")
	}
	i := slices.IndexFunc(keys, parsed.verify)
	if i < 0 {
		return nil, signer{}, errInvalid(ReasonSignature, "no key with this id made the signature")
	}
	claims, ok := object(parsed.payload)
	if !ok {
		return nil, signer{}, errInvalid(ReasonMalformed, "the payload is not a JSON object with unique members")
	}
	return claims, signer{kid: parsed.kid, key: keys[i]}, nil
}

// caller checks the claims of a token whose signature is valid.
func (v *Verifier) caller(claims claimSet) (*verifiedToken, error) {
	if err := v.checkPurpose(claims); err != nil {
		return nil, err
	}
	token, err := v.checkTimes(claims)
	if err != nil {
		return nil, err
	}
	caller := &token.caller
	caller.Issuer = v.config.Issuer
	caller.Audience, _ = claims.list("aud")
	for _, claim := range []struct {
		name string
		to   *string
	}{
		{"sub", &caller.Subject},
		{v.config.Claims.Tenant, &caller.TenantID},
		{v.config.Claims.Partner, &caller.PartnerID},
		{v.config.Claims.Session, &caller.SessionID},
		{v.config.Claims.Client, &caller.ClientID},
	} {
		value, ok := claims.text(claim.name)
		if !ok {
			return nil, errInvalid(ReasonClaims, "a claim that names someone is not a non-empty text")
		}
		*claim.to = value
	}
	if caller.Subject == "" {
		return nil, errInvalid(ReasonClaims, "the token has no subject")
	}
	scopes, ok := claims.scopes(v.config.Claims.Scope)
	if !ok {
		return nil, errInvalid(ReasonClaims, "the scope claim is neither a text nor a list of texts")
	}
	caller.Scopes = scopes
	if id, ok := claims.text("jti"); ok { // it names nobody, so that a strange one is left out
		caller.TokenID = id
	}
	return token, nil
}

// checkPurpose refuses what the same issuer signed with the same key for somebody else or for something else.
func (v *Verifier) checkPurpose(claims claimSet) error {
	if issuer, ok := claims.text("iss"); !ok || issuer != v.config.Issuer {
		return errToken("The token is from another issuer.", ReasonIssuer, "the iss claim is not the configured issuer")
	}
	if audience, ok := claims.list("aud"); !ok || !slices.Contains(audience, v.config.Audience) {
		return errToken("The token is not meant for this service.", ReasonAudience, "the aud claim does not have the configured audience")
	}
	if claims.has("events") {
		return errToken("The token is not an access token.", ReasonType, "an events claim marks a security event or logout token")
	}
	if !slices.Contains(v.config.TokenTypes, "jwt") {
		return nil
	}
	// ID tokens have the type JWT, too. Only they have these claims (OpenID Connect Core, sections 2 and 3.3).
	if claims.has("nonce") || claims.has("at_hash") || claims.has("c_hash") {
		return errToken("The token is not an access token.", ReasonType, "the claims are those of an ID token")
	}
	// Keycloak says what its tokens are in a claim.
	switch claims["typ"] {
	case nil, "Bearer", "DPoP":
		return nil
	default:
		return errToken("The token is not an access token.", ReasonType, "the typ claim says so")
	}
}

// checkTimes returns a token with its times filled in, if now is a time to use it.
func (v *Verifier) checkTimes(claims claimSet) (*verifiedToken, error) {
	now := v.now()
	expires, ok := claims.instant("exp")
	if !ok || expires.IsZero() {
		return nil, errInvalid(ReasonClaims, "the exp claim is missing or is not a time")
	}
	if v.over(now, expires) {
		return nil, errToken("The access token has expired.", ReasonExpired, "the exp claim is in the past")
	}
	token := &verifiedToken{caller: Caller{ExpiresAt: expires}}
	for _, claim := range []struct {
		name string
		to   *time.Time
	}{{"nbf", &token.notBefore}, {"iat", &token.caller.IssuedAt}} {
		start, ok := claims.instant(claim.name)
		if !ok {
			return nil, errInvalid(ReasonClaims, "a claim that holds a time does not")
		}
		if v.early(now, start) {
			return nil, errToken("The access token is not valid yet.", ReasonNotYetValid, "the nbf or iat claim is in the future")
		}
		*claim.to = start
	}
	return token, nil
}

// over reports whether a token is past its end: at the very second of exp it is (RFC 7519, section 4.1.4), and so with the
// leeway added.
func (v *Verifier) over(now, expires time.Time) bool {
	return !now.Before(expires.Add(v.config.Leeway))
}

// early reports whether a time at which a token was issued or may first be used is still to come.
func (v *Verifier) early(now, start time.Time) bool { return now.Add(v.config.Leeway).Before(start) }

// inTime reports whether checkTimes would succeed. A clock that is set back makes a token early again.
func (v *Verifier) inTime(known *verifiedToken) bool {
	now := v.now()
	return !v.over(now, known.caller.ExpiresAt) && !v.early(now, known.notBefore) && !v.early(now, known.caller.IssuedAt)
}
