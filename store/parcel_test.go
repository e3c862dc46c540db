package store_test

import (
	"fmt"
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
	together(t, s, true, calls...)
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
			_, fresh, err := s.RegisterSession(t.Context(), session, store.Actor{})
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
			_, fresh, err := s.RegisterSession(t.Context(), session, store.Actor{})
			mu.Lock()
			defer mu.Unlock()
			if fresh {
				assert.NoError(t, err)
			} else if assert.ErrorIs(t, err, store.ErrTaken) {
				taken++
			}
		})
	}
	together(t, s, true, calls...)
	assert.Equal(t, 1, ended)
	assert.Equal(t, 1, made)
	assert.Equal(t, tenants-1, taken)
}

// TestParcels: what becomes one statement.
func TestParcels(t *testing.T) {
	open, t1, t2, partner := store.Behind("", ""), store.Behind("t1", ""), store.Behind("t2", ""), store.Behind("", "p")
	job := store.JobAbout
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
		assert.Equal(t, []string{"audit_events", "session_apps", "session_changes", "session_chunks", "sessions", "tallies", "tenants"}, tables, what)
	}
}
