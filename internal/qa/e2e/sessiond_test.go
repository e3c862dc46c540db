package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// root is the directory of sessiond's module.
const root = "../../.."

// buildSessiond builds the command, once for all providers.
func buildSessiond(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "sessiond")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/sessiond") //nolint:gosec // our own command
	cmd.Dir = root
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, string(text))
	return binary
}

// startSessiond serves on a fresh database, and returns the address.
func startSessiond(t *testing.T, binary string, flags ...string) string {
	t.Helper()
	database := []string{"--database-url", "sqlite://" + filepath.Join(t.TempDir(), "sessiond.db")}
	migrate := exec.CommandContext(t.Context(), binary, append([]string{"migrate", "up"}, database...)...) //nolint:gosec // as above
	text, err := migrate.CombinedOutput()
	require.NoError(t, err, string(text))
	flags = append(append(flags, "--addr", "127.0.0.1:0"), database...)
	serve := exec.Command(binary, append([]string{"serve"}, flags...)...) //nolint:gosec,noctx // as above; it ends with the test
	return start(t, serve, func(line string) string {
		var entry struct{ Msg, Addr string }
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Msg != "serving" {
			return ""
		}
		return "http://" + entry.Addr
	})
}

// front stands before sessiond as a gateway does. Its address is known before sessiond's is, so that the provider can be
// told of it first, and it sees which logouts arrive.
type front struct {
	*httptest.Server
	mu       sync.Mutex
	target   http.Handler
	statuses []int
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{target: http.NotFoundHandler()}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// serve passes all requests on to the address from now.
func (f *front) serve(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	target, err := url.Parse(address)
	if err != nil {
		panic(err) // it has come from sessiond itself
	}
	f.target = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			if r.Request.URL.Path == "/oauth2/backchannel-logout" {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.statuses = append(f.statuses, r.StatusCode)
			}
			return nil
		},
	}
}

// ServeHTTP passes a request on.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	target := f.target
	f.mu.Unlock()
	target.ServeHTTP(w, r)
}

// logouts are sessiond's answers to the provider's back-channel logouts so far.
func (f *front) logouts() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]int(nil), f.statuses...)
}

// api is sessiond as a gateway with a token of its own and a user with an access token see it.
type api struct {
	t     *testing.T
	base  string
	token string
}

// session is an item of GET /api/v1/me/sessions.
type session struct {
	ID         string    `json:"id"`
	UserID     string    `json:"user_id"`
	UserEmail  string    `json:"user_email"`
	IPAddress  string    `json:"ip_address"`
	DeviceType string    `json:"device_type"`
	IsCurrent  bool      `json:"is_current"`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at"`
}

// introspection is what a gateway learns of a token.
type introspection struct {
	Active   bool   `json:"active"`
	Sub      string `json:"sub"`
	Sid      string `json:"sid"`
	TenantID string `json:"tenant_id"`
	ClientID string `json:"client_id"`
	Issuer   string `json:"iss"`
}

// do sends a request with a token; a body is a form.
func (a *api) do(method, path, token, form string) (int, string) {
	a.t.Helper()
	request, err := http.NewRequestWithContext(a.t.Context(), method, a.base+path, strings.NewReader(form))
	require.NoError(a.t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	if form != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return send(a.t, http.DefaultClient, request)
}

// send sends a request and returns the status and body of the answer.
func send(t *testing.T, client *http.Client, request *http.Request) (int, string) {
	t.Helper()
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

// current is the session of an access token, which must be the only current one of its user.
func (a *api) current(accessToken string) session {
	a.t.Helper()
	status, body := a.do(http.MethodGet, "/api/v1/me/sessions", accessToken, "")
	require.Equal(a.t, http.StatusOK, status, body)
	var list struct{ Data []session }
	require.NoError(a.t, json.Unmarshal([]byte(body), &list))
	var current []session
	for _, s := range list.Data {
		if s.IsCurrent {
			current = append(current, s)
		}
	}
	require.Len(a.t, current, 1, body)
	return current[0]
}

// introspect asks whether a token is good.
func (a *api) introspect(token string) introspection {
	a.t.Helper()
	status, body := a.do(http.MethodPost, "/oauth2/introspect", a.token, url.Values{"token": {token}}.Encode())
	require.Equal(a.t, http.StatusOK, status, body)
	var state introspection
	require.NoError(a.t, json.Unmarshal([]byte(body), &state))
	return state
}

// requireEnded: nothing is left of the session of an access token.
func (a *api) requireEnded(accessToken string) {
	a.t.Helper()
	assert.Equal(a.t, introspection{}, a.introspect(accessToken))
	status, body := a.do(http.MethodGet, "/api/v1/me/sessions", accessToken, "")
	require.Equal(a.t, http.StatusUnauthorized, status, body)
	require.Contains(a.t, body, "The session has ended.")
}
