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
)

// TestOneStatementForManyRows: revocations that travel together, of all kinds of callers. Each ends what its caller may end,
// and knows whether it did.
func TestOneStatementForManyRows(t *testing.T) {
	s, _ := filled(t)
	behind := func(tenantID string) store.Wall { return store.Behind(tenantID, "") }
	var calls []func()
	revoke := func(wall store.Wall, sel store.Selection, id string, want bool, reason string) {
		calls = append(calls, func() {
			ended, err := s.RevokeSession(store.WithWall(t.Context(), wall), sel, id, store.Actor{Subject: "boss of " + id, Reason: reason})
			if !want {
				assert.ErrorIs(t, err, store.ErrNotFound, "%+v %s", wall, id)
				return
			}
			if assert.NoError(t, err, "%+v %s", wall, id) {
				assert.True(t, ended, "%+v %s", wall, id)
			}
		})
	}
	want := map[string]string{}
	revoke(behind("t0"), store.InTenant("t3").OfUser("u9"), "t3-s9", false, "") // the wall around several is the one before
	for i := range tenants {
		tenantID := fmt.Sprintf("t%d", i)
		id := func(k int) string { return fmt.Sprintf("%s-s%d", tenantID, k) }
		other := fmt.Sprintf("t%d", (i+1)%tenants)
		for k, wall := range []store.Wall{behind(tenantID), behind(tenantID), behind(""), behind("")} {
			want[id(k)] = fmt.Sprint("because ", i, k)
			require.NoError(t, s.RecordApp(t.Context(), store.Everywhere(), store.App{SessionID: id(k), ApplicationID: "mail"}, store.Actor{}))
			revoke(wall, store.InTenant(tenantID), id(k), true, want[id(k)])
		}
		want[id(4)] = "mine"
		revoke(behind(tenantID), store.InTenant(tenantID).OfUser("u4"), id(4), true, "mine")
		revoke(behind(tenantID), store.InTenant(tenantID).OfUser("u4"), id(5), false, "")
		// A mistake in the selection, in the company of those who may: the wall of one is not the next one's.
		revoke(behind(other), store.InTenant(tenantID), id(6), false, "")
		if i < 2 { // no more than travel in one exchange
			revoke(behind(tenantID), store.InTenant(tenantID), fmt.Sprintf("%s-s%d", other, 7), false, "")
			revoke(store.Behind("", "nobody"), store.InTenant(tenantID), id(8), false, "")
		}
	}
	together(t, s, store.Changes, calls...)
	events, err := s.ListAuditEvents(t.Context(), store.AuditFilter{Action: store.ActionRevoked})
	require.NoError(t, err)
	got := map[string]string{}
	for _, event := range events {
		got[event.SessionID] = event.Reason
		assert.Equal(t, "boss of "+event.SessionID, event.ActorSub)
		assert.Equal(t, event.SessionID[:2], event.TenantID)
	}
	assert.Equal(t, want, got)
	for id := range want {
		session, err := s.GetSession(t.Context(), store.Everywhere(), id)
		require.NoError(t, err)
		assert.Equal(t, want[id], *session.EndedReason)
	}
	_, err = s.CheckTallies(t.Context(), false, func(d store.Drift) { assert.Fail(t, "drift", "%+v", d) })
	require.NoError(t, err, "their applications have ended with them")
}

