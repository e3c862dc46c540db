package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/tuning"
)

// TestSlowStatementsAreLoggedWithoutValues makes a statement slow that has an e-mail address among its values.
func TestSlowStatementsAreLoggedWithoutValues(t *testing.T) {
	var log bytes.Buffer
	e, err := engine.Open(t.Context(), "sqlite://"+t.TempDir()+"/x.db", &gorm.Config{Logger: queryLogger(slog.New(slog.NewTextHandler(&log, nil)))}, engine.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	require.NoError(t, e.DB.Callback().Raw().Before("gorm:raw").Register("slow", func(*gorm.DB) { time.Sleep(time.Second + 50*time.Millisecond) }))
	require.NoError(t, e.DB.Exec("CREATE TABLE t AS SELECT ? AS email", "ada@example.com").Error)
	assert.Contains(t, log.String(), "CREATE TABLE t AS SELECT ? AS email")
	assert.NotContains(t, log.String(), "ada@example.com")
}

// TestActionsAreAll reads the source: an action that is missing could not be asked for.
func TestActionsAreAll(t *testing.T) {
	source, err := os.ReadFile("event.go")
	require.NoError(t, err)
	var constants []string
	for _, found := range regexp.MustCompile(`(?m)^\tAction\w+ += "([\w.]+)"`).FindAllSubmatch(source, -1) {
		constants = append(constants, string(found[1]))
	}
	assert.ElementsMatch(t, constants, Actions())
}

func TestMigrationsHaveTheSameNumbersOnBothEngines(t *testing.T) {
	names := func(of string) []string {
		files, err := fs.Glob(migrations, "migrations/"+of+"/*.sql")
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for i := range files {
			files[i] = files[i][len("migrations/"+of+"/"):]
		}
		return files
	}
	assert.Equal(t, names(engine.Postgres), names(engine.SQLite))
}

func TestTransactionsRunAgainWhenTheDatabaseAsksForIt(t *testing.T) {
	s, err := Open(t.Context(), "sqlite://"+t.TempDir()+"/x.db", Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	deadlock, fault := errors.New("deadlock"), errors.New("fault")
	s.engine.Retryable = func(err error) bool { return errors.Is(err, deadlock) }
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

// TestMaintenanceThatRunsAgain: an attempt that is rolled back must leave nothing in memory that the next attempt counts.
func TestMaintenanceThatRunsAgain(t *testing.T) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	s, err := Open(t.Context(), "sqlite://"+t.TempDir()+"/x.db", Options{Now: func() time.Time { return now }})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	register := func(id string, expires time.Time) {
		_, _, err := s.RegisterSession(t.Context(), AllTenants(), Session{TenantID: "acme", UserID: "u1", ID: id, ExpiresAt: expires}, Actor{})
		require.NoError(t, err)
	}
	register("early", now.Add(time.Minute))
	register("late", now.Add(2*time.Minute))

	deadlock, failures := errors.New("deadlock"), 0
	s.engine.Retryable = func(err error) bool { return errors.Is(err, deadlock) }
	require.NoError(t, s.engine.DB.Callback().Create().Before("gorm:create").Register("fail", func(tx *gorm.DB) {
		if failures > 0 {
			failures--
			if failures == 0 {
				now = now.Add(time.Minute) // the next attempt finds more to do
			}
			_ = tx.AddError(deadlock)
		}
	}))
	now, failures = now.Add(time.Minute), 1
	recorded, err := s.RecordExpired(t.Context(), 10)
	require.NoError(t, err)
	assert.Equal(t, 2, recorded)
	failures = 2
	purged, err := s.PurgeEnded(t.Context(), now.Add(-30*time.Second), 1)
	require.NoError(t, err)
	assert.Equal(t, 1, purged)
	events, err := s.ListAuditEvents(t.Context(), AuditFilter{})
	require.NoError(t, err)
	assert.Len(t, events, 5, "two registrations, two expirations, one purge")
}

func TestADriftIsFoundNamedAndRepaired(t *testing.T) {
	s, err := Open(tuning.WithBucketSize(t.Context(), 2), "sqlite://"+t.TempDir()+"/x.db", Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	for i := range 9 {
		session := Session{TenantID: "acme", UserID: "u1", ID: fmt.Sprint(i), ExpiresAt: time.Now().Add(time.Hour)}
		_, _, err := s.RegisterSession(t.Context(), AllTenants(), session, Actor{})
		require.NoError(t, err)
	}
	require.NoError(t, s.RecordApp(t.Context(), AllTenants(), App{SessionID: "1", ApplicationID: "mail", ApplicationName: "Mail"}, Actor{}))
	_, err = s.RollUp(t.Context(), 1000)
	require.NoError(t, err)
	check := func(repair bool) []Drift {
		var found []Drift
		n, err := s.VerifyCounters(t.Context(), repair, func(d Drift) { found = append(found, d) })
		require.NoError(t, err)
		assert.Equal(t, 9, n)
		return found
	}
	require.Empty(t, check(false))
	require.NoError(t, s.engine.DB.Exec("DELETE FROM counters WHERE tenant_id = 'acme'").Error)
	require.NoError(t, s.engine.DB.Exec("UPDATE counters SET open = 8 WHERE tenant_id = ''").Error)
	require.NoError(t, s.engine.DB.Exec("UPDATE page_index SET total = 1 WHERE tenant_id = 'acme'").Error)

	found := check(true)
	assert.Contains(t, found, Drift{TenantID: "acme", Kind: "sessions", Counted: [3]int64{9, 9, 0}})
	assert.Contains(t, found, Drift{TenantID: "acme", Kind: "application", Key: "mail", Counted: [3]int64{1, 0, 0}})
	assert.Contains(t, found, Drift{Kind: "sessions", Kept: [3]int64{8, 9, 0}, Counted: [3]int64{9, 9, 0}})
	assert.True(t, slices.ContainsFunc(found, func(d Drift) bool { return d.Kind == "page index" }), "%+v", found)
	assert.Empty(t, check(false))
	sessions, total, err := s.ListSessions(t.Context(), CallerSession{}, InTenant("acme"), Filter{}, Page{Offset: 8, Limit: 5})
	require.NoError(t, err)
	assert.Len(t, sessions, 1)
	assert.Equal(t, 9, total)
}

// TestHeartbeatsThatCannotBeWritten wait for the next flush, unless a later one has come.
func TestHeartbeatsThatCannotBeWritten(t *testing.T) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	s, err := Open(t.Context(), "sqlite://"+t.TempDir()+"/x.db", Options{Now: func() time.Time { return now }, ActivityInterval: time.Minute})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	_, _, err = s.RegisterSession(t.Context(), AllTenants(), Session{TenantID: "acme", UserID: "u1", ID: "s1", ExpiresAt: now.Add(time.Hour)}, Actor{})
	require.NoError(t, err)
	for range 2 { // the first is written, the second waits
		now = now.Add(time.Second)
		require.NoError(t, s.RecordActivity(t.Context(), AllTenants(), "s1", Activity{}, Actor{}))
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.FlushActivity(canceled, true), context.Canceled)
	require.NoError(t, s.FlushActivity(t.Context(), true))
	session, err := s.GetSession(t.Context(), AllTenants(), "s1")
	require.NoError(t, err)
	assert.Equal(t, now, *session.LastActivityAt)

	key := sessionKey{"acme", "s1"}
	s.pending.restore(map[sessionKey]heartbeat{key: {at: now.Add(time.Second)}})
	s.pending.restore(map[sessionKey]heartbeat{key: {at: now}})
	assert.Equal(t, now.Add(time.Second), s.pending.take(now, true)[key].at)
}

func TestRedact(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://me:hidden@host/db": "postgres://…@host/db", "postgres://host/db": "postgres://host/db",
		"sqlite://data/x.db": "sqlite://data/x.db", "nonsense": "nonsense",
	} {
		assert.Equal(t, want, Redact(url))
	}
}
