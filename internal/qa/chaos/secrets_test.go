package chaos

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSecretsStayOutOfTheLog sends what must not be logged through good requests, bad ones and a database that is gone.
func TestSecretsStayOutOfTheLog(t *testing.T) {
	postgres := startPostgres(t)
	database := strings.Replace(postgres.URL("sessions"), "postgres:///", "postgres://postgres:canary-password@/", 1)
	require.Contains(t, database, "canary-password")
	server := &Server{Binary: sessiond(t), Dir: directory(t), Database: database, Flags: []string{"--log-level", "debug", "--activity-interval", "0s"}}
	require.NoError(t, server.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	client, err := server.client()
	require.NoError(t, err)
	t.Cleanup(client.Close)
	session, err := client.token(ownTenant, ownUser, "s-1")
	require.NoError(t, err)
	sent := 0
	send := func(method, path, token string, body any) {
		t.Helper()
		sent++
		_, err := client.do(t.Context(), method, path, token, body,
			"User-Agent", "canary-agent", "X-Request-ID", fmt.Sprintf("sent-%d", sent), "Cookie", "id=canary-cookie")
		require.NoError(t, err)
	}
	traffic := func() {
		registration := map[string]any{
			"id": "s-1", "tenant_id": ownTenant, "user_id": ownUser, "expires_at": "2099-01-01T00:00:00Z",
			"user_email": "canary-mail@example.com", "user_display_name": "canary-name", "user_agent": "canary-agent", "ip_address": "192.0.2.77",
		}
		send(http.MethodPost, "/api/v1/lifecycle/sessions", client.operator, registration)
		registration["expires_at"] = "canary-value"
		send(http.MethodPost, "/api/v1/lifecycle/sessions", client.operator, registration)
		send(http.MethodPost, "/api/v1/lifecycle/sessions/s-1/activity", client.operator, map[string]any{"user_agent": "canary-agent-2"})
		send(http.MethodPost, "/oauth2/introspect", client.operator, url.Values{"token": {session}})
		send(http.MethodPost, "/oauth2/introspect", client.operator, url.Values{"token": {"canary-token"}})
		send(http.MethodPost, "/oauth2/backchannel-logout", "", url.Values{"logout_token": {"canary-token.a.b"}})
		send(http.MethodGet, "/api/v1/me/sessions?access_token=canary-query", session, nil)
		send(http.MethodGet, "/api/v1/me/sessions", "canary-token."+session, nil)
		send(http.MethodGet, "/api/v1/me/sessions", session[:len(session)-3], nil)
		send(http.MethodGet, "/api/v1/tenants/acme/sessions?page=canary-query", client.operator, nil)
	}
	traffic()
	require.NoError(t, postgres.Stop())
	traffic()
	require.NoError(t, postgres.Start(t.Context()))
	require.NoError(t, server.Stop())
	text, err := os.ReadFile(server.LogFile())
	require.NoError(t, err)
	for n := range sent {
		assert.Contains(t, string(text), fmt.Sprintf("sent-%d", n+1), "the log has every request, or it proves nothing")
	}
	clean(t, string(text), session, client.operator)
	t.Run("at the start", func(t *testing.T) {
		require.NoError(t, postgres.Stop())
		out, err := exec.CommandContext(t.Context(), sessiond(t), "serve", "--dev", "--addr", "127.0.0.1:0", "--data-dir", server.Dir, "--database-url", database).CombinedOutput() //nolint:gosec // our own
		require.Error(t, err)
		assert.Contains(t, string(out), "cannot be reached")
		clean(t, string(out), session, client.operator)
	})
}

// clean: none of what was sent is in a log.
func clean(t *testing.T, text string, tokens ...string) {
	t.Helper()
	secrets := []string{"canary", "192.0.2.77"}
	for _, token := range tokens {
		secrets = append(secrets, strings.Split(token, ".")[1:]...) // the header is the same for all
	}
	for _, secret := range secrets {
		for line := range strings.Lines(text) {
			assert.NotContains(t, line, secret)
		}
	}
}
