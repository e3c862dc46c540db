package handlers_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/handlers"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/telemetry"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestRefusalsAreDiagnosed has the log and a counter say which check each refused request has failed, and nothing of what its
// token holds.
func TestRefusalsAreDiagnosed(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	l := newLogoutFixture(f)
	metrics := telemetry.NewMetrics("test")
	f.serve(f.store, func(c *handlers.Config) { c.Metrics = metrics })
	f.register("acme", "ada", "canary-ended")
	f.do(http.MethodDelete, "/api/v1/admin/sessions/canary-ended", f.admin(), nil).want(http.StatusNoContent)
	now := f.clock.Now()
	claims := func(changes map[string]any) map[string]any {
		all := map[string]any{
			"iss": auth.DevIssuerName, "aud": auth.DevAudience, "sub": "canary-sub", "client_id": "canary-client", "jti": "canary-jti",
			"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		}
		maps.Copy(all, changes)
		return all
	}
	signed := func(changes map[string]any) string { return l.sign(l.key, "at+jwt", claims(changes)) }
	_, stranger := newIssuer(t)
	unknown := l.key
	stranger.KeyID = l.key.KeyID
	unknown.KeyID = "canary-kid"
	good := signed(nil)
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt","kid":"` + l.key.KeyID + `"}`))
	cases := []struct {
		reason auth.Reason
		token  string
	}{
		{auth.ReasonNoToken, ""},
		{auth.ReasonMalformed, "canary-token"},
		{auth.ReasonMalformed, strings.Repeat("x", 9<<10)},
		{auth.ReasonAlgorithm, header + good[strings.Index(good, "."):]},
		{auth.ReasonType, l.sign(l.key, "canary+jwt", claims(nil))},
		{auth.ReasonType, signed(map[string]any{"events": map[string]any{}})},
		{auth.ReasonKey, l.sign(unknown, "at+jwt", claims(nil))},
		{auth.ReasonSignature, l.sign(stranger, "at+jwt", claims(nil))},
		{auth.ReasonIssuer, signed(map[string]any{"iss": "https://canary.example.com"})},
		{auth.ReasonAudience, signed(map[string]any{"aud": "canary-audience"})},
		{auth.ReasonExpired, signed(map[string]any{"exp": now.Add(-2 * time.Minute).Unix()})},
		{auth.ReasonNotYetValid, signed(map[string]any{"nbf": now.Add(2 * time.Minute).Unix()})},
		{auth.ReasonClaims, signed(map[string]any{"exp": "canary"})},
		{auth.ReasonClaims, signed(map[string]any{"tenant_id": ""})},
		{auth.ReasonSessionEnded, signed(map[string]any{"tenant_id": "acme", "sid": "canary-ended"})},
	}
	want, seen := map[string]int{}, map[auth.Reason]bool{}
	for i, c := range cases {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			id := fmt.Sprintf("r-%d-%s", i, method)
			path := map[string]string{http.MethodGet: "/api/v1/me/sessions", http.MethodDelete: "/api/v1/me/sessions/x"}[method]
			f.do(method, path, c.token, nil, "X-Request-ID", id).want(http.StatusUnauthorized)
			line := regexp.MustCompile(`(?m)^.* msg=request .* request_id=` + id + `( .*)?$`).FindString(f.logs.String())
			assert.Contains(t, line, " auth_error="+string(c.reason), c.reason)
			want[string(c.reason)]++
			seen[c.reason] = true
		}
	}
	require.Len(t, seen, len(auth.Reasons()), "every reason is tried")
	f.do(http.MethodGet, "/api/v1/me/sessions", good, nil).want(http.StatusOK)
	f.do(http.MethodGet, "/api/v1/admin/sessions/", good, nil).want(http.StatusForbidden)
	f.do(http.MethodGet, "/nothing", "", nil).want(http.StatusNotFound)
	assert.Equal(t, 2*len(cases), strings.Count(f.logs.String(), "auth_error="), "nothing else has one")
	for line := range strings.Lines(f.logs.String()) {
		assert.NotContains(t, strings.ReplaceAll(line, "r-", ""), "canary", "the log holds nothing of a token")
	}

	recorder := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	counted := map[string]int{}
	for _, found := range regexp.MustCompile(`sessiond_auth_failures_total\{reason="(\w+)"\} (\d+)`).FindAllStringSubmatch(recorder.Body.String(), -1) {
		n, err := strconv.Atoi(found[2])
		require.NoError(t, err)
		counted[found[1]] = n
	}
	assert.Equal(t, want, counted)
}
