package auth

import (
	"crypto/elliptic"
	"encoding/json"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// member returns a published key with members changed; a nil value takes one out.
func member(t *testing.T, key jose.JSONWebKey, changes map[string]any) json.RawMessage {
	t.Helper()
	data, err := json.Marshal(key)
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(data, &members))
	maps.Copy(members, changes)
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
	data, err = json.Marshal(members)
	require.NoError(t, err)
	return data
}

func TestWhichPublishedKeysAreUsed(t *testing.T) {
	ed := jwk("k", "EdDSA", edKey())
	long := string(slices.Repeat([]byte("k"), maxKeyID+1))
	giant := rsaKey().PublicKey
	giant.N = new(big.Int).Lsh(giant.N, 4096-2048+1)
	private := jose.JSONWebKey{KeyID: "k", Key: edKey()}
	for name, test := range map[string]struct {
		key  json.RawMessage
		used bool
	}{
		"plain":                    {member(t, ed, nil), true},
		"no use":                   {member(t, ed, map[string]any{"use": nil}), true},
		"no alg":                   {member(t, ed, map[string]any{"alg": nil}), true},
		"use enc":                  {member(t, ed, map[string]any{"use": "enc"}), false},
		"use empty":                {member(t, ed, map[string]any{"use": ""}), false},
		"use SIG":                  {member(t, ed, map[string]any{"use": "SIG"}), false},
		"key_ops verify":           {member(t, ed, map[string]any{"key_ops": []string{"sign", "verify"}}), true},
		"key_ops without verify":   {member(t, ed, map[string]any{"key_ops": []string{"sign"}}), false},
		"key_ops empty":            {member(t, ed, map[string]any{"key_ops": []string{}}), false},
		"key_ops no list":          {member(t, ed, map[string]any{"key_ops": "verify"}), false},
		"alg of another kind":      {member(t, ed, map[string]any{"alg": "RS256"}), false},
		"alg for encryption":       {member(t, jwk("k", "RSA-OAEP", rsaKey()), nil), false},
		"alg none":                 {member(t, ed, map[string]any{"alg": "none"}), false},
		"no kid":                   {member(t, ed, map[string]any{"kid": nil}), false},
		"empty kid":                {member(t, ed, map[string]any{"kid": ""}), false},
		"long kid":                 {member(t, ed, map[string]any{"kid": long}), false},
		"P-256":                    {member(t, jwk("k", "", ecKey()), nil), true},
		"P-384":                    {member(t, jwk("k", "", makeEC(elliptic.P384())), nil), false},
		"off the curve":            {member(t, jwk("k", "", ecKey()), map[string]any{"x": "AQ"}), false},
		"RSA of 2048 bits":         {member(t, jwk("k", "", rsaKey()), nil), true},
		"RSA of 1024 bits":         {member(t, jwk("k", "", weakRSAKey()), nil), false},
		"RSA above 4096 bits":      {member(t, jose.JSONWebKey{KeyID: "k", Key: &giant}, nil), false},
		"private":                  {member(t, private, nil), false},
		"shared":                   {json.RawMessage(`{"kty":"oct","kid":"k","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`), false},
		"unknown kind":             {json.RawMessage(`{"kty":"XYZ","kid":"k"}`), false},
		"unknown curve":            {json.RawMessage(`{"kty":"OKP","crv":"X25519","kid":"k","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`), false},
		"no key":                   {json.RawMessage(`7`), false},
		"members in another case":  {json.RawMessage(`{"KTY":"OKP","CRV":"Ed25519","KID":"k","X":"AAAA"}`), false},
		"a member that occurs two": {json.RawMessage(`{"use":"enc","use":"sig",` + string(member(t, ed, map[string]any{"use": nil}))[1:]), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, ok := parseKey(test.key)
			require.Equal(t, test.used, ok)
			// A key that is not used does not spoil the others.
			set, err := json.Marshal(map[string]any{"keys": []json.RawMessage{member(t, jwk("other", "", edKey()), nil), member(t, jwk("x", "", ecKey()), nil)}})
			require.NoError(t, err)
			set = []byte(`{"keys":[` + string(test.key) + "," + string(set[len(`{"keys":[`):]))
			keys, err := parseKeySet(set)
			require.NoError(t, err)
			require.Contains(t, keys, "other")
			require.Equal(t, test.used, len(keys["k"]) == 1)
		})
	}
}

// TestKeysThatShareAnID has an issuer that gives two keys one id: each signature finds the one that made it.
func TestKeysThatShareAnID(t *testing.T) {
	keys, err := parseKeySet(keySet(t, jwk("k", "", strangeKey()), jwk("k", "", rsaKey()), jwk("k", "", edKey())))
	require.NoError(t, err)
	require.Len(t, keys["k"], 3)
	verifier := testVerifier(t, nil)
	verifier.keys = keys
	for _, token := range []string{
		sign(t, "k", "EdDSA", edKey(), claims(nil)),
		sign(t, "k", "EdDSA", strangeKey(), claims(nil)),
		sign(t, "k", "RS256", rsaKey(), claims(nil)),
	} {
		_, err := verifier.Verify(t.Context(), token)
		require.NoError(t, err)
	}
	_, err = verifier.Verify(t.Context(), sign(t, "k", "ES256", ecKey(), claims(nil)))
	requireInvalid(t, err)
}

func TestLoadKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	_, err := LoadKeyFile(path)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "check the path")

	for _, content := range []string{"", "{", "[]", "null", `{"keys":[]}`, `{"keys":{}}`, `{"keys":null}`, `{"keys":[],"keys":[]}`, `{"KEYS":[]}`} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err = LoadKeyFile(path)
		require.ErrorContains(t, err, path, content)
		require.ErrorContains(t, err, "put the issuer's JWKS document there")
		require.NotContains(t, err.Error(), "\n")
	}

	require.NoError(t, os.WriteFile(path, keySet(t, jwk("ed", "EdDSA", edKey())), 0o600))
	keys, err := LoadKeyFile(path)
	require.NoError(t, err)
	require.NoError(t, keys.Ready(t.Context()))
	found, err := keys.Keys(t.Context(), "ed")
	require.NoError(t, err)
	require.Len(t, found, 1)
	found, err = keys.Keys(t.Context(), "other")
	require.NoError(t, err)
	require.Empty(t, found)
}
