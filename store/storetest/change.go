package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

func testRevoke(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("one, once", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		f.clock.Advance(time.Minute)
		f.revoke("s1")
		assert.Equal(t, new(Epoch.Add(time.Minute)), f.get("s1").RevokedAt)
		f.clock.Advance(time.Minute)
		revoked, err := f.RevokeSession(f.ctx, store.AllTenants(), "s1", tester())
		require.NoError(t, err)
		assert.False(t, revoked, "it had already ended")
		assert.Equal(t, new(Epoch.Add(time.Minute)), f.get("s1").RevokedAt, "the first end stays")
	})
	t.Run("every member of a revoked session", func(t *testing.T) {
		for how, end := range map[string]func(f fixture, by store.Actor) error{
			"one": func(f fixture, by store.Actor) error {
				_, err := f.RevokeSession(f.ctx, store.AllTenants(), "s1", by)
				return err
			},
			"named": func(f fixture, by store.Actor) error {
				_, err := f.RevokeSessions(f.ctx, store.InTenant("acme"), []string{"s1"}, by)
				return err
			},
			"user's": func(f fixture, by store.Actor) error {
				_, err := f.RevokeAllSessions(f.ctx, store.AllTenants().OfUser("u1"), "", by)
				return err
			},
			"tenant's": func(f fixture, by store.Actor) error {
				_, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", by)
				return err
			},
			"tenant's, in bulk": func(f fixture, by store.Actor) error {
				for i := range 9 {
					f.register(session("acme", "u2", fmt.Sprint("more", i)))
				}
				if _, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", by); err != nil {
					return err
				}
				f.applyAll()
				return nil
			},
		} {
			t.Run(how, func(t *testing.T) {
				f := newFixture(t, newStore)
				f.register(norths(session("acme", "u0", "s0")))
				want := f.register(fullSession())
				f.app("s1", "mail", "Mail")
				f.clock.Advance(time.Minute)
				require.NoError(t, end(f, store.Actor{Subject: "boss", ClientID: "console", RequestID: "r-9", Reason: "lost"}))
				at := Epoch.Add(time.Minute)
				want.LastActivityAt, want.AppCount = new(Epoch), 1
				want.EndCause, want.RevokedAt = new(store.Revoked), &at
				want.EndedBySub, want.EndedByClient, want.EndReason = new("boss"), new("console"), new("lost")
				assert.Equal(t, want, f.get("s1"))
				events := f.events()
				assert.Equal(t, store.AuditEvent{
					TenantID: "acme", SessionID: "s1", Action: store.ActionRevoked, At: at, UserID: "u1", ActorSub: "boss", ActorClient: "console",
					Reason: "lost", RequestID: "r-9",
				}, events[len(events)-1])
				f.verifyCounters()
			})
		}
	})
	t.Run("an expired one is not revoked", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		f.clock.Advance(time.Hour)
		revoked, err := f.RevokeSession(f.ctx, store.AllTenants(), "s1", tester())
		require.NoError(t, err)
		assert.False(t, revoked)
		assert.Nil(t, f.get("s1").RevokedAt)
	})
	t.Run("foreign and absent are the same", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		for _, scope := range []store.Scope{store.InTenant("other"), store.InTenant("acme").OfUser("u2"), {}} {
			_, foreign := f.RevokeSession(f.ctx, scope, "s1", tester())
			_, absent := f.RevokeSession(f.ctx, scope, "nothing", tester())
			require.ErrorIs(t, foreign, store.ErrNotFound)
			assert.Equal(t, absent.Error(), foreign.Error())
		}
		assert.True(t, f.get("s1").Active(f.clock.Now()))
	})
	t.Run("all of a scope, but one", func(t *testing.T) {
		f := newFixture(t, newStore)
		for i := range 4 {
			f.register(session("acme", "u1", fmt.Sprint("s", i)))
		}
		f.register(session("acme", "u2", "u2"))
		f.register(session("other", "u1", "other"))
		short := session("acme", "u1", "expired")
		short.ExpiresAt = Epoch
		f.register(short)
		f.revoke("s3")
		revoked, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme").OfUser("u1"), "s1", tester())
		require.NoError(t, err)
		assert.Equal(t, []string{"s0", "s2"}, revoked)
		revoked, err = f.RevokeAllSessions(f.ctx, store.InTenant("acme").OfUser("u1"), "s1", tester())
		require.NoError(t, err)
		assert.Equal(t, []string{}, revoked)
		ids, _ := f.ids(store.AllTenants(), page{ActiveOnly: true})
		assert.ElementsMatch(t, []string{"s1", "u2", "other"}, ids)
	})
	t.Run("named ones, others are ignored", func(t *testing.T) {
		f := newFixture(t, newStore)
		for i := range 4 {
			f.register(session("acme", "u1", fmt.Sprint("s", i)))
		}
		f.register(session("acme", "u2", "u2"))
		f.register(session("other", "u1", "other"))
		f.revoke("s3")
		revoked, err := f.RevokeSessions(f.ctx, store.InTenant("acme").OfUser("u1"),
			[]string{"s1", "s0", "s1", "s3", "u2", "other", "unknown", "", "\x00"}, tester())
		require.NoError(t, err)
		assert.Equal(t, []string{"s0", "s1"}, revoked)
		ids, _ := f.ids(store.AllTenants(), page{ActiveOnly: true})
		assert.ElementsMatch(t, []string{"s2", "u2", "other"}, ids)
	})
	t.Run("ten thousand names in one call", func(t *testing.T) {
		f := newFixture(t, newStore)
		names := make([]string, 10_000)
		for i := range names {
			names[i] = fmt.Sprintf("s%05d", i)
		}
		for _, i := range []int{0, 999, 1000, 9999} {
			f.register(session("acme", "u1", names[i]))
		}
		revoked, err := f.RevokeSessions(f.ctx, store.InTenant("acme"), names, tester())
		require.NoError(t, err)
		assert.Equal(t, []string{"s00000", "s00999", "s01000", "s09999"}, revoked)
	})
	t.Run("8 revoke-alls at once report each session exactly once", func(t *testing.T) {
		f := newFixture(t, newStore)
		var all []string
		for i := range 200 {
			all = append(all, f.register(session("acme", fmt.Sprint("u", i%3), fmt.Sprintf("s%03d", i))).ID)
		}
		parts := concurrently(8, func(i int) []string {
			scope := store.InTenant("acme")
			if i%2 == 1 {
				scope = scope.OfUser(fmt.Sprint("u", i%3))
			}
			revoked, err := f.RevokeAllSessions(f.ctx, scope, "", tester())
			assert.NoError(t, err)
			return revoked
		})
		reported := slices.Concat(parts...)
		slices.Sort(reported)
		assert.Equal(t, all, reported)
	})
	t.Run("names in opposite orders at once do not wait for each other", func(t *testing.T) {
		f := newFixture(t, newStore)
		for round := range 5 {
			var names []string
			for i := range 100 {
				names = append(names, f.register(session("acme", "u1", fmt.Sprintf("%d-%03d", round, i))).ID)
			}
			total := concurrently(4, func(i int) int {
				order := slices.Clone(names)
				if i%2 == 1 {
					slices.Reverse(order)
				}
				revoked, err := f.RevokeSessions(f.ctx, store.AllTenants(), order, tester())
				if err != nil {
					return -1000 // the sum below cannot come out then
				}
				return len(revoked)
			})
			assert.Equal(t, 100, total[0]+total[1]+total[2]+total[3])
		}
	})
}

