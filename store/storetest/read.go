package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

// impossible are ids that are never registered; PostgreSQL refuses some of them with an error, SQLite none.
func impossible() []string {
	return []string{"", "\x00", "a\x00b", "\xff", "a\xc3(", strings.Repeat("x", 100_000)}
}

func testGet(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("only within the scope", func(t *testing.T) {
		f := newFixture(t, newStore)
		s := session("acme", "u1", "s1")
		s.PartnerID = new("north")
		f.register(s)
		all := store.AllTenants()
		for name, scope := range map[string]store.Scope{
			"all": all, "tenant": store.InTenant("acme"), "partner": all.OfPartner("north"), "user": all.OfUser("u1"),
			"each": store.InTenant("acme").OfPartner("north").OfUser("u1"), "twice": store.InTenant("acme").InTenant("acme"),
		} {
			got, err := f.GetSession(f.ctx, scope, "s1")
			require.NoError(t, err, name)
			assert.Equal(t, "s1", got.ID)
		}
		for name, scope := range map[string]store.Scope{
			"zero": {}, "other tenant": store.InTenant("other"), "other partner": all.OfPartner("south"),
			"other user": all.OfUser("u2"), "right tenant, other user": store.InTenant("acme").OfUser("u2"),
			"two tenants": store.InTenant("acme").InTenant("other"), "case": store.InTenant("ACME"),
			"narrowed zero": store.Scope{}.InTenant("acme"),
		} {
			_, err := f.GetSession(f.ctx, scope, "s1")
			require.ErrorIs(t, err, store.ErrNotFound, name)
		}
	})
	t.Run("identifiers are compared byte by byte", func(t *testing.T) {
		f := newFixture(t, newStore)
		for _, id := range []string{"a", "A", "ä", "a\u0308", "a ", " a", "a%", "a_"} {
			f.register(session("acme", "u1", id))
			assert.Equal(t, id, f.get(id).ID)
		}
		_, total := f.ids(store.AllTenants(), page{})
		assert.Equal(t, 8, total)
	})
	t.Run("tenants and users that were registered", func(t *testing.T) {
		f := newFixture(t, newStore)
		partner := session("t/1", "a/b", "s1")
		partner.PartnerID = new("north")
		f.register(partner)
		f.register(session("t", "b", "s2"))
		f.revoke("s1")
		for _, c := range []struct {
			tenant, user string
			known        bool
		}{
			{"t/1", "", true},
			{"t/1", "a/b", true},
			{"t", "", true},
			{"t", "b", true},
			{"t/1", "b", false},
			{"t", "a/b", false},
			{"t/1", "a", false},
			{"1", "", false},
			{"t/", "", false},
			{"T/1", "", false},
			{"", "a/b", false},
		} {
			known, err := f.Registered(f.ctx, c.tenant, c.user)
			require.NoError(t, err)
			assert.Equal(t, c.known, known, "%q %q", c.tenant, c.user)
		}
		for _, id := range impossible() {
			known, err := f.Registered(f.ctx, id, "")
			require.NoError(t, err)
			assert.False(t, known)
			if id != "" {
				known, err = f.Registered(f.ctx, "t", id)
				require.NoError(t, err)
				assert.False(t, known)
			}
		}
	})
	t.Run("ids that cannot be stored match nothing, in every method", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		for _, id := range impossible() {
			for _, scope := range []store.Scope{store.InTenant(id), store.AllTenants().OfUser(id), store.AllTenants().OfPartner(id)} {
				_, err := f.GetSession(f.ctx, scope, "s1")
				require.ErrorIs(t, err, store.ErrNotFound)
				ids, total := f.ids(scope, page{ActiveOnly: true, Limit: 10})
				assert.Empty(t, ids)
				assert.Zero(t, total)
				revoked, err := f.RevokeAllSessions(f.ctx, scope, "", tester())
				require.NoError(t, err)
				assert.Empty(t, revoked)
			}
			_, err := f.GetSession(f.ctx, store.AllTenants(), id)
			require.ErrorIs(t, err, store.ErrNotFound)
			_, err = f.RevokeSession(f.ctx, store.AllTenants(), id, tester())
			require.ErrorIs(t, err, store.ErrNotFound)
			require.ErrorIs(t, f.RecordActivity(f.ctx, store.AllTenants(), id, store.Activity{}, tester()), store.ErrNotFound)
			revoked, err := f.RevokeSessions(f.ctx, store.AllTenants(), []string{id}, tester())
			require.NoError(t, err)
			assert.Empty(t, revoked)
			ended, err := f.SessionEnded(f.ctx, "acme", id)
			require.NoError(t, err)
			assert.False(t, ended)
			stats, err := f.TenantStats(f.ctx, store.InTenant(id))
			require.NoError(t, err)
			assert.Zero(t, stats.Total)
		}
		assert.True(t, f.get("s1").Active(f.clock.Now()))
	})
	t.Run("ended at the exact instant of expires_at", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		end := Epoch.Add(time.Hour)
		for _, off := range []time.Duration{-time.Microsecond, 0, time.Microsecond} {
			at, want := end.Add(off), off >= 0
			f.clock.Set(at)
			for _, tenantID := range []string{"acme", ""} {
				ended, err := f.SessionEnded(f.ctx, tenantID, "s1")
				require.NoError(t, err)
				assert.Equal(t, want, ended, at)
			}
			_, total := f.ids(store.InTenant("acme"), page{ActiveOnly: true})
			assert.Equal(t, want, total == 0, at)
			assert.Equal(t, want, !f.get("s1").Active(at))
		}
	})
	t.Run("session check", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		f.revoke("s1")
		f.register(session("acme", "u1", "active"))
		for _, tenantID := range []string{"acme", "", "other", "\x00"} {
			for id, want := range map[string]bool{"s1": true, "active": false, "unknown": false, "": false} {
				assert.Equal(t, want, f.ended(tenantID, id), "tenant %q, session %q", tenantID, id)
			}
		}
	})
}

