package storetest

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

// ended reports whether a session has ended, by the session check of authentication.
func (f fixture) ended(tenantID, id string) bool {
	f.t.Helper()
	ended, err := f.SessionEnded(f.ctx, tenantID, id)
	require.NoError(f.t, err)
	return ended
}

// refuses expects a registration to be refused.
func (f fixture) refuses(s store.Session, want error) {
	f.t.Helper()
	_, created, err := f.RegisterSession(f.ctx, store.AllTenants(), s, tester())
	require.ErrorIs(f.t, err, want)
	require.False(f.t, created)
}

// from sets the login of a session to a time before the suite's clock started.
func from(s store.Session, ago time.Duration) store.Session {
	s.CreatedAt = Epoch.Add(-ago)
	return s
}

// purge deletes the sessions that ended before now and expects their number.
func (f fixture) purge(want int) {
	f.t.Helper()
	n, err := f.PurgeEnded(f.ctx, f.clock.Now(), 100)
	require.NoError(f.t, err)
	require.Equal(f.t, want, n)
}

// purgeTombstones deletes all tombstones, cutoffs and idempotency keys that are not needed any more.
func (f fixture) purgeTombstones() {
	f.t.Helper()
	for n := 1; n > 0; {
		var err error
		n, err = f.PurgeTombstones(f.ctx, f.clock.Now(), 2)
		require.NoError(f.t, err)
	}
}

