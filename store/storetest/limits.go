package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

// heartbeat records an activity that changes nothing but its time, and returns the error of the store.
func (f fixture) heartbeat(id string) error {
	f.t.Helper()
	return f.RecordActivity(f.ctx, store.AllTenants(), id, store.Activity{}, tester())
}

func testLimits(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("the absolute limit bounds every end", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{Absolute: 30 * time.Minute}, 0)
		assert.Equal(t, Epoch.Add(30*time.Minute), f.register(session("acme", "u1", "s1")).ExpiresAt)
		assert.Equal(t, Epoch.Add(time.Hour), f.register(session("other", "u1", "s2")).ExpiresAt, "another tenant has none")
		later := Epoch.Add(9 * time.Hour)
		require.NoError(t, f.RecordActivity(f.ctx, store.AllTenants(), "s1", store.Activity{ExpiresAt: &later}, tester()))
		assert.Equal(t, Epoch.Add(30*time.Minute), f.get("s1").ExpiresAt)
		f.clock.Advance(30 * time.Minute)
		how, when := f.get("s1").Ending(f.clock.Now())
		assert.Equal(t, store.Expired, how)
		assert.Equal(t, Epoch.Add(30*time.Minute), when)
	})
	t.Run("past its idle limit a session has ended in every operation", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{Idle: 10 * time.Minute}, 0)
		f.register(session("acme", "u1", "s1"))
		f.clock.Advance(9 * time.Minute)
		require.NoError(t, f.heartbeat("s1"))
		f.clock.Advance(10*time.Minute - time.Microsecond)
		require.NoError(t, f.heartbeat("s1"))
		require.NoError(t, f.RecordApp(f.ctx, store.AllTenants(), store.App{SessionID: "s1", ApplicationID: "a", ApplicationName: "A"}, tester()))
		f.clock.Advance(10 * time.Minute)
		require.ErrorIs(t, f.heartbeat("s1"), store.ErrEnded)
		ended, err := f.SessionEnded(f.ctx, "acme", "s1")
		require.NoError(t, err)
		assert.True(t, ended)
		_, total := f.ids(store.InTenant("acme"), page{ActiveOnly: true})
		assert.Zero(t, total)
		revoked, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", tester())
		require.NoError(t, err)
		assert.Empty(t, revoked)
		stats, err := f.TenantStats(f.ctx, store.InTenant("acme"))
		require.NoError(t, err)
		assert.Equal(t, []int{0, 1, 0}, []int{stats.Active, stats.Expired, stats.Revoked})
		how, when := f.get("s1").Ending(f.clock.Now())
		assert.Equal(t, store.Idle, how)
		assert.Equal(t, Epoch.Add(29*time.Minute-time.Microsecond), when)
	})
	t.Run("an activity never moves the end beyond expires_at", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{Idle: 40 * time.Minute}, 0)
		f.register(session("acme", "u1", "s1"))
		f.clock.Advance(30 * time.Minute)
		require.NoError(t, f.heartbeat("s1"))
		f.clock.Advance(30 * time.Minute)
		how, when := f.get("s1").Ending(f.clock.Now())
		assert.Equal(t, store.Expired, how)
		assert.Equal(t, Epoch.Add(time.Hour), when)
	})
	t.Run("surplus sessions: the oldest end", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{MaxSessions: 2}, 0)
		for i := range 4 {
			s := session("acme", "u1", fmt.Sprint("s", i))
			s.CreatedAt = Epoch.Add(-time.Duration(i) * time.Minute) // the last registered is the oldest login
			f.register(s)
		}
		f.register(session("acme", "u2", "other"))
		f.register(session("free", "u1", "free"))
		ids, _ := f.ids(store.AllTenants(), page{ActiveOnly: true})
		assert.ElementsMatch(t, []string{"s0", "s3", "other", "free"}, ids, "the new one stays, the oldest of the others go")
		how, when := f.get("s1").Ending(f.clock.Now())
		assert.Equal(t, store.Replaced, how)
		assert.Equal(t, Epoch, when)
	})
	t.Run("surplus sessions: the new one is refused", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{MaxSessions: 2, RefuseSurplus: true}, 0)
		f.register(session("acme", "u1", "s1"))
		f.register(session("acme", "u1", "s2"))
		_, _, err := f.RegisterSession(f.ctx, store.AllTenants(), session("acme", "u1", "s3"), tester())
		require.ErrorIs(t, err, store.ErrTooMany)
		_, err = f.GetSession(f.ctx, store.AllTenants(), "s3")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, created, err := f.RegisterSession(f.ctx, store.AllTenants(), session("acme", "u1", "s2"), tester())
		require.NoError(t, err, "a repeated one is none more")
		assert.False(t, created)
		f.revoke("s1")
		f.register(session("acme", "u1", "s3"))
	})
	t.Run("the limit holds when logins come at once", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{MaxSessions: 3}, 0)
		concurrently(20, func(i int) bool {
			_, _, err := f.RegisterSession(f.ctx, store.AllTenants(), session("acme", "u1", fmt.Sprint("s", i)), tester())
			return assert.NoError(t, err)
		})
		_, total := f.ids(store.InTenant("acme"), page{ActiveOnly: true})
		assert.Equal(t, 3, total)
	})
}

