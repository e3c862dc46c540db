package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

const (
	// endless gives a row after hours.
	endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000) SELECT count(*) FROM n"
	// soon is a deadline that comes soon.
	soon = 50 * time.Millisecond
)

func engines() map[string]storetest.Factory {
	return map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres, "pooled": storetest.Pooled}
}

// TestADeadlineIsNoFault: a call whose deadline passes answers ErrUnavailable, whatever it was waiting for.
func TestADeadlineIsNoFault(t *testing.T) {
	for name, open := range engines() {
		t.Run(name, func(t *testing.T) {
			s := open(t, store.Options{})
			for what, do := range map[string]func(ctx context.Context) error{
				"a read": func(ctx context.Context) error {
					_, err := s.Query(ctx, endless)
					return store.Failure(err)
				},
				"a long read": func(ctx context.Context) error {
					_, err := s.QueryLong(ctx, endless)
					return store.Failure(err)
				},
				"a transaction": func(ctx context.Context) error { return s.Write(ctx, endless) },
			} {
				ctx, cancel := context.WithTimeout(t.Context(), soon)
				require.ErrorIs(t, do(ctx), store.ErrUnavailable, what)
				cancel()
			}
			require.NoError(t, s.Ready(t.Context()))
		})
	}
}

// cannot is a way to make a database refuse writes.
type cannot struct {
	open       storetest.Factory
	fail, mend string
	// small writes may succeed.
	small bool
}

// TestWhatCannotBeWritten: on a full disk or a read-only database writes answer ErrUnavailable, and the store is not ready.
func TestWhatCannotBeWritten(t *testing.T) {
	for name, c := range map[string]cannot{
		"sqlite, full":        {storetest.SQLite, "PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000", true},
		"sqlite, read-only":   {storetest.SQLite, "PRAGMA query_only = ON", "PRAGMA query_only = OFF", false},
		"postgres, read-only": {storetest.Postgres, "SET default_transaction_read_only = on", "SET default_transaction_read_only = off", false},
	} {
		t.Run(name, func(t *testing.T) {
			clock := storetest.NewClock()
			s := c.open(t, store.Options{Now: clock.Now, MaxConns: 1})
			register := func(id string) error {
				_, _, err := s.RegisterSession(t.Context(), store.AllTenants(), store.Session{
					TenantID: "acme", UserID: "ada", ID: id, ExpiresAt: clock.Now().Add(time.Hour), UserAgent: new(strings.Repeat("x", 2000)),
				}, store.Actor{})
				return err
			}
			require.NoError(t, register("before"))
			require.NoError(t, s.Ready(t.Context()))

			err := s.OnEveryConnection(t.Context(), c.fail)
			require.NoError(t, err)
			for i := 0; err == nil && i < 1000; i++ {
				err = register(fmt.Sprint("s", i)) // until what is free already has been used
			}
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.ErrorIs(t, s.Ready(t.Context()), store.ErrUnavailable, "after a failed write, whatever was known before")
			clock.Advance(time.Second)
			require.ErrorIs(t, s.Ready(t.Context()), store.ErrUnavailable)
			clock.Advance(time.Minute)
			if !c.small {
				require.ErrorIs(t, s.Ready(t.Context()), store.ErrUnavailable, "the readiness check writes, too")
			}
			_, err = s.GetSession(t.Context(), store.InTenant("acme"), "before")
			require.NoError(t, err, "it can be read")

			require.NoError(t, s.OnEveryConnection(t.Context(), c.mend))
			clock.Advance(time.Second)
			require.NoError(t, s.Ready(t.Context()))
			require.NoError(t, register("after"))
		})
	}
}

// TestALockedFile: another process locks SQLite's file for longer than the deadline of a call.
func TestALockedFile(t *testing.T) {
	clock, url := storetest.NewClock(), storetest.SQLiteURL(t)
	s, err := store.Open(t.Context(), url, store.Options{Now: clock.Now})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	other, err := sql.Open("sqlite", strings.Replace(url, "sqlite://", "file:", 1))
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close()) }()
	other.SetMaxOpenConns(1)
	_, err = other.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
	require.NoError(t, err)
	register := func(ctx context.Context) error {
		_, _, err := s.RegisterSession(ctx, store.AllTenants(), store.Session{TenantID: "acme", UserID: "ada", ID: "s1", ExpiresAt: clock.Now().Add(time.Hour)}, store.Actor{})
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	require.ErrorIs(t, register(ctx), store.ErrUnavailable)
	require.ErrorIs(t, s.Ready(t.Context()), store.ErrUnavailable)
	_, err = other.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	clock.Advance(time.Second)
	require.NoError(t, s.Ready(t.Context()))
	require.NoError(t, register(t.Context()))
}

// TestStatementsThatPostgresGivesUp: a statement that PostgreSQL cancels, for an operator's timeout, answers ErrUnavailable.
func TestStatementsThatPostgresGivesUp(t *testing.T) {
	s := storetest.Postgres(t, store.Options{MaxConns: 1})
	require.NoError(t, s.Exec(t.Context(), "SET statement_timeout = '50ms'"))
	require.ErrorIs(t, s.Write(t.Context(), endless), store.ErrUnavailable)
	for code, want := range map[string]bool{
		"08006": true, "25006": true, "25P03": true, "53100": true, "53300": true, "55P03": true, "57014": true, "57P01": true, "58030": true,
		"40001": true, "22P02": false, "23505": false, "25001": false, "42P01": false, "XX001": false, "": false,
	} {
		err := store.Failure(fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code}))
		assert.Equal(t, want, errors.Is(err, store.ErrUnavailable), code)
	}
}

// TestReadinessIsCheap: however many callers ask, the database is tried once a second, and the trial outlives a canceled caller.
func TestReadinessIsCheap(t *testing.T) {
	for name, open := range engines() {
		t.Run(name, func(t *testing.T) {
			clock := storetest.NewClock()
			s := open(t, store.Options{Now: clock.Now})
			trials := s.Trials()
			canceled, cancel := context.WithCancel(t.Context())
			cancel()
			for second := range int64(3) {
				_ = s.Ready(canceled)
				var group sync.WaitGroup
				for range 50 {
					group.Go(func() { assert.NoError(t, s.Ready(t.Context())) })
				}
				group.Wait()
				assert.Equal(t, second+1, trials())
				clock.Advance(time.Second)
			}
		})
	}
}
