package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// importUser imports that number of active sessions for a user of t1.
func importUser(t *testing.T, s *store.Store, userID string, sessions int) {
	t.Helper()
	now := time.Now().Truncate(time.Second)
	var rows store.Import
	for i := range sessions {
		rows.Sessions = append(rows.Sessions, store.Session{
			TenantID: "t1", UserID: userID, ID: fmt.Sprintf("t1-%s-%05d", userID, i),
			CreatedAt: now.Add(-time.Duration(i) * time.Second), ExpiresAt: now.Add(time.Hour), EndsAt: now.Add(time.Hour),
		})
	}
	require.NoError(t, s.ImportSessions(t.Context(), rows))
}

// TestLongListsAreNotSentWithOthers: lists that pass over or count many sessions take turns, whatever their scope and page, and keep no
// short list waiting.
func TestLongListsAreNotSentWithOthers(t *testing.T) {
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := open(t, store.Options{})
			importUser(t, s, "svc", 1500)
			importUser(t, s, "ada", 3)
			svc, ada := store.InTenant("t1").OfUser("svc"), store.InTenant("t1").OfUser("ada")
			all := store.AllTenants()
			list := func(scope store.Scope, offset, limit, total int) func(context.Context) error {
				return func(ctx context.Context) error {
					found, n, err := s.ListSessions(ctx, store.CallerSession{}, scope, store.Filter{ActiveOnly: true}, store.Page{Offset: offset, Limit: limit})
					if err == nil {
						assert.Equal(t, total, n)
						assert.Len(t, found, max(0, min(limit, total-offset)))
						for i, item := range found {
							if total == 1500 {
								assert.Equal(t, fmt.Sprintf("t1-svc-%05d", offset+i), item.ID)
							}
						}
					}
					return err
				}
			}
			newest := func(scope store.Scope, count int, more bool) func(context.Context) error {
				return func(ctx context.Context) error {
					found, isMore, err := s.NewestActive(ctx, store.CallerSession{}, scope)
					if err == nil {
						assert.Len(t, found, count)
						assert.Equal(t, more, isMore)
					}
					return err
				}
			}
			short := map[string]func(context.Context) error{
				"few sessions": list(ada, 0, 100, 3), "own": newest(ada, 3, false), "the tenant's": list(store.InTenant("t1"), 100, 100, 1503),
			}
			long := map[string]func(context.Context) error{
				"many sessions": list(svc, 0, 20, 1500), "far page": list(svc, 1000, 100, 1500), "last page": list(svc, 1450, 100, 1500),
				"past the end": list(svc, 9999, 100, 1500), "of all": list(all.OfUser("svc"), 0, 20, 1500),
				"the tenant's": list(store.InTenant("t1"), 400, 100, 1503), "own": newest(svc, store.MaxListed, true),
				"statistics": func(ctx context.Context) error { _, err := s.TenantStats(ctx, store.InTenant("t1")); return err },
			}
			waiting, letGo := s.Hold(store.LongReads)
			for what, do := range short {
				require.NoError(t, do(t.Context()), what)
			}
			var group sync.WaitGroup
			for what, do := range long {
				n := waiting()
				group.Go(func() { assert.NoError(t, do(t.Context()), what) })
				waitUntil(t, func() bool { return waiting() == n+1 })
			}
			impatient, leave := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer leave()
			require.ErrorIs(t, long["far page"](impatient), store.ErrUnavailable, "its deadline has passed")
			require.Equal(t, len(long), waiting())
			letGo()
			group.Wait()
			idle(t, s, store.LongReads)
		})
	}
}

// TestOneTenantLeavesOthersLongReads: a tenant whose long reads all hang leaves slots to the other tenants.
func TestOneTenantLeavesOthersLongReads(t *testing.T) {
	s, url := filled(t)
	letGo := hold(t, url, 4711)
	var group sync.WaitGroup
	for range 40 {
		group.Go(func() {
			_, err := s.QueryLong(store.WithScope(t.Context(), store.InTenant("t0")), "SELECT pg_advisory_xact_lock_shared(4711)::text")
			assert.NoError(t, err)
		})
	}
	waitUntil(t, func() bool { _, queries := s.UnderWay(store.LongReads); return queries > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var failed error
	for _, authorized := range []store.Scope{store.InTenant("t1"), store.AllTenants().OfPartner("p"), store.AllTenants()} {
		_, err := s.TenantStats(store.WithScope(ctx, authorized), store.InTenant("t1"))
		failed = errors.Join(failed, err)
	}
	letGo()
	group.Wait()
	require.NoError(t, failed)
	idle(t, s, store.LongReads)
}

// TestOneTenantLeavesOthersConnections: a tenant whose changes all wait for a lock leaves connections to the other tenants.
func TestOneTenantLeavesOthersConnections(t *testing.T) {
	s, url := filled(t)
	authorized := func(ctx context.Context, tenantID string) context.Context {
		return store.WithScope(ctx, store.InTenant(tenantID))
	}
	register := func(ctx context.Context, tenantID, id string) error {
		session := store.Session{TenantID: tenantID, ID: id, UserID: "u1", ExpiresAt: time.Now().Add(time.Hour)}
		_, _, err := s.RegisterSession(ctx, store.AllTenants(), session, store.Actor{})
		return err
	}
	revokeAll := func(ctx context.Context, tenantID string) error {
		_, err := s.RevokeAllSessions(authorized(ctx, tenantID), store.InTenant(tenantID).OfUser("u1"), "", store.Actor{})
		return err
	}
	for name, change := range map[string]func(i int) error{
		"revocations of everything": func(int) error { return revokeAll(t.Context(), "t0") },
		"registrations":             func(i int) error { return register(t.Context(), "t0", fmt.Sprintf("new%d", i)) },
	} {
		t.Run(name, func(t *testing.T) {
			letGo := hold(t, url, store.TenantLock("t0"))
			var group sync.WaitGroup
			for i := range 60 {
				group.Go(func() { assert.NoError(t, change(i)) })
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			waitUntil(t, func() bool { return s.TransactionsUnderWay() > 0 })
			var failed error
			for i := range 20 {
				_, err := s.GetSession(authorized(ctx, "t3"), store.InTenant("t3"), "t3-s1")
				failed = errors.Join(failed, err, revokeAll(ctx, "t1"), register(ctx, "t2", fmt.Sprintf("%s%d", name, i)))
			}
			letGo()
			group.Wait()
			require.NoError(t, failed)
			assert.Zero(t, s.TransactionsUnderWay())
		})
	}
}

// hold takes an advisory lock, which letGo gives back.
func hold(t *testing.T, url string, key int64) (letGo func()) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), "SELECT pg_advisory_lock($1)", key)
	require.NoError(t, err)
	letGo = sync.OnceFunc(func() { assert.NoError(t, db.Close(context.WithoutCancel(t.Context()))) })
	t.Cleanup(letGo)
	return letGo
}