func testCoalescing(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("a burst is one write an interval, and its last activity counts", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{Idle: 10 * time.Minute}, time.Minute)
		f.register(session("acme", "u1", "s1"))
		for range 50 {
			f.clock.Advance(time.Second)
			require.NoError(t, f.heartbeat("s1"))
		}
		assert.Equal(t, Epoch.Add(time.Second), *f.get("s1").LastActivityAt, "the first is written, the others wait")
		require.NoError(t, f.FlushActivity(f.ctx, false))
		assert.Equal(t, Epoch.Add(time.Second), *f.get("s1").LastActivityAt, "until the interval is over")
		f.clock.Advance(11 * time.Second)
		require.NoError(t, f.FlushActivity(f.ctx, false))
		assert.Equal(t, Epoch.Add(50*time.Second), *f.get("s1").LastActivityAt)
		assert.Equal(t, Epoch.Add(10*time.Minute+50*time.Second), f.get("s1").EndsAt)
	})
	t.Run("an activity that is more than a heartbeat is written at once", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{}, time.Minute)
		f.register(session("acme", "u1", "s1"))
		require.NoError(t, f.heartbeat("s1"))
		f.clock.Advance(time.Second)
		require.NoError(t, f.RecordActivity(f.ctx, store.AllTenants(), "s1", store.Activity{IPAddress: new("192.0.2.9")}, tester()))
		assert.Equal(t, "192.0.2.9", *f.get("s1").IPAddress)
		f.clock.Advance(time.Second)
		require.NoError(t, f.RecordActivity(f.ctx, store.AllTenants(), "s1", store.Activity{IPAddress: new("192.0.2.9")}, tester()))
		assert.Equal(t, Epoch.Add(time.Second), *f.get("s1").LastActivityAt, "the same address again is a heartbeat")
	})
	t.Run("a pending heartbeat revives no session", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{Idle: 10 * time.Minute}, time.Minute)
		f.register(session("acme", "u1", "s1"))
		require.NoError(t, f.heartbeat("s1"))
		require.NoError(t, f.heartbeat("s1"))
		f.revoke("s1")
		require.ErrorIs(t, f.heartbeat("s1"), store.ErrEnded, "a coalesced heartbeat still answers ErrEnded")
		require.NoError(t, f.FlushActivity(f.ctx, true))
		assert.False(t, f.get("s1").Active(f.clock.Now()))
	})
	t.Run("a heartbeat that is written too late revives no session", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{Idle: 10 * time.Minute}, time.Minute)
		f.register(session("acme", "u1", "s1"))
		require.NoError(t, f.heartbeat("s1"))
		f.clock.Advance(30 * time.Second)
		require.NoError(t, f.heartbeat("s1"))
		f.clock.Advance(9*time.Minute + 30*time.Second) // nobody has written it in all this time
		require.NoError(t, f.FlushActivity(f.ctx, true))
		assert.False(t, f.get("s1").Active(f.clock.Now()))
		assert.Equal(t, Epoch, *f.get("s1").LastActivityAt)
	})
	t.Run("an earlier heartbeat that is written later changes nothing", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{Idle: 10 * time.Minute}, time.Minute)
		f.register(session("acme", "u1", "s1"))
		require.NoError(t, f.heartbeat("s1"))
		f.clock.Advance(10 * time.Second)
		require.NoError(t, f.heartbeat("s1"))
		f.clock.Advance(10 * time.Second)
		require.NoError(t, f.RecordActivity(f.ctx, store.AllTenants(), "s1", store.Activity{IPAddress: new("192.0.2.9")}, tester()))
		require.NoError(t, f.FlushActivity(f.ctx, true))
		assert.Equal(t, Epoch.Add(20*time.Second), *f.get("s1").LastActivityAt)
		assert.Equal(t, Epoch.Add(10*time.Minute+20*time.Second), f.get("s1").EndsAt)
	})
	t.Run("heartbeats of many sessions are written, except of those that have ended", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{Idle: 10 * time.Minute}, time.Minute)
		id := func(i int) string { return fmt.Sprint("s", i) }
		const many = 100
		for i := range many {
			f.register(session([]string{"acme", "globex", "initech"}[i%3], "u1", id(i)))
			require.NoError(t, f.heartbeat(id(i)))
		}
		for i := range many {
			f.clock.Advance(100 * time.Millisecond)
			require.NoError(t, f.heartbeat(id(i)))
		}
		for i := range many / 7 {
			f.revoke(id(7 * i))
		}
		require.NoError(t, f.FlushActivity(f.ctx, true))
		for i := range many {
			used := Epoch
			if i%7 != 0 || i/7 >= many/7 {
				used = Epoch.Add(time.Duration(i+1) * 100 * time.Millisecond)
			}
			got := f.get(id(i))
			assert.Equal(t, used, *got.LastActivityAt, id(i))
			ends := got.ExpiresAt
			if got.TenantID == "acme" { // the others have no idle limit
				ends = used.Add(10 * time.Minute)
			}
			assert.Equal(t, ends, got.EndsAt, id(i))
		}
	})
	t.Run("all pending heartbeats are written on request", func(t *testing.T) {
		f := newLimitedFixture(t, newStore, store.Limits{}, 48*time.Hour)
		f.register(session("acme", "u1", "s1"))
		require.NoError(t, f.heartbeat("s1"))
		f.clock.Advance(time.Second)
		require.NoError(t, f.heartbeat("s1"))
		require.NoError(t, f.FlushActivity(f.ctx, true))
		assert.Equal(t, Epoch.Add(time.Second), *f.get("s1").LastActivityAt)
	})
}

