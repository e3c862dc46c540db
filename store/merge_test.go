package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestMergedRevocations: revocations by all kinds of callers are sent as one statement. Each ends the session only if its caller may, and
// reports whether it did.
func TestMergedRevocations(t *testing.T) {
	s, _ := filled(t)
	in := store.InTenant
	var calls []func()
	revoke := func(authorized, scope store.Scope, id string, want bool, reason string) {
		calls = append(calls, func() {
			ended, err := s.RevokeSession(store.WithScope(t.Context(), authorized), scope, id, store.Actor{Subject: "boss of " + id, Reason: reason})
			if !want {
				assert.ErrorIs(t, err, store.ErrNotFound, "%+v %s", authorized, id)
				return
			}
			if assert.NoError(t, err, "%+v %s", authorized, id) {
				assert.True(t, ended, "%+v %s", authorized, id)
			}
		})
	}
	want := map[string]string{}
	revoke(in("t0"), store.InTenant("t3").OfUser("u9"), "t3-s9", false, "") // the statement before it in the batch is restricted to several tenants
	for i := range tenants {
		tenantID := fmt.Sprintf("t%d", i)
		id := func(k int) string { return fmt.Sprintf("%s-s%d", tenantID, k) }
		other := fmt.Sprintf("t%d", (i+1)%tenants)
		for k, authorized := range []store.Scope{in(tenantID), in(tenantID), store.AllTenants(), store.AllTenants()} {
			want[id(k)] = fmt.Sprint("because ", i, k)
			require.NoError(t, s.RecordApp(t.Context(), store.AllTenants(), store.App{SessionID: id(k), ApplicationID: "mail"}, store.Actor{}))
			revoke(authorized, store.InTenant(tenantID), id(k), true, want[id(k)])
		}
		want[id(4)] = "mine"
		revoke(in(tenantID), store.InTenant(tenantID).OfUser("u4"), id(4), true, "mine")
		revoke(in(tenantID), store.InTenant(tenantID).OfUser("u4"), id(5), false, "")
		// A scope beyond what is authorized, in one batch with callers who may: each has its own restriction.
		revoke(in(other), store.InTenant(tenantID), id(6), false, "")
		if i < 2 { // all calls have to fit into one batch
			revoke(in(tenantID), store.InTenant(tenantID), fmt.Sprintf("%s-s%d", other, 7), false, "")
			revoke(store.AllTenants().OfPartner("nobody"), store.InTenant(tenantID), id(8), false, "")
		}
	}
	together(t, s, store.Writes, calls...)
	// A command of a transaction has one number: rows of several calls that have the same were written by one statement.
	statements, err := s.Texts(t.Context(), "SELECT DISTINCT xmin || ' ' || cmin FROM audit_events WHERE action = '"+store.ActionRevoked+"'")
	require.NoError(t, err)
	events, err := s.ListAuditEvents(t.Context(), store.AuditFilter{Action: store.ActionRevoked})
	require.NoError(t, err)
	assert.LessOrEqual(t, len(statements), len(events)/2, "restricted and unrestricted calls take turns, in the order of rows; all others are merged")
	got := map[string]string{}
	for _, event := range events {
		got[event.SessionID] = event.Reason
		assert.Equal(t, "boss of "+event.SessionID, event.ActorSub)
		assert.Equal(t, event.SessionID[:2], event.TenantID)
	}
	assert.Equal(t, want, got)
	for id := range want {
		session, err := s.GetSession(t.Context(), store.AllTenants(), id)
		require.NoError(t, err)
		assert.Equal(t, want[id], *session.EndReason)
	}
	_, err = s.VerifyCounters(t.Context(), false, func(d store.Drift) { assert.Fail(t, "drift", "%+v", d) })
	require.NoError(t, err, "the counters of their applications, too")
}

// TestTheCallersSessionIsReadWithAnother: whether it has ended comes with what is asked for, not by a statement of its own.
func TestTheCallersSessionIsReadWithAnother(t *testing.T) {
	clock := storetest.NewClock()
	s := storetest.Postgres(t, store.Options{Now: clock.Now})
	for _, id := range []string{"s1", "active", "ended"} {
		_, _, err := s.RegisterSession(t.Context(), store.AllTenants(), store.Session{
			TenantID: "acme", UserID: "ada", ID: id, ExpiresAt: clock.Now().Add(time.Hour),
		}, store.Actor{})
		require.NoError(t, err)
	}
	_, err := s.RevokeSession(t.Context(), store.AllTenants(), "ended", store.Actor{})
	require.NoError(t, err)
	for caller, want := range map[store.CallerSession]*bool{
		{TenantID: "acme", ID: "active"}: new(false), {TenantID: "acme", ID: "ended"}: new(true),
		{TenantID: "acme", ID: "unknown"}: nil, {TenantID: "globex", ID: "active"}: nil, {}: nil,
	} {
		ended, err := s.JoinedCaller(t.Context(), caller, store.InTenant("acme"), "s1")
		require.NoError(t, err)
		assert.Equal(t, want, ended, "%+v", caller)
	}
}

