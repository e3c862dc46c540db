package store_test

import (
	"context"
	"database/sql/driver"
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

// A filled store has tenants t0, t1 and so on. Tenant t0 has the sessions t0-s0, t0-s1 and so on, and so have the others.
const tenants, sessionsEach = 4, 20

// filled returns a store on PostgreSQL with sessions, and its database's URL.
func filled(t *testing.T) (*store.Store, string) {
	t.Helper()
	url := storetest.PostgresURL(t)
	s, err := store.Open(t.Context(), url, store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	now := time.Now()
	var rows store.Import
	for i := range tenants {
		for k := range sessionsEach {
			rows.Sessions = append(rows.Sessions, store.Session{
				TenantID: fmt.Sprintf("t%d", i), ID: fmt.Sprintf("t%d-s%d", i, k), UserID: fmt.Sprintf("u%d", k),
				CreatedAt: now, ExpiresAt: now.Add(time.Hour), EndsAt: now.Add(time.Hour),
			})
		}
	}
	require.NoError(t, s.ImportSessions(t.Context(), rows))
	return s, url
}

// together queues the statements of all calls, in this order, for the next batch, and returns when the calls have returned.
func together(t *testing.T, s *store.Store, of store.Queue, calls ...func()) {
	t.Helper()
	waiting, letGo := s.Hold(of)
	var group sync.WaitGroup
	for i, call := range calls {
		group.Go(call)
		waitUntil(t, func() bool { return waiting() == i+1 })
	}
	letGo()
	group.Wait()
	idle(t, s, of)
}

// idle expects that no batch is under way.
func idle(t *testing.T, s *store.Store, of store.Queue) {
	t.Helper()
	batches, queries := s.UnderWay(of)
	require.Zero(t, batches)
	require.Zero(t, queries)
}

func waitUntil(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 10*time.Second, 100*time.Microsecond)
}

// TestBatchedQueriesHaveTheirOwnRestrictions: the row-level security restriction of one statement of a batch does not apply to the next.
func TestBatchedQueriesHaveTheirOwnRestrictions(t *testing.T) {
	s, _ := filled(t)
	scopes := []struct {
		authorized store.Scope
		sees       func(tenant int) bool
	}{
		{store.AllTenants(), func(int) bool { return true }},
		{store.InTenant("t0"), func(tenant int) bool { return tenant == 0 }},
		{store.InTenant("t1"), func(tenant int) bool { return tenant == 1 }},
		{store.AllTenants().OfPartner("nobody"), func(int) bool { return false }},
		{store.InTenant("t3").OfPartner("nobody"), func(tenant int) bool { return tenant == 3 }},
	}
	var calls []func()
	for w, c := range scopes {
		for i := range tenants {
			calls = append(calls, func() {
				ctx, id := store.WithScope(t.Context(), c.authorized), fmt.Sprintf("t%d-s%d", i, w)
				found, err := s.GetSession(ctx, store.AllTenants(), id)
				if !c.sees(i) {
					assert.ErrorIs(t, err, store.ErrNotFound, "%d %s", w, id)
					return
				}
				if assert.NoError(t, err, "%d %s", w, id) {
					assert.Equal(t, id, found.ID)
				}
			}, func() {
				ctx := store.WithScope(t.Context(), c.authorized)
				list, total, err := s.ListSessions(ctx, store.CallerSession{}, store.InTenant(fmt.Sprintf("t%d", i)), store.Filter{}, store.Page{Limit: 3})
				if assert.NoError(t, err) && len(list) > 0 {
					assert.Equal(t, fmt.Sprintf("t%d", i), list[0].TenantID)
					assert.Equal(t, sessionsEach, total)
				}
			})
		}
	}
	together(t, s, store.Reads, calls...)
}

func TestBatchedQueryFailsAlone(t *testing.T) {
	s, _ := filled(t)
	var calls []func()
	for i := range tenants {
		calls = append(calls, func() {
			found, err := s.GetSession(t.Context(), store.InTenant(fmt.Sprintf("t%d", i)), fmt.Sprintf("t%d-s1", i))
			if assert.NoError(t, err) {
				assert.Equal(t, fmt.Sprintf("t%d-s1", i), found.ID)
			}
		}, func() {
			given, err := s.Query(t.Context(), "SELECT n::text FROM generate_series(1, 3) AS n")
			if assert.NoError(t, err) {
				assert.Equal(t, "1\n2\n3", given, "without the rows of the batch that was rolled back")
			}
		}, func() {
			_, err := s.Query(t.Context(), "SELECT (1 / length(?))::text", "")
			assert.ErrorContains(t, err, "division by zero")
		})
	}
	together(t, s, store.Reads, calls...)
}

// unencodable is an argument whose encoding fails by an error or a panic.
type unencodable struct{ panics bool }

func (u unencodable) Value() (driver.Value, error) {
	if u.panics {
		panic("cannot be encoded")
	}
	return nil, errors.New("cannot be encoded")
}

// TestBatchedQueryCannotBeEncoded: a statement that cannot be encoded fails alone, whichever caller sends the batch.
func TestBatchedQueryCannotBeEncoded(t *testing.T) {
	s, _ := filled(t)
	for name, arg := range map[string]unencodable{"an error": {}, "a panic": {panics: true}} {
		for _, first := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", first ", first), func(t *testing.T) {
				guilty := func() {
					defer func() {
						if reason := recover(); arg.panics {
							assert.Equal(t, "cannot be encoded", reason)
						} else {
							assert.Nil(t, reason)
						}
					}()
					_, err := s.Query(t.Context(), "SELECT ?::text", arg)
					assert.ErrorContains(t, err, "cannot be encoded")
				}
				var calls []func()
				for i := range tenants {
					calls = append(calls, func() {
						found, err := s.GetSession(t.Context(), store.InTenant(fmt.Sprintf("t%d", i)), fmt.Sprintf("t%d-s1", i))
						if assert.NoError(t, err) {
							assert.Equal(t, fmt.Sprintf("t%d-s1", i), found.ID)
						}
					})
				}
				if first {
					calls = append([]func(){guilty}, calls...)
				} else {
					calls = append(calls, guilty)
				}
				together(t, s, store.Reads, calls...)
				// The pool removes a closed connection a little later.
				require.Eventually(t, func() bool { return s.Pool().InUse == 0 }, 10*time.Second, time.Millisecond, "no connection is lost")
			})
		}
	}
}

