package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

func testRegister(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("every member comes back, on every way", func(t *testing.T) {
		for name, c := range map[string]struct {
			limits store.Limits
			before []store.Session
		}{
			"the first of a tenant":  {},
			"one more of the tenant": {before: []store.Session{norths(session("acme", "u0", "s0"))}},
			"of a user with a limit": {limits: store.Limits{MaxSessions: 5}, before: []store.Session{norths(session("acme", "u1", "s0"))}},
			"of a new partner":       {before: []store.Session{session("acme", "u0", "s0")}},
		} {
			t.Run(name, func(t *testing.T) {
				f := newLimitedFixture(t, newStore, c.limits, 0)
				for _, s := range c.before {
					f.register(s)
				}
				in := fullSession()
				hasEveryMember(t, in, "LastActivityAt", "EndsAt", "EndCause", "RevokedAt", "EndedBySub", "EndedByClient", "EndReason", "AppCount",
					"LoginIPAddress", "ChangeRecordedAt")
				registered := f.register(in)
				want := in
				want.CreatedAt = time.Date(2026, 1, 15, 11, 0, 0, 999999000, time.UTC)
				want.ExpiresAt = time.Date(2026, 1, 16, 11, 0, 0, 1000, time.UTC)
				want.EndsAt, want.LoginIPAddress = want.ExpiresAt, want.IPAddress
				assert.Equal(t, want, registered)
				assert.Equal(t, want, f.get("s1"))
				items, _ := f.list(store.InTenant("acme").OfUser("u1"), page{ActiveOnly: true})
				assert.Contains(t, items, listItem(want))
				assert.Equal(t, []store.AuditEvent{{
					TenantID: "acme", SessionID: "s1", Action: store.ActionRegistered, At: Epoch, UserID: "u1", ActorSub: "tester", ActorClient: "suite", RequestID: "r1",
					Changes: map[string]store.Change{"ip_address": {To: want.IPAddress}, "country": {To: want.Country}},
				}}, f.events())
				stats, err := f.TenantStats(f.ctx, store.InTenant("acme"))
				require.NoError(t, err)
				assert.Equal(t, 1, stats.ByDeviceType["desktop"])
				f.verifyCounters()
			})
		}
	})
	t.Run("the country of a session chooses it for a list", func(t *testing.T) {
		f := newFixture(t, newStore)
		for i, country := range []*string{new("CH"), new("GB"), new("CH"), nil} {
			s := session("acme", "u1", fmt.Sprint("s", i))
			s.Country = country
			f.register(s)
		}
		f.revoke("s2")
		for filter, want := range map[store.Filter]string{
			{Country: "CH"}: "s2 s0", {Country: "CH", ActiveOnly: true}: "s0", {Country: "GB"}: "s1", {Country: "ch"}: "", {}: "s3 s2 s1 s0",
		} {
			for _, scope := range []store.Scope{store.InTenant("acme"), store.InTenant("acme").OfUser("u1"), store.AllTenants()} {
				items, total, err := f.ListSessions(f.ctx, store.CallerSession{}, scope, filter, store.Page{})
				require.NoError(t, err)
				var ids []string
				for _, item := range items {
					ids = append(ids, item.ID)
				}
				assert.Equal(t, want, strings.Join(ids, " "), "%+v", filter)
				assert.Len(t, items, total)
			}
		}
	})
	t.Run("absent members stay nil", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		assert.Equal(t, store.Session{
			TenantID: "acme", UserID: "u1", ID: "s1", CreatedAt: Epoch, ExpiresAt: Epoch.Add(time.Hour), EndsAt: Epoch.Add(time.Hour),
		}, f.get("s1"))
	})
	t.Run("an id is made when there is none", func(t *testing.T) {
		f := newFixture(t, newStore)
		one, two := f.register(session("acme", "u1", "")), f.register(session("acme", "u1", ""))
		assert.NotEmpty(t, one.ID)
		assert.NotEqual(t, one.ID, two.ID)
	})
	t.Run("the same id with the same owner again changes nothing", func(t *testing.T) {
		f := newFixture(t, newStore)
		first := f.register(session("acme", "u1", "s1"))
		f.clock.Advance(time.Minute)
		again := session("acme", "u1", "s1")
		again.ExpiresAt, again.UserEmail = Epoch.Add(9*time.Hour), new("other@example.com")
		got, created, err := f.RegisterSession(f.ctx, store.AllTenants(), again, tester())
		require.NoError(t, err)
		assert.False(t, created)
		assert.Equal(t, first, got)
		_, total := f.ids(store.AllTenants(), page{})
		assert.Equal(t, 1, total)
	})
	t.Run("the same id with another owner is refused", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		for _, other := range []store.Session{session("acme", "u2", "s1"), session("other", "u1", "s1")} {
			_, _, err := f.RegisterSession(f.ctx, store.AllTenants(), other, tester())
			require.ErrorIs(t, err, store.ErrTaken)
		}
		assert.Equal(t, "acme", f.get("s1").TenantID)
	})
	t.Run("an ended id does not come back to life", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "revoked"))
		f.register(session("acme", "u1", "expired"))
		f.revoke("revoked")
		f.clock.Advance(time.Hour)
		for _, id := range []string{"revoked", "expired"} {
			again := session("acme", "u1", id)
			again.ExpiresAt = Epoch.Add(9 * time.Hour)
			_, _, err := f.RegisterSession(f.ctx, store.AllTenants(), again, tester())
			require.ErrorIs(t, err, store.ErrEnded)
			assert.False(t, f.get(id).Active(f.clock.Now()))
		}
	})
	t.Run("50 at once with the same id make one session", func(t *testing.T) {
		f := newFixture(t, newStore)
		made := concurrently(50, func(int) bool {
			_, created, err := f.RegisterSession(f.ctx, store.AllTenants(), session("acme", "u1", "s1"), tester())
			return assert.NoError(t, err) && created
		})
		assert.Equal(t, 1, count(made, true))
		_, total := f.ids(store.AllTenants(), page{})
		assert.Equal(t, 1, total)
	})
	t.Run("50 at once with the same id and different owners: one wins", func(t *testing.T) {
		f := newFixture(t, newStore)
		outcome := concurrently(50, func(i int) string {
			_, created, err := f.RegisterSession(f.ctx, store.AllTenants(), session(fmt.Sprint("tenant-", i), "u1", "s1"), tester())
			if created {
				return "created"
			}
			return fmt.Sprint(strings.HasSuffix(err.Error(), store.ErrTaken.Error()))
		})
		assert.Equal(t, 1, count(outcome, "created"))
		assert.Equal(t, 49, count(outcome, "true"))
	})
	t.Run("identifiers at their longest", func(t *testing.T) {
		f := newFixture(t, newStore)
		wide := func(n int) string { return strings.Repeat("🚀", n) }
		s := session(wide(128), wide(255), wide(255))
		s.PartnerID = new(wide(128))
		f.register(s)
		assert.Equal(t, s.UserID, f.get(s.ID).UserID)
		require.NoError(t, f.RecordApp(f.ctx, store.AllTenants(), store.App{
			SessionID: s.ID, ApplicationID: wide(255), ApplicationName: "x",
		}, tester()))
	})
	t.Run("without the unique index, a taken id is still refused", func(t *testing.T) {
		s := newStore(t, store.Options{Now: NewClock().Now, Distributed: true})
		_, created, err := s.RegisterSession(t.Context(), store.AllTenants(), session("acme", "u1", "s1"), tester())
		require.NoError(t, err)
		assert.True(t, created)
		_, _, err = s.RegisterSession(t.Context(), store.AllTenants(), session("other", "u1", "s1"), tester())
		require.ErrorIs(t, err, store.ErrTaken)
		_, created, err = s.RegisterSession(t.Context(), store.AllTenants(), session("acme", "u1", "s1"), tester())
		require.NoError(t, err)
		assert.False(t, created)
	})
}

