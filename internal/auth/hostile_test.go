package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

func noSignature([]byte) []byte { return nil }

func hs256(secret []byte) func([]byte) []byte {
	return func(signed []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(signed)
		return mac.Sum(nil)
	}
}

// signEC signs with any P-256 key, as ES256 wants it or in DER.
func signEC(key *ecdsa.PrivateKey, der bool) func([]byte) []byte {
	return func(signed []byte) []byte {
		digest := sha256.Sum256(signed)
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			panic(err)
		}
		if der {
			signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
			if err != nil {
				panic(err)
			}
			return signature
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
}

// highS adds the group order to the scalar of an Ed25519 signature, which a check without a bound takes, too.
func highS(signed []byte) []byte {
	signature := ed25519.Sign(edKey(), signed)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	scalar := new(big.Int)
	for i := 63; i >= 32; i-- {
		scalar.Lsh(scalar, 8).Or(scalar, big.NewInt(int64(signature[i])))
	}
	scalar.Add(scalar, order)
	big := scalar.FillBytes(make([]byte, 32))
	for i := range 32 {
		signature[32+i] = big[31-i]
	}
	return signature
}

// TestHostileTokens holds tokens that someone without the issuer's key can make. All are good but for the one trick.
func TestHostileTokens(t *testing.T) {
	body := payload(t, nil)
	ed := signEd(edKey())
	publicDER, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	require.NoError(t, err)
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER})
	publicJWK, err := json.Marshal(jwk("rs", "RS256", rsaKey()))
	require.NoError(t, err)
	tokens := map[string]string{
		"HS256 with the RSA key in PEM":   forge(`{"alg":"HS256","kid":"rs","typ":"at+jwt"}`, body, hs256(publicPEM)),
		"HS256 with the RSA key in DER":   forge(`{"alg":"HS256","kid":"rs","typ":"at+jwt"}`, body, hs256(publicDER)),
		"HS256 with the JWK":              forge(`{"alg":"HS256","kid":"rs","typ":"at+jwt"}`, body, hs256(publicJWK)),
		"HS256 with the modulus":          forge(`{"alg":"HS256","kid":"rs","typ":"at+jwt"}`, body, hs256(rsaKey().N.Bytes())),
		"HS256 with the Ed25519 key":      forge(`{"alg":"HS256","kid":"ed","typ":"at+jwt"}`, body, hs256(edKey().Public().(ed25519.PublicKey))),
		"HS256 with nothing":              forge(`{"alg":"HS256","kid":"ed","typ":"at+jwt"}`, body, hs256(nil)),
		"RS256 key used for PS256":        forge(`{"alg":"PS256","kid":"rs","typ":"at+jwt"}`, body, signPSS(32)),
		"PS256 key used for RS256":        forge(`{"alg":"RS256","kid":"ps","typ":"at+jwt"}`, body, signRSA),
		"RS256 under the name PS256":      forge(`{"alg":"PS256","kid":"rsa","typ":"at+jwt"}`, body, signRSA),
		"PS256 under the name RS256":      forge(`{"alg":"RS256","kid":"rsa","typ":"at+jwt"}`, body, signPSS(32)),
		"PS256 without salt":              forge(`{"alg":"PS256","kid":"ps","typ":"at+jwt"}`, body, signPSS(0)),
		"PS256 with SHA-1's salt length":  forge(`{"alg":"PS256","kid":"ps","typ":"at+jwt"}`, body, signPSS(20)),
		"PS256 with a byte too much salt": forge(`{"alg":"PS256","kid":"ps","typ":"at+jwt"}`, body, signPSS(33)),
		"PS256 with the longest salt":     forge(`{"alg":"PS256","kid":"ps","typ":"at+jwt"}`, body, signPSS(rsa.PSSSaltLengthAuto)),
		"EdDSA with an EC key's id":       forge(`{"alg":"EdDSA","kid":"es","typ":"at+jwt"}`, body, ed),
		"ES256 with an Ed25519 key's id":  forge(`{"alg":"ES256","kid":"ed","typ":"at+jwt"}`, body, signEC(ecKey(), false)),
		"ES256 in DER":                    forge(`{"alg":"ES256","kid":"es","typ":"at+jwt"}`, body, signEC(ecKey(), true)),
		"ES256 of zeros":                  forge(`{"alg":"ES256","kid":"es","typ":"at+jwt"}`, body, func([]byte) []byte { return make([]byte, 64) }),
		"ES256 by another key":            forge(`{"alg":"ES256","kid":"es","typ":"at+jwt"}`, body, signEC(makeEC(elliptic.P256()), false)),
		"ES256 with a byte more":          forge(`{"alg":"ES256","kid":"es","typ":"at+jwt"}`, body, func(b []byte) []byte { return append(signEC(ecKey(), false)(b), 0) }),
		"ES256 with a zero in the middle": forge(`{"alg":"ES256","kid":"es","typ":"at+jwt"}`, body, func(b []byte) []byte { return slices.Insert(signEC(ecKey(), false)(b), 32, 0) }),
		"ES256 cut short":                 forge(`{"alg":"ES256","kid":"es","typ":"at+jwt"}`, body, func(b []byte) []byte { return signEC(ecKey(), false)(b)[:32] }),
		"EdDSA by another key":            forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, body, signEd(strangeKey())),
		"EdDSA with a high scalar":        forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, body, highS),
		"EdDSA cut short":                 forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, body, func(b []byte) []byte { return ed(b)[:63] }),
		"EdDSA with a byte more":          forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, body, func(b []byte) []byte { return append(ed(b), 0) }),
		"RS256 with a zero in front":      forge(`{"alg":"RS256","kid":"rs","typ":"at+jwt"}`, body, func(b []byte) []byte { return append([]byte{0}, signRSA(b)...) }),
		"crit unknown":                    forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt","crit":["x"],"x":1}`, body, ed),
		"crit empty":                      forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt","crit":[]}`, body, ed),
		"crit null":                       forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt","crit":null}`, body, ed),
		"crit b64":                        forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt","crit":["b64"],"b64":true}`, body, ed),
		"b64 alone":                       forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt","b64":true}`, body, ed),
		"header twice alg":                forge(`{"alg":"none","alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, body, ed),
		"header twice kid":                forge(`{"alg":"EdDSA","kid":"ed","kid":"ed","typ":"at+jwt"}`, body, ed),
		"header twice kid, escaped":       forge(`{"alg":"EdDSA","kid":"ed","\u006bid":"ed","typ":"at+jwt"}`, body, ed),
		"header twice x":                  forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt","x":1,"x":1}`, body, ed),
		"header in capitals":              forge(`{"ALG":"EdDSA","KID":"ed","TYP":"at+jwt"}`, body, ed),
		"header a list":                   forge(`[{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}]`, body, ed),
		"header null":                     forge(`null`, body, ed),
		"header with bad UTF-8":           forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt","x":"`+"\xff"+`"}`, body, ed),
		"header without alg":              forge(`{"kid":"ed","typ":"at+jwt"}`, body, ed),
		"header with alg in a list":       forge(`{"alg":["EdDSA"],"kid":"ed","typ":"at+jwt"}`, body, ed),
		"payload null":                    forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, `null`, ed),
		"payload a list":                  forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, `[`+body+`]`, ed),
		"payload a token":                 forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt","cty":"JWT"}`, goodToken(t, nil), ed),
		"payload very deep":               forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, strings.Repeat(`[`, 5000), ed),
		"header very deep":                forge(strings.Repeat(`{"a":`, 1000), body, ed),
	}
	for _, alg := range []string{
		"none", "None", "NONE", "nOnE", "", " none", "none ", "none\x00", "HS256", "HS384", "HS512", "hs256", "RS384", "RS512", "RS1",
		"ES384", "ES512", "ES256K", "PS384", "PS512", "eddsa", "EDDSA", "EdDSA ", "Ed25519", "es256", "rs256", "RSA-OAEP", "dir",
	} {
		quoted, err := json.Marshal(alg)
		require.NoError(t, err)
		header := fmt.Sprintf(`{"alg":%s,"kid":"ed","typ":"at+jwt"}`, quoted)
		tokens[fmt.Sprintf("alg %q signed", alg)] = forge(header, body, ed)
		tokens[fmt.Sprintf("alg %q unsigned", alg)] = forge(header, body, noSignature)
	}
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) {
			caller, err := testVerifier(t, nil).Verify(t.Context(), token)
			requireInvalid(t, err)
			require.Zero(t, caller)
		})
	}
}