// TestBatchedChangesThatMayBeCommittedAreNotRepeated: changes whose results cannot be read may have been committed, so each caller gets an
// error and none is sent again.
func TestBatchedChangesThatMayBeCommittedAreNotRepeated(t *testing.T) {
	s, _ := filled(t)
	var calls []func()
	for i := range 3 {
		calls = append(calls, func() {
			assert.ErrorContains(t, s.WriteUnreadably(t.Context(), "t0", fmt.Sprintf("u%d", i)), "does not say whose it is")
		})
	}
	together(t, s, store.Writes, calls...)
	done, err := s.Texts(t.Context(), "SELECT user_id FROM not_before_cutoffs ORDER BY user_id")
	require.NoError(t, err)
	require.Equal(t, []string{"u0", "u1", "u2"}, done)
	require.Zero(t, s.Pool().InUse)
}

// TestBatchedChanges: revocations and registrations of the same and of different sessions, of which those of one tenant have to wait for
// its lock.
func TestBatchedChanges(t *testing.T) {
	s, url := filled(t)
	db, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.WithoutCancel(t.Context()))) }()
	_, err = db.Exec(t.Context(), "SELECT pg_advisory_lock($1)", store.TenantLock("t0"))
	require.NoError(t, err)

	var others, held sync.WaitGroup
	var calls []func()
	var mu sync.Mutex
	ended, made := map[string]int{}, map[string]int{}
	for i := range tenants {
		for k := range 3 {
			done := &others
			if i == 0 {
				done = &held
			}
			for range 2 {
				done.Add(2)
				calls = append(calls, func() {
					defer done.Done()
					id := fmt.Sprintf("t%d-s%d", i, k)
					by, err := s.RevokeSession(store.WithScope(t.Context(), store.InTenant(fmt.Sprintf("t%d", i))), store.InTenant(fmt.Sprintf("t%d", i)), id, store.Actor{})
					mu.Lock()
					defer mu.Unlock()
					if assert.NoError(t, err) && by {
						ended[id]++
					}
				}, func() {
					defer done.Done()
					session := store.Session{TenantID: fmt.Sprintf("t%d", i), ID: fmt.Sprintf("t%d-new%d", i, k), UserID: "ada", ExpiresAt: time.Now().Add(time.Hour)}
					_, fresh, err := s.RegisterSession(t.Context(), store.AllTenants(), session, store.Actor{})
					mu.Lock()
					defer mu.Unlock()
					if assert.NoError(t, err) && fresh {
						made[session.ID]++
					}
				})
			}
		}
	}
	go func() {
		others.Wait() // the changes of other tenants do not wait for that lock
		mu.Lock()
		defer mu.Unlock()
		assert.Len(t, ended, 3*(tenants-1))
		assert.Len(t, made, 3*(tenants-1))
		_, err := db.Exec(t.Context(), "SELECT pg_advisory_unlock($1)", store.TenantLock("t0"))
		assert.NoError(t, err)
	}()
	together(t, s, store.Writes, calls...)
	held.Wait()
	assert.Len(t, ended, 3*tenants)
	assert.Len(t, made, 3*tenants)
	for id, times := range ended {
		assert.Equal(t, 1, times, "%s was ended once", id)
	}
	for id, times := range made {
		assert.Equal(t, 1, times, "%s was made once", id)
	}
	drifts := 0
	_, err = s.VerifyCounters(t.Context(), false, func(store.Drift) { drifts++ })
	require.NoError(t, err)
	assert.Zero(t, drifts)
	events, err := s.ListAuditEvents(t.Context(), store.AuditFilter{Action: store.ActionRevoked})
	require.NoError(t, err)
	assert.Len(t, events, 3*tenants, "a change that was rolled back has no event")
}

