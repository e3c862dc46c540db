package auth

import (
	"context"
	"crypto"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestVerifyTakesEveryAllowedAlgorithm(t *testing.T) {
	for _, test := range []struct {
		kid, alg string
		key      crypto.Signer
	}{
		{"rs", "RS256", rsaKey()},
		{"ps", "PS256", rsaKey()},
		{"rsa", "RS256", rsaKey()},
		{"rsa", "PS256", rsaKey()},
		{"es", "ES256", ecKey()},
		{"ed", "EdDSA", edKey()},
	} {
		t.Run(test.kid+" "+test.alg, func(t *testing.T) {
			caller, err := testVerifier(t, nil).Verify(t.Context(), sign(t, test.kid, test.alg, test.key, claims(nil)))
			require.NoError(t, err)
			require.Equal(t, Caller{
				TokenID: "j-1", Subject: "u-1", TenantID: "t-1", PartnerID: "p-1", SessionID: "s-1", ClientID: "app",
				Scopes: []string{"sessions:read", "sessions:write"}, Issuer: testIssuer, Audience: []string{testAudience},
				IssuedAt: testTime.Add(-time.Minute), ExpiresAt: testTime.Add(5 * time.Minute),
			}, caller)
		})
	}
}

func TestVerifyKeepsToTheIssuersAlgorithms(t *testing.T) {
	verifier := testVerifier(t, func(c *Config) { c.Algorithms = []string{"ES256"} })
	_, err := verifier.Verify(t.Context(), sign(t, "es", "ES256", ecKey(), claims(nil)))
	require.NoError(t, err)
	_, err = verifier.Verify(t.Context(), goodToken(t, nil))
	requireInvalid(t, err)
}

// TestVerifyClaims changes one claim of a good token. An empty want means that the token is good.
func TestVerifyClaims(t *testing.T) {
	const (
		invalid  = "The access token is not valid."
		expired  = "The access token has expired."
		early    = "The access token is not valid yet."
		issuer   = "The token is from another issuer."
		audience = "The token is not meant for this service."
		purpose  = "The token is not an access token."
	)
	at := func(offset time.Duration) float64 { return float64(testTime.Add(offset).UnixNano()) / 1e9 }
	for _, test := range []struct {
		claim string
		value any
		want  string
	}{
		{"iss", nil, issuer},
		{"iss", testIssuer + "/", issuer},
		{"iss", "HTTPS://id.example.com", issuer},
		{"iss", []string{testIssuer}, issuer},
		{"iss", 1, issuer},
		{"aud", nil, audience},
		{"aud", []string{"other", testAudience}, ""},
		{"aud", []string{"other"}, audience},
		{"aud", []string{}, audience},
		{"aud", "other", audience},
		{"aud", "SESSIONS-API", audience},
		{"aud", testAudience + " other", audience},
		{"aud", []any{testAudience, 1}, audience},
		{"aud", []any{testAudience, "\x00"}, audience},
		{"aud", map[string]any{testAudience: true}, audience},
		{"exp", nil, invalid},
		{"exp", "1768469700", invalid},
		{"exp", true, invalid},
		{"exp", -1, invalid},
		{"exp", 0, expired},
		{"exp", 1e300, invalid},
		{"exp", 253402300800, invalid},
		{"exp", 253402300799, ""},
		{"exp", at(-time.Minute), expired},
		{"exp", at(-time.Minute + time.Second), ""},
		{"exp", at(-time.Minute + time.Second/2), ""},
		{"exp", at(-time.Minute - time.Second/2), expired},
		{"nbf", at(time.Minute), ""},
		{"nbf", at(time.Minute + time.Second), early},
		{"nbf", at(time.Minute + time.Second/2), early},
		{"nbf", "soon", invalid},
		{"nbf", []int{1}, invalid},
		{"iat", nil, ""},
		{"iat", at(time.Minute), ""},
		{"iat", at(time.Minute + time.Second), early},
		{"iat", "1768469400", invalid},
		{"sub", nil, invalid},
		{"sub", "", invalid},
		{"sub", 7, invalid},
		{"sub", []string{"u-1"}, invalid},
		{"sub", "a\x00b", invalid},
		{"sub", "Zoë 😀 o'hara; DROP TABLE sessions", ""},
		{"tenant_id", nil, ""},
		{"tenant_id", "", invalid},
		{"tenant_id", 5, invalid},
		{"tenant_id", []string{"t-1"}, invalid},
		{"tenant_id", "t\x00", invalid},
		{"partner_id", nil, ""},
		{"partner_id", "", invalid},
		{"partner_id", map[string]any{}, invalid},
		{"sid", nil, ""},
		{"sid", "", invalid},
		{"sid", 1.5, invalid},
		{"client_id", nil, ""},
		{"client_id", false, invalid},
		{"scope", nil, ""},
		{"scope", "", ""},
		{"scope", 1, invalid},
		{"scope", []any{"a", 1}, invalid},
		{"scope", "a\x00", invalid},
		{"scope", map[string]any{"admin:sessions:read": true}, invalid},
		{"events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}, purpose},
		{"events", 0, purpose},
		{"nonce", "n", ""}, // under at+jwt nothing forbids it
		{"typ", "ID", ""},
	} {
		t.Run(fmt.Sprintf("%s %v", test.claim, test.value), func(t *testing.T) {
			_, err := testVerifier(t, nil).Verify(t.Context(), goodToken(t, map[string]any{test.claim: test.value}))
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, test.want, invalidDetail(t, err))
		})
	}
}

// TestVerifyClaimBytes is about claims that no encoder writes: each is put into the payload as it stands.
func TestVerifyClaimBytes(t *testing.T) {
	for name, member := range map[string]string{
		"invalid UTF-8":              `"x":"` + "\xff" + `"`,
		"half a surrogate pair":      `"sid":"\ud800"`,
		"null tenant":                `"tenant_id":null`,
		"null subject":               `"sub":null`,
		"null scope":                 `"scope":null`,
		"null time":                  `"nbf":null`,
		"null exp":                   `"exp":null`,
		"number out of range":        `"x":1e999`,
		"twice":                      `"x":1,"x":1`,
		"twice, one of them escaped": `"x":1,"\u0078":1`,
		"twice, deep inside":         `"act":{"list":[{"sub":"a","sub":"b"}]}`,
		"not JSON":                   `"x":01`,
		"not JSON after":             `"x":1}{"x":1`,
	} {
		t.Run(name, func(t *testing.T) {
			fixed := `"iss":"https://id.example.com","aud":"sessions-api","sub":"u","exp":1768555800`
			switch name {
			case "null exp":
				fixed = `"iss":"https://id.example.com","aud":"sessions-api","sub":"u"`
			case "null subject":
				fixed = `"iss":"https://id.example.com","aud":"sessions-api","exp":1768555800`
			}
			_, err := testVerifier(t, nil).Verify(t.Context(),
				forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, "{"+fixed+","+member+"}", signEd(edKey())))
			require.Equal(t, "The access token is not valid.", invalidDetail(t, err))
		})
	}
	caller, err := testVerifier(t, nil).Verify(t.Context(), forge(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`,
		`{"iss":"https://id.example.com","aud":"sessions-api","sub":"u","exp":1768555800,"SUB":"x","Tenant_id":"t"}`, signEd(edKey())))
	require.NoError(t, err, "the frame of these cases is good, and other spellings are other claims")
	require.Equal(t, Caller{Subject: "u", Issuer: testIssuer, Audience: []string{testAudience}, ExpiresAt: caller.ExpiresAt}, caller)
}

func TestVerifyScopes(t *testing.T) {
	for _, test := range []struct {
		value any
		want  []string
	}{
		{"a  b ", []string{"a", "b"}},
		{"a\tb", []string{"a\tb"}},
		{[]string{"a", "b c"}, []string{"a", "b c"}},
		{"admin:sessions:readonly", []string{"admin:sessions:readonly"}},
	} {
		caller, err := testVerifier(t, nil).Verify(t.Context(), goodToken(t, map[string]any{"scope": test.value}))
		require.NoError(t, err)
		require.Equal(t, test.want, caller.Scopes)
		require.True(t, caller.HasScope(test.want[0]))
		require.False(t, caller.HasScope("admin:sessions:read"))
		require.False(t, caller.HasScope("A"))
	}
}

func TestVerifyConfiguredClaimNames(t *testing.T) {
	verifier := testVerifier(t, func(c *Config) {
		c.Claims = ClaimNames{Tenant: "https://example.com/org", Partner: "reseller", Session: "session", Scope: "scp", Client: "azp"}
	})
	caller, err := verifier.Verify(t.Context(), goodToken(t, map[string]any{
		"https://example.com/org": "t-9", "reseller": "p-9", "session": "s-9", "scp": []string{"x"}, "azp": "u-1",
	}))
	require.NoError(t, err)
	require.Equal(t, []string{"t-9", "p-9", "s-9", "u-1"},
		[]string{caller.TenantID, caller.PartnerID, caller.SessionID, caller.ClientID})
	require.Equal(t, []string{"x"}, caller.Scopes)
	require.True(t, caller.IsClient())
	_, err = verifier.Verify(t.Context(), goodToken(t, map[string]any{"reseller": 1}))
	requireInvalid(t, err)
}

func TestVerifyTokenType(t *testing.T) {
	for _, test := range []struct {
		accepted []string
		typ      string
		good     bool
	}{
		{nil, `"at+jwt"`, true},
		{nil, `"AT+JWT"`, true},
		{nil, `"application/at+jwt"`, true},
		{nil, `"Application/At+Jwt"`, true},
		{nil, `"JWT"`, false},
		{nil, `"at+jwt/x"`, false},
		{nil, `"application/at+jwt/x"`, false},
		{nil, `"secevent+jwt"`, false},
		{nil, `"logout+jwt"`, false},
		{nil, `"dpop+jwt"`, false},
		{nil, `""`, false},
		{nil, `null`, false},
		{nil, `["at+jwt"]`, false},
		{[]string{"JWT"}, `"JWT"`, true},
		{[]string{"JWT"}, `"jwt"`, true},
		{[]string{"JWT"}, `"at+jwt"`, false},
		{[]string{"application/at+jwt", "JWT"}, `"at+jwt"`, true},
	} {
		t.Run(fmt.Sprint(test.accepted, test.typ), func(t *testing.T) {
			verifier := testVerifier(t, func(c *Config) { c.TokenTypes = test.accepted })
			_, err := verifier.Verify(t.Context(),
				forge(`{"alg":"EdDSA","kid":"ed","typ":`+test.typ+`}`, payload(t, nil), signEd(edKey())))
			if test.good {
				require.NoError(t, err)
				return
			}
			requireInvalid(t, err)
		})
	}
}

// TestVerifyTellsTokensOfOneTypeApart is for issuers that call everything JWT.
func TestVerifyTellsTokensOfOneTypeApart(t *testing.T) {
	verifier := testVerifier(t, func(c *Config) { c.TokenTypes = []string{"at+jwt", "JWT"} })
	verify := func(changes map[string]any) error {
		_, err := verifier.Verify(t.Context(), forge(`{"alg":"EdDSA","kid":"ed","typ":"JWT"}`, payload(t, changes), signEd(edKey())))
		return err
	}
	for _, name := range []string{"nonce", "at_hash", "c_hash", "events"} {
		requireInvalid(t, verify(map[string]any{name: "x"}))
	}
	for _, typ := range []any{"ID", "Refresh", "Offline", "Logout", "bearer", 1, []string{"Bearer"}} {
		requireInvalid(t, verify(map[string]any{"typ": typ}))
	}
	for _, typ := range []any{nil, "Bearer", "DPoP"} {
		require.NoError(t, verify(map[string]any{"typ": typ}))
	}
}

func TestVerifyLeeway(t *testing.T) {
	verifier := testVerifier(t, func(c *Config) { c.Leeway = time.Second })
	_, err := verifier.Verify(t.Context(), goodToken(t, map[string]any{"exp": testTime.Unix()}))
	require.NoError(t, err)
	_, err = verifier.Verify(t.Context(), goodToken(t, map[string]any{"exp": testTime.Unix() - 1}))
	requireInvalid(t, err)
	_, err = verifier.Verify(t.Context(), goodToken(t, map[string]any{"nbf": testTime.Unix() + 2}))
	requireInvalid(t, err)
}

func TestNewVerifierRefusesWeakConfigurations(t *testing.T) {
	for name, config := range map[string]Config{
		"no issuer":         {Audience: "a"},
		"no audience":       {Issuer: "i"},
		"long leeway":       {Issuer: "i", Audience: "a", Leeway: time.Minute + 1},
		"negative leeway":   {Issuer: "i", Audience: "a", Leeway: -1},
		"none":              {Issuer: "i", Audience: "a", Algorithms: []string{"none"}},
		"symmetric":         {Issuer: "i", Audience: "a", Algorithms: []string{"RS256", "HS256"}},
		"no token type":     {Issuer: "i", Audience: "a", TokenTypes: []string{""}},
		"unknown algorithm": {Issuer: "i", Audience: "a", Algorithms: []string{"rs256"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewVerifier(config, StaticKeys{}, time.Now)
			require.Error(t, err)
		})
	}
	_, err := NewVerifier(Config{Issuer: "i", Audience: "a", Leeway: time.Minute}, StaticKeys{}, time.Now)
	require.NoError(t, err)
}

// noKeys is a source that cannot tell.
type noKeys struct{}

func (noKeys) Keys(context.Context, string) ([]Key, error) { return nil, ErrKeysUnavailable }
func (noKeys) Ready(context.Context) error                 { return ErrKeysUnavailable }

func TestVerifyWithoutKeysIsNoVerdict(t *testing.T) {
	verifier, err := NewVerifier(Config{Issuer: testIssuer, Audience: testAudience}, noKeys{}, time.Now)
	require.NoError(t, err)
	caller, err := verifier.Verify(t.Context(), goodToken(t, nil))
	require.ErrorIs(t, err, ErrKeysUnavailable)
	require.NotErrorAs(t, err, new(*Error))
	require.Zero(t, caller)
	require.ErrorIs(t, verifier.Ready(t.Context()), ErrKeysUnavailable)
	// A token that is bad in itself is refused without asking for keys.
	_, err = verifier.Verify(t.Context(), "a.b.c")
	requireInvalid(t, err)
}
