package auth

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// forget has a verifier check every token from the start again.
func forget(v *Verifier) {
	for _, shard := range v.verified {
		shard.mu.Lock()
		shard.tokens.Purge()
		shard.mu.Unlock()
	}
}

func remembered(v *Verifier) (count int) {
	for _, shard := range v.verified {
		shard.mu.Lock()
		count += shard.tokens.Len()
		shard.mu.Unlock()
	}
	return count
}

// shiftingKeys is a source whose keys tests change, and that records the key ids that were looked up.
type shiftingKeys struct {
	keys  StaticKeys
	err   error
	asked []string
}

func (k *shiftingKeys) Keys(_ context.Context, kid string) ([]Key, error) {
	k.asked = append(k.asked, kid)
	if k.err != nil {
		return nil, k.err
	}
	return k.keys[kid], nil
}

func (k *shiftingKeys) Ready(context.Context) error { return k.err }

// reasons is all that a refusal says, to the caller and to the log.
func reasons(err error) []string {
	var all []string
	for ; err != nil; err = errors.Unwrap(err) {
		all = append(all, err.Error())
	}
	return all
}

// keySets are what an issuer may publish from one moment to the next: read from JSON anew each time, as after a fetch.
func keySets(t *testing.T) []func() StaticKeys {
	t.Helper()
	parse := func(document []byte) func() StaticKeys {
		return func() StaticKeys {
			keys, err := parseKeySet(document)
			require.NoError(t, err)
			return keys
		}
	}
	all := keySet(t, jwk("rs", "RS256", rsaKey()), jwk("es", "ES256", ecKey()), jwk("ed", "EdDSA", edKey()))
	return []func() StaticKeys{
		parse(all), parse(all), // most often the same again
		parse(keySet(t, jwk("rs", "RS256", rsaKey()))),
		parse(keySet(t, jwk("es", "ES256", ecKey()), jwk("ed", "EdDSA", edKey()))),
		parse(keySet(t, jwk("rs", "PS256", rsaKey()), jwk("es", "", ecKey()), jwk("ed", "EdDSA", strangeKey()))),
		parse(keySet(t, jwk("ed", "EdDSA", strangeKey()), jwk("ed", "EdDSA", edKey()), jwk("rs", "", rsaKey()))),
		func() StaticKeys { return StaticKeys{"ed": {{Public: edKey().Public()}}} }, // keys that do not say their id
	}
}

// tokensForMemory are good and bad ones with times close enough for a moving clock to cross them.
func tokensForMemory(t *testing.T) []string {
	t.Helper()
	signers := []struct {
		kid, alg string
		key      crypto.Signer
	}{{"rs", "RS256", rsaKey()}, {"es", "ES256", ecKey()}, {"ed", "EdDSA", edKey()}}
	var tokens []string
	for i, times := range []map[string]any{
		{},
		{"exp": 60},
		{"exp": 200, "nbf": 150},
		{"iat": 90, "exp": 300},
		{"nbf": -100, "iat": 50, "exp": 80},
		{"nbf": 400, "iat": -50},
		{"exp": 30.5, "nbf": 29.25},
		{"iat": nil, "exp": 120},
		{"aud": "other"},
		{"tenant_id": "", "exp": 500},
	} {
		for j, signer := range signers {
			changes := map[string]any{"jti": fmt.Sprint(i, j), "sub": fmt.Sprint("u-", i, "-", j), "scope": []string{"a", fmt.Sprint(i)}}
			for name, value := range times {
				if offset, ok := value.(int); ok {
					value = testTime.Unix() + int64(offset)
				} else if offset, ok := value.(float64); ok {
					value = float64(testTime.Unix()) + offset
				}
				changes[name] = value
			}
			tokens = append(tokens, sign(t, signer.kid, signer.alg, signer.key, claims(changes)))
		}
	}
	return append(tokens, "a.b.c", forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, payload(t, nil), signEd(strangeKey())))
}

