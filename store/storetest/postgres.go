package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the pgx driver, to make databases
	"github.com/stretchr/testify/require"
)

// server is the one PostgreSQL of a test binary.
//
//nolint:gochecknoglobals // a test binary has one server, started when the first test asks for it
var server struct {
	once  sync.Once
	url   *url.URL
	owner *url.Userinfo
	err   error
	stop  func() error
	count atomic.Int64
}

// Main runs a package's tests and then stops the PostgreSQL and the PgBouncer that they started, if they did. Call it from TestMain.
func Main(m *testing.M) int {
	code := m.Run()
	for name, stop := range map[string]func() error{"PgBouncer": bouncer.stop, "PostgreSQL": server.stop} {
		if stop == nil {
			continue
		}
		if err := stop(); err != nil {
			fmt.Fprintf(os.Stderr, "stop %s: %v\n", name, err)
			code = 1
		}
	}
	return code
}

// PostgresURL makes an empty database on a real PostgreSQL and drops it after the test. The server is the one that
// TEST_POSTGRES_URL names or, without that, one started from this machine's own binaries; missing binaries fail the test.
func PostgresURL(tb testing.TB) string {
	tb.Helper()
	fresh := *PostgresServer(tb)
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), server.count.Add(1))
	admin(tb.Context(), tb, "CREATE DATABASE "+name+" OWNER "+owner)
	tb.Cleanup(func() { admin(context.WithoutCancel(tb.Context()), tb, "DROP DATABASE "+name+" WITH (FORCE)") })
	fresh.User, fresh.Path = server.owner, "/"+name
	return fresh.String()
}

// PostgresServer is the server of PostgresURL, for its superuser.
func PostgresServer(tb testing.TB) *url.URL {
	tb.Helper()
	server.once.Do(func() {
		if given := os.Getenv("TEST_POSTGRES_URL"); given != "" {
			server.url, server.err = url.Parse(given)
		} else {
			server.url, server.stop, server.err = StartPostgres()
		}
		if server.err == nil {
			server.owner, server.err = MakeOwner(server.url)
		}
	})
	require.NoError(tb, server.err)
	return server.url
}

// owner is the role that databases belong to: one that row-level security holds, as it would not hold a superuser.
const owner = "sessiond_owner"

// MakeOwner makes a role that may own the databases of a server, and that row-level security holds.
func MakeOwner(serverURL *url.URL) (*url.Userinfo, error) {
	db, err := sql.Open("pgx", serverURL.String())
	if err != nil {
		return nil, err
	}
	// Other processes may be at it: then it is there.
	_, err = db.ExecContext(context.Background(), "DO $$ BEGIN CREATE ROLE "+owner+" LOGIN PASSWORD '"+owner+"'; "+
		"EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$")
	return url.UserPassword(owner, owner), errors.Join(err, db.Close())
}

func admin(ctx context.Context, tb testing.TB, statement string) {
	tb.Helper()
	db, err := sql.Open("pgx", server.url.String())
	require.NoError(tb, err)
	_, err = db.ExecContext(ctx, statement)
	require.NoError(tb, errors.Join(err, db.Close()))
}

// StartPostgres makes and starts a throw-away server that listens on a socket in a directory of its own. It takes
// nothing to disk on purpose: its data does not outlive it. Settings are added to its command line as -c options.
func StartPostgres(settings ...string) (serverURL *url.URL, stop func() error, err error) {
	bin, err := postgresBinaries()
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "sessiond-pg-")
	if err != nil {
		return nil, nil, err
	}
	attributes, err := unprivileged(dir)
	if err != nil {
		return nil, nil, err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", //nolint:gosec,noctx // the machine's own binaries, for the life of the process
		"--locale=C.UTF-8", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = attributes, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	args := []string{"-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	postgres := exec.Command(filepath.Join(bin, "postgres"), args...) //nolint:gosec,noctx // as above
	postgres.SysProcAttr, postgres.Dir = attributes, dir
	if err := postgres.Start(); err != nil {
		return nil, nil, fmt.Errorf("start postgres: %w", err)
	}
	stop = func() error {
		// SIGINT is the fast shutdown: it ends the connections that are left.
		err := errors.Join(postgres.Process.Signal(os.Interrupt), postgres.Wait())
		return errors.Join(err, os.RemoveAll(dir))
	}
	serverURL = &url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: "host=" + url.QueryEscape(dir)}
	if err := waitFor(serverURL.String()); err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return serverURL, stop, nil
}

func waitFor(serverURL string) error {
	db, err := sql.Open("pgx", serverURL)
	if err != nil {
		return err
	}
	for range 300 {
		if err = db.PingContext(context.Background()); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.Join(err, db.Close())
}

// postgresBinaries finds the directory of initdb and postgres, of the newest version.
func postgresBinaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		return "", errors.New("PostgreSQL's binaries are missing: run `make test`, or `apt-get install postgresql`, " +
			"or set TEST_POSTGRES_URL to a server on which databases may be made")
	}
	return filepath.Dir(slices.Max(found)), nil
}

// unprivileged: postgres refuses to run as root, so root runs it as the user of Debian's package.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if os.Geteuid() != 0 {
		return attributes, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("as root the tests need the user postgres to run PostgreSQL: %w", err)
	}
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr, os.Chown(dir, int(uid), int(gid))); err != nil {
		return nil, err
	}
	attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attributes, nil
}
