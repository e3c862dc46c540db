package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/qa/pgtest"
	"github.com/sessiond/sessiond/store"
)

// bouncer is the one PgBouncer of a test binary.
//
//nolint:gochecknoglobals // as the server
var bouncer struct {
	once sync.Once
	dir  string
	err  error
	stop func() error
}

// PoolSize is how many connections PgBouncer has to each database: fewer than a store has to PgBouncer.
const PoolSize = 4

// Pooled is Postgres with PgBouncer in between.
func Pooled(t *testing.T, options store.Options, bucketSize ...int) *store.Store {
	t.Helper()
	return Open(t, pooled(t, migratedURL(t)), options, bucketSize...)
}

// PooledURL is PostgresURL with PgBouncer in between, in transaction mode. It is started from this machine's own binary, and a
// missing one fails the test.
func PooledURL(t *testing.T) string {
	t.Helper()
	return pooled(t, PostgresURL(t))
}

// pooled is the URL of a database with PgBouncer in between.
func pooled(t *testing.T, direct string) string {
	t.Helper()
	pooled, err := url.Parse(direct)
	require.NoError(t, err)
	bouncer.once.Do(func() { bouncer.dir, bouncer.stop, bouncer.err = startPgBouncer(server.url) })
	require.NoError(t, bouncer.err)
	pooled.Host, pooled.RawQuery = "", url.Values{"host": {bouncer.dir}}.Encode()
	return pooled.String()
}

// startPgBouncer starts one in front of a server. It listens on a socket in a directory of its own.
func startPgBouncer(serverURL *url.URL) (dir string, stop func() error, err error) {
	bin, err := exec.LookPath("pgbouncer")
	if err != nil {
		bin = "/usr/sbin/pgbouncer" // which not everybody's PATH has
	}
	if _, err := os.Stat(bin); err != nil {
		return "", nil, errors.New("PgBouncer is missing: run `make test`, or `apt-get install pgbouncer`")
	}
	dir, err = os.MkdirTemp("", "sessiond-pgbouncer-")
	if err != nil {
		return "", nil, err
	}
	credential, err := pgtest.Credential(dir)
	if err != nil {
		return "", nil, err
	}
	host := cmp.Or(serverURL.Query().Get("host"), serverURL.Hostname())
	port := cmp.Or(serverURL.Query().Get("port"), serverURL.Port(), "5432")
	config, users := filepath.Join(dir, "pgbouncer.ini"), filepath.Join(dir, "users.txt")
	settings := fmt.Appendf(nil, `[databases]
* = host=%s port=%s
[pgbouncer]
listen_port = 5432
unix_socket_dir = %s
auth_type = trust
auth_file = %s
pool_mode = transaction
default_pool_size = %d
`, host, port, dir, users, PoolSize)
	err = errors.Join(
		os.WriteFile(config, settings, 0o644),                                               //nolint:gosec // another user has to read it
		os.WriteFile(users, fmt.Appendf(nil, "\"%[1]s\" \"%[1]s\"\n", pgtest.Owner), 0o644), //nolint:gosec // as above
	)
	if err != nil {
		return "", nil, err
	}
	var log strings.Builder
	process := exec.Command(bin, config) //nolint:gosec,noctx // the machine's own binary, for the life of the process
	process.Dir, process.Stderr = dir, &log
	process.SysProcAttr = &syscall.SysProcAttr{Credential: credential, Pdeathsig: syscall.SIGTERM}
	if err := process.Start(); err != nil {
		return "", nil, fmt.Errorf("start pgbouncer: %w", err)
	}
	stop = func() error {
		// SIGTERM does not wait for the clients that are left, and makes it exit with 1.
		err := process.Process.Signal(syscall.SIGTERM)
		_ = process.Wait()
		return errors.Join(err, os.RemoveAll(dir))
	}
	if err := pgtest.WaitFor(context.Background(), (&url.URL{
		Scheme: "postgres", User: server.owner, Path: "/postgres", RawQuery: url.Values{"host": {dir}}.Encode(),
	}).String()); err != nil {
		return "", nil, errors.Join(err, stop(), errors.New(log.String()))
	}
	return dir, stop, nil
}