// TestMemoryNeverChangesAVerdict lets a verifier that remembers and one that does not see the same tokens while the clock
// jumps, keys come, go and change, and the issuer goes away: what they answer, what the log would say and which keys they
// ask for is the same at every step.
func TestMemoryNeverChangesAVerdict(t *testing.T) {
	tokens, sets := tokensForMemory(t), keySets(t)
	var hits, good, refused, undecided atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		now := testTime
		var sources [2]*shiftingKeys
		var verifiers [2]*Verifier
		for i := range verifiers {
			sources[i] = &shiftingKeys{}
			verifier, err := NewVerifier(Config{Issuer: testIssuer, Audience: testAudience}, sources[i], func() time.Time { return now })
			require.NoError(t, err)
			verifiers[i] = verifier
		}
		publish := func(keys StaticKeys) { sources[0].keys, sources[1].keys = keys, maps.Clone(keys) }
		publish(sets[0]())
		few := rapid.SliceOfN(rapid.SampledFrom(tokens), 1, 3).Draw(t, "tokens") // so that each comes up again
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				now = now.Add(time.Duration(rapid.Int64Range(-200e9, 200e9).Draw(t, "move")))
			case 1:
				now = testTime.Add(time.Duration(rapid.IntRange(-60, 560).Draw(t, "second")) * time.Second)
			case 2:
				publish(rapid.SampledFrom(sets).Draw(t, "keys")())
			case 3:
				err := rapid.SampledFrom([]error{nil, nil, ErrKeysUnavailable}).Draw(t, "outage")
				sources[0].err, sources[1].err = err, err
			default:
				token := rapid.SampledFrom(few).Draw(t, "token")
				if _, known := verifiers[0].verified.get(sha256.Sum256([]byte(token))); known {
					hits.Add(1)
				}
				forget(verifiers[1])
				got, gotErr := verifiers[0].Verify(context.Background(), token)
				want, wantErr := verifiers[1].Verify(context.Background(), token)
				require.Equal(t, want, got)
				require.Equal(t, reasons(wantErr), reasons(gotErr))
				require.Equal(t, sources[1].asked, sources[0].asked)
				switch _, verdict := errors.AsType[*Error](wantErr); {
				case wantErr == nil:
					good.Add(1)
				case verdict:
					refused.Add(1)
				default:
					undecided.Add(1)
				}
			}
		}
	})
	t.Logf("%d remembered, %d good, %d refused, %d undecided", hits.Load(), good.Load(), refused.Load(), undecided.Load())
	for _, seen := range []*atomic.Int64{&hits, &good, &refused, &undecided} {
		require.Positive(t, seen.Load(), "every kind of answer came up")
	}
}

// TestRememberedTokenSparesTheSignatureOnly: what is remembered is used, and only as long as each reason for it holds.
func TestRememberedTokenSparesTheSignatureOnly(t *testing.T) {
	now := testTime
	source := &shiftingKeys{keys: testKeys(t)}
	verifier, err := NewVerifier(Config{Issuer: testIssuer, Audience: testAudience}, source, func() time.Time { return now })
	require.NoError(t, err)
	token := sign(t, "rs", "RS256", rsaKey(), claims(map[string]any{"nbf": testTime.Unix(), "iat": testTime.Unix()}))
	caller, err := verifier.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, 1, remembered(verifier))
	again, err := verifier.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Same(t, &caller.Scopes[0], &again.Scopes[0], "the second answer is the remembered one")

	for at, want := range map[time.Duration]string{
		6*time.Minute - 1:      "",
		6 * time.Minute:        "The access token has expired.", // exp and the leeway
		-time.Minute:           "",
		-time.Minute - 1:       "The access token is not valid yet.",
		1000 * time.Hour:       "The access token has expired.",
		5*time.Minute + 59*1e9: "",
	} {
		now = testTime.Add(at)
		_, err := verifier.Verify(t.Context(), token)
		require.Equal(t, want == "", err == nil, at)
		if want != "" {
			require.Equal(t, want, invalidDetail(t, err), at)
		}
	}
	now = testTime.Add(time.Minute)
	for _, name := range []string{"nbf", "iat"} { // each by itself
		token := sign(t, "rs", "RS256", rsaKey(), claims(map[string]any{"iat": nil, name: now.Unix()}))
		_, err := verifier.Verify(t.Context(), token)
		require.NoError(t, err, name)
		now = now.Add(-time.Minute - 1)
		_, err = verifier.Verify(t.Context(), token)
		require.Equal(t, "The access token is not valid yet.", invalidDetail(t, err), name)
		now = testTime.Add(time.Minute)
	}
	now = testTime
	good := source.keys
	for name, keys := range map[string]StaticKeys{
		"removed":         {},
		"another's":       {"rs": {{ID: "rs", Algorithm: "RS256", Public: makeRSA(2048).Public()}}},
		"of another kind": {"rs": {{ID: "rs", Algorithm: "EdDSA", Public: edKey().Public()}}},
		"for other use":   {"rs": {{ID: "rs", Algorithm: "PS256", Public: good["rs"][0].Public}}},
	} {
		source.keys = keys
		_, err := verifier.Verify(t.Context(), token)
		require.Equal(t, "The access token is not valid.", invalidDetail(t, err), name)
		source.keys = good
		_, err = verifier.Verify(t.Context(), token)
		require.NoError(t, err, name)
	}
	source.err = ErrKeysUnavailable
	_, err = verifier.Verify(t.Context(), token)
	require.ErrorIs(t, err, ErrKeysUnavailable, "an outage is as without a memory")
}

