package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

// owner is the partner of a tenant.
func (f fixture) owner(tenantID string) string {
	f.t.Helper()
	partnerID, err := f.TenantPartner(f.ctx, tenantID)
	require.NoError(f.t, err)
	return partnerID
}

// testWhoAssignsPartners is about which services may assign a tenant to a partner by a registration.
func testWhoAssignsPartners(t *testing.T, newStore Factory) {
	t.Helper()
	everywhere, evil := store.AllTenants(), store.AllTenants().OfPartner("evil")
	const none, created = "", "created"
	for _, c := range []struct {
		name   string
		before string // the tenant's partner: none, or "unknown" for a tenant that nobody has named
		as     store.Scope
		named  string
		want   error
		after  string
	}{
		{"nobody's tenant, by the platform, nobody named", none, everywhere, none, nil, none},
		{"nobody's tenant, by the platform, a partner named", none, everywhere, "north", nil, "north"},
		{"nobody's tenant, by a partner's service", none, evil, none, store.ErrOutOfScope, none},
		{"nobody's tenant, by a partner's service that names it", none, evil, "evil", store.ErrOutOfScope, none},
		{"nobody's tenant, by its own service", none, store.InTenant("acme"), none, nil, none},
		{"nobody's tenant, by its own service that names one", none, store.InTenant("acme"), "evil", store.ErrOutOfScope, none},
		{"a partner's tenant, by the platform, nobody named", "north", everywhere, none, nil, "north"},
		{"a partner's tenant, by the platform, the same", "north", everywhere, "north", nil, "north"},
		{"a partner's tenant, by the platform, another", "north", everywhere, "evil", store.ErrOtherPartner, "north"},
		{"a partner's tenant, by its service", "evil", evil, none, nil, "evil"},
		{"a partner's tenant, by its service that names it", "evil", evil, "evil", nil, "evil"},
		{"a partner's tenant, by its service that names another", "evil", evil, "north", store.ErrOutOfScope, "evil"},
		{"a partner's tenant, by another's service", "north", evil, none, store.ErrOutOfScope, "north"},
		{"a partner's tenant, by the tenant's service", "north", store.InTenant("acme"), none, nil, "north"},
		{"a partner's tenant, by the tenant's service, the same", "north", store.InTenant("acme"), "north", nil, "north"},
		{"a partner's tenant, by the tenant's service, another", "north", store.InTenant("acme"), "evil", store.ErrOutOfScope, "north"},
		{"a new tenant, by the platform", "unknown", everywhere, "north", nil, "north"},
		{"a new tenant, by a partner's service", "unknown", evil, none, nil, "evil"},
		{"a new tenant, by a partner's service that names another", "unknown", evil, "north", store.ErrOutOfScope, none},
		{"a new tenant, by its own service", "unknown", store.InTenant("acme"), "north", nil, "north"},
		{"a new tenant, by its own service of a partner", "unknown", store.InTenant("acme").OfPartner("evil"), none, nil, "evil"},
		{"a new tenant, by its own service of a partner, another", "unknown", store.InTenant("acme").OfPartner("evil"), "north", store.ErrOutOfScope, none},
		{"nobody's tenant, by its own service of a partner", none, store.InTenant("acme").OfPartner("evil"), none, nil, none},
		{"nobody's tenant, by its own service of a partner that names it", none, store.InTenant("acme").OfPartner("evil"), "evil", store.ErrOutOfScope, none},
		{"another tenant", none, store.InTenant("globex"), none, store.ErrOutOfScope, none},
		{"nothing at all", none, store.Scope{}, none, store.ErrOutOfScope, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, newStore)
			if c.before != "unknown" {
				first := session("acme", "u1", "first")
				if c.before != none {
					first.PartnerID = &c.before
				}
				f.register(first)
			}
			for range 2 { // a repeated registration is refused again
				s := session("acme", "u1", "s1")
				if c.named != none {
					s.PartnerID = &c.named
				}
				_, _, err := f.RegisterSession(f.ctx, c.as, s, tester())
				require.ErrorIs(t, err, c.want)
			}
			assert.Equal(t, c.after, f.owner("acme"))
			_, total := f.ids(everywhere.OfPartner("evil"), page{Limit: 1})
			assert.Equal(t, c.after == "evil", total > 0)
			if _, err := f.GetSession(f.ctx, everywhere, "s1"); c.want != nil {
				require.ErrorIs(t, err, store.ErrNotFound)
			} else {
				require.NoError(t, err, created)
			}
		})
	}
}

func testMovePartner(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("a tenant is moved with its sessions, which is in the audit log", func(t *testing.T) {
		f := newFixture(t, newStore)
		s := session("acme", "u1", "s1")
		s.PartnerID = new("evil")
		f.register(s)
		f.register(session("acme", "u2", "s2"))
		for _, to := range []string{"north", "", "north", "north"} {
			require.NoError(t, f.SetTenantPartner(f.ctx, "acme", to, store.Actor{Subject: "operator"}))
			assert.Equal(t, to, f.owner("acme"))
			f.rollUpAll()
			for _, partnerID := range []string{"evil", "north"} {
				ids, total := f.ids(store.AllTenants().OfPartner(partnerID), page{ActiveOnly: true, Limit: 10})
				assert.Len(t, ids, total)
				assert.Equal(t, partnerID == to, total == 2, partnerID)
			}
		}
		f.verifyCounters()
		events, err := f.ListAuditEvents(f.ctx, store.AuditFilter{Action: store.ActionPartner})
		require.NoError(t, err)
		var reasons []string
		for _, e := range events {
			reasons = append(reasons, e.ActorSub+" "+e.Reason)
		}
		assert.Equal(t, []string{"tester evil", "operator north", "operator ", "operator north"}, reasons)
		for _, unknown := range []string{"unknown", "", "\x00"} {
			require.ErrorIs(t, f.SetTenantPartner(f.ctx, unknown, "north", tester()), store.ErrNotFound)
		}
	})
	t.Run("the cutoffs of a partner cover tenants that join it, and stay with those that leave", func(t *testing.T) {
		f := newFixture(t, newStore)
		s := session("acme", "u1", "s1")
		s.PartnerID = new("north")
		f.register(s)
		f.register(session("globex", "u1", "g1"))
		for _, scope := range []store.Scope{store.AllTenants().OfPartner("north").OfUser("u1"), store.AllTenants().OfPartner("south")} {
			_, err := f.RevokeAllSessions(f.ctx, scope, "", tester())
			require.NoError(t, err)
		}
		f.clock.Advance(time.Minute)
		old := func(tenantID, userID, partnerID string) store.Session {
			s := from(session(tenantID, userID, "old-"+tenantID+userID), 0)
			if partnerID != "" {
				s.PartnerID = &partnerID
			}
			return s
		}
		f.refuses(old("acme", "u1", ""), store.ErrTooOld)
		f.refuses(old("new", "u1", "north"), store.ErrTooOld) // a tenant that joins by this very registration
		f.refuses(old("globex", "u1", "north"), store.ErrTooOld)
		f.refuses(old("other", "u9", "south"), store.ErrTooOld)
		f.register(old("acme", "u2", "")) // another user
		f.register(old("initech", "u1", ""))
		require.NoError(t, f.SetTenantPartner(f.ctx, "acme", "", tester()))
		f.refuses(old("acme", "u1", ""), store.ErrTooOld)
		require.NoError(t, f.SetTenantPartner(f.ctx, "initech", "south", tester()))
		f.refuses(old("initech", "u7", ""), store.ErrTooOld)
		f.clock.Advance(time.Second)
		f.register(session("initech", "u7", "fresh"))
	})
}