// TestKeysInTheHeaderAreNotUsed sends a stranger's key along, in every way that there is.
func TestKeysInTheHeaderAreNotUsed(t *testing.T) {
	fetched := make(chan string, 10)
	server := jwksServer(t, func() []byte { fetched <- "yes"; return keySet(t, jwk("ed", "EdDSA", strangeKey())) })
	key, err := json.Marshal(jwk("ed", "EdDSA", strangeKey()))
	require.NoError(t, err)
	for name, member := range map[string]string{
		"jwk": string(key),
		"jku": `"` + server.URL + `"`,
		"x5u": `"` + server.URL + `"`,
		"x5c": `["AAAA"]`,
		"x5t": `"AAAA"`,
	} {
		header := fmt.Sprintf(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt",%q:%s}`, name, member)
		_, err := testVerifier(t, nil).Verify(t.Context(), forge(header, payload(t, nil), signEd(strangeKey())))
		requireInvalid(t, err)
		_, err = testVerifier(t, nil).Verify(t.Context(), forge(header, payload(t, nil), signEd(edKey())))
		require.NoError(t, err, "%s is passed over, not believed", name)
	}
	require.Empty(t, fetched)
}

// askedKeys records which key ids were looked up.
type askedKeys struct {
	StaticKeys
	asked []string
}

func (k *askedKeys) Keys(ctx context.Context, kid string) ([]Key, error) {
	k.asked = append(k.asked, kid)
	return k.StaticKeys.Keys(ctx, kid)
}

func TestKeyIDIsUntrustedText(t *testing.T) {
	for name, test := range map[string]struct {
		header string // after the alg
		asked  bool
	}{
		"absent":    {``, false},
		"empty":     {`,"kid":""`, false},
		"null":      {`,"kid":null`, false},
		"number":    {`,"kid":1`, false},
		"list":      {`,"kid":["ed"]`, false},
		"4 KiB":     {`,"kid":"` + strings.Repeat("k", 4096) + `"`, false},
		"257 bytes": {`,"kid":"` + strings.Repeat("k", 257) + `"`, false},
		"256 bytes": {`,"kid":"` + strings.Repeat("k", 256) + `"`, true},
		"traversal": {`,"kid":"../../../../dev/null"`, true},
		"SQL":       {`,"kid":"ed' OR '1'='1"`, true},
		"NUL":       {`,"kid":"ed\u0000"`, true},
		"case":      {`,"kid":"ED"`, true},
		"address":   {`,"kid":"https://attacker.example/keys.json"`, true},
		"twice":     {`,"kid":"ed","kid":"es"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			keys := &askedKeys{StaticKeys: testKeys(t)}
			verifier, err := NewVerifier(Config{Issuer: testIssuer, Audience: testAudience}, keys, func() time.Time { return testTime })
			require.NoError(t, err)
			_, err = verifier.Verify(t.Context(),
				forge(`{"alg":"EdDSA","typ":"at+jwt"`+test.header+`}`, payload(t, nil), signEd(edKey())))
			requireInvalid(t, err)
			require.Equal(t, test.asked, len(keys.asked) == 1)
		})
	}
}

// TestStrictCompactForm takes a good token and spells it in other ways.
func TestStrictCompactForm(t *testing.T) {
	good := goodToken(t, nil)
	parts := strings.Split(good, ".")
	require.Len(t, parts[2], 86, "an Ed25519 signature leaves four bits over, which must be zero")
	last := parts[2][85]
	alphabet := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	sibling := alphabet[strings.IndexByte(alphabet, last)+1]
	for name, token := range map[string]string{
		"empty":               "",
		"dot":                 ".",
		"two dots":            "..",
		"one dot":             parts[0] + "." + parts[1],
		"no dot":              parts[0],
		"three dots":          good + ".",
		"four parts":          good + "." + parts[2],
		"five parts":          good + ".a.b",
		"dot in front":        "." + good,
		"no header":           "." + parts[1] + "." + parts[2],
		"no payload":          parts[0] + ".." + parts[2],
		"no signature":        parts[0] + "." + parts[1] + ".",
		"padding":             good + "==",
		"padded header":       parts[0] + "=." + parts[1] + "." + parts[2],
		"space in front":      " " + good,
		"space behind":        good + " ",
		"line break behind":   good + "\n",
		"line break inside":   parts[0] + "." + parts[1][:10] + "\n" + parts[1][10:] + "." + parts[2],
		"line breaks in sign": parts[0] + "." + parts[1] + "." + parts[2][:10] + "\r\n" + parts[2][10:],
		"tab":                 parts[0] + ".\t" + parts[1] + "." + parts[2],
		"NUL":                 good + "\x00",
		"plain base64":        parts[0] + "." + parts[1] + ".+" + parts[2][1:],
		"plain base64, too":   parts[0] + "." + parts[1] + "./" + parts[2][1:],
		"left-over bits":      good[:len(good)-1] + string(sibling),
		"impossible length":   good + "A",
		"comma":               good + "," + good,
		"JSON form":           `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"not ASCII":           good + "é",
		"wide dot":            parts[0] + "．" + parts[1] + "." + parts[2],
		"swapped":             parts[1] + "." + parts[0] + "." + parts[2],
		"quoted":              `"` + good + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := testVerifier(t, nil).Verify(t.Context(), token)
			requireInvalid(t, err)
		})
	}
	_, err := testVerifier(t, nil).Verify(t.Context(), good)
	require.NoError(t, err)
	for _, token := range []string{"", parts[0], parts[0] + "." + parts[1]} {
		_, err = testVerifier(t, nil).Verify(t.Context(), token)
		require.EqualError(t, errors.Unwrap(err), "the token has not two dots")
	}
}