// TestRememberedTokenKeepsKeysFresh: uses of a remembered token are uses of its key, in every phase of an outage.
func TestRememberedTokenKeepsKeysFresh(t *testing.T) {
	answers := func(remember bool) (fetches []int64, good []bool) {
		issuer, clock, keys := remoteKeys(t)
		verifier, err := NewVerifier(Config{Issuer: testIssuer, Audience: testAudience}, keys, clock.now)
		require.NoError(t, err)
		token := sign(t, "a", "EdDSA", edKey(), claims(map[string]any{"exp": testTime.Add(100 * time.Hour).Unix()}))
		use := func() {
			if !remember {
				forget(verifier)
			}
			_, err := verifier.Verify(t.Context(), token)
			waitForFetch(t, keys)
			fetches, good = append(fetches, issuer.fetches.Load()), append(good, err == nil)
			if err != nil {
				require.ErrorIs(t, err, ErrKeysUnavailable)
			}
		}
		for range 3 {
			use()
		}
		clock.advance(15 * time.Minute)
		use() // sets off a routine refresh
		use()
		issuer.isDown()
		for _, wait := range []time.Duration{15 * time.Minute, time.Second, 30 * time.Second, 23*time.Hour + 44*time.Minute + 29*time.Second, time.Second} {
			clock.advance(wait)
			use()
		}
		issuer.publishes(keySet(t, jwk("a", "EdDSA", edKey())))
		clock.advance(5 * time.Second)
		use()
		return fetches, good
	}
	fetches, good := answers(false)
	rememberedFetches, rememberedGood := answers(true)
	require.Equal(t, fetches, rememberedFetches)
	require.Equal(t, good, rememberedGood)
	require.Contains(t, good, false, "the keys got too old at one point")
	require.True(t, good[len(good)-1])
	require.Greater(t, slices.Max(fetches), int64(4))
}

func TestRememberedTokenOfARotatedKeyIsOut(t *testing.T) {
	issuer, clock, keys := remoteKeys(t)
	verifier, err := NewVerifier(Config{Issuer: testIssuer, Audience: testAudience}, keys, clock.now)
	require.NoError(t, err)
	token := sign(t, "a", "EdDSA", edKey(), claims(map[string]any{"exp": testTime.Add(time.Hour).Unix()}))
	_, err = verifier.Verify(t.Context(), token)
	require.NoError(t, err)
	issuer.publishes(keySet(t, jwk("b", "EdDSA", strangeKey())))
	clock.advance(15 * time.Minute)
	_, err = verifier.Verify(t.Context(), token)
	require.NoError(t, err, "this use sets off the refresh that nobody waits for")
	waitForFetch(t, keys)
	_, err = verifier.Verify(t.Context(), token)
	requireInvalid(t, err)
	require.EqualValues(t, 3, issuer.fetches.Load(), "the start, the refresh, and one for an id that is not there")
}