func testActivity(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("changes the members that are set and keeps the others", func(t *testing.T) {
		f := newFixture(t, newStore)
		s := session("acme", "u1", "s1")
		s.IPAddress, s.UserAgent = new("192.0.2.1"), new("old")
		f.register(s)
		f.clock.Advance(time.Minute)
		require.NoError(t, f.RecordActivity(f.ctx, store.InTenant("acme"), "s1", store.Activity{}, tester()))
		got := f.get("s1")
		assert.Equal(t, new(Epoch.Add(time.Minute)), got.LastActivityAt)
		assert.Equal(t, []*string{new("192.0.2.1"), new("old")}, []*string{got.IPAddress, got.UserAgent})

		end := Epoch.Add(3*time.Hour + 999*time.Nanosecond)
		require.NoError(t, f.RecordActivity(f.ctx, store.AllTenants(), "s1", store.Activity{
			IPAddress: new("192.0.2.2"), UserAgent: new("new"), DeviceType: new("mobile"), Location: new("x"), ExpiresAt: &end,
		}, tester()))
		got = f.get("s1")
		assert.Equal(t, []*string{new("192.0.2.2"), new("new"), new("mobile"), new("x")}, []*string{got.IPAddress, got.UserAgent, got.DeviceType, got.Location})
		assert.Equal(t, Epoch.Add(3*time.Hour), got.ExpiresAt)
	})
	t.Run("every member of a session that is used", func(t *testing.T) {
		for _, limits := range []store.Limits{{}, {Idle: 30 * time.Minute}} {
			f := newLimitedFixture(t, newStore, limits, 0)
			f.register(norths(session("acme", "u0", "s0")))
			want := f.register(fullSession())
			f.clock.Advance(time.Minute)
			require.NoError(t, f.RecordActivity(f.ctx, store.AllTenants(), "s1", store.Activity{}, tester()))
			want.LastActivityAt = new(Epoch.Add(time.Minute))
			if limits.Idle > 0 {
				want.EndsAt = Epoch.Add(31 * time.Minute)
			}
			assert.Equal(t, want, f.get("s1"))
			assert.Len(t, f.events(), 1, "a heartbeat is no event")
			f.clock.Advance(time.Minute)
			activity := store.Activity{
				IPAddress: new("192.0.2.2"), UserAgent: new("new"), DeviceType: new("mobile"), Location: new("Oslo"), Country: new("NO"),
				Browser: new("Edge"), OS: new("Windows"),
			}
			hasEveryMember(t, activity, "ExpiresAt")
			require.NoError(t, f.RecordActivity(f.ctx, store.AllTenants(), "s1", activity, tester()))
			want.LastActivityAt, want.IPAddress, want.UserAgent, want.DeviceType = new(Epoch.Add(2*time.Minute)), new("192.0.2.2"), new("new"), new("mobile")
			want.Location, want.Country, want.ChangeRecordedAt = new("Oslo"), new("NO"), want.LastActivityAt
			want.Browser, want.OS = new("Edge"), new("Windows")
			if limits.Idle > 0 {
				want.EndsAt = Epoch.Add(32 * time.Minute)
			}
			assert.Equal(t, want, f.get("s1"))
			assert.Len(t, f.events(), 2)
			f.verifyCounters()
		}
	})
	t.Run("the place goes with the address", func(t *testing.T) {
		f := newFixture(t, newStore)
		s := session("acme", "u1", "s1")
		s.IPAddress, s.Location = new("192.0.2.1"), new("Bern, Switzerland")
		f.register(s)
		require.NoError(t, f.RecordActivity(f.ctx, store.AllTenants(), "s1", store.Activity{IPAddress: new("192.0.2.1")}, tester()))
		assert.Equal(t, "Bern, Switzerland", *f.get("s1").Location)
		require.NoError(t, f.RecordActivity(f.ctx, store.AllTenants(), "s1", store.Activity{IPAddress: new("192.0.2.2")}, tester()))
		assert.Nil(t, f.get("s1").Location)
	})
	t.Run("the latest activity stays when clocks differ", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		f.clock.Advance(time.Minute)
		require.NoError(t, f.RecordActivity(f.ctx, store.AllTenants(), "s1", store.Activity{}, tester()))
		f.clock.Advance(-time.Second)
		require.NoError(t, f.RecordActivity(f.ctx, store.AllTenants(), "s1", store.Activity{}, tester()))
		assert.Equal(t, new(Epoch.Add(time.Minute)), f.get("s1").LastActivityAt)
	})
	t.Run("never revives", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "revoked"))
		f.register(session("acme", "u1", "expired"))
		f.revoke("revoked")
		f.clock.Advance(time.Hour)
		later := Epoch.Add(9 * time.Hour)
		for _, id := range []string{"revoked", "expired"} {
			require.ErrorIs(t, f.RecordActivity(f.ctx, store.AllTenants(), id, store.Activity{ExpiresAt: &later}, tester()), store.ErrEnded)
			assert.Nil(t, f.get(id).LastActivityAt)
			assert.False(t, f.get(id).Active(f.clock.Now()))
		}
	})
	t.Run("outside the scope it is not found", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		require.ErrorIs(t, f.RecordActivity(f.ctx, store.InTenant("other"), "s1", store.Activity{}, tester()), store.ErrNotFound)
		require.ErrorIs(t, f.RecordActivity(f.ctx, store.InTenant("acme"), "s2", store.Activity{}, tester()), store.ErrNotFound)
		assert.Nil(t, f.get("s1").LastActivityAt)
	})
	t.Run("activity and revocation at once end revoked", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		later := Epoch.Add(9 * time.Hour)
		concurrently(17, func(i int) bool {
			if i == 8 {
				_, err := f.RevokeSession(f.ctx, store.AllTenants(), "s1", tester())
				return assert.NoError(t, err)
			}
			err := f.RecordActivity(f.ctx, store.AllTenants(), "s1", store.Activity{ExpiresAt: &later}, tester())
			if err != nil {
				assert.ErrorIs(t, err, store.ErrEnded)
			}
			return true
		})
		assert.NotNil(t, f.get("s1").RevokedAt)
	})
}

