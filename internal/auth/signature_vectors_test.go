package auth

import (
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// signatureVectors is a file of Project Wycheproof on signatures alone, as far as it is needed.
type signatureVectors struct {
	NumberOfTests int
	TestGroups    []struct {
		PublicKeyJWK json.RawMessage               `json:"publicKeyJwk"`
		PublicKey    struct{ Uncompressed string } // an EC key in hex, which some groups have in this form only
		Tests        []struct {
			ID              int `json:"tcId"`
			Comment, Result string
			Msg, Sig        string // in hex
		}
	}
}

// TestWycheproofSignatures runs the vectors for the two algorithms of which the token vectors hold few or none.
func TestWycheproofSignatures(t *testing.T) {
	for file, want := range map[string]struct {
		alg            string
		taken, refused int
	}{
		"ed25519_test.json":                      {algEdDSA, 88, 63},
		"ecdsa_secp256r1_sha256_p1363_test.json": {algES256, 173, 89},
	} {
		t.Run(want.alg, func(t *testing.T) {
			data, err := fs.ReadFile(os.DirFS("testdata/wycheproof"), file)
			require.NoError(t, err)
			var all signatureVectors
			require.NoError(t, json.Unmarshal(data, &all))
			verdicts := map[bool]int{}
			for _, group := range all.TestGroups {
				key := vectorKey(t, group.PublicKeyJWK, group.PublicKey.Uncompressed)
				for _, test := range group.Tests {
					message, err := hex.DecodeString(test.Msg)
					require.NoError(t, err)
					signature, err := hex.DecodeString(test.Sig)
					require.NoError(t, err)
					token := compact{alg: want.alg, signed: string(message), signature: signature}
					good := token.verify(key)
					require.Equal(t, test.Result == "valid", good, "%d %s", test.ID, test.Comment)
					verdicts[good]++
				}
			}
			require.Equal(t, map[bool]int{true: want.taken, false: want.refused}, verdicts)
			require.Equal(t, all.NumberOfTests, want.taken+want.refused)
		})
	}
}

// vectorKey reads a key as this service reads published ones.
func vectorKey(t *testing.T, published json.RawMessage, uncompressed string) Key {
	t.Helper()
	members := map[string]any{"kty": "EC", "crv": "P-256"}
	if published != nil {
		require.NoError(t, json.Unmarshal(published, &members))
	} else {
		point, err := hex.DecodeString(uncompressed)
		require.NoError(t, err)
		require.Len(t, point, 65)
		members["x"], members["y"] = b64(point[1:33]), b64(point[33:])
	}
	members["kid"] = "k"
	document, err := json.Marshal(map[string]any{"keys": []any{members}})
	require.NoError(t, err)
	keys, err := parseKeySet(document)
	require.NoError(t, err)
	require.Len(t, keys["k"], 1)
	return keys["k"][0]
}
