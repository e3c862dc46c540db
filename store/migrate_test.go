package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestUsersAreCountedAcrossMigrations goes back to where each user had a tally (before migration 7), and forward again, with
// changes that are folded and changes that are not.
func TestUsersAreCountedAcrossMigrations(t *testing.T) {
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := open(t, store.Options{})
			register := func(user string, number int) {
				_, _, err := s.RegisterSession(t.Context(), store.Everywhere(), store.Session{
					TenantID: "acme", ID: fmt.Sprintf("%s-%d", user, number), UserID: user, ExpiresAt: time.Now().Add(time.Hour),
				}, store.Actor{})
				require.NoError(t, err)
			}
			revoke := func(id string) {
				ended, err := s.RevokeSession(t.Context(), store.InTenant("acme"), id, store.Actor{})
				require.NoError(t, err)
				require.True(t, ended)
			}
			exact := func() {
				t.Helper()
				_, err := s.CheckTallies(t.Context(), false, func(d store.Drift) { assert.Fail(t, "drift", "%+v", d) })
				require.NoError(t, err)
			}
			register("ada", 1)
			register("ada", 2)
			register("bob", 1)
			_, err := s.FoldChanges(t.Context(), 100)
			require.NoError(t, err)
			register("cem", 1)
			revoke("ada-1")
			revoke("bob-1")
			exact()

			require.NoError(t, s.MigrateTo(t.Context(), 5))
			users, err := s.Texts(t.Context(), "SELECT key || ' ' || open FROM tallies WHERE kind = 'user' ORDER BY key")
			require.NoError(t, err)
			assert.Equal(t, []string{"ada 2", "bob 1"}, users, "what is folded")

			_, err = s.Migrate(t.Context())
			require.NoError(t, err)
			exact()
			_, err = s.FoldChanges(t.Context(), 2)
			require.NoError(t, err)
			exact()
			stats, err := s.TenantStats(t.Context(), "acme")
			require.NoError(t, err)
			assert.Equal(t, 2, stats.UniqueUsers)
			// What the previous version would fold beside this one would be wrong.
			if name == "postgres" {
				require.ErrorContains(t, s.Exec(t.Context(), "INSERT INTO tallies (tenant_id, partner_id, kind, key) VALUES ('acme', '', 'user', 'ada')"),
					"tallies_without_users")
				require.ErrorContains(t, s.Exec(t.Context(), "INSERT INTO tallies (tenant_id, partner_id, kind, key) VALUES ('acme', '', 'sessions', '')"),
					"tallies_folded_in_steps")
			}
		})
	}
}

// TestSlotsBecomeQuartersOfAnHour: those of five minutes, as they were before migration 9, are added up.
func TestSlotsBecomeQuartersOfAnHour(t *testing.T) {
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := open(t, store.Options{})
			require.NoError(t, s.MigrateTo(t.Context(), 8))
			require.NoError(t, s.Exec(t.Context(), `INSERT INTO tallies (tenant_id, partner_id, kind, key, total, revoked) VALUES
				('acme', '', 'created', '2026-01-15T12:00Z', 1, 0), ('acme', '', 'created', '2026-01-15T12:10Z', 2, 0),
				('acme', '', 'created', '2026-01-15T12:15Z', 4, 0), ('acme', '', 'created', '2026-01-15T12:55Z', 8, 0),
				('acme', '', 'revoked', '2026-01-15T12:05Z', 0, 16), ('globex', '', 'created', '2026-01-15T12:10Z', 32, 0),
				('acme', '', 'sessions', '', 64, 0)`))
			_, err := s.Migrate(t.Context())
			require.NoError(t, err)
			slots, err := s.Texts(t.Context(), "SELECT tenant_id || ' ' || kind || ' ' || key || ' ' || total || ' ' || revoked FROM tallies ORDER BY 1")
			require.NoError(t, err)
			assert.Equal(t, []string{
				"acme created 2026-01-15T12:00Z 3 0", "acme created 2026-01-15T12:15Z 4 0", "acme created 2026-01-15T12:45Z 8 0",
				"acme revoked 2026-01-15T12:00Z 0 16", "acme sessions  64 0", "globex created 2026-01-15T12:00Z 32 0",
			}, slots)
			// The previous version must not fold into slots that are no more.
			if name == "postgres" {
				require.ErrorContains(t, s.Exec(t.Context(), "INSERT INTO tallies (tenant_id, partner_id, kind, key) VALUES ('acme', '', 'created', '2026-01-15T12:05Z')"),
					"tallies_by_quarters")
			}
		})
	}
}

