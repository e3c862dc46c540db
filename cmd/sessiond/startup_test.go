package main

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestStartup: while demo data is stored, the process is alive and not ready, and an interruption ends it with one sentence.
func TestStartup(t *testing.T) {
	url := storetest.SQLiteURL(t)
	var tour, log output
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{
			"serve", "--dev", "--addr", "127.0.0.1:0", "--data-dir", t.TempDir(), "--database-url", url, "--demo-sessions", "1000000",
		}, noEnvironment, &tour, &log)
	}()
	require.Eventually(t, func() bool { return strings.Contains(log.String(), `"msg":"storing demo sessions"`) }, patience, time.Millisecond)
	base := "http://" + regexp.MustCompile(`"msg":"starting","addr":"([^"]+)"`).FindStringSubmatch(log.String())[1]
	assert.Equal(t, http.StatusOK, get(t, base+"/healthz", ""))
	assert.Equal(t, http.StatusServiceUnavailable, get(t, base+"/readyz", ""))
	assert.Equal(t, http.StatusServiceUnavailable, get(t, base+"/api/v1/me/sessions", ""))
	stored := regexp.MustCompile(`"stored":[1-9]\d*,"of":1000000`)
	require.Eventually(t, func() bool { return stored.MatchString(log.String()) }, patience, time.Millisecond, "progress is logged")
	interrupt()
	err := <-ended
	require.ErrorContains(t, err, "of 1000000 demo sessions are stored; run the same command again to continue")
	assert.Equal(t, exitInterrupted, exitCode(err))
	assert.NotContains(t, err.Error()+log.String(), "INSERT", "no statement is logged")
	assert.Empty(t, tour.String())
}

// TestDemoSessionsAreForEmptyDatabases: where there are other sessions, none are stored, and the log says so.
func TestDemoSessionsAreForEmptyDatabases(t *testing.T) {
	url := storetest.SQLiteURL(t)
	s, err := store.Open(t.Context(), url, store.Options{})
	require.NoError(t, err)
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	session := store.Session{TenantID: "acme", UserID: "ada", ID: "s1", ExpiresAt: time.Now().Add(time.Hour)}
	_, _, err = s.RegisterSession(t.Context(), store.AllTenants(), session, store.Actor{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	server := startServer(t, url)
	assert.Contains(t, server.log.String(), "no demo sessions are stored: the database has other sessions")
	assert.Contains(t, server.tour.String(), "signed in with the session s1")
}
