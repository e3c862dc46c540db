package pgtest_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/qa/pgtest"
)

// setting reads one from a server.
func setting(t *testing.T, s *pgtest.Server, name string) string {
	t.Helper()
	db, err := pgx.Connect(t.Context(), s.URL("postgres").String())
	require.NoError(t, err)
	defer db.Close(t.Context())
	var value string
	require.NoError(t, db.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&value))
	return value
}

func TestTemporary(t *testing.T) {
	s, err := pgtest.Temporary(t.Context(), "work_mem=5MB")
	require.NoError(t, err)
	assert.Empty(t, setting(t, s, "listen_addresses"), "only its socket")
	assert.Equal(t, "off", setting(t, s, "fsync"))
	assert.Equal(t, "5MB", setting(t, s, "work_mem"))
	require.NoError(t, s.Remove())
	assert.NoDirExists(t, s.Dir)
	assert.False(t, s.Running())
}

func TestASettingOverridesADefault(t *testing.T) {
	s, err := pgtest.Temporary(t.Context(), "fsync=on", "max_connections=20")
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Remove()) }()
	assert.Equal(t, "on", setting(t, s, "fsync"))
	assert.Equal(t, "20", setting(t, s, "max_connections"))
}

func TestAServerThatDoesNotStartSaysWhy(t *testing.T) {
	_, err := pgtest.Temporary(t.Context(), "no_such_setting=1")
	assert.ErrorContains(t, err, `unrecognized configuration parameter "no_such_setting"`)
}

// TestAServerThatEndsByItself: a crash in the middle of the tests must not look like a shutdown.
func TestAServerThatEndsByItself(t *testing.T) {
	s, err := pgtest.Temporary(t.Context(), "restart_after_crash=off")
	require.NoError(t, err)
	db, err := pgx.Connect(t.Context(), s.URL("postgres").String())
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(int(db.PgConn().PID()), syscall.SIGKILL))
	require.Error(t, s.Wait())
	_ = db.Close(t.Context()) // the connection is lost
	require.Error(t, s.Remove(), "how it ended")
	assert.NoDirExists(t, s.Dir)
}

func TestStartedAgain(t *testing.T) {
	s, err := pgtest.Temporary(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Remove()) }()
	require.NoError(t, s.Do(t.Context(), "postgres", "CREATE TABLE kept ()"))
	require.NoError(t, s.Stop())
	assert.False(t, s.Running())
	require.NoError(t, s.Start(t.Context()))
	require.NoError(t, s.Do(t.Context(), "postgres", "TABLE kept"))
}

func TestAServerThatCannotBeMadeLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	_, err := pgtest.Temporary(t.Context(), "no_such_setting=1")
	require.Error(t, err)
	left, err := os.ReadDir(os.TempDir()) //nolint:usetesting // the same as TMPDIR
	require.NoError(t, err)
	assert.Empty(t, left)
}