// TestBatchedQueriesThatAreCanceled: a caller whose context ends returns at once, and the other queries of the batch are sent.
func TestBatchedQueriesThatAreCanceled(t *testing.T) {
	s, _ := filled(t)
	get := func(ctx context.Context) error {
		_, err := s.GetSession(ctx, store.InTenant("t1"), "t1-s1")
		return err
	}
	waiting, letGo := s.Hold(store.Reads)
	var first, others sync.WaitGroup
	canceled, leave := context.WithCancel(t.Context())
	late, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	first.Go(func() { assert.ErrorIs(t, get(canceled), context.Canceled) })
	first.Go(func() { assert.ErrorIs(t, get(late), store.ErrUnavailable) })
	waitUntil(t, func() bool { return waiting() == 2 || late.Err() != nil })
	leave()
	first.Wait()
	require.Zero(t, waiting())

	// The caller of the first query sends the batch, also when its own context has ended.
	for range 200 {
		sender, stop := context.WithCancel(t.Context())
		others.Go(func() { _ = get(sender) })
		waitUntil(t, func() bool { return waiting() == 1 })
		for n := range 3 {
			others.Go(func() { assert.NoError(t, get(t.Context())) })
			waitUntil(t, func() bool { return waiting() == n+2 })
		}
		stop()
		letGo()
		others.Wait()
		idle(t, s, store.Reads)
		waiting, letGo = s.Hold(store.Reads)
	}
}

// TestBatchesEnd: after many concurrent reads no batch is under way.
func TestBatchesEnd(t *testing.T) {
	s, _ := filled(t)
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			for range 10 {
				_, err := s.GetSession(t.Context(), store.InTenant("t1"), fmt.Sprintf("t1-s%d", i%sessionsEach))
				assert.NoError(t, err)
			}
		})
	}
	group.Wait()
	idle(t, s, store.Reads)
}

