package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

const (
	testIssuer   = "https://id.example.com"
	testAudience = "sessions-api"
)

var testTime = time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)

// The keys are made once: an RSA key takes longer than all the rest of a test.
var (
	rsaKey     = sync.OnceValue(func() *rsa.PrivateKey { return makeRSA(2048) })
	weakRSAKey = sync.OnceValue(func() *rsa.PrivateKey { return makeRSA(1024) })
	ecKey      = sync.OnceValue(func() *ecdsa.PrivateKey { return makeEC(elliptic.P256()) })
	edKey      = sync.OnceValue(makeEd)
	strangeKey = sync.OnceValue(makeEd) // a good key that the issuer does not have
)

func makeRSA(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func makeEC(curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func makeEd() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// jwk returns the published form of a key.
func jwk(kid, alg string, key crypto.Signer) jose.JSONWebKey {
	return jose.JSONWebKey{KeyID: kid, Algorithm: alg, Use: "sig", Key: key.Public()}
}

// keySet returns a JWKS document.
func keySet(t *testing.T, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	data, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	require.NoError(t, err)
	return data
}

// testKeys is what the test issuer publishes: a key for each algorithm, and an RSA key that may be used for two.
func testKeys(t *testing.T) StaticKeys {
	t.Helper()
	keys, err := parseKeySet(keySet(t,
		jwk("rs", "RS256", rsaKey()), jwk("ps", "PS256", rsaKey()), jwk("rsa", "", rsaKey()),
		jwk("es", "ES256", ecKey()), jwk("ed", "EdDSA", edKey()),
	))
	require.NoError(t, err)
	return keys
}

func testVerifier(t *testing.T, change func(*Config)) *Verifier {
	t.Helper()
	config := Config{Issuer: testIssuer, Audience: testAudience}
	if change != nil {
		change(&config)
	}
	verifier, err := NewVerifier(config, testKeys(t), func() time.Time { return testTime })
	require.NoError(t, err)
	return verifier
}

// claims returns the claims of a good token with changes; a nil value takes a claim out.
func claims(changes map[string]any) map[string]any {
	all := map[string]any{
		"iss": testIssuer, "aud": testAudience, "sub": "u-1", "client_id": "app", "tenant_id": "t-1", "partner_id": "p-1",
		"sid": "s-1", "scope": "sessions:read sessions:write", "jti": "j-1",
		"iat": testTime.Add(-time.Minute).Unix(), "exp": testTime.Add(5 * time.Minute).Unix(),
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

// sign makes a token with go-jose, which knows nothing of the code under test.
func sign(t *testing.T, kid, alg string, key any, claims map[string]any) string {
	t.Helper()
	options := new(jose.SignerOptions).WithType("at+jwt").WithHeader("kid", kid)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, options)
	require.NoError(t, err)
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	signed, err := signer.Sign(payload)
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	return token
}

// goodToken is a token with the given changes to the claims, signed with the issuer's Ed25519 key.
func goodToken(t *testing.T, changes map[string]any) string {
	t.Helper()
	return sign(t, "ed", "EdDSA", edKey(), claims(changes))
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// forge makes a token from a header and a payload given byte for byte.
func forge(header, payload string, signature func(signed []byte) []byte) string {
	signed := b64([]byte(header)) + "." + b64([]byte(payload))
	return signed + "." + b64(signature([]byte(signed)))
}

func signEd(key ed25519.PrivateKey) func([]byte) []byte {
	return func(signed []byte) []byte { return ed25519.Sign(key, signed) }
}

func signRSA(signed []byte) []byte {
	digest := sha256.Sum256(signed)
	signature, err := rsa.SignPKCS1v15(nil, rsaKey(), crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return signature
}

func signPSS(salt int) func([]byte) []byte {
	return func(signed []byte) []byte {
		digest := sha256.Sum256(signed)
		signature, err := rsa.SignPSS(rand.Reader, rsaKey(), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			panic(err)
		}
		return signature
	}
}

// payload returns the JSON of a good token's claims with changes.
func payload(t *testing.T, changes map[string]any) string {
	t.Helper()
	data, err := json.Marshal(claims(changes))
	require.NoError(t, err)
	return string(data)
}

// requireInvalid wants a refusal as invalid_token.
func requireInvalid(t *testing.T, err error) {
	t.Helper()
	var refusal *Error
	require.ErrorAs(t, err, &refusal)
	require.False(t, refusal.Forbidden())
	require.Contains(t, refusal.Challenge(), `error="invalid_token"`)
}

// invalidDetail is requireInvalid and returns the sentence.
func invalidDetail(t *testing.T, err error) string {
	t.Helper()
	requireInvalid(t, err)
	return err.Error()
}