// TestMergedReads: reads by all kinds of callers are sent as merged statements. Each gets the answer that it gets by itself.
func TestMergedReads(t *testing.T) {
	s, _ := filled(t)
	for i := range tenants {
		for k := range 3 {
			app := store.App{SessionID: fmt.Sprintf("t%d-s%d", i, k), ApplicationID: fmt.Sprintf("app%d", k)}
			require.NoError(t, s.RecordApp(t.Context(), store.AllTenants(), app, store.Actor{}))
		}
		_, err := s.RevokeSession(t.Context(), store.InTenant(fmt.Sprintf("t%d", i)), fmt.Sprintf("t%d-s%d", i, 2+i), store.Actor{Reason: "lost"})
		require.NoError(t, err)
	}
	_, err := s.RevokeAllSessions(t.Context(), store.InTenant("t2"), "", store.Actor{})
	require.NoError(t, err)

	type answer struct {
		Found any
		Total int
		Err   error
	}
	type readFunc = func(context.Context, store.CallerSession, store.Scope) (any, int, error)
	var reads []func() answer
	read := func(authorized, scope store.Scope, do readFunc) {
		reads = append(reads, func() (got answer) {
			caller := store.CallerSession{TenantID: authorized.TenantID(), ID: authorized.TenantID() + "-s2"}
			got.Found, got.Total, got.Err = do(store.WithScope(t.Context(), authorized), caller, scope)
			return got
		})
	}
	list := func(filter store.Filter, page store.Page) readFunc {
		return func(ctx context.Context, caller store.CallerSession, scope store.Scope) (any, int, error) {
			list, total, err := s.ListSessions(ctx, caller, scope, filter, page)
			return list, total, err
		}
	}
	get := func(id string) readFunc {
		return func(ctx context.Context, caller store.CallerSession, scope store.Scope) (any, int, error) {
			session, apps, err := s.GetSessionWithApps(ctx, caller, scope, id)
			return [2]any{session, apps}, 0, err
		}
	}
	ended := func(tenantID string) readFunc {
		return func(ctx context.Context, _ store.CallerSession, _ store.Scope) (any, int, error) {
			ended, err := s.SessionEnded(ctx, tenantID, tenantID+"-s3")
			return ended, 0, err
		}
	}
	repeated := func(tenantID string) readFunc {
		return func(ctx context.Context, _ store.CallerSession, _ store.Scope) (any, int, error) {
			text, err := s.Query(ctx, "SELECT CASE WHEN ? = '' THEN '' ELSE current_query() END", tenantID)
			return strings.Contains(text, "unnest"), -1, err
		}
	}
	type readKind func(i int, tenantID, other string) (store.Scope, readFunc)
	in := store.InTenant
	for _, kind := range []readKind{
		func(_ int, id, _ string) (store.Scope, readFunc) { return in(id), get(id + "-s1") },
		func(i int, id, _ string) (store.Scope, readFunc) {
			return in(id), get(fmt.Sprintf("%s-s%d", id, 2+i))
		},
		func(_ int, id, other string) (store.Scope, readFunc) { return in(id), get(other + "-s1") },
		func(_ int, id, _ string) (store.Scope, readFunc) { return store.AllTenants(), get(id + "-s1") },
		func(_ int, id, _ string) (store.Scope, readFunc) { return in(id).OfUser("u1"), get(id + "-s1") },
		func(i int, id, _ string) (store.Scope, readFunc) {
			return in(id), list(store.Filter{ActiveOnly: true}, store.Page{Limit: 5 + i, Offset: i})
		},
		func(_ int, id, _ string) (store.Scope, readFunc) {
			return in(id), list(store.Filter{}, store.Page{Limit: 7, Offset: 7})
		},
		func(_ int, id, _ string) (store.Scope, readFunc) {
			return in(id).OfUser("u3"), list(store.Filter{ActiveOnly: true}, store.Page{})
		},
		func(int, string, string) (store.Scope, readFunc) {
			return store.AllTenants(), list(store.Filter{ActiveOnly: true}, store.Page{Limit: 5})
		},
		func(_ int, id, _ string) (store.Scope, readFunc) { return in(id), ended(id) },
		func(_ int, id, _ string) (store.Scope, readFunc) { return in(id), repeated(id) },
	} {
		for i := range tenants {
			tenantID, other := fmt.Sprintf("t%d", i), fmt.Sprintf("t%d", (i+1)%tenants)
			for _, authorized := range []store.Scope{store.InTenant(tenantID), store.AllTenants(), store.InTenant(other), store.AllTenants().OfPartner("nobody")} {
				scope, do := kind(i, tenantID, other)
				read(authorized, scope, do)
			}
		}
	}
	alone, all := make([]answer, len(reads)), make([]answer, len(reads))
	var calls []func()
	for i, read := range reads {
		alone[i] = read()
		calls = append(calls, func() { all[i] = read() })
	}
	together(t, s, store.Reads, calls...)
	several := 0
	for i, got := range all {
		if got.Total == -1 && got.Found == true {
			got.Found = false // its statement was merged, and differs so
			several++
		}
		assert.Equal(t, alone[i], got, i)
	}
	assert.Greater(t, several, tenants, "statements that were merged")
}