// fullSession returns a registration with every member.
func fullSession() store.Session {
	zone := time.FixedZone("east", 5*3600)
	return store.Session{
		TenantID: "acme", ID: "s1", UserID: "u1", PartnerID: new("north"), UserEmail: new("ä@example.com"),
		UserDisplayName: new("Ada 🚀"), IPAddress: new("2001:db8::1"), UserAgent: new(""), DeviceType: new("desktop"),
		Location: new("Bern, Switzerland"), Country: new("CH"), CreatedAt: time.Date(2026, 1, 15, 16, 0, 0, 999999999, zone),
		ExpiresAt: time.Date(2026, 1, 16, 16, 0, 0, 1999, zone), Browser: new("Firefox"), OS: new("Linux"),
	}
}

// hasEveryMember expects a value to have every member but for some, so that who adds one has to add it to the test as well.
func hasEveryMember(t *testing.T, value any, except ...string) {
	t.Helper()
	for field, member := range reflect.ValueOf(value).Fields() {
		assert.NotEqual(t, slices.Contains(except, field.Name), !member.IsZero(), "%T.%s", value, field.Name)
	}
}

// norths names the partner "north" in a registration.
func norths(s store.Session) store.Session {
	s.PartnerID = new("north")
	return s
}

// listItem is what lists show of a session.
func listItem(s store.Session) store.ListItem {
	return store.ListItem{
		TenantID: s.TenantID, ID: s.ID, UserID: s.UserID, UserEmail: s.UserEmail, IPAddress: s.IPAddress, UserAgent: s.UserAgent,
		DeviceType: s.DeviceType, CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt, LastActivityAt: s.LastActivityAt, AppCount: s.AppCount,
	}
}

