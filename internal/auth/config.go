package auth

import (
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

// Config says which tokens are valid. Issuer and Audience are needed, the rest has defaults.
type Config struct {
	Issuer   string
	Audience string
	// Algorithms is the allow-list. By default RS256, PS256, ES256 and EdDSA, and there are no others.
	Algorithms []string
	// TokenTypes are the accepted values of the typ header, by default at+jwt (RFC 9068). With or without "application/"
	// in front and in any case they mean the same. An issuer that says JWT needs JWT here; ID tokens and logout tokens,
	// which such an issuer calls by the same name, are then distinguished by their claims.
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
		types = append(types, normalizedType(typ))
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

// normalizedType normalizes a media type, so that two of the same meaning are equal (RFC 7515, section 4.1.9).
func normalizedType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}
