package auth

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// logoutToken is a good logout token with changes; a nil value takes a claim out.
func logoutToken(t *testing.T, changes map[string]any) string {
	t.Helper()
	all := map[string]any{
		"client_id": nil, "partner_id": nil, "scope": nil, "iat": testTime.Unix(),
		"events": map[string]any{logoutEvent: map[string]any{}},
	}
	maps.Copy(all, changes)
	return forge(`{"alg":"EdDSA","kid":"ed","typ":"logout+jwt"}`, payload(t, all), signEd(edKey()))
}

func TestVerifyLogout(t *testing.T) {
	logout, err := testVerifier(t, nil).VerifyLogout(t.Context(), logoutToken(t, nil))
	require.NoError(t, err)
	require.Equal(t, Logout{
		SessionID: "s-1", Subject: "u-1", TenantID: "t-1", Issuer: testIssuer, ClientID: testAudience, id: sha256.Sum256([]byte("j-1")),
	}, logout)
}

func TestVerifyLogoutKnowsItsAudiences(t *testing.T) {
	clients := func(names ...string) *Verifier {
		return testVerifier(t, func(c *Config) { c.LogoutAudiences = names })
	}
	for name, c := range map[string]struct {
		verifier *Verifier
		audience any
		pass     bool
		client   string
	}{
		"by default the service's": {clients(), testAudience, true, testAudience},
		"by default no client":     {clients(), "web", false, ""},
		"one of the clients":       {clients("app", "web"), []string{"other", "web"}, true, "web"},
		"no longer the service's":  {clients("web"), testAudience, false, ""},
	} {
		logout, err := c.verifier.VerifyLogout(t.Context(), logoutToken(t, map[string]any{"aud": c.audience}))
		require.Equal(t, c.pass, err == nil, "%s: %v", name, err)
		require.Equal(t, c.client, logout.ClientID, name)
	}
	_, err := NewVerifier(Config{Issuer: "i", Audience: "a", LogoutAudiences: []string{"web", ""}}, StaticKeys{}, time.Now)
	require.Error(t, err)
}

func TestVerifyLogoutTimes(t *testing.T) {
	at := func(d time.Duration) int64 { return testTime.Add(d).Unix() }
	for name, c := range map[string]struct {
		changes map[string]any
		reason  string
	}{
		"without exp, as in the drafts":  {map[string]any{"exp": nil}, ""},
		"exp at the end of the leeway":   {map[string]any{"exp": at(-time.Minute)}, "the exp claim is in the past or is not a time"},
		"exp just before it":             {map[string]any{"exp": at(-time.Minute + time.Second)}, ""},
		"exp that is no time":            {map[string]any{"exp": "soon"}, "the exp claim is in the past or is not a time"},
		"without iat":                    {map[string]any{"iat": nil}, "the iat claim is missing or is not a time"},
		"iat that is no time":            {map[string]any{"iat": "now"}, "the iat claim is missing or is not a time"},
		"iat as far ahead as the leeway": {map[string]any{"iat": at(time.Minute)}, ""},
		"iat further ahead":              {map[string]any{"iat": at(time.Minute + time.Second)}, "the iat claim is in the future"},
		"iat just before it is too old":  {map[string]any{"iat": at(-3*time.Minute + time.Second)}, ""},
		"iat that is too old":            {map[string]any{"iat": at(-3 * time.Minute)}, "the iat claim is too long ago"},
	} {
		_, err := testVerifier(t, nil).VerifyLogout(t.Context(), logoutToken(t, c.changes))
		if c.reason == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, c.reason, name)
		}
	}
}

func TestVerifyLogoutReadsTheTenantUnderItsConfiguredName(t *testing.T) {
	verifier := testVerifier(t, func(c *Config) { c.Claims.Tenant, c.Claims.Session = "org", "session" })
	logout, err := verifier.VerifyLogout(t.Context(), logoutToken(t, map[string]any{"org": "o-1", "session": "x"}))
	require.NoError(t, err)
	require.Equal(t, "o-1", logout.TenantID)
	require.Equal(t, "s-1", logout.SessionID, "sid is the specification's name")
}

// TestAccessAndLogoutTokensAreNotTakenForEachOther has an issuer that calls both of them JWT.
func TestAccessAndLogoutTokensAreNotTakenForEachOther(t *testing.T) {
	verifier := testVerifier(t, func(c *Config) { c.TokenTypes = []string{"JWT"} })
	signed := func(changes map[string]any) string {
		return forge(`{"alg":"EdDSA","kid":"ed","typ":"JWT"}`, payload(t, changes), signEd(edKey()))
	}
	access := signed(nil)
	logout := signed(map[string]any{"events": map[string]any{logoutEvent: map[string]any{}}})
	_, err := verifier.Verify(t.Context(), access)
	require.NoError(t, err)
	_, err = verifier.VerifyLogout(t.Context(), logout)
	require.NoError(t, err)
	_, err = verifier.Verify(t.Context(), logout)
	requireInvalid(t, err)
	_, err = verifier.VerifyLogout(t.Context(), access)
	require.ErrorAs(t, err, new(*LogoutError))
}

func TestVerifyLogoutWithoutKeysIsNoVerdict(t *testing.T) {
	keys := NewRemoteKeys("http://127.0.0.1:1/keys", nil, time.Now, Timing{})
	verifier, err := NewVerifier(Config{Issuer: testIssuer, Audience: testAudience}, keys, func() time.Time { return testTime })
	require.NoError(t, err)
	_, err = verifier.VerifyLogout(t.Context(), logoutToken(t, nil))
	require.ErrorIs(t, err, ErrKeysUnavailable)
	require.NotErrorAs(t, err, new(*LogoutError))
}

func TestLogoutErrorSaysNothingOfTheToken(t *testing.T) {
	for _, token := range []string{"secret", "secret.a.b", logoutToken(t, map[string]any{"aud": "secret"}), goodToken(t, map[string]any{"sub": "secret"})} {
		_, err := testVerifier(t, nil).VerifyLogout(t.Context(), token)
		require.ErrorAs(t, err, new(*LogoutError))
		require.Regexp(t, `^The logout token is not valid: [a-zA-Z0-9 ]+\.$`, err.Error())
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestSpentLogoutsForgetInTime(t *testing.T) {
	var spent spentLogouts
	first, second := logoutID{1}, logoutID{2}
	spent.add(first, testTime, time.Minute)
	spent.add(first, testTime.Add(30*time.Second), time.Minute)
	require.True(t, spent.has(first, testTime.Add(59*time.Second)))
	require.False(t, spent.has(first, testTime.Add(time.Minute)))
	require.False(t, spent.has(second, testTime))
	spent.add(second, testTime.Add(time.Minute), time.Minute)
	require.Len(t, spent.until, 1)
	require.Equal(t, []logoutID{second}, spent.order)
}

func TestSpentLogoutsAreBounded(t *testing.T) {
	var spent spentLogouts
	id := func(n int) (id logoutID) {
		binary.BigEndian.PutUint64(id[:], uint64(n)) //nolint:gosec // a small number
		return id
	}
	for n := range maxSpent + 10 {
		spent.add(id(n), testTime, time.Minute)
	}
	require.Len(t, spent.until, maxSpent)
	require.Len(t, spent.order, maxSpent)
	for n, known := range map[int]bool{0: false, 9: false, 10: true, maxSpent + 9: true} {
		require.Equal(t, known, spent.has(id(n), testTime), fmt.Sprint(n))
	}
}
