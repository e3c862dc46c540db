package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// nasty is what a terminal, a log viewer or the Unicode bidirectional algorithm would act on: a line break, escape sequences
// of 7 and 8 bits, DEL, right-to-left override, line separator.
const nasty = "x\n2026-01-01T00:00:00Z  session.revoked\t\x1b[2K\u009b2K\x7f\u202e\u2028"

// requireSafe holds so many lines against what a terminal acts on.
func requireSafe(t *testing.T, text string, lines int) {
	t.Helper()
	assert.Equal(t, lines, strings.Count(text, "\n"), text)
	assert.NotRegexp(t, `[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]`, strings.ReplaceAll(text, "\n", ""), "%q", text)
	assert.Contains(t, text, "session.revoked", "the text itself stays")
}

// TestStoredTextIsSafeToShow has every member of an event and of a difference hold text that forges lines.
func TestStoredTextIsSafeToShow(t *testing.T) {
	event := store.AuditEvent{
		TenantID: nasty, OperationID: nasty, SessionID: nasty, Action: nasty, At: time.Now(), UserID: nasty,
		ActorSub: nasty, ActorClient: nasty, Reason: nasty, RequestID: nasty,
	}
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetOut(&out)
	require.NoError(t, printEvents(cmd, []store.AuditEvent{event}, false))
	requireSafe(t, out.String(), 2)
	out.Reset()
	require.NoError(t, printEvents(cmd, []store.AuditEvent{event}, true))
	requireSafe(t, out.String(), 1)
	var read store.AuditEvent
	require.NoError(t, json.Unmarshal(out.Bytes(), &read))
	assert.Equal(t, nasty, read.UserID, "JSON means the same")
	for _, drift := range []store.Drift{{TenantID: nasty, Kind: "user", Key: nasty}, {PartnerID: nasty, Kind: "user", Key: nasty}} {
		requireSafe(t, describe(drift), 0)
	}
}

func TestErrorsAreOneSafeLine(t *testing.T) {
	var out bytes.Buffer
	printError(&out, errors.Join(errors.New(nasty), errors.New("the second")))
	requireSafe(t, out.String(), 1)
	assert.True(t, strings.HasPrefix(out.String(), "sessiond: x"), out.String())
	assert.Contains(t, out.String(), "; the second\n")
}

func TestTheLogIsSafeToShow(t *testing.T) {
	out := &taker{}
	logger, stop := openLog(t.Context(), out, slog.LevelInfo)
	logger.InfoContext(t.Context(), nasty, nasty, nasty)
	logger.InfoContext(t.Context(), "request", "error", errors.New(nasty))
	require.NoError(t, stop())
	requireSafe(t, out.text.String(), 2)
	for line := range strings.Lines(out.text.String()) {
		require.NoError(t, json.Unmarshal([]byte(line), new(map[string]any)))
	}
}

// TestTheTourIsSafeToPaste runs the lines that serve --dev prints in a shell, where curl prints its arguments. The newest
// session's ids were chosen by whoever signed in.
func TestTheTourIsSafeToPaste(t *testing.T) {
	s := storetest.SQLite(t, store.Options{Now: time.Now})
	dir := t.TempDir()
	harm := filepath.Join(dir, "harm")
	tenant, user, session := "a'me; touch "+harm, "$(touch "+harm+")`touch "+harm+"`\u202e", "s'1 & touch "+harm+" #"
	_, _, err := s.RegisterSession(t.Context(), store.AllTenants(), store.Session{
		ID: session, TenantID: tenant, UserID: user, ExpiresAt: time.Now().Add(time.Hour),
	}, store.Actor{})
	require.NoError(t, err)
	issuer, err := auth.OpenDevIssuer(dir)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, printTour(t.Context(), &out, s, issuer, "http://127.0.0.1:8080"))
	assert.NotRegexp(t, `[\p{Cc}\p{Cf}]`, strings.ReplaceAll(out.String(), "\n", ""))

	var script strings.Builder
	script.WriteString("curl() { printf '%s\\n' \"$@\"; }\n")
	commands := 0
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "  ") { // the lines to paste
			script.WriteString(line)
			commands += strings.Count(line, "curl ")
		}
	}
	require.Equal(t, 6, commands)
	printed, err := exec.CommandContext(t.Context(), "sh", "-c", script.String()).CombinedOutput() //nolint:gosec // what is tried
	require.NoError(t, err, string(printed))
	assert.NoFileExists(t, harm)
	arguments := strings.Split(string(printed), "\n")
	assert.Contains(t, arguments, "http://127.0.0.1:8080/api/v1/me/sessions/"+url.PathEscape(session))
	var body map[string]string
	require.NoError(t, json.Unmarshal([]byte(arguments[slices.Index(arguments, "-d")+1]), &body), arguments)
	assert.Equal(t, tenant, body["tenant_id"])
	assert.Equal(t, user, body["user_id"])
}