// testEnded expects sessions that have ended to stay ended.
func testEnded(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("after a purge, as long as a token can live", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "revoked"))
		long := session("acme", "u1", "long")
		long.ExpiresAt = Epoch.Add(72 * time.Hour)
		f.register(long)
		f.register(session("acme", "u1", "expired"))
		f.revoke("revoked")
		f.revoke("long")
		f.clock.Advance(time.Hour)
		f.recordExpired(1)
		f.clock.Advance(time.Second)
		f.purge(3)
		for _, at := range []struct {
			after time.Duration
			ended []string
		}{
			{0, []string{"expired", "long", "revoked"}},
			{46 * time.Hour, []string{"expired", "long", "revoked"}},
			{time.Hour, []string{"expired", "long"}}, // a token's 24 hours and a day and a second after its end
			{time.Hour, []string{"long"}},
			{48 * time.Hour, nil},
		} {
			f.clock.Advance(at.after)
			f.purgeTombstones()
			for _, id := range []string{"expired", "long", "revoked"} {
				want := slices.Contains(at.ended, id)
				for _, tenantID := range []string{"acme", "other", ""} {
					assert.Equal(t, want, f.ended(tenantID, id), "%s, %s", id, f.clock.Now().Sub(Epoch))
				}
				if want {
					again := session("acme", "u1", id)
					again.ExpiresAt = f.clock.Now().Add(time.Hour)
					f.refuses(again, store.ErrEnded)
					again.TenantID, again.UserID = "other", "u2"
					f.refuses(again, store.ErrEnded)
				}
			}
		}
	})
	t.Run("a cutoff stays as long as a token of a session that it ended can live", func(t *testing.T) {
		f := newFixture(t, newStore)
		long := session("acme", "u1", "long")
		long.ExpiresAt = Epoch.Add(72 * time.Hour)
		f.register(long)
		f.register(session("globex", "u2", "short"))
		for _, scope := range []store.Scope{store.InTenant("acme").OfUser("u1"), store.InTenant("globex"), store.AllTenants().OfUser("u3")} {
			_, err := f.RevokeAllSessions(f.ctx, scope, "", tester())
			require.NoError(t, err)
		}
		for _, at := range []struct {
			after         time.Duration
			long, shorter error
		}{{time.Hour, store.ErrTooOld, store.ErrTooOld}, {48 * time.Hour, store.ErrTooOld, nil}, {48 * time.Hour, nil, nil}} {
			f.clock.Advance(at.after)
			_, err := f.PurgeAuditLog(f.ctx, f.clock.Now(), 100)
			require.NoError(t, err)
			f.purgeTombstones()
			for i, s := range []store.Session{session("acme", "u1", "a"), session("globex", "u9", "b"), session("initech", "u3", "c")} {
				want := at.shorter
				if i == 0 {
					want = at.long
				}
				s = from(s, time.Minute)
				s.ID += fmt.Sprint(f.clock.Now().Unix())
				s.ExpiresAt = f.clock.Now().Add(time.Hour)
				_, _, err := f.RegisterSession(f.ctx, store.AllTenants(), s, tester())
				require.ErrorIs(t, err, want, "%s after %s", s.ID, f.clock.Now().Sub(Epoch))
			}
		}
	})
	t.Run("all of a tenant, and its cutoff lasts as long as the longest of them", func(t *testing.T) {
		f := newFixture(t, newStore)
		for i := range 9 { // enough for a bulk revocation
			s := session("acme", "u1", fmt.Sprint("s", i))
			s.ExpiresAt = Epoch.Add(time.Duration(i+1) * 10 * time.Hour)
			f.register(s)
		}
		_, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", tester())
		require.NoError(t, err)
		f.applyAll()
		f.clock.Advance(113 * time.Hour) // a day longer than the longest
		f.purgeTombstones()
		old := from(session("acme", "u2", "old"), 0)
		old.ExpiresAt = f.clock.Now().Add(time.Hour)
		f.refuses(old, store.ErrTooOld)
		f.clock.Advance(time.Hour + time.Second)
		f.purgeTombstones()
		f.register(old)
	})
	t.Run("a session whose end is in the past, from the beginning or by an activity", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "moved"))
		require.NoError(t, f.RecordActivity(f.ctx, store.AllTenants(), "moved", store.Activity{ExpiresAt: new(time.Unix(0, 0))}, tester()))
		dead := from(session("acme", "u1", "dead"), 1000*time.Hour)
		dead.ExpiresAt = Epoch.Add(-900 * time.Hour)
		f.register(dead)
		for _, id := range []string{"moved", "dead"} {
			assert.Equal(t, Epoch, f.get(id).EndsAt, "it ends when the request comes")
			assert.True(t, f.ended("acme", id))
		}
		f.recordExpired(2)
		f.clock.Advance(time.Second)
		f.purge(2)
		f.clock.Advance(24*time.Hour - 2*time.Second)
		f.purgeTombstones()
		for _, id := range []string{"moved", "dead"} {
			assert.True(t, f.ended("acme", id))
			again := session("acme", "u1", id)
			again.ExpiresAt = f.clock.Now().Add(time.Hour)
			f.refuses(again, store.ErrEnded)
		}
	})
	t.Run("while it is deleted", func(t *testing.T) {
		f := newFixture(t, newStore)
		var ids []string
		for i := range 60 {
			s := session("acme", fmt.Sprint("u", i%2), fmt.Sprint("s", i))
			s.ExpiresAt = Epoch.Add(100 * time.Hour)
			ids = append(ids, f.register(s).ID)
		}
		_, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", tester())
		require.NoError(t, err)
		f.applyAll()
		f.clock.Advance(time.Second)
		var deleted atomic.Bool
		var purging error
		revived := concurrently(9, func(i int) int {
			if i == 0 {
				defer deleted.Store(true)
				for n := 3; n == 3 && purging == nil; {
					n, purging = f.PurgeEnded(f.ctx, f.clock.Now(), 3)
				}
				return 0
			}
			n := 0
			for round := 0; !deleted.Load() || round < len(ids); round++ {
				s := session([]string{"acme", "globex"}[i%2], fmt.Sprint("u", i), ids[(round*7+i)%len(ids)])
				s.ExpiresAt = Epoch.Add(50 * time.Hour)
				if _, made, _ := f.RegisterSession(f.ctx, store.AllTenants(), s, tester()); made {
					n++
				}
			}
			return n
		})
		require.NoError(t, purging)
		assert.Equal(t, make([]int, 9), revived)
	})
	t.Run("a clock that is set back revives no session", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		f.clock.Advance(time.Hour)
		require.True(t, f.ended("acme", "s1"))
		f.clock.Advance(-30 * time.Minute)
		dead := func() {
			t.Helper()
			assert.True(t, f.ended("acme", "s1"))
			active, err := f.SessionActive(f.ctx, store.InTenant("acme"), "s1")
			require.NoError(t, err)
			assert.False(t, active)
			ids, total := f.ids(store.InTenant("acme"), page{ActiveOnly: true, Limit: 10})
			assert.Empty(t, ids)
			assert.Zero(t, total)
			require.ErrorIs(t, f.heartbeat("s1"), store.ErrEnded)
			f.refuses(session("acme", "u1", "s1"), store.ErrEnded)
		}
		dead()
		f.recordExpired(1)
		dead()
		f.recordExpired(0)
		f.register(session("acme", "u1", "s2"))
		assert.Equal(t, Epoch.Add(30*time.Minute), f.get("s2").CreatedAt, "and then the store's clock is the machine's again")
		dead2, err := f.SessionActive(f.ctx, store.InTenant("acme"), "s2")
		require.NoError(t, err)
		assert.True(t, dead2)
		assert.True(t, f.ended("acme", "s1"))
	})
}

