package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxLeeway is both the default and the most: clocks that differ by more are broken, and every second of it lengthens
// the life of a stolen token.
const maxLeeway = 60 * time.Second

// ClaimNames says under which names the issuer puts what is not fixed by a standard. An empty field takes the default.
type ClaimNames struct {
	Tenant  string // tenant_id
	Partner string // partner_id
	Session string // sid
	Scope   string // scope; a string with spaces between, or a list
	Client  string // client_id
}

// Config says what a good token looks like. Issuer and Audience are needed, the rest has defaults.
type Config struct {
	Issuer   string
	Audience string
	// Algorithms is the allow-list. By default RS256, PS256, ES256 and EdDSA, and there are no others.
	Algorithms []string
	// TokenTypes are the accepted values of the typ header, by default at+jwt (RFC 9068). With or without "application/"
	// in front and in any case they mean the same. An issuer that says JWT needs JWT here; ID tokens and logout tokens,
	// which such an issuer calls by the same name, are then told apart by their claims.
	TokenTypes []string
	// LogoutAudiences are the names of which a logout token's aud must have one: the client ids under which the provider
	// knows this service's logout address, by default the Audience.
	LogoutAudiences []string
	Claims          ClaimNames
	// Leeway is how far the issuer's clock may differ: 60 seconds when zero, and not more.
	Leeway time.Duration
}

// withDefaults fills what is empty and refuses what would make the checks weaker than they look.
func (c Config) withDefaults() (Config, error) {
	known := []string{algRS256, algPS256, algES256, algEdDSA}
	if c.Issuer == "" || c.Audience == "" {
		return Config{}, errors.New("the token check needs an issuer and an audience")
	}
	if c.Leeway < 0 || c.Leeway > maxLeeway {
		return Config{}, fmt.Errorf("the token check's leeway is %s: it must be from 0 to %s", c.Leeway, maxLeeway)
	}
	if c.Leeway == 0 {
		c.Leeway = maxLeeway
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = known
	}
	for _, alg := range c.Algorithms {
		if !slices.Contains(known, alg) {
			return Config{}, fmt.Errorf("the token check knows no algorithm %q: use some of %s", alg, strings.Join(known, ", "))
		}
	}
	if len(c.TokenTypes) == 0 {
		c.TokenTypes = []string{"at+jwt"}
	}
	types := make([]string, 0, len(c.TokenTypes))
	for _, typ := range c.TokenTypes {
		if typ == "" {
			return Config{}, errors.New("the token check has an empty token type")
		}
		types = append(types, plainType(typ))
	}
	c.TokenTypes = types
	if len(c.LogoutAudiences) == 0 {
		c.LogoutAudiences = []string{c.Audience}
	}
	if slices.Contains(c.LogoutAudiences, "") {
		return Config{}, errors.New("the token check has an empty audience for logout tokens")
	}
	setDefault(&c.Claims.Tenant, "tenant_id")
	setDefault(&c.Claims.Partner, "partner_id")
	setDefault(&c.Claims.Session, "sid")
	setDefault(&c.Claims.Scope, "scope")
	setDefault(&c.Claims.Client, "client_id")
	return c, nil
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// plainType brings a media type to the form in which two of the same meaning are equal (RFC 7515, section 4.1.9).
func plainType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// Verifier turns tokens of one issuer into callers.
type Verifier struct {
	config  Config
	keys    KeySource
	now     func() time.Time
	logouts spentLogouts
}

// NewVerifier returns a verifier, and an error when the configuration would let tokens through unchecked.
func NewVerifier(config Config, keys KeySource, now func() time.Time) (*Verifier, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Verifier{config: config, keys: keys, now: now}, nil
}

// Ready returns nil when tokens can be verified now, and an error that wraps ErrKeysUnavailable otherwise.
func (v *Verifier) Ready(ctx context.Context) error { return v.keys.Ready(ctx) }

// Verify returns the caller that the token speaks for. The error is an *Error when the token is not good; any other
// error, such as one that wraps ErrKeysUnavailable, says that no verdict was possible. Whether the token's session has
// ended is not looked at here.
func (v *Verifier) Verify(ctx context.Context, token string) (Caller, error) {
	claims, err := v.open(ctx, token, v.config.TokenTypes)
	if err != nil {
		return Caller{}, err
	}
	return v.caller(claims)
}

// open returns the claims of a token that the issuer has signed. Its typ header must be one of the types, where the empty
// one stands for a header without.
func (v *Verifier) open(ctx context.Context, token string, types []string) (claimSet, error) {
	parsed, err := parseCompact(token)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(v.config.Algorithms, parsed.alg) {
		return nil, errInvalid("the algorithm is not allowed")
	}
	if !slices.Contains(types, plainType(parsed.typ)) {
		return nil, errToken("The token is not an access token of the accepted type.", "the typ header is not accepted")
	}
	// Fetching keys comes after everything that can be refused without them.
	keys, err := v.keys.Keys(ctx, parsed.kid)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errInvalid("the issuer has no key with this id")
	}
	if !slices.ContainsFunc(keys, parsed.verify) {
		return nil, errInvalid("no key with this id made the signature")
	}
	claims, ok := object(parsed.payload)
	if !ok {
		return nil, errInvalid("the payload is not a JSON object with unique members")
	}
	return claims, nil
}

