package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/auth"
)

// TestTokenVerify explains good and bad tokens of the development issuer's key, under flags that fit and that do not.
func TestTokenVerify(t *testing.T) {
	dir := t.TempDir()
	issuer, err := auth.OpenDevIssuer(dir)
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(dir, "*.jwk"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	var key jose.JSONWebKey
	data, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &key))
	published, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	require.NoError(t, err)
	keys := filepath.Join(dir, "keys.json")
	require.NoError(t, os.WriteFile(keys, published, 0o600))
	mint := func(request auth.TokenRequest, at time.Time) string {
		token, err := issuer.Mint(request, at)
		require.NoError(t, err)
		return token
	}
	ada := auth.TokenRequest{Subject: "ada\u202e", TenantID: "acme", SessionID: "s-1", Scope: "sessions:read sessions:write"}
	good, old := mint(ada, time.Now()), mint(ada, time.Now().Add(-24*time.Hour))
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	forged := head + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"x"}`)) + "." + signature
	trusted := []string{"--issuer", auth.DevIssuerName, "--audience", auth.DevAudience, "--jwks-file", keys}
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	for name, c := range map[string]struct {
		token string
		args  []string
		want  []string
		code  int
	}{
		"good":                            {good, trusted, []string{"ada\\u202e", "acme", "s-1", "sessions:read sessions:write", "sessiond-cli"}, 0},
		"good, of the development issuer": {good, []string{"--dev", "--data-dir", dir}, []string{"acme"}, 0},
		"no token":                        {" \n", trusted, []string{"there is no token"}, exitUsage},
		"something else":                  {"error: no", trusted, []string{"what is in it is not a token"}, exitUsage},
		"malformed":                       {"abc", trusted, []string{"malformed: the token has not two dots"}, exitFailed},
		"another issuer":                  {good, append([]string{"--issuer", "https://id.example.com"}, trusted[2:]...), []string{"issuer: the iss claim is not", `"iss": "urn:sessiond:dev"`}, exitFailed},
		"another audience":                {good, append(trusted, "--audience", "x"), []string{"audience: ", `"aud": "sessiond"`}, exitFailed},
		"another type":                    {good, append(trusted, "--token-types", "JWT"), []string{"type: ", `"typ": "at+jwt"`}, exitFailed},
		"expired":                         {old, trusted, []string{"expired: ", `"exp": `}, exitFailed},
		"forged":                          {forged, trusted, []string{"signature: "}, exitFailed},
		"keys that are not there":         {good, []string{"--issuer", auth.DevIssuerName, "--audience", "x", "--jwks-url", down.URL}, []string{"keys are not available"}, exitUnavailable},
		"nothing to hold it against":      {good, nil, []string{"--issuer and --audience, or --dev"}, exitUsage},
		"a flag that is a mistake":        {good, append(trusted, "--claim-tenant", ""), []string{"--claim-tenant"}, exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token")
			require.NoError(t, os.WriteFile(path, []byte(c.token+"\n"), 0o600))
			piped(t, c.token)
			for _, args := range [][]string{{path}, {"-"}, {}} {
				if len(args) == 0 {
					piped(t, c.token)
				}
				var out, log output
				err := run(t.Context(), append(append([]string{"token", "verify"}, args...), c.args...), noEnvironment, &out, &log)
				said := out.String() + log.String()
				if err != nil {
					said += err.Error()
				}
				assert.Equal(t, c.code, code(err), said)
				for _, text := range c.want {
					assert.Contains(t, said, text)
				}
				assert.NotContains(t, said, signature, "no signature")
				assert.NotContains(t, said, payload)
				if c.code != 0 {
					assert.NotContains(t, said, "\n", "one sentence")
				}
			}
		})
	}
	empty := t.TempDir()
	piped(t, good)
	err = run(t.Context(), []string{"token", "verify", "--dev", "--data-dir", empty}, noEnvironment, io.Discard, io.Discard)
	require.ErrorContains(t, err, "the development key cannot be read")
	made, err := os.ReadDir(empty)
	require.NoError(t, err)
	assert.Empty(t, made, "verifying makes no key")
}

// code is what the program ends with.
func code(err error) int {
	if err == nil {
		return 0
	}
	return exitCode(err)
}