func TestOneChangedBitSpoilsTheToken(t *testing.T) {
	verifier := testVerifier(t, nil)
	good := goodToken(t, nil)
	for i := range good {
		changed := []byte(good)
		changed[i] ^= 1
		_, err := verifier.Verify(t.Context(), string(changed))
		requireInvalid(t, err)
	}
}

func TestTokenOf8KiBIsTheLongest(t *testing.T) {
	token := func(headerFill, fill int) string {
		header := `{"alg":"EdDSA","kid":"ed","typ":"at+jwt"` + strings.Repeat(" ", headerFill) + `}`
		return forge(header, payload(t, map[string]any{"fill": strings.Repeat("x", fill)}), signEd(edKey()))
	}
	// A part of base64url never has 4n+1 characters, so that both parts are tried until the sum is right.
	longest := func(length int) string {
		for headerFill := range 4 {
			for fill := 5500; fill < 6500; fill++ {
				if made := token(headerFill, fill); len(made) == length {
					return made
				}
			}
		}
		t.Fatalf("no token of %d bytes found", length)
		return ""
	}
	_, err := testVerifier(t, nil).Verify(t.Context(), longest(maxToken))
	require.NoError(t, err)
	_, err = testVerifier(t, nil).Verify(t.Context(), longest(maxToken+1))
	require.Equal(t, "The access token is too long.", invalidDetail(t, err))

	huge := strings.Repeat("A", 10<<20)
	verifier := testVerifier(t, nil)
	allocated := testing.AllocsPerRun(10, func() { _, _ = verifier.Verify(t.Context(), huge) })
	require.LessOrEqual(t, allocated, 4.0, "an oversize token is not parsed")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _ = verifier.Verify(t.Context(), huge)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "nor copied, which could be one allocation")
}