func TestOnlyGoodAccessTokensAreRemembered(t *testing.T) {
	verifier := testVerifier(t, func(c *Config) { c.TokenTypes = []string{"at+jwt", "JWT"} })
	for _, token := range []string{
		"", "a.b.c", goodToken(t, map[string]any{"exp": 0}), goodToken(t, map[string]any{"aud": "other"}),
		goodToken(t, map[string]any{"sub": nil}), forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, payload(t, nil), signEd(strangeKey())),
	} {
		for range 2 {
			_, err := verifier.Verify(t.Context(), token)
			requireInvalid(t, err)
		}
	}
	logout := logoutToken(t, nil)
	for range 2 {
		_, err := verifier.VerifyLogout(t.Context(), logout)
		require.NoError(t, err)
		_, err = verifier.Verify(t.Context(), logout)
		requireInvalid(t, err)
	}
	require.Zero(t, remembered(verifier))
	good := goodToken(t, nil)
	_, err := verifier.Verify(t.Context(), good)
	require.NoError(t, err)
	require.Equal(t, 1, remembered(verifier))
	_, err = verifier.VerifyLogout(t.Context(), good)
	require.ErrorAs(t, err, new(*LogoutError), "what was good for one is not good for the other")
	for i := range len(good) {
		changed := []byte(good)
		changed[i] ^= 1
		_, err := verifier.Verify(t.Context(), string(changed))
		requireInvalid(t, err)
	}
}

func TestMemoryOfTokensIsBounded(t *testing.T) {
	verifier := testVerifier(t, nil)
	id := func(n int) tokenID {
		var number [8]byte
		binary.BigEndian.PutUint64(number[:], uint64(n)) //nolint:gosec // a small number
		return sha256.Sum256(number[:])
	}
	first := &verifiedToken{}
	verifier.verified.add(id(0), first)
	for n := 1; n < 3*maxVerified; n++ {
		verifier.verified.add(id(n), &verifiedToken{})
		if n%100 == 0 {
			kept, ok := verifier.verified.get(id(0))
			require.True(t, ok, "what is in use stays")
			require.Same(t, first, kept)
		}
	}
	require.Equal(t, maxVerified, remembered(verifier))
	_, known := verifier.verified.get(id(1))
	require.False(t, known)
	_, known = verifier.verified.get(id(3*maxVerified - 1))
	require.True(t, known)
}

// TestMemoryIsSharedSafely is for the race detector: many use, few tokens, a clock and keys that change under them.
func TestMemoryIsSharedSafely(t *testing.T) {
	issuer, clock, keys := remoteKeys(t)
	verifier, err := NewVerifier(Config{Issuer: testIssuer, Audience: testAudience}, keys, clock.now)
	require.NoError(t, err)
	tokens := make([]string, 10)
	for i := range tokens {
		tokens[i] = sign(t, "a", "EdDSA", edKey(), claims(map[string]any{"sub": fmt.Sprint(i), "exp": testTime.Add(time.Hour).Unix()}))
	}
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 200 {
				n := (i + worker) % len(tokens)
				caller, err := verifier.Verify(context.Background(), tokens[n])
				if err != nil || caller.Subject != fmt.Sprint(n) {
					t.Errorf("%v, %v", caller, err)
				}
				if worker == 0 && i%20 == 0 {
					clock.advance(3 * time.Minute) // a refresh every now and then
				}
			}
		})
	}
	group.Wait()
	waitForFetch(t, keys)
	require.Greater(t, issuer.fetches.Load(), int64(1))
}

func TestRememberedTokenCostsNoAllocation(t *testing.T) {
	for kid, signer := range map[string]crypto.Signer{"rs": rsaKey(), "es": ecKey(), "ed": edKey()} {
		verifier := testVerifier(t, nil)
		token := sign(t, kid, testKeys(t)[kid][0].Algorithm, signer, claims(nil))
		allocated := testing.AllocsPerRun(100, func() { _, _ = verifier.Verify(t.Context(), token) })
		require.LessOrEqual(t, allocated, 1.0, kid)
	}
}