// TestBatchedChangesOfOneRowTakeEffectOnce: of several revocations or registrations of one session in a batch one reports that it did it.
func TestBatchedChangesOfOneRowTakeEffectOnce(t *testing.T) {
	s, _ := filled(t)
	var mu sync.Mutex
	ended, made := 0, 0
	var calls []func()
	for range 3 {
		calls = append(calls, func() {
			by, err := s.RevokeSession(store.WithScope(t.Context(), store.InTenant("t0")), store.InTenant("t0"), "t0-s1", store.Actor{})
			mu.Lock()
			defer mu.Unlock()
			if assert.NoError(t, err) && by {
				ended++
			}
		}, func() {
			session := store.Session{TenantID: "t0", ID: "new", UserID: "ada", ExpiresAt: time.Now().Add(time.Hour)}
			_, fresh, err := s.RegisterSession(t.Context(), store.AllTenants(), session, store.Actor{})
			mu.Lock()
			defer mu.Unlock()
			if assert.NoError(t, err) && fresh {
				made++
			}
		})
	}
	// The same id is taken in another tenant.
	taken := 0
	for i := range tenants {
		calls = append(calls, func() {
			session := store.Session{TenantID: fmt.Sprintf("t%d", i), ID: "wanted", UserID: "ada", ExpiresAt: time.Now().Add(time.Hour)}
			_, fresh, err := s.RegisterSession(t.Context(), store.AllTenants(), session, store.Actor{})
			mu.Lock()
			defer mu.Unlock()
			if fresh {
				assert.NoError(t, err)
			} else if assert.ErrorIs(t, err, store.ErrTaken) {
				taken++
			}
		})
	}
	together(t, s, store.Writes, calls...)
	assert.Equal(t, 1, ended)
	assert.Equal(t, 1, made)
	assert.Equal(t, tenants-1, taken)
}

// TestEveryTableOfATenantHasAPolicy: every table with a column tenant_id or partner_id has row-level security, for its owner too, and a
// policy that reads all settings: what a merged statement writes in one table has to be visible in the others.
func TestEveryTableOfATenantHasAPolicy(t *testing.T) {
	s, _ := filled(t)
	tables := func(query string) []string {
		found, err := s.Texts(t.Context(), query+" ORDER BY 1")
		require.NoError(t, err)
		return found
	}
	want := tables(`SELECT DISTINCT table_name::text FROM information_schema.columns
		WHERE table_schema = 'public' AND column_name IN ('tenant_id', 'partner_id')`)
	assert.Contains(t, want, "sessions")
	assert.Equal(t, want, tables("SELECT relname::text FROM pg_class WHERE relrowsecurity AND relforcerowsecurity"))
	assert.Equal(t, want, tables(`SELECT tablename::text FROM pg_policies WHERE cmd = 'ALL' AND qual LIKE '%sessiond.tenant''%'
		AND qual LIKE '%sessiond.tenants%' AND qual LIKE '%sessiond.partner%' AND coalesce(with_check, qual) LIKE '%sessiond.tenants%'`))
}
