package bench

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
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
)

// algorithms are those that issuers sign with, the commonest first (RFC 7518, RFC 8037).
func algorithms() []string {
	return []string{string(jose.RS256), string(jose.ES256), string(jose.EdDSA)}
}

// issuer makes the access tokens (RFC 9068).
type issuer struct {
	signers map[string]jose.Signer // by algorithm
	jwks    string                 // file
	minted  int
	now     time.Time
}

func newIssuer(dir string, now time.Time) (*issuer, error) {
	i := &issuer{signers: map[string]jose.Signer{}, jwks: filepath.Join(dir, "jwks.json"), now: now}
	var set jose.JSONWebKeySet
	for _, algorithm := range algorithms() {
		private, err := newKey(algorithm)
		if err != nil {
			return nil, err
		}
		key := jose.JSONWebKey{Key: private, KeyID: "bench-" + algorithm, Algorithm: algorithm, Use: "sig"}
		set.Keys = append(set.Keys, key.Public())
		i.signers[algorithm], err = jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(algorithm), Key: key},
			new(jose.SignerOptions).WithType("at+jwt"))
		if err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(set)
	if err != nil {
		return nil, err
	}
	return i, os.WriteFile(i.jwks, text, 0o600)
}

func newKey(algorithm string) (private crypto.PrivateKey, err error) {
	switch jose.SignatureAlgorithm(algorithm) {
	case jose.ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
		return private, err
	default:
		return rsa.GenerateKey(rand.Reader, 2048)
	}
}

// mint makes a token of the usual claims and those given by name and value.
func (i *issuer) mint(subject, scope string, more ...string) (string, error) {
	return i.mintBy(string(jose.RS256), subject, scope, more...)
}

func (i *issuer) mintBy(algorithm, subject, scope string, more ...string) (string, error) {
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
	signed, err := i.signers[algorithm].Sign(payload)
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