func testList(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("newest first, ties by id descending, byte by byte", func(t *testing.T) {
		f := newFixture(t, newStore)
		for i, id := range []string{"b", "B", "a", "_", "ä", "Z"} {
			s := session("acme", "u1", id)
			s.CreatedAt = Epoch.Add(time.Duration(i/4) * time.Microsecond)
			f.register(s)
		}
		ids, total := f.ids(store.InTenant("acme"), page{Limit: 10})
		assert.Equal(t, []string{"ä", "Z", "b", "a", "_", "B"}, ids)
		assert.Equal(t, 6, total)
	})
	t.Run("pages and their ends", func(t *testing.T) {
		f := newFixture(t, newStore)
		for i := range 5 {
			f.register(session("acme", "u1", fmt.Sprint("s", i)))
		}
		for _, c := range []struct {
			page page
			want []string
		}{
			{page{}, []string{"s4", "s3", "s2", "s1", "s0"}},
			{page{Limit: 2}, []string{"s4", "s3"}},
			{page{Offset: 2, Limit: 2}, []string{"s2", "s1"}},
			{page{Offset: 4, Limit: 2}, []string{"s0"}},
			{page{Offset: 5, Limit: 2}, []string{}},
			{page{Offset: 1 << 62, Limit: 100}, []string{}},
		} {
			ids, total := f.ids(store.InTenant("acme"), c.page)
			assert.Equal(t, c.want, ids, "%+v", c.page)
			assert.Equal(t, 5, total)
		}
	})
	t.Run("filters combine, ended ones only on request", func(t *testing.T) {
		f := newFixture(t, newStore)
		for i, s := range []store.Session{session("acme", "u1", "1"), session("acme", "u2", "2"), session("other", "u1", "3"), session("acme", "u1", "4"), session("acme", "u1", "5")} {
			if i < 3 {
				s.PartnerID = new("p-" + s.TenantID)
			}
			if s.ID == "5" {
				s.ExpiresAt = Epoch.Add(time.Minute)
			}
			f.register(s)
		}
		f.revoke("4")
		f.clock.Advance(time.Minute)
		all := store.AllTenants()
		for _, c := range []struct {
			scope  store.Scope
			active bool
			want   []string
		}{
			{all, true, []string{"3", "2", "1"}},
			{all, false, []string{"5", "4", "3", "2", "1"}},
			{store.InTenant("acme"), true, []string{"2", "1"}},
			{store.InTenant("acme").OfUser("u1"), true, []string{"1"}},
			{store.InTenant("acme").OfUser("u1"), false, []string{"5", "4", "1"}},
			{all.OfUser("u1"), true, []string{"3", "1"}},
			{all.OfPartner("p-acme"), true, []string{"2", "1"}},
			{all.OfPartner("p-acme").InTenant("other"), true, []string{}},
			{store.Scope{}, false, []string{}},
		} {
			ids, total := f.ids(c.scope, page{ActiveOnly: c.active, Limit: 10})
			assert.ElementsMatch(t, c.want, ids)
			assert.Equal(t, len(c.want), total)
		}
	})
	t.Run("an unknown tenant is an empty list", func(t *testing.T) {
		f := newFixture(t, newStore)
		ids, total := f.ids(store.InTenant("nobody"), page{Limit: 10})
		assert.Empty(t, ids)
		assert.Zero(t, total)
	})
}