func testApps(t *testing.T, newStore Factory) {
	t.Helper()
	app := func(id, name string, at time.Time) store.App {
		return store.App{SessionID: "s1", ApplicationID: id, ApplicationName: name, AccessedAt: at}
	}
	t.Run("newest first, each application once", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		f.clock.Advance(time.Minute)
		for _, a := range []store.App{
			app("b", "B", Epoch), app("a", "A", Epoch), app("c", "C", Epoch.Add(time.Second)),
			app("b", "B renamed", Epoch.Add(2*time.Second)), app("c", "C renamed", Epoch.Add(-time.Second)),
		} {
			require.NoError(t, f.RecordApp(f.ctx, store.InTenant("acme"), a, tester()))
		}
		s, apps, err := f.GetSessionWithApps(f.ctx, store.CallerSession{}, store.InTenant("acme"), "s1")
		require.NoError(t, err)
		want := []store.App{
			app("b", "B renamed", Epoch.Add(2*time.Second)), app("c", "C renamed", Epoch.Add(time.Second)), app("a", "A", Epoch),
		}
		for i := range want {
			want[i].TenantID = "acme"
		}
		assert.Equal(t, want, apps)
		assert.Equal(t, 3, s.AppCount)
		assert.Equal(t, new(Epoch.Add(time.Minute)), s.LastActivityAt, "single sign-on is an activity of the session")
	})
	t.Run("now, when no time is set", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		require.NoError(t, f.RecordApp(f.ctx, store.AllTenants(), app("a", "A", time.Time{}), tester()))
		_, apps, err := f.GetSessionWithApps(f.ctx, store.CallerSession{}, store.AllTenants(), "s1")
		require.NoError(t, err)
		assert.Equal(t, Epoch, apps[0].AccessedAt)
	})
	t.Run("none is an empty list", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		_, apps, err := f.GetSessionWithApps(f.ctx, store.CallerSession{}, store.AllTenants(), "s1")
		require.NoError(t, err)
		assert.Equal(t, []store.App{}, apps)
	})
	t.Run("not on an ended or foreign session", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		require.ErrorIs(t, f.RecordApp(f.ctx, store.InTenant("other"), app("a", "A", Epoch), tester()), store.ErrNotFound)
		f.revoke("s1")
		require.ErrorIs(t, f.RecordApp(f.ctx, store.InTenant("acme"), app("a", "A", Epoch), tester()), store.ErrEnded)
		assert.Zero(t, f.get("s1").AppCount)
	})
	t.Run("the count is exact under concurrent requests", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		concurrently(24, func(i int) bool {
			return assert.NoError(t, f.RecordApp(f.ctx, store.AllTenants(), app(fmt.Sprint(i%6), "x", Epoch), tester()))
		})
		s, apps, err := f.GetSessionWithApps(f.ctx, store.CallerSession{}, store.AllTenants(), "s1")
		require.NoError(t, err)
		assert.Equal(t, 6, s.AppCount)
		assert.Len(t, apps, 6)
	})
}

