package storetest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

// testRowSecurity calls operations with the scope AllTenants, as a handler with a defect would, in contexts that are restricted.
func testRowSecurity(t *testing.T, newStore Factory) {
	t.Helper()
	f := newFixture(t, newStore)
	for _, s := range []struct{ tenant, id, partner string }{
		{"acme", "a1", "north"}, {"acme", "a2", "north"}, {"globex", "g1", "north"}, {"initech", "i1", "south"}, {"umbrella", "u1", ""},
	} {
		row := session(s.tenant, "ada", s.id)
		if s.partner != "" {
			row.PartnerID = &s.partner
		}
		f.register(row)
		f.app(s.id, "mail", "Mail")
	}
	// SQLite has no row-level security: there only the conditions of the statements restrict what is read.
	restricted := f.Engine() == "postgres"
	if restricted {
		through, err := f.BypassesRowSecurity(f.ctx)
		require.NoError(t, err)
		require.False(t, through, "row-level security applies to the suite's role")
	}
	for _, rolledUp := range []bool{false, true} {
		if rolledUp {
			f.rollUpAll()
		}
		for name, c := range map[string]struct {
			authorized store.Scope
			sees       []string
		}{
			"everything":            {store.AllTenants(), []string{"a1", "a2", "g1", "i1", "u1"}},
			"a tenant":              {store.InTenant("acme"), []string{"a1", "a2"}},
			"a partner":             {store.AllTenants().OfPartner("north"), []string{"a1", "a2", "g1"}},
			"a tenant of a partner": {store.InTenant("globex").OfPartner("north"), []string{"g1"}},
			"nobody's tenant":       {store.InTenant("absent"), nil},
		} {
			t.Run(name, func(t *testing.T) {
				within := f
				within.ctx, within.t = store.WithScope(t.Context(), c.authorized), t
				want := c.sees
				if !restricted {
					want = []string{"a1", "a2", "g1", "i1", "u1"}
				}
				within.seesOnly(want)
			})
		}
	}
	t.Run("writes", func(t *testing.T) {
		ctx := store.WithScope(t.Context(), store.InTenant("acme"))
		_, err := f.RevokeSession(ctx, store.AllTenants(), "i1", tester())
		if restricted {
			require.ErrorIs(t, err, store.ErrNotFound)
		}
		ended, err := f.RevokeSessions(ctx, store.AllTenants(), []string{"a1", "a2", "g1", "i1", "u1"}, tester())
		require.NoError(t, err)
		if restricted {
			assert.Equal(t, []string{"a1", "a2"}, ended)
			// A tenant must not set a cutoff of the user in all tenants.
			_, err = f.RevokeAllSessions(ctx, store.AllTenants().OfUser("ada"), "", tester())
			require.Error(t, err)
			left, _ := f.ids(store.AllTenants(), page{ActiveOnly: true})
			assert.ElementsMatch(t, []string{"g1", "i1", "u1"}, left)
		}
		south := store.AllTenants().OfPartner("south")
		ended, err = f.RevokeAllSessions(store.WithScope(t.Context(), south), south.OfUser("ada"), "", tester())
		require.NoError(t, err)
		if restricted {
			assert.Equal(t, []string{"i1"}, ended)
			left, _ := f.ids(store.AllTenants(), page{ActiveOnly: true})
			assert.ElementsMatch(t, []string{"g1", "u1"}, left)
		}
		f.verifyCounters()
	})
	t.Run("nothing was authorized", func(t *testing.T) {
		ctx := store.WithScope(t.Context(), store.Scope{})
		for name, do := range map[string]func() error{
			"get": func() error { _, err := f.GetSession(ctx, store.AllTenants(), "a1"); return err },
			"list": func() error {
				_, _, err := f.ListSessions(ctx, store.CallerSession{}, store.AllTenants(), store.Filter{}, store.Page{Limit: 1})
				return err
			},
			"newest":  func() error { _, _, err := f.NewestActive(ctx, store.CallerSession{}, store.AllTenants()); return err },
			"stats":   func() error { _, err := f.TenantStats(ctx, store.InTenant("acme")); return err },
			"revoke":  func() error { _, err := f.RevokeSession(ctx, store.InTenant("globex"), "g1", tester()); return err },
			"end all": func() error { _, err := f.RevokeAllSessions(ctx, store.AllTenants(), "", tester()); return err },
			"register": func() error {
				_, _, err := f.RegisterSession(ctx, store.AllTenants(), session("acme", "u9", "a9"), tester())
				return err
			},
			"activity":  func() error { return f.RecordActivity(ctx, store.AllTenants(), "g1", store.Activity{}, tester()) },
			"audit log": func() error { _, err := f.ListAuditEvents(ctx, store.AuditFilter{}); return err },
		} {
			err := do()
			require.Error(t, err, name)
			require.NotErrorIs(t, err, store.ErrNotFound, name)
		}
		// The policy needs these two to decide what is authorized, so they must work before.
		ended, err := f.SessionEnded(ctx, "globex", "g1")
		require.NoError(t, err)
		assert.Equal(t, !restricted, ended)
		partner, err := f.TenantPartner(ctx, "initech")
		require.NoError(t, err)
		assert.Equal(t, "south", partner)
	})
}

// seesOnly expects every way to read to return the sessions with these ids and no others.
func (f fixture) seesOnly(want []string) {
	f.t.Helper()
	ids, _ := f.ids(store.AllTenants(), page{ActiveOnly: true})
	assert.ElementsMatch(f.t, want, ids)
	newest, more, err := f.NewestActive(f.ctx, store.CallerSession{}, store.AllTenants())
	require.NoError(f.t, err)
	assert.False(f.t, more)
	assert.Len(f.t, newest, len(want))
	page, total := f.ids(store.AllTenants(), page{Limit: 100})
	assert.ElementsMatch(f.t, want, page)
	assert.LessOrEqual(f.t, total, len(want), "the total leaks no number")
	for tenantID, id := range map[string]string{"acme": "a1", "globex": "g1", "initech": "i1", "umbrella": "u1"} {
		_, apps, err := f.GetSessionWithApps(f.ctx, store.CallerSession{}, store.AllTenants(), id)
		stats, statsErr := f.TenantStats(f.ctx, store.InTenant(tenantID))
		require.NoError(f.t, statsErr)
		if slices.Contains(want, id) {
			require.NoError(f.t, err, id)
			assert.Len(f.t, apps, 1)
		} else {
			require.ErrorIs(f.t, err, store.ErrNotFound, id)
			assert.Zero(f.t, stats.Total)
			assert.Empty(f.t, stats.TopApplications)
		}
	}
}
