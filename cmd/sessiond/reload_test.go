package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/qa/certs"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestSIGHUP has a server read the tenants' limits and its certificate again; without a handler the signal would end it.
func TestSIGHUP(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := certs.Write(t, dir, 1)
	file := filepath.Join(dir, "limits.yaml")
	limit := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	limit("acme: {max_sessions: 1, surplus: refuse}\n")
	s := startServer(t, storetest.SQLiteURL(t), "--tenant-limits", file, "--tls-cert", certFile, "--tls-key", keyFile)
	client := trusting(t, certFile)
	hangUp := func(line string, times int) {
		t.Helper()
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
		require.Eventually(t, func() bool { return strings.Count(s.log.String(), line) == times }, 30*time.Second, 5*time.Millisecond, s.log.String())
	}
	logins := 0
	login := func() int {
		t.Helper()
		logins++
		issuer, err := auth.OpenDevIssuer(s.dir)
		require.NoError(t, err)
		token, err := issuer.Mint(auth.TokenRequest{Subject: "idp", ClientID: "idp", Scope: "sessions:ingest", TTL: time.Hour}, time.Now())
		require.NoError(t, err)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+"/api/v1/lifecycle/sessions",
			strings.NewReader(`{"tenant_id": "acme", "user_id": "hangs-up", "expires_at": "2099-01-01T00:00:00Z"}`))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	require.Equal(t, http.StatusCreated, login())
	require.Equal(t, http.StatusConflict, login())

	const read, kept = "tenant limits were read again", "the changed tenant limits cannot be used, the old ones stay"
	limit("acme: {max_sessions: -1}\n")
	hangUp(kept, 1)
	assert.Equal(t, http.StatusConflict, login())
	limit("acme: {max_sessions: 2, surplus: refuse}\n")
	certs.Write(t, dir, 2)
	hangUp(read, 1)
	assert.Contains(t, s.log.String(), "the changed certificate is used from now on", "it is read before the limits")
	assert.Equal(t, http.StatusCreated, login())
	assert.Equal(t, http.StatusConflict, login())
	require.NoError(t, os.Remove(file))
	hangUp(kept, 2)
	assert.Equal(t, http.StatusConflict, login())
	require.NoError(t, s.stop())
}

func TestSIGHUPWithNothingToRead(t *testing.T) {
	s := startServer(t, storetest.SQLiteURL(t))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), "SIGHUP") }, 30*time.Second, 5*time.Millisecond)
	require.NoError(t, s.stop())
}