func testSchema(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("is up to date, and stays so when several bring it up", func(t *testing.T) {
		f := newFixture(t, newStore)
		require.NoError(t, f.CheckSchema(f.ctx))
		concurrently(4, func(int) bool {
			steps, err := f.Migrate(f.ctx)
			return assert.NoError(t, err) && assert.Empty(t, steps)
		})
		steps, err := f.MigrationStatus(f.ctx)
		require.NoError(t, err)
		require.NotEmpty(t, steps)
		for _, step := range steps {
			assert.False(t, step.AppliedAt.IsZero(), step.Name)
		}
	})
}

// testBulkRevocations revokes a tenant with so many sessions that a bulk revocation is stored first and applied to them afterwards.
func testBulkRevocations(t *testing.T, newStore Factory) {
	t.Helper()
	f := newFixture(t, newStore)
	for i := range 9 {
		if i == 8 { // created at the time of the bulk revocation
			f.clock.Advance(10 * time.Minute) // s0 has expired
		}
		s := session("acme", fmt.Sprintf("u%d", i%3), fmt.Sprintf("s%d", i))
		s.ExpiresAt = Epoch.Add(time.Duration(10*i+5) * time.Minute)
		f.register(s)
	}
	f.app("s8", "mail", "Mail")
	f.register(session("globex", "u1", "other"))
	ids, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", store.Actor{Subject: "admin", Reason: "breach"})
	require.NoError(t, err)
	assert.Equal(t, []string{"s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"}, ids)
	f.clock.Advance(10 * time.Minute) // s1 would have expired by now
	at := Epoch.Add(10 * time.Minute)

	ended := func() {
		t.Helper()
		for i := 1; i < 9; i++ {
			id := fmt.Sprintf("s%d", i)
			how, when := f.get(id).Ending(f.clock.Now())
			assert.Equal(t, store.Revoked, how, id)
			assert.Equal(t, at, when, id)
			over, err := f.SessionEnded(f.ctx, "acme", id)
			require.NoError(t, err)
			assert.True(t, over, id)
			revoked, err := f.RevokeSession(f.ctx, store.AllTenants(), id, tester())
			require.NoError(t, err)
			assert.False(t, revoked, id)
			require.ErrorIs(t, f.RecordActivity(f.ctx, store.AllTenants(), id, store.Activity{}, tester()), store.ErrEnded)
			_, _, err = f.RegisterSession(f.ctx, store.AllTenants(), session("acme", fmt.Sprintf("u%d", i%3), id), tester())
			require.ErrorIs(t, err, store.ErrEnded)
		}
		for _, scope := range []store.Scope{store.InTenant("acme"), store.InTenant("acme").OfUser("u1")} {
			got, total := f.ids(scope, page{ActiveOnly: true, Limit: 5})
			assert.Empty(t, got)
			assert.Zero(t, total)
			again, err := f.RevokeAllSessions(f.ctx, scope, "", tester())
			require.NoError(t, err)
			assert.Empty(t, again)
		}
		_, total := f.ids(store.InTenant("acme"), page{Limit: 1})
		assert.Equal(t, 9, total)
		got, total := f.ids(store.AllTenants(), page{ActiveOnly: true, Limit: 5})
		assert.Equal(t, []string{"other"}, got)
		assert.Equal(t, 1, total)
		stats, err := f.TenantStats(f.ctx, store.InTenant("acme"))
		require.NoError(t, err)
		assert.Equal(t, []int{9, 0, 1, 8, 0}, []int{stats.Total, stats.Active, stats.Expired, stats.Revoked, stats.UniqueUsers})
		assert.Equal(t, []int{9, 8}, []int{stats.CreatedLast24h, stats.RevokedLast24h})
		assert.Empty(t, stats.ByDeviceType)
		assert.Empty(t, stats.TopApplications)
		f.verifyCounters()
	}
	ended()
	f.rollUpAll()
	ended()
	_, err = f.RecordExpired(f.ctx, 100) // takes none that was bulk revoked
	require.NoError(t, err)
	ended()
	for more := true; more; {
		more, err = f.ApplyBulkRevocations(f.ctx, 3)
		require.NoError(t, err)
		ended()
	}
	events, err := f.ListAuditEvents(f.ctx, store.AuditFilter{TenantID: "acme", Action: store.ActionRevoked})
	require.NoError(t, err)
	require.Len(t, events, 8)
	for _, e := range events {
		assert.Equal(t, []any{"admin", "breach", at, events[0].OperationID}, []any{e.ActorSub, e.Reason, e.At, e.OperationID})
	}
	_, err = f.RecordExpired(f.ctx, 100)
	require.NoError(t, err)
	assert.Equal(t, store.Expired, *f.get("s0").EndCause, "what had expired before was not revoked")
	f.clock.Advance(time.Second)
	fresh := session("acme", "u1", "fresh")
	fresh.ExpiresAt = f.clock.Now().Add(time.Hour)
	f.register(fresh)
	_, total := f.ids(store.InTenant("acme"), page{ActiveOnly: true, Limit: 5})
	assert.Equal(t, 1, total)
}
