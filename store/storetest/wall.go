package storetest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

// testWall asks for everything, as who has forgotten whose sessions they are to be, from behind walls.
func testWall(t *testing.T, newStore Factory) {
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
	// SQLite has no such wall; there the conditions of the statements stand alone.
	walled := f.Engine() == "postgres"
	if walled {
		through, err := f.PassesWalls(f.ctx)
		require.NoError(t, err)
		require.False(t, through, "the suite's role is one that walls hold")
	}
	for _, folded := range []bool{false, true} {
		if folded {
			f.foldAll()
		}
		for name, c := range map[string]struct {
			wall store.Wall
			sees []string
		}{
			"no wall":               {store.Behind("", ""), []string{"a1", "a2", "g1", "i1", "u1"}},
			"a tenant":              {store.Behind("acme", ""), []string{"a1", "a2"}},
			"a partner":             {store.Behind("", "north"), []string{"a1", "a2", "g1"}},
			"a tenant of a partner": {store.Behind("globex", "north"), []string{"g1"}},
			"nobody's tenant":       {store.Behind("absent", ""), nil},
		} {
			t.Run(name, func(t *testing.T) {
				behind := f
				behind.ctx, behind.t = store.WithWall(t.Context(), c.wall), t
				want := c.sees
				if !walled {
					want = []string{"a1", "a2", "g1", "i1", "u1"}
				}
				behind.seesOnly(want)
			})
		}
	}
	t.Run("what is changed behind it", func(t *testing.T) {
		ctx := store.WithWall(t.Context(), store.Behind("acme", ""))
		_, err := f.RevokeSession(ctx, store.Everywhere(), "i1", tester())
		if walled {
			require.ErrorIs(t, err, store.ErrNotFound)
		}
		ended, err := f.RevokeAllSessions(ctx, store.Everywhere().OfUser("ada"), "", tester())
		require.NoError(t, err)
		if walled {
			assert.Equal(t, []string{"a1", "a2"}, ended)
		}
		ended, err = f.RevokeAllSessions(store.WithWall(t.Context(), store.Behind("", "south")), store.Everywhere().OfUser("ada"), "", tester())
		require.NoError(t, err)
		if walled {
			assert.Equal(t, []string{"i1"}, ended)
			left, _ := f.ids(store.Everywhere(), store.Page{ActiveOnly: true})
			assert.ElementsMatch(t, []string{"g1", "u1"}, left)
		}
		f.exact()
	})
	t.Run("nothing was decided", func(t *testing.T) {
		ctx := store.WithWall(t.Context(), store.Wall{})
		for name, do := range map[string]func() error{
			"get":     func() error { _, err := f.GetSession(ctx, store.Everywhere(), "a1"); return err },
			"list":    func() error { _, _, err := f.ListSessions(ctx, store.Everywhere(), store.Page{Limit: 1}); return err },
			"newest":  func() error { _, _, err := f.NewestActive(ctx, store.Everywhere()); return err },
			"stats":   func() error { _, err := f.TenantStats(ctx, "acme"); return err },
			"revoke":  func() error { _, err := f.RevokeSession(ctx, store.InTenant("globex"), "g1", tester()); return err },
			"end all": func() error { _, err := f.RevokeAllSessions(ctx, store.Everywhere(), "", tester()); return err },
			"register": func() error {
				_, _, err := f.RegisterSession(ctx, store.Everywhere(), session("acme", "u9", "a9"), tester())
				return err
			},
			"use":   func() error { return f.RecordActivity(ctx, store.Everywhere(), "g1", store.Activity{}, tester()) },
			"trail": func() error { _, err := f.ListAuditEvents(ctx, store.AuditFilter{}); return err },
		} {
			err := do()
			require.Error(t, err, name)
			require.NotErrorIs(t, err, store.ErrNotFound, name)
		}
		// Whoever decides has to ask these before.
		ended, err := f.SessionEnded(ctx, "globex", "g1")
		require.NoError(t, err)
		assert.Equal(t, !walled, ended)
		partner, err := f.TenantPartner(ctx, "initech")
		require.NoError(t, err)
		assert.Equal(t, "south", partner)
	})
}

// seesOnly holds every way to read against the ids that there are to see.
func (f fixture) seesOnly(want []string) {
	f.t.Helper()
	ids, _ := f.ids(store.Everywhere(), store.Page{ActiveOnly: true})
	assert.ElementsMatch(f.t, want, ids)
	newest, more, err := f.NewestActive(f.ctx, store.Everywhere())
	require.NoError(f.t, err)
	assert.False(f.t, more)
	assert.Len(f.t, newest, len(want))
	page, total := f.ids(store.Everywhere(), store.Page{Limit: 100})
	assert.ElementsMatch(f.t, want, page)
	assert.LessOrEqual(f.t, total, len(want), "nor is it told how many there are")
	for tenantID, id := range map[string]string{"acme": "a1", "globex": "g1", "initech": "i1", "umbrella": "u1"} {
		_, apps, err := f.GetSessionWithApps(f.ctx, store.Everywhere(), id)
		stats, statsErr := f.TenantStats(f.ctx, tenantID)
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
