package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestSQLiteCannotBeWritten: the file cannot grow, or another process has locked it. Writers get 503 in time, and so does who asks
// whether the server is ready; readers are served; and all is well when it is over.
func TestSQLiteCannotBeWritten(t *testing.T) {
	file := filepath.Join(directory(t), "sessiond.db")
	f := newFaulty(t, nil, "sqlite://"+file)
	for _, c := range []hindrance{
		{"full", func(t *testing.T) {
			t.Helper()
			log, err := os.Stat(file + "-wal")
			require.NoError(t, err)
			limitFiles(t, f.server, uint64(log.Size())) //nolint:gosec // a size
		}, func(t *testing.T) {
			t.Helper()
			limitFiles(t, f.server, unix.RLIM_INFINITY)
		}},
		locked(file),
	} {
		t.Run(c.name, func(t *testing.T) {
			f.t = t
			c.fail(t)
			for {
				f.made++
				got, err := f.client.register(t.Context(), ownTenant, ownUser, fmt.Sprintf("f-%d", f.made))
				require.NoError(t, err)
				if got.status != http.StatusCreated { // until then the log had room
					f.unavailable("a registration", got)
					break
				}
			}
			got, err := f.client.revoke(t.Context(), ownTenant, "f-1")
			require.NoError(t, err)
			f.unavailable("a revocation", got)
			got, err = f.ready(http.StatusServiceUnavailable)
			require.NoError(t, err)
			f.unavailable("readiness", got)
			active, err := f.client.active(t.Context(), f.alive)
			require.NoError(t, err)
			assert.True(t, active, "it can be read")
			f.neverWrong()
			c.mend(t)
			f.recovered()
		})
	}
	faults, err := f.server.faults()
	require.NoError(t, err)
	assert.Empty(t, Head(faults))
	require.NoError(t, f.server.Check(t.Context()))
}

// limitFiles has the files of a process that runs grow no further than so many bytes.
func limitFiles(t *testing.T, server *Server, bytes uint64) {
	t.Helper()
	var limit unix.Rlimit
	require.NoError(t, unix.Prlimit(server.cmd.Process.Pid, unix.RLIMIT_FSIZE, nil, &limit))
	limit.Cur = min(bytes, limit.Max)
	require.NoError(t, unix.Prlimit(server.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil))
}

// hindrance is something that hinders writers.
type hindrance struct {
	name       string
	fail, mend func(t *testing.T)
}

// locked is a lock on a database file that another process has.
func locked(file string) hindrance {
	var db *sql.DB
	return hindrance{"locked", func(t *testing.T) {
		t.Helper()
		var err error
		db, err = sql.Open("sqlite", "file:"+file)
		require.NoError(t, err)
		db.SetMaxOpenConns(1)
		_, err = db.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
		require.NoError(t, err)
	}, func(t *testing.T) {
		t.Helper()
		_, err := db.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK")
		require.NoError(t, err)
		require.NoError(t, db.Close())
	}}
}