func testStats(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("counts", func(t *testing.T) {
		f := newFixture(t, newStore)
		at := func(id, user string, created, expires time.Duration, device *string) {
			s := session("acme", user, id)
			s.CreatedAt, s.ExpiresAt, s.DeviceType = Epoch.Add(created), Epoch.Add(expires), device
			f.register(s)
		}
		at("active-1", "u1", -time.Hour, time.Hour, new("desktop"))
		at("active-2", "u1", -48*time.Hour, time.Hour, new("mobile"))
		at("active-3", "u2", -time.Hour, time.Hour, nil)
		at("expired", "u3", -48*time.Hour, 0, new("desktop"))
		at("revoked", "u4", -24*time.Hour, time.Hour, new("desktop"))
		at("revoked-then-expired", "u4", -24*time.Hour+time.Microsecond, time.Hour, new("desktop"))
		other := f.register(session("other", "u1", "foreign"))
		f.revoke("revoked")
		f.revoke("revoked-then-expired")
		for i, id := range []string{"active-1", "active-2", "revoked", other.ID} {
			if id != "revoked" {
				require.NoError(t, f.RecordApp(f.ctx, store.AllTenants(), store.App{SessionID: id, ApplicationID: "wiki", ApplicationName: "Wiki"}, tester()))
			}
			if i == 0 {
				require.NoError(t, f.RecordApp(f.ctx, store.AllTenants(), store.App{SessionID: id, ApplicationID: "mail", ApplicationName: "Mail"}, tester()))
			}
		}
		stats, err := f.TenantStats(f.ctx, store.InTenant("acme"))
		require.NoError(t, err)
		assert.Equal(t, store.Stats{
			Total: 6, Active: 3, Expired: 1, Revoked: 2, UniqueUsers: 2,
			ByDeviceType: map[string]int{"desktop": 1, "mobile": 1, "": 1},
			TopApplications: []store.ApplicationStats{
				{ApplicationID: "wiki", ApplicationName: "Wiki", Sessions: 2},
				{ApplicationID: "mail", ApplicationName: "Mail", Sessions: 1},
			},
			CreatedLast24h: 3, RevokedLast24h: 2, AsOf: Epoch,
		}, stats)
	})
	t.Run("the last day is exact, wherever it begins", func(t *testing.T) {
		const quarter = 15 * time.Minute
		midnight := Epoch.Truncate(24 * time.Hour).Add(24 * time.Hour)
		for _, past := range []time.Duration{
			0, time.Microsecond, time.Minute, quarter/2 - time.Microsecond, quarter / 2, quarter/2 + time.Microsecond, quarter - time.Microsecond,
		} {
			f := newFixture(t, newStore)
			now := midnight.Add(past)
			f.clock.Advance(now.Sub(Epoch))
			var rows store.Import
			want := 0
			for _, ago := range []time.Duration{-2 * quarter, -quarter, -quarter / 2, -time.Minute, -time.Microsecond, 0, time.Microsecond, time.Minute, quarter / 2, quarter, 2 * quarter} {
				at := now.Add(-24*time.Hour + ago)
				if ago > 0 {
					want++
				}
				made := session("acme", "u1", fmt.Sprint("made", ago))
				made.CreatedAt, made.ExpiresAt = at, now.Add(time.Hour)
				revoked := session("acme", "u1", fmt.Sprint("revoked", ago))
				revoked.CreatedAt, revoked.RevokedAt, revoked.EndCause, revoked.ExpiresAt = now.Add(-72*time.Hour), &at, new(store.Revoked), made.ExpiresAt
				foreignMade, foreignRevoked := made, revoked
				foreignMade.TenantID, foreignMade.ID = "globex", "globex "+made.ID
				foreignRevoked.TenantID, foreignRevoked.ID = "globex", "globex "+revoked.ID
				rows.Sessions = append(rows.Sessions, made, revoked, foreignMade, foreignRevoked)
			}
			require.NoError(t, f.ImportSessions(f.ctx, rows))
			check := func(when string) {
				stats, err := f.TenantStats(f.ctx, store.InTenant("acme"))
				require.NoError(t, err)
				assert.Equal(t, [2]int{want, want}, [2]int{stats.CreatedLast24h, stats.RevokedLast24h}, "%s after the quarter, %s", past, when)
			}
			check("not rolled up")
			_, err := f.RollUp(f.ctx, 1000)
			require.NoError(t, err)
			check("rolled up")
			f.clock.Advance(-time.Minute) // an instance with another clock recounts
			_, err = f.VerifyCounters(f.ctx, true, func(store.Drift) {})
			require.NoError(t, err)
			f.clock.Advance(time.Minute)
			check("recounted")
			f.clock.Advance(2 * time.Minute)
			_, err = f.VerifyCounters(f.ctx, true, func(store.Drift) {})
			require.NoError(t, err)
			f.clock.Advance(-2 * time.Minute)
			f.recordExpired(0) // then the store's clock follows the machine's again
			check("recounted by a clock that is ahead")
		}
	})
	t.Run("the ten most used applications", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		f.register(session("acme", "u1", "s2"))
		for i := range 12 {
			app := store.App{SessionID: "s1", ApplicationID: fmt.Sprintf("app-%02d", i), ApplicationName: "x"}
			require.NoError(t, f.RecordApp(f.ctx, store.AllTenants(), app, tester()))
			if i == 11 {
				app.SessionID = "s2"
				require.NoError(t, f.RecordApp(f.ctx, store.AllTenants(), app, tester()))
			}
		}
		stats, err := f.TenantStats(f.ctx, store.InTenant("acme"))
		require.NoError(t, err)
		require.Len(t, stats.TopApplications, 10)
		assert.Equal(t, "app-11", stats.TopApplications[0].ApplicationID)
		assert.Equal(t, "app-00", stats.TopApplications[1].ApplicationID)
	})
	t.Run("an unknown tenant has zeros", func(t *testing.T) {
		f := newFixture(t, newStore)
		stats, err := f.TenantStats(f.ctx, store.InTenant("nobody"))
		require.NoError(t, err)
		assert.Equal(t, store.Stats{ByDeviceType: map[string]int{}, TopApplications: []store.ApplicationStats{}, AsOf: Epoch}, stats)
	})
}
