package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/qa/pgtest"
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
	// strategy is how a database is copied fastest, where the server has a choice: file by file instead of through the write-ahead log.
	strategy string
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
	if err := administer(ctx, "CREATE DATABASE "+name+" OWNER "+pgtest.Owner); err != nil {
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
	create := "CREATE DATABASE " + name + " OWNER " + pgtest.Owner + " TEMPLATE " + template + server.strategy
	err := administer(tb.Context(), create)
	for range 100 {
		if pg, refused := errors.AsType[*pgconn.PgError](err); !refused || pg.Code != objectInUse {
			break
		}
		time.Sleep(50 * time.Millisecond) // PostgreSQL's own autovacuum is at the template
		err = administer(tb.Context(), create)
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
	server.once.Do(func() { server.err = openServer(context.Background()) })
	require.NoError(tb, server.err)
	return server.url
}

// openServer takes the server that is given, or starts one.
func openServer(ctx context.Context) error {
	var err error
	if given := os.Getenv("TEST_POSTGRES_URL"); given != "" {
		if server.url, err = url.Parse(given); err != nil {
			return err
		}
	} else {
		// Plans depend on what has been vacuumed: that it happens at any time would make tests of them differ from run to run.
		started, err := pgtest.Temporary(ctx, "autovacuum=off")
		if err != nil {
			return err
		}
		server.url, server.stop = started.URL("postgres"), started.Remove
	}
	if administer(ctx, "DO $$ BEGIN ASSERT current_setting('server_version_num')::int >= 150000; END $$") == nil {
		server.strategy = " STRATEGY FILE_COPY"
	}
	server.owner, err = pgtest.MakeOwner(ctx, server.url)
	return err
}

// administer runs a statement as the server's superuser.
func administer(ctx context.Context, statement string) error {
	return pgtest.Do(ctx, server.url.String(), statement)
}