// TestRefusalsHoldNothingOfTheToken looks for a marker that stands in every part of bad tokens.
func TestRefusalsHoldNothingOfTheToken(t *testing.T) {
	const marker = "canary"
	for _, token := range []string{
		marker,
		"a." + marker + ".c",
		forge(`{"alg":"`+marker+`","kid":"ed","typ":"at+jwt"}`, `{}`, noSignature),
		forge(`{"`+marker+`":1,"`+marker+`":1}`, `{}`, signEd(edKey())),
		forge(`{"alg":"EdDSA","kid":"`+marker+`","typ":"at+jwt"}`, `{}`, signEd(edKey())),
		forge(`{"alg":"EdDSA","kid":"ed","typ":"`+marker+`"}`, `{}`, signEd(edKey())),
		forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, `{"`+marker+`":1,"`+marker+`":1}`, signEd(edKey())),
		goodToken(t, map[string]any{"iss": marker}),
		goodToken(t, map[string]any{"aud": marker}),
		goodToken(t, map[string]any{"sub": marker + "\x00"}),
		goodToken(t, map[string]any{"exp": marker}),
		goodToken(t, map[string]any{"scope": []any{marker, 1}}),
	} {
		_, err := testVerifier(t, nil).Verify(t.Context(), token)
		requireInvalid(t, err)
		refusal, _ := errors.AsType[*Error](err)
		require.NotContains(t, fmt.Sprintf("%s %s %s %v", refusal, refusal.Detail(), refusal.Challenge(), refusal.Unwrap()), marker)
	}
}

func TestWeakKeysAreNotUsed(t *testing.T) {
	document := keySet(t, jwk("ed", "EdDSA", edKey()), jwk("weak", "RS256", weakRSAKey()))
	keys, err := parseKeySet(document)
	require.NoError(t, err)
	require.Contains(t, keys, "ed")
	require.NotContains(t, keys, "weak")
	_, err = parseKeySet(keySet(t, jose.JSONWebKey{KeyID: "weak", Key: weakRSAKey().Public()}))
	require.Error(t, err)
}
