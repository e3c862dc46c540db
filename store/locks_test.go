package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestRevocationsWaitForABulkRevocation: a bulk revocation returns the sessions that were active at its time, so no other revocation may
// be ending one of them then.
func TestRevocationsWaitForABulkRevocation(t *testing.T) {
	url := storetest.PostgresURL(t)
	s, err := store.Open(t.Context(), url, store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	db, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(t.Context())) })
	partner := store.AllTenants().OfPartner("north")
	for name, end := range map[string]func() ([]string, error){
		"one": func() ([]string, error) {
			ended, err := s.RevokeSession(t.Context(), store.InTenant("acme"), "s1", store.Actor{})
			assert.True(t, ended)
			return []string{"s1"}, err
		},
		"named": func() ([]string, error) {
			return s.RevokeSessions(t.Context(), store.InTenant("acme"), []string{"s1"}, store.Actor{})
		},
		"named, anywhere": func() ([]string, error) {
			return s.RevokeSessions(t.Context(), store.AllTenants(), []string{"s1"}, store.Actor{})
		},
		"a user in the tenant": func() ([]string, error) {
			return s.RevokeAllSessions(t.Context(), store.InTenant("acme").OfUser("ada"), "", store.Actor{})
		},
		"a user": func() ([]string, error) {
			return s.RevokeAllSessions(t.Context(), store.AllTenants().OfUser("ada"), "", store.Actor{})
		},
		"a user of a partner": func() ([]string, error) {
			return s.RevokeAllSessions(t.Context(), partner.OfUser("ada"), "", store.Actor{})
		},
		"a partner": func() ([]string, error) { return s.RevokeAllSessions(t.Context(), partner, "", store.Actor{}) },
		"the tenant": func() ([]string, error) {
			return s.RevokeAllSessions(t.Context(), store.InTenant("acme"), "", store.Actor{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := db.Exec(t.Context(), "DELETE FROM sessions")
			require.NoError(t, err)
			now := time.Now()
			require.NoError(t, s.ImportSessions(t.Context(), store.Import{
				Tenants:  []store.Tenant{{TenantID: "acme", PartnerID: new("north"), CreatedAt: now}},
				Sessions: []store.Session{{TenantID: "acme", ID: "s1", UserID: "ada", PartnerID: new("north"), CreatedAt: now, ExpiresAt: now.Add(time.Hour)}},
			}))
			held, err := db.Begin(t.Context())
			require.NoError(t, err)
			_, err = held.Exec(t.Context(), "SELECT pg_advisory_xact_lock($1)", store.TenantLock("acme"))
			require.NoError(t, err)
			ended := make(chan []string, 1)
			go func() {
				ids, err := end()
				assert.NoError(t, err)
				ended <- ids
			}()
			waiting := func() bool {
				n := 0
				err := held.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
					AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
					AND (classid::bigint << 32 | objid::bigint) = $1`, store.TenantLock("acme")).Scan(&n)
				return err == nil && n > 0
			}
			require.Eventually(t, waiting, 20*time.Second, time.Millisecond)
			assert.Empty(t, ended)
			require.NoError(t, held.Rollback(t.Context()))
			assert.Equal(t, []string{"s1"}, <-ended)
		})
	}
}

// TestAUserOfManyTenants: a revocation of all sessions of a user holds a bounded number of locks, in however many tenants the user has
// sessions, and returns no session that a bulk revocation of one of these tenants returns.
func TestAUserOfManyTenants(t *testing.T) {
	url := storetest.PostgresURL(t)
	s := storetest.Open(t, url, store.Options{}, 3)
	db, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(t.Context())) })
	for round := range 4 {
		var rows store.Import
		var made []string
		now := time.Now()
		for i := range 400 {
			id := fmt.Sprintf("s%d-%d", round, i)
			made = append(made, id)
			rows.Sessions = append(rows.Sessions, store.Session{
				TenantID: fmt.Sprint("t", max(0, i-100)), ID: id, UserID: "ada", CreatedAt: now, ExpiresAt: now.Add(time.Hour), // 101 in t0
			})
		}
		require.NoError(t, s.ImportSessions(t.Context(), rows))
		held, err := db.Begin(t.Context())
		require.NoError(t, err)
		_, err = held.Exec(t.Context(), "SELECT FROM sessions WHERE id = $1 FOR UPDATE", made[300])
		require.NoError(t, err)
		answers := make(chan []string, 2)
		for _, scope := range []store.Scope{store.AllTenants().OfUser("ada"), store.InTenant("t0")} {
			go func() {
				ids, err := s.RevokeAllSessions(t.Context(), scope, "", store.Actor{})
				assert.NoError(t, err)
				answers <- ids
			}()
		}
		locks := 0
		waiting := func() bool {
			n := 0
			err := held.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted").Scan(&n)
			return err == nil && n > 0
		}
		require.Eventually(t, waiting, 20*time.Second, time.Millisecond)
		require.NoError(t, held.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").Scan(&locks))
		assert.Less(t, locks, 100)
		require.NoError(t, held.Rollback(t.Context()))
		ids := append(<-answers, <-answers...)
		slices.Sort(ids)
		slices.Sort(made)
		assert.Equal(t, made, ids, "each id is returned once")
		for more := true; more; {
			more, err = s.ApplyBulkRevocations(t.Context(), 1000)
			require.NoError(t, err)
		}
	}
}

// TestAnErasureWaitsForMaintenance: a maintenance job may have read the name that is being erased, and write it again.
func TestAnErasureWaitsForMaintenance(t *testing.T) {
	s, url := filled(t)
	for _, lock := range store.MaintenanceLocks() {
		letGo := hold(t, url, lock)
		erased := make(chan error, 1)
		go func() {
			_, err := s.EraseUser(t.Context(), "t0", fmt.Sprint("u", lock%7), store.Actor{})
			erased <- err
		}()
		waitUntil(t, func() bool {
			waiting, err := s.Texts(t.Context(), "SELECT 'x' FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
			return err == nil && len(waiting) > 0
		})
		assert.Empty(t, erased)
		letGo()
		require.NoError(t, <-erased)
	}
}