// testClockSetBackTooEarly expects the clock to stand still until every end that it has passed is recorded.
func testClockSetBackTooEarly(t *testing.T, newStore Factory) {
	t.Helper()
	f := newFixture(t, newStore)
	for i := range 9 {
		f.register(session("acme", "u1", fmt.Sprint("s", i)))
	}
	_, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", tester())
	require.NoError(t, err)
	f.clock.Advance(time.Hour)
	f.register(from(session("globex", "u1", "due"), -time.Hour)) // its end is now
	f.clock.Advance(-30 * time.Minute)
	made := func(id string) time.Time {
		s := session("globex", "u1", id)
		s.ExpiresAt = Epoch.Add(2 * time.Hour)
		return f.register(s).CreatedAt
	}
	f.recordExpired(1)
	assert.Equal(t, Epoch.Add(time.Hour), made("early"), "the bulk revocation has not been applied to every session")
	f.applyAll()
	f.recordExpired(0)
	assert.Equal(t, Epoch.Add(30*time.Minute), made("late"))
}

func idsOf(items []store.ListItem) []string {
	ids := make([]string, len(items))
	for i, item := range items {
		ids[i] = item.ID
	}
	return ids
}

// testPendingBulkRevocations is about bulk revocations that have not been applied to every session.
func testPendingBulkRevocations(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("statistics are exact before, while and after it is applied", func(t *testing.T) {
		f := newFixture(t, newStore)
		made, revoked := 0, 0
		check := func(active int, users int, devices map[string]int, apps []store.ApplicationStats) {
			t.Helper()
			stats, err := f.TenantStats(f.ctx, store.InTenant("acme"))
			require.NoError(t, err)
			assert.Equal(t, store.Stats{
				Total: made, Active: active, Expired: 1, Revoked: revoked, UniqueUsers: users, ByDeviceType: devices, TopApplications: apps,
				CreatedLast24h: made, RevokedLast24h: revoked, AsOf: f.clock.Now(),
			}, stats)
		}
		login := func(n int) {
			f.clock.Advance(time.Second)
			for range n {
				s := session("acme", fmt.Sprint("u", made%3), fmt.Sprint("s", made))
				if made == 0 {
					s.ExpiresAt = f.clock.Now().Add(time.Microsecond)
				}
				s.DeviceType = new([]string{"desktop", "mobile"}[made%2])
				f.register(s)
				if made > 0 {
					f.app(s.ID, "mail", "Mail")
				}
				made++
			}
		}
		for _, roll := range []func(){func() {}, f.rollUpAll} {
			login(6)
			f.clock.Advance(time.Second)
			ended, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", tester())
			require.NoError(t, err)
			revoked += len(ended)
			check(0, 0, map[string]int{}, []store.ApplicationStats{})
			roll()
			check(0, 0, map[string]int{}, []store.ApplicationStats{})
			login(2)
			roll()
			check(2, 2, map[string]int{"desktop": 1, "mobile": 1}, []store.ApplicationStats{{ApplicationID: "mail", ApplicationName: "Mail", Sessions: 2}})
			login(3)
			_, err = f.ApplyBulkRevocations(f.ctx, 2)
			require.NoError(t, err)
			roll()
			f.clock.Advance(time.Second)
			ended, err = f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", tester()) // a second one, before the first is done
			require.NoError(t, err)
			assert.Len(t, ended, 5)
			revoked += len(ended)
			check(0, 0, map[string]int{}, []store.ApplicationStats{})
			for more := true; more; {
				more, err = f.ApplyBulkRevocations(f.ctx, 2)
				require.NoError(t, err)
				roll()
				check(0, 0, map[string]int{}, []store.ApplicationStats{})
			}
			f.verifyCounters()
		}
	})
	t.Run("no list shows what one covers, in any scope", func(t *testing.T) {
		f := newFixture(t, newStore)
		for i := range 9 {
			of := session("acme", "u1", fmt.Sprint("s", i))
			of.PartnerID, of.Country = new("north"), new("SE")
			f.register(of)
		}
		f.register(session("globex", "u1", "other"))
		_, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", tester())
		require.NoError(t, err)
		f.clock.Advance(time.Second)
		after := session("acme", "u1", "after")
		after.Country = new("SE")
		f.register(after)
		for name, c := range map[string]struct {
			scope store.Scope
			want  []string
		}{
			"tenant": {store.InTenant("acme"), []string{"after"}}, "tenant's user": {store.InTenant("acme").OfUser("u1"), []string{"after"}},
			"user": {store.AllTenants().OfUser("u1"), []string{"after", "other"}}, "partner": {store.AllTenants().OfPartner("north"), []string{"after"}},
			"all": {store.AllTenants(), []string{"after", "other"}},
		} {
			for _, filter := range []store.Filter{{ActiveOnly: true}, {ActiveOnly: true, Country: "SE"}} {
				items, total, err := f.ListSessions(f.ctx, store.CallerSession{}, c.scope, filter, store.Page{Limit: 10})
				require.NoError(t, err)
				want := c.want
				if filter.Country != "" {
					want = []string{"after"}
				}
				assert.Equal(t, want, idsOf(items), "%s, %+v", name, filter)
				assert.Equal(t, len(want), total, "%s, %+v", name, filter)
			}
			items, more, err := f.NewestActive(f.ctx, store.CallerSession{}, c.scope)
			require.NoError(t, err)
			assert.Equal(t, c.want, idsOf(items), name)
			assert.False(t, more)
		}
	})
	t.Run("tenants take turns, and each call has its event at once", func(t *testing.T) {
		f := newFixture(t, newStore)
		tenants := []string{"acme", "globex", "initech"}
		for _, tenantID := range tenants {
			for i := range 9 {
				f.register(session(tenantID, "u1", fmt.Sprint(tenantID, i)))
			}
		}
		for _, tenantID := range tenants {
			f.clock.Advance(time.Second)
			_, err := f.RevokeAllSessions(f.ctx, store.InTenant(tenantID), "", store.Actor{Subject: "boss", Reason: "breach"})
			require.NoError(t, err)
			events, err := f.ListAuditEvents(f.ctx, store.AuditFilter{Action: store.ActionTenantRevoked, TenantID: tenantID})
			require.NoError(t, err)
			require.Len(t, events, 1)
			assert.Equal(t, []any{"boss", "breach", f.clock.Now(), ""}, []any{events[0].ActorSub, events[0].Reason, events[0].At, events[0].SessionID})
		}
		for turn := range 6 {
			_, err := f.ApplyBulkRevocations(f.ctx, 4)
			require.NoError(t, err)
			for i, tenantID := range tenants {
				turns := (turn + len(tenants) - i) / len(tenants)
				assert.Len(t, f.auditLog(store.AuditFilter{Action: store.ActionRevoked, TenantID: tenantID}), 4*turns, "%s after turn %d", tenantID, turn)
			}
		}
		f.applyAll()
		assert.Len(t, f.auditLog(store.AuditFilter{Action: store.ActionRevoked}), 27)
	})
}