// events are those of the session s1, without what is random.
func (f fixture) events() []store.AuditEvent {
	f.t.Helper()
	events, err := f.ListAuditEvents(f.ctx, store.AuditFilter{SessionID: "s1"})
	require.NoError(f.t, err)
	for i := range events {
		require.NotEmpty(f.t, events[i].OperationID)
		events[i].OperationID = ""
	}
	return events
}

func testPartners(t *testing.T, newStore Factory) {
	t.Helper()
	named := func(tenantID, id string, partnerID *string) store.Session {
		s := session(tenantID, "u1", id)
		s.PartnerID = partnerID
		return s
	}
	t.Run("the first registration that names one decides", func(t *testing.T) {
		f := newFixture(t, newStore)
		assert.Nil(t, f.register(named("acme", "s1", nil)).PartnerID)
		f.register(named("acme", "s2", new("north")))
		assert.Equal(t, new("north"), f.register(named("acme", "s3", nil)).PartnerID, "later ones may leave it out")
		assert.Equal(t, new("north"), f.get("s1").PartnerID, "earlier sessions belong to it too")
		_, _, err := f.RegisterSession(f.ctx, store.AllTenants(), named("acme", "s4", new("south")), tester())
		require.ErrorIs(t, err, store.ErrOtherPartner)
		_, err = f.GetSession(f.ctx, store.AllTenants(), "s4")
		require.ErrorIs(t, err, store.ErrNotFound, "nothing is left of a refused registration")
	})
	t.Run("the partner of a tenant", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(named("acme", "s1", new("north")))
		f.register(named("free", "s2", nil))
		for tenantID, want := range map[string]string{"acme": "north", "free": "", "unknown": "", "": "", "a\x00b": ""} {
			got, err := f.TenantPartner(f.ctx, tenantID)
			require.NoError(t, err)
			assert.Equal(t, want, got, "tenant %q", tenantID)
		}
	})
	t.Run("registrations that race with the decision all belong to the partner", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(named("acme", "first", nil))
		concurrently(24, func(i int) bool {
			partnerID := new("north")
			if i%3 > 0 {
				partnerID = nil
			}
			_, _, err := f.RegisterSession(f.ctx, store.AllTenants(), named("acme", fmt.Sprint("s", i), partnerID), tester())
			return assert.NoError(t, err)
		})
		_, total := f.ids(store.AllTenants().OfPartner("north"), page{})
		assert.Equal(t, 25, total)
	})
	for name, known := range map[string]int{"two partners at once: one wins": 0, "two partners at once, of a tenant that has sessions: one wins": 1} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, newStore)
			for _, tenantID := range []string{"t1", "t2", "t3", "t4", "t5"} { // not every time all find no partner
				if known > 0 {
					f.register(named(tenantID, tenantID, nil))
				}
				won := concurrently(16, func(i int) bool {
					id := fmt.Sprint(tenantID, "-", i)
					_, created, err := f.RegisterSession(f.ctx, store.AllTenants(), named(tenantID, id, new(fmt.Sprint("p", i%2))), tester())
					if err != nil {
						assert.ErrorIs(t, err, store.ErrOtherPartner)
					}
					return created
				})
				partnerID, err := f.TenantPartner(f.ctx, tenantID)
				require.NoError(t, err)
				_, total := f.ids(store.InTenant(tenantID).OfPartner(partnerID), page{})
				assert.Equal(t, count(won, true)+known, total)
				assert.Equal(t, 8+known, total)
			}
		})
	}
}

func count[T comparable](all []T, wanted T) int {
	n := 0
	for _, one := range all {
		if one == wanted {
			n++
		}
	}
	return n
}
