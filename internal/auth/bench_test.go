package auth

import (
	"crypto"
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// benchVerifier returns a verifier and a token that is good for it.
func benchVerifier(b *testing.B, alg string, key crypto.Signer) (*Verifier, string) {
	b.Helper()
	options := new(jose.SignerOptions).WithType("at+jwt").WithHeader("kid", "k")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, options)
	require.NoError(b, err)
	body, err := json.Marshal(claims(nil))
	require.NoError(b, err)
	signed, err := signer.Sign(body)
	require.NoError(b, err)
	token, err := signed.CompactSerialize()
	require.NoError(b, err)
	keys := StaticKeys{"k": {{ID: "k", Public: key.Public()}}}
	verifier, err := NewVerifier(Config{Issuer: testIssuer, Audience: testAudience}, keys, func() time.Time { return testTime })
	require.NoError(b, err)
	return verifier, token
}

// BenchmarkVerify compares the first use of a token, a check from the start, with a later one.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		key := map[string]crypto.Signer{"RS256": rsaKey(), "PS256": rsaKey(), "ES256": ecKey(), "EdDSA": edKey()}[alg]
		for _, use := range []string{"first", "later"} {
			b.Run(alg+"/"+use, func(b *testing.B) {
				verifier, token := benchVerifier(b, alg, key)
				b.ReportAllocs()
				for b.Loop() {
					if use == "first" {
						forget(verifier)
					}
					if _, err := verifier.Verify(b.Context(), token); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	b.Run("RS256/later, in parallel", func(b *testing.B) {
		verifier, token := benchVerifier(b, "RS256", rsaKey())
		ctx := b.Context()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := verifier.Verify(ctx, token); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