// TestWhereFastPathsApply: fast paths are chosen on a single PostgreSQL server, unless they are switched off.
func TestWhereFastPathsApply(t *testing.T) {
	for name, c := range map[string]struct {
		s    *store.Store
		fast bool
	}{
		"sqlite":                   {storetest.SQLite(t, store.Options{}), false},
		"postgres":                 {storetest.Postgres(t, store.Options{}), true},
		"postgres, switched off":   {storetest.Plain(t, store.Options{}), false},
		"postgres, distributed":    {storetest.Postgres(t, store.Options{Distributed: true}), false},
		"postgres behind a pooler": {storetest.Pooled(t, store.Options{}), true},
	} {
		assert.Equal(t, c.fast, c.s.HasFastPaths(), name)
	}
}

// TestLongReadsWaitForEachOther: long reads take turns, are sent unbatched, and keep no short read waiting.
func TestLongReadsWaitForEachOther(t *testing.T) {
	s, _ := filled(t)
	waiting, letGo := s.Hold(store.LongReads)
	var group sync.WaitGroup
	for i := range 5 {
		group.Go(func() {
			text, err := s.QueryLong(t.Context(), "SELECT CASE WHEN ? = '' THEN '' ELSE current_query() END", "t1")
			if assert.NoError(t, err) {
				assert.NotContains(t, text, "unnest")
			}
		})
		waitUntil(t, func() bool { return waiting() == i+1 })
	}
	impatient, leave := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer leave()
	_, err := s.TenantStats(impatient, store.InTenant("t1"))
	require.ErrorIs(t, err, store.ErrUnavailable, "its deadline has passed")
	_, err = s.GetSession(t.Context(), store.InTenant("t1"), "t1-s1")
	require.NoError(t, err, "a short read goes at once")
	require.Equal(t, 5, waiting())
	letGo()
	group.Wait()
	idle(t, s, store.LongReads)
}

// TestAnswersAreReadAsByPgx: text, times, numbers and NULL, into whatever the store reads them.
func TestAnswersAreReadAsByPgx(t *testing.T) {
	s, _ := filled(t)
	type row struct {
		text            string
		some, no        *string
		at              time.Time
		since, never    *time.Time
		four, eight     int
		wide, sum       int64
		yes             bool
		perhaps, hardly *bool
	}
	into := func(r *row) []any {
		return []any{
			&r.text, &r.some, &r.no, &r.at, &r.since, &r.never, &r.four, &r.eight, &r.wide, &r.sum, &r.yes, &r.perhaps, &r.hardly,
		}
	}
	for _, c := range []string{
		`'ä "b"', '', NULL::text, '2026-01-15 12:00:00.123456+00'::timestamptz, '1999-12-31 23:59:59.999999+00'::timestamptz,
			NULL::timestamptz, -7::int4, 1::int8 << 40, -1::int8, sum(12345678901::bigint), true, false, NULL::boolean`,
		`'', 'x', NULL::text, '0001-01-01 00:00:00+00'::timestamptz, '9999-12-31 00:00:00+00'::timestamptz,
			NULL::timestamptz, 2147483647::int4, -1::int8, 0::int4, sum(1::int4), false, true, NULL::boolean`,
	} {
		var ours, theirs row
		require.NoError(t, s.ScanBoth(t.Context(), "SELECT "+c, into(&ours), into(&theirs)))
		theirs.at = theirs.at.UTC()
		*theirs.since = theirs.since.UTC()
		assert.Equal(t, theirs, ours)
	}
	var text string
	require.Error(t, s.ScanBoth(t.Context(), "SELECT NULL::text", []any{&text}, []any{&text}), "no text for NULL")
	_, err := s.Query(t.Context(), "SELECT 'a', 'b'")
	assert.ErrorContains(t, err, "2 came")
}
