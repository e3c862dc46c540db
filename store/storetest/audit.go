package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

// auditLog returns the audit events that match, as "action tenant/user/session".
func (f fixture) auditLog(filter store.AuditFilter) []string {
	f.t.Helper()
	events, err := f.ListAuditEvents(f.ctx, filter)
	require.NoError(f.t, err)
	lines := make([]string, len(events))
	for i, e := range events {
		lines[i] = fmt.Sprintf("%s %s/%s/%s", e.Action, e.TenantID, e.UserID, e.SessionID)
	}
	return lines
}

// operations returns one line for each call that changed something: its events, sorted, because they have no order among themselves.
func (f fixture) operations() []string {
	f.t.Helper()
	events, err := f.ListAuditEvents(f.ctx, store.AuditFilter{})
	require.NoError(f.t, err)
	lines := f.auditLog(store.AuditFilter{})
	var calls []string
	for i := range events {
		if i == 0 || events[i].OperationID != events[i-1].OperationID {
			calls = append(calls, lines[i])
			continue
		}
		call := append(strings.Split(calls[len(calls)-1], ", "), lines[i])
		slices.Sort(call)
		calls[len(calls)-1] = strings.Join(call, ", ")
	}
	return calls
}

func testAudit(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("every change, in its order", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{MaxSessions: 2}, 0)
		first := session("acme", "u1", "s1")
		first.PartnerID = new("north")
		f.register(first)
		f.register(session("acme", "u1", "s2"))
		require.NoError(t, f.heartbeat("s2"))
		require.NoError(t, f.RecordActivity(f.ctx, store.AllTenants(), "s2", store.Activity{UserAgent: new("x")}, tester()))
		for range 2 {
			require.NoError(t, f.RecordApp(f.ctx, store.AllTenants(), store.App{SessionID: "s2", ApplicationID: "wiki", ApplicationName: "W"}, tester()))
		}
		f.register(session("acme", "u1", "s3"))
		_, err := f.RevokeSessions(f.ctx, store.AllTenants(), []string{"s2", "unknown"}, tester())
		require.NoError(t, err)
		_, err = f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", tester())
		require.NoError(t, err)
		revoked, err := f.RevokeSession(f.ctx, store.AllTenants(), "s3", tester())
		require.NoError(t, err)
		assert.False(t, revoked)
		assert.Equal(t, []string{
			"session.registered acme/u1/s1, tenant.partner acme//", "session.registered acme/u1/s2", "session.changed acme/u1/s2",
			"session.app acme/u1/s2", "session.registered acme/u1/s3, session.replaced acme/u1/s1",
			"session.revoked acme/u1/s2", "session.revoked acme/u1/s3, tenant.revoked acme//",
		}, f.operations())
	})
	t.Run("a revocation of a user, though nothing ended: it keeps logins out", func(t *testing.T) {
		f := newFixture(t, newStore)
		for _, c := range []struct {
			scope      store.Scope
			authorized store.Scope
		}{
			{store.InTenant("acme").OfUser("ada"), store.InTenant("acme")},
			{store.AllTenants().OfUser("bob"), store.AllTenants()},
			{store.AllTenants().OfPartner("north").OfUser("eve"), store.AllTenants().OfPartner("north")},
		} {
			ids, err := f.RevokeAllSessions(store.WithScope(f.ctx, c.authorized), c.scope, "", tester())
			require.NoError(t, err)
			assert.Empty(t, ids)
		}
		assert.Equal(t, []string{"user.revoked acme/ada/", "user.revoked /bob/", "user.revoked /eve/"}, f.operations())
	})
	t.Run("who, why, when, in which request", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		f.clock.Advance(time.Minute)
		by := store.Actor{Subject: "boss", ClientID: "console", RequestID: "r-7", Reason: "lost phone 📱"}
		_, err := f.RevokeSession(f.ctx, store.AllTenants(), "s1", by)
		require.NoError(t, err)
		events, err := f.ListAuditEvents(f.ctx, store.AuditFilter{Action: store.ActionRevoked})
		require.NoError(t, err)
		require.Len(t, events, 1)
		assert.NotEmpty(t, events[0].OperationID)
		events[0].OperationID = ""
		assert.Equal(t, store.AuditEvent{
			TenantID: "acme", SessionID: "s1", Action: store.ActionRevoked, At: Epoch.Add(time.Minute), UserID: "u1",
			ActorSub: "boss", ActorClient: "console", Reason: "lost phone 📱", RequestID: "r-7",
		}, events[0])
		s := f.get("s1")
		assert.Equal(t, []string{store.Revoked, "boss", "console", "lost phone 📱"}, []string{*s.EndCause, *s.EndedBySub, *s.EndedByClient, *s.EndReason})
	})
	t.Run("an application is renamed once, not by each access", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		f.register(session("acme", "u1", "s2"))
		by := store.Actor{Subject: "idp", ClientID: "idp", RequestID: "r-8"}
		for i, name := range []string{"Wiki", "Wiki", "Team Wiki", "Team Wiki", "team wiki", "Wiki"} {
			f.clock.Advance(time.Second)
			app := store.App{SessionID: "s1", ApplicationID: "wiki", ApplicationName: name}
			if i == 3 {
				app.AccessedAt = Epoch // an access from before the last one
			}
			require.NoError(t, f.RecordApp(f.ctx, store.AllTenants(), app, by))
			require.NoError(t, f.RecordApp(f.ctx, store.AllTenants(), store.App{SessionID: "s2", ApplicationID: "wiki", ApplicationName: "W"}, tester()))
		}
		events, err := f.ListAuditEvents(f.ctx, store.AuditFilter{Action: store.ActionAppRenamed})
		require.NoError(t, err)
		var at []time.Duration
		for _, e := range events {
			at = append(at, e.At.Sub(Epoch)/time.Second)
			e.At, e.OperationID = time.Time{}, ""
			assert.Equal(t, store.AuditEvent{
				TenantID: "acme", SessionID: "s1", Action: "session.app_renamed", UserID: "u1", ActorSub: "idp", ActorClient: "idp",
				Reason: "wiki", RequestID: "r-8",
			}, e)
		}
		assert.Equal(t, []time.Duration{3, 5, 6}, at)
		_, apps, err := f.GetSessionWithApps(f.ctx, store.CallerSession{}, store.AllTenants(), "s1")
		require.NoError(t, err)
		require.Len(t, apps, 1)
		assert.Equal(t, "Wiki", apps[0].ApplicationName)
		assert.Equal(t, Epoch.Add(6*time.Second), apps[0].AccessedAt)
	})
	t.Run("a refused change leaves no trace", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{MaxSessions: 1, RefuseSurplus: true}, 0)
		f.register(session("acme", "u1", "s1"))
		before := f.auditLog(store.AuditFilter{})
		for _, s := range []store.Session{session("acme", "u1", "s2"), session("acme", "u2", "s1"), session("acme", "u1", "s1")} {
			_, _, _ = f.RegisterSession(f.ctx, store.AllTenants(), s, tester())
		}
		_, err := f.RevokeSession(f.ctx, store.InTenant("other"), "s1", tester())
		require.ErrorIs(t, err, store.ErrNotFound)
		assert.Equal(t, before, f.auditLog(store.AuditFilter{}))
	})
	t.Run("filters", func(t *testing.T) {
		f := newFixture(t, newStore)
		for i, s := range []store.Session{session("acme", "u1", "s1"), session("acme", "u2", "s2"), session("globex", "u1", "s3")} {
			f.clock.Set(Epoch.Add(time.Duration(i) * time.Minute))
			f.register(s)
		}
		f.revoke("s2")
		for name, c := range map[string]struct {
			filter store.AuditFilter
			want   string
		}{
			"tenant":  {store.AuditFilter{TenantID: "acme"}, "s1 s2 s2"},
			"user":    {store.AuditFilter{UserID: "u1"}, "s1 s3"},
			"session": {store.AuditFilter{SessionID: "s2"}, "s2 s2"},
			"action":  {store.AuditFilter{Action: store.ActionRevoked}, "s2"},
			"since":   {store.AuditFilter{Since: Epoch.Add(time.Minute)}, "s2 s3 s2"},
			"until":   {store.AuditFilter{Until: Epoch.Add(time.Minute)}, "s1"},
			"newest":  {store.AuditFilter{Limit: 2}, "s3 s2"},
			"nothing": {store.AuditFilter{TenantID: "a\x00"}, ""},
		} {
			events, err := f.ListAuditEvents(f.ctx, c.filter)
			require.NoError(t, err)
			var ids []string
			for _, e := range events {
				ids = append(ids, e.SessionID)
			}
			assert.Equal(t, c.want, strings.Join(ids, " "), name)
		}
	})
}

