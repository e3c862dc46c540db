package bench

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	issuerName = "https://id.bench.example"
	audience   = "sessiond"
	// algorithm is the commonest that issuers sign with.
	algorithm = "RS256, 2048 bits"
)

// issuer makes the access tokens (RFC 9068).
type issuer struct {
	signer jose.Signer
	jwks   string // file
	minted int
	now    time.Time
}

func newIssuer(dir string, now time.Time) (*issuer, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	key := jose.JSONWebKey{Key: private, KeyID: "bench", Algorithm: string(jose.RS256), Use: "sig"}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	if err != nil {
		return nil, err
	}
	i := &issuer{jwks: filepath.Join(dir, "jwks.json"), now: now}
	if err := os.WriteFile(i.jwks, set, 0o600); err != nil {
		return nil, err
	}
	i.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, new(jose.SignerOptions).WithType("at+jwt"))
	return i, err
}

// mint makes a token of the usual claims and those given by name and value.
func (i *issuer) mint(subject, scope string, more ...string) (string, error) {
	i.minted++
	claims := map[string]any{
		"iss": issuerName, "aud": audience, "sub": subject, "scope": scope, "jti": fmt.Sprintf("%016x", i.minted),
		"client_id": "console", "iat": i.now.Unix(), "exp": i.now.Add(24 * time.Hour).Unix(),
	}
	for n := 0; n+1 < len(more); n += 2 {
		claims[more[n]] = more[n+1]
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := i.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// mintMany makes tokens that differ in jti only.
func (i *issuer) mintMany(n int, subject, scope string, more ...string) ([]string, error) {
	tokens := make([]string, n)
	for k := range tokens {
		var err error
		if tokens[k], err = i.mint(fmt.Sprintf("%s-%d", subject, k), scope, more...); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}
