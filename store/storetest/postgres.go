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

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the pgx driver, to make databases
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
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
	// migrated is a database with an up-to-date schema, of which others are copies: that takes a fraction of the migrations' time.
	migrated struct {
		once sync.Once
		name string
		err  error
	}
}

// Main runs a package's tests and then stops the PostgreSQL and the PgBouncer that they started, if they did. Call it from TestMain.
func Main(m *testing.M) int {
	code := m.Run()
	if server.migrated.name != "" {
		if err := administer(context.Background(), "DROP DATABASE "+server.migrated.name); err != nil {
			fmt.Fprintln(os.Stderr, "drop the database of which others are copies:", err)
			code = 1
		}
	}
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
	return databaseURL(tb, "template1")
}

// objectInUse is the SQLSTATE for a database to which somebody is connected.
const objectInUse = "55006"

// migratedURL is PostgresURL with an up-to-date schema.
func migratedURL(tb testing.TB) string {
	tb.Helper()
	PostgresServer(tb)
	server.migrated.once.Do(func() { server.migrated.name, server.migrated.err = makeMigrated() })
	require.NoError(tb, server.migrated.err)
	return databaseURL(tb, server.migrated.name)
}

// makeMigrated makes the database of which others are copies.
func makeMigrated() (string, error) {
	ctx, name := context.Background(), fmt.Sprintf("test_%d_migrated", os.Getpid())
	if err := administer(ctx, "CREATE DATABASE "+name+" OWNER "+owner); err != nil {
		return "", err
	}
	s, err := store.Open(ctx, ownersURL(name), store.Options{})
	if err != nil {
		return name, err
	}
	_, err = s.Migrate(ctx)
	return name, errors.Join(err, s.Close())
}

// databaseURL makes a copy of a database, to which nobody is connected, and drops it after the test.
func databaseURL(tb testing.TB, template string) string {
	tb.Helper()
	PostgresServer(tb)
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), server.count.Add(1))
	err := administer(tb.Context(), "CREATE DATABASE "+name+" OWNER "+owner+" TEMPLATE "+template)
	for range 100 {
		if pg, refused := errors.AsType[*pgconn.PgError](err); !refused || pg.Code != objectInUse {
			break
		}
		time.Sleep(50 * time.Millisecond) // PostgreSQL's own autovacuum is at the template
		err = administer(tb.Context(), "CREATE DATABASE "+name+" OWNER "+owner+" TEMPLATE "+template)
	}
	require.NoError(tb, err)
	tb.Cleanup(func() {
		require.NoError(tb, administer(context.WithoutCancel(tb.Context()), "DROP DATABASE "+name+" WITH (FORCE)"))
	})
	return ownersURL(name)
}

func ownersURL(database string) string {
	of := *server.url
	of.User, of.Path = server.owner, "/"+database
	return of.String()
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

// administer runs a statement as the server's superuser.
func administer(ctx context.Context, statement string) error {
	db, err := sql.Open("pgx", server.url.String())
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, statement)
	return errors.Join(err, db.Close())
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
