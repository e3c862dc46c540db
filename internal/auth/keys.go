package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// KeySource gives the issuer's public keys.
type KeySource interface {
	// Keys returns the keys with this id, none when the issuer has no such key, and an error that wraps
	// ErrKeysUnavailable when the keys cannot be fetched.
	Keys(ctx context.Context, kid string) ([]Key, error)
	// Ready returns nil when tokens can be verified now, and an error that wraps ErrKeysUnavailable otherwise.
	Ready(ctx context.Context) error
}

// Key is a public key that may verify tokens.
type Key struct {
	ID        string
	Algorithm string           // the only algorithm allowed for it; empty when the issuer does not say
	Public    crypto.PublicKey // an RSA, a P-256 or an Ed25519 key
}

// allows reports whether a token with this algorithm may be checked with the key.
func (k Key) allows(alg string) bool {
	if k.Algorithm != "" && k.Algorithm != alg {
		return false
	}
	switch k.Public.(type) {
	case *rsa.PublicKey:
		return alg == algRS256 || alg == algPS256
	case *ecdsa.PublicKey:
		return alg == algES256
	case ed25519.PublicKey:
		return alg == algEdDSA
	default:
		return false
	}
}

// same reports whether it is the same key for the same algorithm. Of an RSA or EC key it must be the very same value: one that
// has been read anew may be equal, which whoever asks finds out by using it.
func (k Key) same(other Key) bool {
	if k.ID != other.ID || k.Algorithm != other.Algorithm {
		return false
	}
	if public, ok := k.Public.(ed25519.PublicKey); ok { // a slice, which == cannot compare
		return public.Equal(other.Public)
	}
	return k.Public == other.Public
}

// StaticKeys is a set of keys that never changes. It is always ready.
type StaticKeys map[string][]Key

// Keys returns the keys with this id.
func (s StaticKeys) Keys(_ context.Context, kid string) ([]Key, error) {
	return s[kid], nil
}

// Ready returns nil.
func (s StaticKeys) Ready(context.Context) error { return nil }

// LoadKeyFile reads a JSON Web Key Set from a file.
func LoadKeyFile(path string) (StaticKeys, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file, that is the purpose
	if err != nil {
		return nil, fmt.Errorf("the key set file cannot be read: %w: check the path and its permissions", err)
	}
	keys, err := parseKeySet(data)
	if err != nil {
		return nil, fmt.Errorf("the key set file %s cannot be used: %w: put the issuer's JWKS document there", path, err)
	}
	return keys, nil
}

// parseKeySet reads a JWKS and keeps the keys that may verify tokens. Others are passed over, as RFC 7517 asks: a set
// may hold keys for encryption or of kinds that come later.
func parseKeySet(data []byte) (StaticKeys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, errors.New("it is not a JSON Web Key Set")
	}
	keys := StaticKeys{}
	for _, raw := range set.Keys {
		if key, ok := parseKey(raw); ok {
			keys[key.ID] = append(keys[key.ID], key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no public signing key with a kid (RSA of 2048 to 4096 bits, EC P-256 or Ed25519)")
	}
	return keys, nil
}

// parseKey returns the public key in raw if tokens may be verified with it.
func parseKey(raw []byte) (Key, bool) {
	var terms struct {
		Use        *string   `json:"use"`
		Operations *[]string `json:"key_ops"` // go-jose drops it
	}
	var parsed jose.JSONWebKey
	if json.Unmarshal(raw, &terms) != nil || json.Unmarshal(raw, &parsed) != nil {
		return Key{}, false
	}
	if terms.Use != nil && *terms.Use != "sig" {
		return Key{}, false
	}
	if terms.Operations != nil && !slices.Contains(*terms.Operations, "verify") {
		return Key{}, false
	}
	key := Key{ID: parsed.KeyID, Algorithm: parsed.Algorithm, Public: parsed.Key}
	// A private or shared key in a published set is the issuer's accident, and whoever has read it could make tokens with
	// it. It fits no algorithm, since only public types do.
	known := slices.ContainsFunc([]string{algRS256, algPS256, algES256, algEdDSA}, key.allows)
	return key, known && key.ID != "" && len(key.ID) <= maxKeyID && strong(parsed.Key)
}

// strong reports whether a key of a known kind is of a size that is used here.
func strong(key any) bool {
	switch public := key.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= 2048 // go-jose has already refused those above 4096
	case *ecdsa.PublicKey:
		return public.Curve == elliptic.P256()
	default:
		return true
	}
}
