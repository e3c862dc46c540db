package main

import (
	"database/sql"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestSessionsFind: a table, pages, and what is refused.
func TestSessionsFind(t *testing.T) {
	s := populated(t)
	require.Zero(t, s.run("revoke", "s-2", "--reason", "lost phone").code)
	o := s.run("find", "--status", "revoked", "-q", "ADA")
	require.Zero(t, o.code, o.message)
	lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
	require.Len(t, lines, 2, o.stdout)
	for _, words := range []string{"s-2", "revoked", "203.0.113.7", "operator", "lost phone"} {
		assert.Contains(t, lines[1], words)
	}
	o = s.run("find", "--limit", "1", "--oldest-first")
	require.Zero(t, o.code, o.message)
	assert.Len(t, strings.Split(strings.TrimSpace(o.stdout), "\n"), 2)
	assert.Regexp(t, `^these are 1 of \d; --limit 0 shows all\n$`, o.stderr)
	o = s.run("find", "--limit", "0", "--json", "--ip", "203.0.113.0/24", "--created-after", "87600h")
	require.Zero(t, o.code, o.message)
	found, err := decode[gen.SessionRecordList]([]byte(o.stdout))
	require.NoError(t, err)
	assert.NotEmpty(t, found.Data)
	s.as(auth.TokenRequest{Subject: "ada", TenantID: "acme"})
	assert.NotContains(t, s.run("find").stdout, "bob", "a user finds the own sessions")
	for args, code := range map[string]int{
		"find x": 2, "find --status gone": 2, "find --ip nowhere": 2, "find --created-after yesterday": 2, "find --limit -1": 2, "find --me": 2, "find --sort x": 2,
		"find --ip=": 2, "find --status=": 2, "revoke-all --tenant acme --user=": 2,
	} {
		assert.Equal(t, code, s.run(strings.Fields(args)...).code, args)
	}
}

// TestSessionsExport: to the terminal and into a file, which is there as a whole or not at all.
func TestSessionsExport(t *testing.T) {
	s := populated(t)
	o := s.run("export", "--tenant", "acme")
	require.Zero(t, o.code, o.message)
	table, err := csv.NewReader(strings.NewReader(o.stdout)).ReadAll()
	require.NoError(t, err)
	assert.Equal(t, "id", table[0][0])
	into := filepath.Join(t.TempDir(), "sessions.ndjson")
	o = s.run("export", "--tenant", "acme", "--format", "ndjson", "--output", into)
	require.Zero(t, o.code, o.message)
	written, err := os.ReadFile(into) //nolint:gosec // the test names it
	require.NoError(t, err)
	assert.Equal(t, len(table)-1, strings.Count(string(written), "\n"))
	assert.Equal(t, 1, s.run("export", "--output", into).code, "what is there is not overwritten")
	assert.Equal(t, 2, s.run("export", "--format", "xml").code)
	other := filepath.Join(t.TempDir(), "none.csv")
	assert.Equal(t, 2, s.run("export", "--ip", "nowhere", "--output", other).code)
	assert.NoFileExists(t, other)
}

// TestSessionsJobs: a dry run, a job, and what becomes of it.
func TestSessionsJobs(t *testing.T) {
	s := populated(t)
	o := s.run("jobs", "create", "--tenant", "acme", "--ip", "203.0.113.0/24", "--dry-run")
	require.Zero(t, o.code, o.message)
	assert.Regexp(t, `^dry run: nothing has ended; \d sessions? of \d users? in 1 tenant would\n$`, o.stderr)
	assert.Contains(t, o.stdout, "s-2")
	o = s.run("jobs", "create", "--tenant", "acme", "--ip", "203.0.113.0/24", "--reason", "stolen", "--yes", "--detach")
	require.Zero(t, o.code, o.message)
	assert.Contains(t, o.stdout, "running")
	id := strings.Fields(strings.Split(o.stdout, "\n")[1])[0]
	for _, step := range []struct{ verb, state string }{{"pause", "paused"}, {"resume", "running"}, {"show", "running"}, {"cancel", "cancelled"}, {"follow", "cancelled"}} {
		o = s.run("jobs", step.verb, id)
		require.Zero(t, o.code, o.message)
		assert.Contains(t, o.stdout, step.state)
	}
	assert.Contains(t, s.run("jobs", "list", "--state", "cancelled").stdout, id)
	for args, code := range map[string]int{
		"jobs": 2, "jobs create --ip 1.2.3.4": 2, "jobs create --tenant acme --ip 203.0.113.0/24": 2, "jobs show never": 3, "jobs list --state gone": 2,
		"jobs create --tenant acme --yes": 2, "jobs create --tenant acme --ip= --yes": 2, "jobs create --tenant acme --status revoked -q a --yes": 2,
		"jobs create --tenant acme -q nobody --yes":              0,
		"jobs create --tenant acme --also-block-logins-before x": 2, "jobs resume " + id: 1,
	} {
		assert.Equal(t, code, s.run(strings.Fields(args)...).code, args)
	}
}

// TestSessionsOnADatabase: the same commands without a server, and the audit log says who it was.
func TestSessionsOnADatabase(t *testing.T) {
	url := storetest.SQLiteURL(t)
	s := &service{t: t, vars: map[string]string{}}
	on := func(args ...string) outcome { return s.run(append(args, "--on-database", url)...) }
	require.NoError(t, os.WriteFile(strings.TrimPrefix(url, "sqlite://"), nil, 0o600))
	assert.Contains(t, on("find").message, "sessiond migrate up --database-url "+url)
	tables := 0
	require.NoError(t, sqlDB(t, url).QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_master").Scan(&tables))
	assert.Zero(t, tables, "it may be another program's")
	for _, command := range [][]string{{"migrate", "up"}, {"demo", "--sessions", "300"}} {
		require.NoError(t, run(t.Context(), append(command, "--database-url", url), noEnvironment, io.Discard, io.Discard))
	}
	o := on("find", "--limit", "2", "--json")
	require.Zero(t, o.code, o.message)
	found, err := decode[gen.SessionRecordList]([]byte(o.stdout))
	require.NoError(t, err)
	require.Len(t, found.Data, 2)
	id, tenantID := found.Data[0].Id, found.Data[0].TenantId
	assert.Equal(t, 301, strings.Count(on("export").stdout, "\n"))

	o = on("revoke", id, "--reason", "lost phone", "--yes")
	require.Zero(t, o.code, o.message)
	ended := on("find", "-q", id, "--status", "revoked").stdout
	assert.Contains(t, ended, operator().Subject)
	assert.Contains(t, ended, "lost phone")
	assert.Contains(t, on("history", id).stdout, "session.revoked")
	assert.Contains(t, on("audit", "--session", id).stdout, "session.revoked")
	o = on("jobs", "create", "--tenant", tenantID, "--browser", "firefox", "--dry-run")
	require.Zero(t, o.code, o.message)
	assert.Contains(t, o.stderr, "dry run")
	o = on("jobs", "create", "--tenant", tenantID, "--browser", "firefox", "--yes")
	require.Zero(t, o.code, o.message)
	assert.Contains(t, on("jobs", "list").stdout, "completed", "it ran here: there is no server")
	assert.Equal(t, "no sessions found\n", on("find", "--tenant", tenantID, "--browser", "firefox", "--status", "active").stderr)

	var ids []string
	for i := range 400 {
		ids = append(ids, fmt.Sprintf("nobody-%d", i))
	}
	o = on(append([]string{"revoke", "--yes"}, ids...)...)
	assert.Equal(t, 3, o.code, "hundreds of requests, one after the other: %s", o.message)

	for args, message := range map[string]string{
		"--server https://x.example": "leave --server", "--me": "leave --server", "--profile x": "leave --server", "--token-file x": "leave --server",
	} {
		o := on(append([]string{"list"}, strings.Fields(args)...)...)
		assert.Equal(t, 2, o.code, args)
		assert.Contains(t, o.message, message)
	}
	o = s.run("find", "--on-database", "oracle://x")
	assert.Equal(t, 2, o.code)
	assert.Contains(t, o.message, "--on-database")
}

// sqlDB is a database as another program sees it.
func sqlDB(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite://"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}