// recordExpired records sessions that have expired, which must be so many.
func (f fixture) recordExpired(want int) {
	f.t.Helper()
	n, err := f.RecordExpired(f.ctx, 100)
	require.NoError(f.t, err)
	require.Equal(f.t, want, n)
}

func testRetention(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("an expired session is recorded once, at the time of its end", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{Idle: 10 * time.Minute}, 0)
		f.register(session("acme", "u1", "idle"))
		f.register(session("globex", "u1", "expired"))
		f.register(session("globex", "u1", "revoked"))
		f.revoke("revoked")
		f.recordExpired(0)
		f.clock.Advance(10 * time.Minute)
		f.recordExpired(1)
		f.clock.Advance(50 * time.Minute)
		f.recordExpired(1)
		f.recordExpired(0)
		for id, want := range map[string]time.Duration{"idle": 10 * time.Minute, "expired": time.Hour, "revoked": 0} {
			how, when := f.get(id).Ending(f.clock.Now())
			assert.Equal(t, id, how)
			assert.Equal(t, Epoch.Add(want), when)
			events, err := f.ListAuditEvents(f.ctx, store.AuditFilter{SessionID: id, Action: "session." + id})
			require.NoError(t, err)
			require.Len(t, events, 1, id)
			assert.Equal(t, Epoch.Add(want), events[0].At)
		}
	})
	t.Run("a clock that is set back revives no session", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		f.clock.Advance(time.Hour)
		f.recordExpired(1)
		f.clock.Advance(-time.Hour)
		assert.False(t, f.get("s1").Active(f.clock.Now()))
		require.ErrorIs(t, f.heartbeat("s1"), store.ErrEnded)
		_, total := f.ids(store.AllTenants(), page{ActiveOnly: true})
		assert.Zero(t, total)
	})
	t.Run("a batch is bounded, the earliest first", func(t *testing.T) {
		f := newFixture(t, newStore)
		for i := range 3 {
			s := session("acme", "u1", fmt.Sprint("s", i))
			s.ExpiresAt = Epoch.Add(time.Duration(3-i) * time.Minute)
			f.register(s)
		}
		f.clock.Advance(time.Hour)
		n, err := f.RecordExpired(f.ctx, 2)
		require.NoError(t, err)
		assert.Equal(t, 2, n)
		assert.Nil(t, f.get("s0").EndCause)
	})
	t.Run("sessions that ended long ago are purged in batches, with their applications", func(t *testing.T) {
		f := newFixture(t, newStore)
		for i := range 7 {
			f.register(session("acme", "u1", fmt.Sprint("s", i)))
		}
		require.NoError(t, f.RecordApp(f.ctx, store.AllTenants(), store.App{SessionID: "s0", ApplicationID: "a", ApplicationName: "A"}, tester()))
		f.revoke("s0")
		f.revoke("s1")
		f.clock.Advance(time.Hour) // the others expire
		f.recordExpired(5)
		long := session("acme", "u1", "active")
		long.ExpiresAt = Epoch.Add(1000 * time.Hour)
		f.register(long)
		for _, c := range []struct {
			before time.Time
			want   []int
		}{
			{Epoch, []int{0}},
			{Epoch.Add(time.Microsecond), []int{2, 0}},
			{Epoch.Add(time.Hour), []int{0}},
			{Epoch.Add(time.Hour + time.Microsecond), []int{3, 2, 0}},
			{Epoch.Add(900 * time.Hour), []int{0}},
		} {
			for _, want := range c.want {
				n, err := f.PurgeEnded(f.ctx, c.before, 3)
				require.NoError(t, err)
				assert.Equal(t, want, n, c.before)
			}
		}
		ids, _ := f.ids(store.AllTenants(), page{})
		assert.Equal(t, []string{"active"}, ids)
		events, err := f.ListAuditEvents(f.ctx, store.AuditFilter{Action: store.ActionPurged})
		require.NoError(t, err)
		var counts []string
		for _, e := range events {
			counts = append(counts, e.TenantID+" "+e.Reason)
		}
		assert.Equal(t, []string{"acme 2", "acme 3", "acme 2"}, counts)
	})
	t.Run("concurrent purges delete each session once", func(t *testing.T) {
		f := newFixture(t, newStore)
		for i := range 60 {
			f.register(session("acme", "u1", fmt.Sprint("s", i)))
		}
		f.clock.Advance(2 * time.Hour)
		f.recordExpired(60)
		purged := concurrently(8, func(int) int {
			total := 0
			for range 200 {
				n, err := f.PurgeEnded(f.ctx, f.clock.Now(), 5)
				if !assert.NoError(t, err) {
					break
				}
				total += n
			}
			return total
		})
		sum := 0
		for _, n := range purged {
			sum += n
		}
		assert.Equal(t, 60, sum)
	})
	t.Run("the audit log is purged by its own retention time", func(t *testing.T) {
		f := newFixture(t, newStore)
		for i := range 5 {
			f.clock.Set(Epoch.Add(time.Duration(i) * time.Minute))
			f.register(session("acme", "u1", fmt.Sprint("s", i)))
		}
		for _, want := range []int{2, 1, 0} {
			n, err := f.PurgeAuditLog(f.ctx, Epoch.Add(3*time.Minute), 2)
			require.NoError(t, err)
			assert.Equal(t, want, n)
		}
		assert.Len(t, f.auditLog(store.AuditFilter{}), 2)
	})
}