// TestSessionsFromBeforeTalliesAreCounted: nothing is left to be folded of what was there.
func TestSessionsFromBeforeTalliesAreCounted(t *testing.T) {
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := open(t, store.Options{})
			require.NoError(t, s.MigrateTo(t.Context(), 2))
			require.NoError(t, s.Exec(t.Context(), `INSERT INTO sessions (tenant_id, id, user_id, created_at, expires_at, ends_at)
				VALUES ('acme', 's1', 'ada', CURRENT_TIMESTAMP, '2099-01-01 00:00:00+00:00', '2099-01-01 00:00:00+00:00')`))
			steps, err := s.Migrate(t.Context())
			require.NoError(t, err)
			require.NotEmpty(t, steps)
			notes, err := s.Texts(t.Context(), "SELECT user_id FROM session_changes")
			require.NoError(t, err)
			assert.Empty(t, notes)
			n, err := s.CountActive(t.Context(), store.InTenant("acme"))
			require.NoError(t, err)
			assert.Equal(t, 1, n)
		})
	}
}

// TestChangesAtThePromptAreNoted: who does not count up a session's notes is noted by the trigger.
func TestChangesAtThePromptAreNoted(t *testing.T) {
	s, _ := filled(t)
	for _, statement := range []string{
		"UPDATE sessions SET ended_how = 'expired' WHERE id IN ('t0-s1', 't1-s1')",
		"UPDATE sessions SET user_id = 'ada', device_type = 'tablet' WHERE id = 't2-s1'",
		"DELETE FROM sessions WHERE id = 't3-s1'",
		"INSERT INTO sessions (tenant_id, id, user_id, created_at, expires_at, ends_at) VALUES ('t3', 'new', 'ada', now(), now(), now())",
	} {
		require.NoError(t, s.Exec(t.Context(), statement))
		_, err := s.CheckTallies(t.Context(), false, func(d store.Drift) { assert.Fail(t, "drift", "%s: %+v", statement, d) })
		require.NoError(t, err)
	}
}

// TestTimesThatNoAnswerCanShow are mended by migration 11.
func TestTimesThatNoAnswerCanShow(t *testing.T) {
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := open(t, store.Options{})
			require.NoError(t, s.MigrateTo(t.Context(), 10))
			early, late := time.Date(0, 12, 31, 23, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 59, 59, 0, time.UTC)
			session := store.Session{TenantID: "acme", ID: "s1", UserID: "ada", CreatedAt: early, ExpiresAt: late, AppCount: 1}
			app := store.App{TenantID: "acme", SessionID: "s1", ApplicationID: "mail", ApplicationName: "Mail", AccessedAt: late}
			require.NoError(t, s.ImportSessions(t.Context(), store.Import{Sessions: []store.Session{session}, Apps: []store.App{app}}))
			_, err := s.Migrate(t.Context())
			require.NoError(t, err)
			found, apps, err := s.GetSessionWithApps(t.Context(), store.InTenant("acme"), "s1")
			require.NoError(t, err)
			last := time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
			assert.Equal(t, []time.Time{time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), last, last, last},
				[]time.Time{found.CreatedAt, found.ExpiresAt, found.EndsAt, apps[0].AccessedAt})
			_, err = s.CheckTallies(t.Context(), false, func(d store.Drift) { assert.Fail(t, "drift", "%+v", d) })
			require.NoError(t, err)
		})
	}
}

// TestWhatWasErasedBefore an update of the program goes from SQLite's file with it.
func TestWhatWasErasedBefore(t *testing.T) {
	url := storetest.SQLiteURL(t)
	s, err := store.Open(t.Context(), url, store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.MigrateTo(t.Context(), 10))
	require.NoError(t, s.OnEveryConnection(t.Context(), "PRAGMA secure_delete = OFF"))
	require.NoError(t, s.ImportSessions(t.Context(), store.Import{Sessions: []store.Session{{
		TenantID: "acme", ID: "s1", UserID: canary, UserAgent: new(strings.Repeat(canary, 1000)), CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	}}}))
	require.NoError(t, s.Exec(t.Context(), "DELETE FROM sessions"))
	require.NoError(t, s.Exec(t.Context(), "DELETE FROM session_changes"))
	require.NotEmpty(t, findInFiles(t, url))
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	assert.Empty(t, findInFiles(t, url))
}