func testCutoffs(t *testing.T, newStore Factory) {
	t.Helper()
	old := func(tenantID, userID, id string) store.Session {
		s := session(tenantID, userID, id)
		s.CreatedAt = Epoch.Add(-time.Minute)
		return s
	}
	t.Run("a clock that was set back does not take a cutoff back", func(t *testing.T) {
		f := newFixture(t, newStore)
		login := session("acme", "u1", "login")
		login.CreatedAt, login.ExpiresAt = Epoch.Add(30*time.Second), Epoch.Add(24*time.Hour)
		f.clock.Advance(time.Minute)
		for _, back := range []time.Duration{0, -time.Hour, time.Hour} {
			f.clock.Advance(back)
			_, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", tester())
			require.NoError(t, err)
			_, _, err = f.RegisterSession(f.ctx, store.AllTenants(), login, tester())
			require.ErrorIs(t, err, store.ErrTooOld, back)
		}
	})
	for name, c := range map[string]struct {
		scope            store.Scope
		refused, allowed []store.Session
	}{
		"a tenant": {
			store.InTenant("acme"),
			[]store.Session{old("acme", "u1", "a"), old("acme", "u2", "b")},
			[]store.Session{old("globex", "u1", "c")},
		},
		"a user of a tenant": {
			store.InTenant("acme").OfUser("u1"),
			[]store.Session{old("acme", "u1", "a")},
			[]store.Session{old("acme", "u2", "b"), old("globex", "u1", "c")},
		},
		"a user": {
			store.AllTenants().OfUser("u1"),
			[]store.Session{old("acme", "u1", "a"), old("globex", "u1", "b"), old("new", "u1", "d")},
			[]store.Session{old("acme", "u2", "c")},
		},
		"a partner's user": {
			store.AllTenants().OfPartner("north").OfUser("u1"),
			[]store.Session{old("acme", "u1", "a")},
			[]store.Session{old("globex", "u1", "b"), old("acme", "u2", "c")},
		},
	} {
		t.Run("no login from before all sessions of "+name+" were revoked", func(t *testing.T) {
			f := newFixture(t, newStore)
			first := session("acme", "u0", "first")
			first.PartnerID = new("north")
			f.register(first)
			_, err := f.RevokeAllSessions(f.ctx, c.scope, "", tester())
			require.NoError(t, err)
			for _, s := range c.refused {
				_, _, err := f.RegisterSession(f.ctx, store.AllTenants(), s, tester())
				require.ErrorIs(t, err, store.ErrTooOld, s.ID)
			}
			for _, s := range c.allowed {
				f.register(s)
			}
			f.clock.Advance(time.Microsecond)
			for _, s := range c.refused {
				s.CreatedAt = time.Time{}
				f.register(s)
			}
		})
	}
	t.Run("the excepted session stays registered", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "current"))
		_, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme").OfUser("u1"), "current", tester())
		require.NoError(t, err)
		_, created, err := f.RegisterSession(f.ctx, store.AllTenants(), old("acme", "u1", "current"), tester())
		require.NoError(t, err)
		assert.False(t, created)
	})
	t.Run("named revocations store no cutoff", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		_, err := f.RevokeSessions(f.ctx, store.InTenant("acme").OfUser("u1"), []string{"s1"}, tester())
		require.NoError(t, err)
		f.register(old("acme", "u1", "s2"))
	})
	t.Run("logins that race with a revoke-all are revoked or refused", func(t *testing.T) {
		f := newFixture(t, newStore)
		concurrently(24, func(i int) bool {
			if i%6 == 3 {
				_, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", tester())
				return assert.NoError(t, err)
			}
			_, _, err := f.RegisterSession(f.ctx, store.AllTenants(), old("acme", "u1", fmt.Sprint("s", i)), tester())
			if err != nil {
				assert.ErrorIs(t, err, store.ErrTooOld)
			}
			return true
		})
		_, total := f.ids(store.InTenant("acme"), page{ActiveOnly: true})
		assert.Zero(t, total)
	})
}