func testErasure(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("only a receipt of the user stays", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "ada", "s1"))
		f.register(session("acme", "ada", "s2"))
		f.register(session("acme", "bob", "s3"))
		f.register(session("globex", "ada", "s4"))
		_, err := f.RevokeSession(f.ctx, store.InTenant("acme"), "s1", store.Actor{Subject: "ada", Reason: "ada lost her phone"})
		require.NoError(t, err)
		_, err = f.RevokeAllSessions(f.ctx, store.InTenant("acme").OfUser("ada"), "", tester())
		require.NoError(t, err)
		erasure, err := f.EraseUser(f.ctx, "acme", "ada", store.Actor{Subject: "officer"})
		require.NoError(t, err)
		assert.Equal(t, 2, erasure.Sessions)
		ids, _ := f.ids(store.AllTenants(), page{})
		assert.ElementsMatch(t, []string{"s3", "s4"}, ids)
		events, err := f.ListAuditEvents(f.ctx, store.AuditFilter{TenantID: "acme"})
		require.NoError(t, err)
		for _, e := range events {
			assert.NotContains(t, e.UserID+e.ActorSub+e.Reason, "ada")
		}
		receipt := events[len(events)-1]
		assert.Equal(t, []string{store.ActionErased, erasure.Receipt, "officer"}, []string{receipt.Action, receipt.OperationID, receipt.ActorSub})
		assert.Regexp(t, `^hmac-sha256:[\w-]{22} ended:0 sessions:2$`, receipt.Reason)
		again, err := f.EraseUser(f.ctx, "acme", "ada", tester())
		require.NoError(t, err)
		events, err = f.ListAuditEvents(f.ctx, store.AuditFilter{TenantID: "acme", Action: store.ActionErased})
		require.NoError(t, err)
		require.Len(t, events, 2)
		assert.Equal(t, again.Receipt, events[1].OperationID)
		assert.Equal(t, strings.Fields(receipt.Reason)[0], strings.Fields(events[1].Reason)[0], "who knows the user can prove it")
		assert.Contains(t, f.auditLog(store.AuditFilter{TenantID: "globex"}), "session.registered globex/ada/s4")
	})
	t.Run("who only did things to others is named nowhere either", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "bob", "s1"))
		f.register(session("globex", "bob", "s2"))
		for _, scope := range []store.Scope{store.InTenant("acme"), store.InTenant("globex")} {
			_, err := f.RevokeAllSessions(f.ctx, scope, "", store.Actor{Subject: "boss", Reason: "boss said so"})
			require.NoError(t, err)
		}
		known, err := f.PreviewErasure(f.ctx, "acme", "boss")
		require.NoError(t, err)
		assert.Equal(t, store.Erasure{Events: 4}, known)
		done, err := f.EraseUser(f.ctx, "acme", "boss", tester())
		require.NoError(t, err)
		assert.Equal(t, store.Erasure{Events: 4, Receipt: done.Receipt}, done)
		for _, e := range f.events() {
			assert.NotContains(t, e.ActorSub+e.Reason, "boss")
		}
	})
	t.Run("active sessions end first, and what has ended stays ended", func(t *testing.T) {
		f := newFixture(t, newStore)
		s := session("acme", "ada", "s1")
		s.PartnerID = new("north")
		f.register(s)
		for i := range 6 { // a bulk revocation, which is not applied to all of them yet
			f.register(session("globex", "ada", fmt.Sprint("g", i)))
		}
		_, err := f.RevokeSession(f.ctx, store.InTenant("globex"), "g5", store.Actor{Subject: "boss"}) // before it
		require.NoError(t, err)
		_, err = f.RevokeAllSessions(f.ctx, store.InTenant("globex"), "", store.Actor{Subject: "boss"})
		require.NoError(t, err)
		f.clock.Advance(time.Minute)
		for tenantID, want := range map[string]store.Erasure{"acme": {Ended: 1, Sessions: 1}, "globex": {Sessions: 6}} {
			preview, err := f.PreviewErasure(f.ctx, tenantID, "ada")
			require.NoError(t, err)
			assert.Equal(t, [2]int{want.Ended, want.Sessions}, [2]int{preview.Ended, preview.Sessions})
			erasure, err := f.EraseUser(f.ctx, tenantID, "ada", store.Actor{Subject: "officer"})
			require.NoError(t, err)
			assert.Equal(t, [2]int{want.Ended, want.Sessions}, [2]int{erasure.Ended, erasure.Sessions})
			assert.Equal(t, erasure.Events, preview.Events)
		}
		f.applyAll()
		events, err := f.ListAuditEvents(f.ctx, store.AuditFilter{Action: store.ActionRevoked})
		require.NoError(t, err)
		require.Len(t, events, 7, "each end has one event")
		for _, e := range events {
			want := map[bool]string{true: "officer", false: "boss"}[e.SessionID == "s1"]
			assert.Equal(t, []string{want, ""}, []string{e.ActorSub, e.UserID})
		}
		for _, id := range []string{"s1", "g0", "g4"} {
			assert.True(t, f.ended("acme", id))
			f.refuses(session("acme", "ada", id), store.ErrEnded)
		}
		f.refuses(from(session("acme", "ada", "old"), 0), store.ErrTooOld)
		f.register(from(session("initech", "ada", "elsewhere"), 0))
		f.clock.Advance(time.Second)
		f.register(session("acme", "ada", "new"))
		f.verifyCounters()
	})
	t.Run("an unknown user gets a receipt too", func(t *testing.T) {
		f := newFixture(t, newStore)
		erasure, err := f.EraseUser(f.ctx, "acme", "nobody", tester())
		require.NoError(t, err)
		assert.Zero(t, erasure.Sessions)
		assert.Len(t, f.auditLog(store.AuditFilter{Action: store.ActionErased}), 1)
	})
}
