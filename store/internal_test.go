package store

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
)

func TestMigrationsHaveTheSameNumbersOnBothEngines(t *testing.T) {
	names := func(engine string) []string {
		files, err := fs.Glob(migrations, "migrations/"+engine+"/*.sql")
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for i := range files {
			files[i] = files[i][len("migrations/"+engine+"/"):]
		}
		return files
	}
	assert.Equal(t, names(postgresName), names(sqliteName))
}

// A migration that waits for a table keeps everybody waiting behind it, so from the fourth on each says for how long it may,
// or does what lets others work meanwhile.
func TestMigrationsDoNotWaitForLong(t *testing.T) {
	files, err := fs.Glob(migrations, "migrations/postgres/*.sql")
	require.NoError(t, err)
	for _, file := range files[3:] {
		text, err := migrations.ReadFile(file)
		require.NoError(t, err)
		if up, _, _ := strings.Cut(string(text), "-- +goose Down"); strings.Contains(up, "-- +goose NO TRANSACTION") {
			assert.Equal(t, strings.Count(up, ";\n"), strings.Count(up, " INDEX CONCURRENTLY "), file)
		} else {
			assert.Regexp(t, `-- \+goose Up\nSET LOCAL lock_timeout = '\d+s';`, up, file)
		}
	}
}

func TestTransactionsRunAgainWhenTheDatabaseAsksForIt(t *testing.T) {
	s, err := Open(t.Context(), "sqlite://"+t.TempDir()+"/x.db", Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	deadlock, fault := errors.New("deadlock"), errors.New("fault")
	s.engine.retryable = func(err error) bool { return errors.Is(err, deadlock) }
	for name, c := range map[string]struct {
		outcomes []error
		runs     int
		want     error
	}{
		"success":                  {[]error{nil}, 1, nil},
		"a deadlock, once":         {[]error{deadlock, nil}, 2, nil},
		"deadlocks, always":        {[]error{deadlock, deadlock, deadlock, deadlock, nil}, 4, deadlock},
		"a fault":                  {[]error{fault, nil}, 1, fault},
		"a deadlock, then a fault": {[]error{deadlock, fault, nil}, 2, fault},
	} {
		t.Run(name, func(t *testing.T) {
			runs := 0
			err := s.write(t.Context(), "test", func(*gorm.DB) error {
				runs++
				return c.outcomes[runs-1]
			})
			require.ErrorIs(t, err, c.want)
			assert.Equal(t, c.runs, runs)
		})
	}
}

// An attempt that is undone must leave nothing behind that the next one takes for its own.
func TestUpkeepThatRunsAgain(t *testing.T) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	s, err := Open(t.Context(), "sqlite://"+t.TempDir()+"/x.db", Options{Now: func() time.Time { return now }})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	register := func(id string, expires time.Time) {
		_, _, err := s.RegisterSession(t.Context(), Everywhere(), Session{TenantID: "acme", UserID: "u1", ID: id, ExpiresAt: expires}, Actor{})
		require.NoError(t, err)
	}
	register("early", now.Add(time.Minute))
	register("late", now.Add(2*time.Minute))

	deadlock, failures := errors.New("deadlock"), 0
	s.engine.retryable = func(err error) bool { return errors.Is(err, deadlock) }
	require.NoError(t, s.db.Callback().Create().Before("gorm:create").Register("fail", func(tx *gorm.DB) {
		if failures > 0 {
			failures--
			if failures == 0 {
				now = now.Add(time.Minute) // the next attempt finds more to do
			}
			_ = tx.AddError(deadlock)
		}
	}))
	now, failures = now.Add(time.Minute), 1
	swept, err := s.SweepEnded(t.Context(), 10)
	require.NoError(t, err)
	assert.Equal(t, 2, swept)
	failures = 2
	purged, err := s.PurgeEnded(t.Context(), now.Add(-30*time.Second), 1)
	require.NoError(t, err)
	assert.Equal(t, 1, purged)
	events, err := s.ListAuditEvents(t.Context(), AuditFilter{})
	require.NoError(t, err)
	assert.Len(t, events, 5, "two registrations, two endings, one purge")
}

