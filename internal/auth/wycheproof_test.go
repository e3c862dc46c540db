package auth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// vectors is a file of Project Wycheproof, as far as it is needed. A token is a text or, in the JSON form, an object.
type vectors struct {
	NumberOfTests int
	TestGroups    []struct {
		Public, Private json.RawMessage
		Tests           []struct {
			ID              int `json:"tcId"`
			Comment, Result string
			JWS, JWE        json.RawMessage
		}
	}
}

// TestWycheproof runs every vector through what a token goes through up to its claims: reading the keys as a published
// set, the compact form, the header, the signature. A vector of an algorithm that is not supported must be refused, also
// where it is valid as such; apart from that a verdict may differ only where it is said why.
func TestWycheproof(t *testing.T) {
	for file, want := range map[string]struct {
		taken, refused, unsupported int // valid and taken; invalid and refused; valid, but not supported and so refused
		differ                      map[int]string
	}{
		"json_web_signature_test.json": {taken: 16, refused: 355, unsupported: 30},
		"json_web_key_test.json":       {taken: 1, refused: 20, unsupported: 4, differ: map[int]string{7: roca}},
		"json_web_crypto_test.json":    {taken: 2, refused: 76, unsupported: 4, differ: map[int]string{46: roca}},
	} {
		t.Run(file, func(t *testing.T) {
			data, err := fs.ReadFile(os.DirFS("testdata/wycheproof"), file)
			require.NoError(t, err)
			var all vectors
			require.NoError(t, json.Unmarshal(data, &all))
			counts := map[string]int{}
			for _, group := range all.TestGroups {
				key := group.Public
				if key == nil {
					key = group.Private
				}
				for _, test := range group.Tests {
					text := plainText(slices.Concat(test.JWS, test.JWE))
					verdict := wycheproofVerdict(t, key, text)
					kind := test.Result
					switch {
					case want.differ[test.ID] != "":
						kind = "differ"
						require.Equal(t, "invalid", test.Result)
						require.Equal(t, "taken", verdict, "%d no longer differs", test.ID)
					case test.Result == "valid" && supported(text):
						require.Equal(t, "taken", verdict, "%d %s", test.ID, test.Comment)
					case test.Result == "valid":
						kind = "unsupported"
						fallthrough
					default:
						require.NotEqual(t, "taken", verdict, "%d %s", test.ID, test.Comment)
					}
					counts[kind]++
				}
			}
			require.Equal(t, []int{want.taken, want.refused, want.unsupported, len(want.differ)},
				[]int{counts["valid"], counts["invalid"], counts["unsupported"], counts["differ"]})
			require.Equal(t, all.NumberOfTests, want.taken+want.refused+want.unsupported+len(want.differ))
		})
	}
}

// roca is why a key made by a chip with a flawed generator (CVE-2017-15361) is used: keys are the issuer's, whose choice of
// hardware is not looked into, and such chips have been out of use since 2017.
const roca = "keys are not looked into for the flaw of one manufacturer's chips"

func plainText(token json.RawMessage) string {
	var text string
	if json.Unmarshal(token, &text) != nil {
		return string(token)
	}
	return text
}

// supported reads the algorithm of a token that is known to be well-formed.
func supported(token string) bool {
	head, _, _ := strings.Cut(token, ".")
	data, err := base64.RawURLEncoding.DecodeString(head)
	var header struct{ Alg string }
	return err == nil && json.Unmarshal(data, &header) == nil &&
		slices.Contains([]string{"RS256", "PS256", "ES256", "EdDSA"}, header.Alg)
}

// wycheproofVerdict says "taken", or why a token is refused under a key or a set of keys.
func wycheproofVerdict(t *testing.T, key json.RawMessage, token string) string {
	t.Helper()
	document := []byte(key)
	var set struct{ Keys []json.RawMessage }
	require.NoError(t, json.Unmarshal(key, &set))
	if set.Keys == nil {
		document = slices.Concat([]byte(`{"keys":[`), key, []byte(`]}`))
	}
	keys, err := parseKeySet(document)
	if err != nil {
		return err.Error()
	}
	verifier, err := NewVerifier(Config{Issuer: testIssuer, Audience: testAudience}, keys, time.Now)
	require.NoError(t, err)
	parsed, _ := parseCompact(token) // for its typ alone, which the vectors are not about
	_, _, err = verifier.open(t.Context(), token, []string{normalizedType(parsed.typ)}, keys)
	if err == nil {
		return "taken"
	}
	reason := errors.Unwrap(err).Error()
	if reason == "the payload is not a JSON object with unique members" {
		return "taken" // asked after the signature only; most vectors sign a few bytes
	}
	return reason
}