// TestOneStatementForManyReads: reads that travel together, of all kinds of callers. Each is told what it would be told alone.
func TestOneStatementForManyReads(t *testing.T) {
	s, _ := filled(t)
	for i := range tenants {
		for k := range 3 {
			app := store.App{SessionID: fmt.Sprintf("t%d-s%d", i, k), ApplicationID: fmt.Sprintf("app%d", k)}
			require.NoError(t, s.RecordApp(t.Context(), store.Everywhere(), app, store.Actor{}))
		}
		_, err := s.RevokeSession(t.Context(), store.InTenant(fmt.Sprintf("t%d", i)), fmt.Sprintf("t%d-s%d", i, 2+i), store.Actor{Reason: "lost"})
		require.NoError(t, err)
	}
	_, err := s.RevokeAllSessions(t.Context(), store.InTenant("t2"), "", store.Actor{})
	require.NoError(t, err)

	type answer struct {
		Found any
		Total int
		Asker []bool
		Err   error
	}
	type asking = func(context.Context, store.Selection) (any, int, error)
	var reads []func() answer
	read := func(wall store.Wall, sel store.Selection, do asking) {
		reads = append(reads, func() (got answer) {
			sel := sel.AskedBy(wall.Tenant(), wall.Tenant()+"-s2", func(ended bool) { got.Asker = append(got.Asker, ended) })
			got.Found, got.Total, got.Err = do(store.WithWall(t.Context(), wall), sel)
			return got
		})
	}
	list := func(page store.Page) asking {
		return func(ctx context.Context, sel store.Selection) (any, int, error) {
			list, total, err := s.ListSessions(ctx, sel, page)
			return list, total, err
		}
	}
	get := func(id string) asking {
		return func(ctx context.Context, sel store.Selection) (any, int, error) {
			session, apps, err := s.GetSessionWithApps(ctx, sel, id)
			return [2]any{session, apps}, 0, err
		}
	}
	ended := func(tenantID string) asking {
		return func(ctx context.Context, _ store.Selection) (any, int, error) {
			ended, err := s.SessionEnded(ctx, tenantID, tenantID+"-s3")
			return ended, 0, err
		}
	}
	repeated := func(tenantID string) asking {
		return func(ctx context.Context, _ store.Selection) (any, int, error) {
			text, err := s.Ask(ctx, "SELECT CASE WHEN ? = '' THEN '' ELSE current_query() END", tenantID)
			return strings.Contains(text, "unnest"), -1, err
		}
	}
	type reading func(i int, tenantID, other string) (store.Selection, asking)
	in := store.InTenant
	for _, kind := range []reading{
		func(_ int, id, _ string) (store.Selection, asking) { return in(id), get(id + "-s1") },
		func(i int, id, _ string) (store.Selection, asking) {
			return in(id), get(fmt.Sprintf("%s-s%d", id, 2+i))
		},
		func(_ int, id, other string) (store.Selection, asking) { return in(id), get(other + "-s1") },
		func(_ int, id, _ string) (store.Selection, asking) { return store.Everywhere(), get(id + "-s1") },
		func(_ int, id, _ string) (store.Selection, asking) { return in(id).OfUser("u1"), get(id + "-s1") },
		func(i int, id, _ string) (store.Selection, asking) {
			return in(id), list(store.Page{ActiveOnly: true, Limit: 5 + i, Offset: i})
		},
		func(_ int, id, _ string) (store.Selection, asking) {
			return in(id), list(store.Page{Limit: 7, Offset: 7})
		},
		func(_ int, id, _ string) (store.Selection, asking) {
			return in(id).OfUser("u3"), list(store.Page{ActiveOnly: true})
		},
		func(int, string, string) (store.Selection, asking) {
			return store.Everywhere(), list(store.Page{ActiveOnly: true, Limit: 5})
		},
		func(_ int, id, _ string) (store.Selection, asking) { return in(id), ended(id) },
		func(_ int, id, _ string) (store.Selection, asking) { return in(id), repeated(id) },
	} {
		for i := range tenants {
			tenantID, other := fmt.Sprintf("t%d", i), fmt.Sprintf("t%d", (i+1)%tenants)
			for _, wall := range []store.Wall{store.Behind(tenantID, ""), store.Behind("", ""), store.Behind(other, ""), store.Behind("", "nobody")} {
				sel, do := kind(i, tenantID, other)
				read(wall, sel, do)
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
			got.Found = false // it was asked otherwise
			several++
		}
		assert.Equal(t, alone[i], got, i)
	}
	assert.Greater(t, several, tenants, "statements that became one")
}

// TestOneStatementForTheSameRow: whoever comes second is told so.
func TestOneStatementForTheSameRow(t *testing.T) {
	s, _ := filled(t)
	var mu sync.Mutex
	ended, made := 0, 0
	var calls []func()
	for range 3 {
		calls = append(calls, func() {
			by, err := s.RevokeSession(store.WithWall(t.Context(), store.Behind("t0", "")), store.InTenant("t0"), "t0-s1", store.Actor{})
			mu.Lock()
			defer mu.Unlock()
			if assert.NoError(t, err) && by {
				ended++
			}
		}, func() {
			session := store.Session{TenantID: "t0", ID: "new", UserID: "ada", ExpiresAt: time.Now().Add(time.Hour)}
			_, fresh, err := s.RegisterSession(t.Context(), store.Everywhere(), session, store.Actor{})
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
			_, fresh, err := s.RegisterSession(t.Context(), store.Everywhere(), session, store.Actor{})
			mu.Lock()
			defer mu.Unlock()
			if fresh {
				assert.NoError(t, err)
			} else if assert.ErrorIs(t, err, store.ErrTaken) {
				taken++
			}
		})
	}
	together(t, s, store.Changes, calls...)
	assert.Equal(t, 1, ended)
	assert.Equal(t, 1, made)
	assert.Equal(t, tenants-1, taken)
}

// TestParcels: what becomes one statement.
func TestParcels(t *testing.T) {
	open, t1, t2, partner := store.Behind("", ""), store.Behind("t1", ""), store.Behind("t2", ""), store.Behind("", "p")
	job, read := store.JobAbout, store.JobReading
	for name, c := range map[string]struct {
		jobs []store.Job
		want string
	}{
		"one tenant":                    {[]store.Job{job("revoke", "t1", "a", t1), job("revoke", "t1", "b", t1)}, "a+b"},
		"tenants, each behind its wall": {[]store.Job{job("revoke", "t1", "a", t1), job("revoke", "t2", "b", t2), job("revoke", "t1", "c", t1)}, "a+b+c, around t1 t2 t1"},
		"no wall":                       {[]store.Job{job("revoke", "t1", "a", open), job("revoke", "t2", "b", open)}, "a+b"},
		"a wall and none":               {[]store.Job{job("revoke", "t1", "a", t1), job("revoke", "t2", "b", open)}, "a | b"},
		"tenants, then no wall":         {[]store.Job{job("revoke", "t1", "a", t1), job("revoke", "t2", "b", t2), job("revoke", "t2", "c", open)}, "a+b, around t1 t2 | c"},
		"another's row":                 {[]store.Job{job("revoke", "t1", "a", t1), job("revoke", "t1", "b", t2)}, "a | b"},
		"another's row first":           {[]store.Job{job("revoke", "t1", "a", t2), job("revoke", "t1", "b", t1)}, "a | b"},
		"another's rows":                {[]store.Job{job("revoke", "t1", "a", t2), job("revoke", "t1", "b", t2)}, "a+b"},
		"tenants, then one's other row": {[]store.Job{job("revoke", "t1", "a", t1), job("revoke", "t2", "b", t2), job("revoke", "t2", "c", t1)}, "a+b, around t1 t2 | c"},
		"a partner's tenants":           {[]store.Job{job("revoke", "t1", "a", partner), job("revoke", "t2", "b", partner), job("revoke", "t1", "c", t1)}, "a+b | c"},
		"the same row":                  {[]store.Job{job("revoke", "t1", "a", t1), job("revoke", "t1", "a", t1), job("revoke", "t1", "b", t1)}, "a | a+b"},
		"other words":                   {[]store.Job{job("revoke", "t1", "a", t1), job("register", "t1", "b", t1)}, "a | b"},
		"words that are not about rows": {[]store.Job{job("", "t1", "a", t1), job("", "t1", "b", t1)}, "a | b"},
		"reads of one tenant":           {[]store.Job{read("t1", "a", t1), read("t1", "a", t1), read("t1", "b", t1)}, "a+a+b"},
		"reads of tenants":              {[]store.Job{read("t1", "a", t1), read("t2", "b", t2)}, "a+b, around t1 t2"},
		"reads that name no tenant":     {[]store.Job{read("", "a", t1), read("", "b", t1), read("", "c", t2)}, "a+b | c"},
		"reads of another tenant":       {[]store.Job{read("t1", "a", t2), read("t1", "b", t1)}, "a | b"},
		"reads with lists":              {[]store.Job{read("t1", []string{"a"}, open), read("t1", []string{"a"}, open)}, "[a] | [a]"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, store.Pack(c.jobs...)) })
	}
}

// TestEveryWallIsAroundSeveralTenants: what a change of a row does in other tables is behind the same wall, or it would not be
// seen there.
func TestEveryWallIsAroundSeveralTenants(t *testing.T) {
	s, _ := filled(t)
	for what, where := range map[string]string{"all": "", "those around several tenants": " WHERE qual LIKE '%sessiond.tenants%'"} {
		tables, err := s.Texts(t.Context(), "SELECT tablename FROM pg_policies"+where+" ORDER BY tablename")
		require.NoError(t, err)
		assert.Equal(t, []string{"audit_events", "session_apps", "session_changes", "session_chunks", "sessions", "tallies", "tenants", "user_deltas"}, tables, what)
	}
}
