package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store/storetest"
)

// TestFailuresAreLoggedWithoutValues: the error of a statement that the database refuses is in the log, and nothing of whom it
// was about. What else must not be logged is tried in internal/qa/chaos.
func TestFailuresAreLoggedWithoutValues(t *testing.T) {
	url := storetest.PostgresURL(t)
	s := startServer(t, url, "--log-level", "debug", "--activity-interval", "0s", "--max-sessions", "5")
	token := tokenOf(t, s.tour.String(), "IDP")
	sent := 0
	send := func(method, path, body string) int {
		sent++
		request, err := http.NewRequestWithContext(t.Context(), method, s.base+"/api/v1/lifecycle/sessions"+path, strings.NewReader(body))
		require.NoError(t, err)
		for name, value := range map[string]string{
			"Authorization": "Bearer " + token, "Content-Type": "application/json", "X-Request-ID": fmt.Sprintf("sent-%d", sent), "User-Agent": "canary-agent",
		} {
			request.Header.Set(name, value)
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	registration := func(id string) string {
		return `{"id": "` + id + `", "tenant_id": "acme", "user_id": "canary-user", "expires_at": "2099-01-01T00:00:00Z",
			"user_email": "canary@example.com", "user_display_name": "canary-name", "user_agent": "canary-agent", "ip_address": "192.0.2.77"}`
	}
	require.Equal(t, http.StatusCreated, send(http.MethodPost, "", registration("canary-1")))

	db, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(t.Context())) }()
	for _, statement := range []string{
		"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
		"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION refuse()",
		"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON session_apps FOR EACH ROW EXECUTE FUNCTION refuse()",
	} {
		_, err = db.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	assert.Equal(t, http.StatusInternalServerError, send(http.MethodPost, "", registration("canary-2")))
	assert.Equal(t, http.StatusInternalServerError, send(http.MethodPost, "/canary-1/activity", `{"user_agent": "canary-other", "ip_address": "192.0.2.77"}`))
	assert.Equal(t, http.StatusInternalServerError, send(http.MethodPut, "/canary-1/apps/canary-app", `{"application_name": "canary-app"}`))

	log := s.log.String()
	assert.NotContains(t, log, "INSERT INTO", "the error is enough")
	for n := range sent - 1 {
		assert.Regexp(t, fmt.Sprintf(`"unexpected error".*refused.*"sent-%d"`, n+2), log)
	}
	for line := range strings.Lines(log) {
		assert.NotContains(t, line, "canary")
		assert.NotContains(t, line, "192.0.2.77")
	}
}