func TestADriftIsFoundNamedAndRepaired(t *testing.T) {
	s, err := Open(t.Context(), "sqlite://"+t.TempDir()+"/x.db", Options{ChunkSize: 2})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	for i := range 9 {
		session := Session{TenantID: "acme", UserID: "u1", ID: fmt.Sprint(i), ExpiresAt: time.Now().Add(time.Hour)}
		_, _, err := s.RegisterSession(t.Context(), Everywhere(), session, Actor{})
		require.NoError(t, err)
	}
	require.NoError(t, s.RecordApp(t.Context(), Everywhere(), App{SessionID: "1", ApplicationID: "mail", ApplicationName: "Mail"}, Actor{}))
	_, err = s.FoldChanges(t.Context(), 1000)
	require.NoError(t, err)
	check := func(repair bool) []Drift {
		var found []Drift
		n, err := s.CheckTallies(t.Context(), repair, func(d Drift) { found = append(found, d) })
		require.NoError(t, err)
		assert.Equal(t, 9, n)
		return found
	}
	require.Empty(t, check(false))
	require.NoError(t, s.db.Exec("DELETE FROM tallies WHERE tenant_id = 'acme'").Error)
	require.NoError(t, s.db.Exec("UPDATE tallies SET open = 8 WHERE tenant_id = ''").Error)
	require.NoError(t, s.db.Exec("UPDATE session_chunks SET total = 1 WHERE tenant_id = 'acme'").Error)

	found := check(true)
	assert.Contains(t, found, Drift{TenantID: "acme", Kind: "sessions", Counted: [3]int64{9, 9, 0}})
	assert.Contains(t, found, Drift{TenantID: "acme", Kind: "application", Key: "mail", Counted: [3]int64{1, 0, 0}})
	assert.Contains(t, found, Drift{Kind: "sessions", Kept: [3]int64{8, 9, 0}, Counted: [3]int64{9, 9, 0}})
	assert.True(t, slices.ContainsFunc(found, func(d Drift) bool { return d.Kind == "chunk" }), "%+v", found)
	assert.Empty(t, check(false))
	sessions, total, err := s.ListSessions(t.Context(), InTenant("acme"), Page{Offset: 8, Limit: 5})
	require.NoError(t, err)
	assert.Len(t, sessions, 1)
	assert.Equal(t, 9, total)
}

func TestRedact(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://me:hidden@host/db": "postgres://…@host/db", "postgres://host/db": "postgres://host/db",
		"sqlite://data/x.db": "sqlite://data/x.db", "nonsense": "nonsense",
	} {
		assert.Equal(t, want, Redact(url))
	}
}

// TestStatementsStayPrepared, in transactions too, and more of them than are kept do no harm.
func TestStatementsStayPrepared(t *testing.T) {
	s, err := Open(t.Context(), "sqlite://"+t.TempDir()+"/x.db", Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	pool, ok := s.db.ConnPool.(*prepared)
	require.True(t, ok)
	number := func(tx *gorm.DB, text string) int {
		n := -1
		require.NoError(t, queryIn(tx, s.engine.statement(text), func(row rows) error { return row.Scan(&n) }))
		return n
	}
	for range 2 {
		require.NoError(t, s.write(t.Context(), "test", func(tx *gorm.DB) error {
			assert.Equal(t, 0, number(tx, "SELECT 0"))
			return nil
		}))
	}
	kept, _ := pool.known.Peek("SELECT 0")
	require.NotNil(t, kept)
	require.NoError(t, s.write(t.Context(), "test", func(tx *gorm.DB) error {
		for n := range mostPrepared + 100 {
			assert.Equal(t, n, number(tx, fmt.Sprintf("SELECT %d", n)))
		}
		assert.Equal(t, 0, number(tx, "SELECT 0"))
		return nil
	}))
	assert.Equal(t, mostPrepared, pool.known.Len())
	again, _ := pool.known.Peek("SELECT 0")
	assert.NotSame(t, kept, again, "it had to go meanwhile")
	require.Error(t, s.write(t.Context(), "test", func(tx *gorm.DB) error { return tx.Exec("SELEKT").Error }))
	assert.False(t, pool.known.Contains("SELEKT"))
}