// testStorableTimes imports sessions with the earliest and latest times, and expects them to be listed and revoked like others.
func testStorableTimes(t *testing.T, newStore Factory) {
	t.Helper()
	f := newFixture(t, newStore)
	now := session("acme", "bob", "now")
	now.PartnerID = new("north")
	f.register(now)
	for i, created := range []time.Time{
		time.Date(-4000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(1, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)),
		time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
	} {
		for how, scope := range map[string]store.Scope{
			"tenant": store.InTenant("acme"), "user": store.AllTenants().OfUser("ada"), "both": store.InTenant("acme").OfUser("ada"),
			"partner": store.AllTenants().OfPartner("north"), "all": store.AllTenants(), "named": {}, "one": {},
		} {
			id := fmt.Sprint(how, i)
			s := session("acme", "ada", id)
			s.PartnerID, s.CreatedAt, s.ExpiresAt = new("north"), created, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
			require.NoError(t, f.ImportSessions(f.ctx, store.Import{Sessions: []store.Session{s}}))
			seen, total := f.ids(store.InTenant("acme").OfUser("ada"), page{ActiveOnly: true, Limit: 100})
			assert.Contains(t, seen, id, created)
			assert.Len(t, seen, total)
			for _, of := range []store.Scope{store.InTenant("acme"), store.AllTenants()} {
				seen, total = f.ids(of, page{ActiveOnly: true, Limit: 100})
				assert.Contains(t, seen, id, created)
				assert.Len(t, seen, total)
			}
			f.ends(how, scope, id)
			assert.True(t, f.ended("acme", id), "%s of %s", how, created)
			f.applyAll()
		}
	}
	f.rollUpAll()
	f.verifyCounters()
}

// ends revokes one session in one of the ways to do so.
func (f fixture) ends(how string, scope store.Scope, id string) {
	f.t.Helper()
	var ids []string
	var err error
	switch how {
	case "one":
		_, err = f.RevokeSession(f.ctx, store.InTenant("acme"), id, tester())
		ids = []string{id}
	case "named":
		ids, err = f.RevokeSessions(f.ctx, store.InTenant("acme"), []string{id}, tester())
	default:
		ids, err = f.RevokeAllSessions(f.ctx, scope, "", tester())
	}
	require.NoError(f.t, err)
	assert.Contains(f.t, ids, id, how)
}

// applyAll applies all bulk revocations to their sessions.
func (f fixture) applyAll() {
	f.t.Helper()
	for more := true; more; {
		var err error
		more, err = f.ApplyBulkRevocations(f.ctx, 100)
		require.NoError(f.t, err)
	}
}