// caller checks the claims of a token whose signature is good.
func (v *Verifier) caller(claims claimSet) (Caller, error) {
	if err := v.checkPurpose(claims); err != nil {
		return Caller{}, err
	}
	issued, expires, err := v.checkTimes(claims)
	if err != nil {
		return Caller{}, err
	}
	audience, _ := claims.list("aud")
	caller := Caller{Issuer: v.config.Issuer, Audience: audience, IssuedAt: issued, ExpiresAt: expires}
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
			return Caller{}, errInvalid("a claim that names someone is not a non-empty text")
		}
		*claim.to = value
	}
	if caller.Subject == "" {
		return Caller{}, errInvalid("the token has no subject")
	}
	scopes, ok := claims.scopes(v.config.Claims.Scope)
	if !ok {
		return Caller{}, errInvalid("the scope claim is neither a text nor a list of texts")
	}
	caller.Scopes = scopes
	return caller, nil
}

// checkPurpose refuses what the same issuer signed with the same key for somebody else or for something else.
func (v *Verifier) checkPurpose(claims claimSet) error {
	if issuer, ok := claims.text("iss"); !ok || issuer != v.config.Issuer {
		return errToken("The token is from another issuer.", "the iss claim is not the configured issuer")
	}
	if audience, ok := claims.list("aud"); !ok || !slices.Contains(audience, v.config.Audience) {
		return errToken("The token is not meant for this service.", "the aud claim does not have the configured audience")
	}
	if claims.has("events") {
		return errToken("The token is not an access token.", "an events claim marks a security event or logout token")
	}
	if !slices.Contains(v.config.TokenTypes, "jwt") {
		return nil
	}
	// Under the name JWT come ID tokens, too. These claims are theirs alone (OpenID Connect Core, sections 2 and 3.3).
	if claims.has("nonce") || claims.has("at_hash") || claims.has("c_hash") {
		return errToken("The token is not an access token.", "the claims are those of an ID token")
	}
	// Keycloak says what its tokens are in a claim.
	switch claims["typ"] {
	case nil, "Bearer", "DPoP":
		return nil
	default:
		return errToken("The token is not an access token.", "the typ claim says so")
	}
}

// checkTimes returns when the token was issued and when it expires, if now is a time to use it.
func (v *Verifier) checkTimes(claims claimSet) (issued, expires time.Time, err error) {
	now := v.now()
	expires, ok := claims.instant("exp")
	if !ok || expires.IsZero() {
		return issued, expires, errInvalid("the exp claim is missing or is not a time")
	}
	// At the very second of exp a token is over (RFC 7519, section 4.1.4), and so with the leeway added.
	if !now.Before(expires.Add(v.config.Leeway)) {
		return issued, expires, errToken("The access token has expired.", "the exp claim is in the past")
	}
	for _, name := range []string{"nbf", "iat"} {
		start, ok := claims.instant(name)
		if !ok {
			return issued, expires, errInvalid("a claim that holds a time does not")
		}
		if now.Add(v.config.Leeway).Before(start) {
			return issued, expires, errToken("The access token is not valid yet.", "the nbf or iat claim is in the future")
		}
		if name == "iat" {
			issued = start
		}
	}
	return issued, expires, nil
}
