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

// rollUpAll rolls up all pending deltas.
func (f fixture) rollUpAll() {
	f.t.Helper()
	for {
		n, err := f.RollUp(f.ctx, 7)
		require.NoError(f.t, err)
		if n < 7 {
			return
		}
	}
}

// verifyCounters compares every counter with a count of the rows.
func (f fixture) verifyCounters() {
	f.t.Helper()
	_, err := f.VerifyCounters(f.ctx, false, func(d store.Drift) { assert.Fail(f.t, "drift", "%+v", d) })
	require.NoError(f.t, err)
}

func testTotals(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("every change is counted, rolled up or not", func(t *testing.T) {
		f := newFixture(t, newStore)
		for _, rollUp := range []func(){func() {}, f.rollUpAll} {
			testCounted(f, rollUp)
		}
	})
	t.Run("deep pages have the sessions that OFFSET gives", func(t *testing.T) { testFarPages(newFixture(t, newStore)) })
	t.Run("deep pages among sessions of one creation time", func(t *testing.T) { testFarPagesOfOneTime(newFixture(t, newStore)) })
	t.Run("deep pages among sessions whose end is not recorded", func(t *testing.T) { testFarPagesOfEnded(newFixture(t, newStore)) })
	t.Run("each delta of a batch may be of another tenant", func(t *testing.T) {
		f := newFixture(t, newStore)
		var rows store.Import
		for i := range 2000 {
			s := session(fmt.Sprintf("t%04d", i), "u1", fmt.Sprintf("s%04d", i))
			s.CreatedAt, s.DeviceType = Epoch, new("desktop")
			rows.Sessions = append(rows.Sessions, s)
		}
		require.NoError(t, f.ImportSessions(f.ctx, rows))
		n, err := f.RollUp(f.ctx, 2000)
		require.NoError(t, err)
		assert.Equal(t, 2000, n)
		f.verifyCounters()
	})
	t.Run("an application's name and number", func(t *testing.T) {
		f := newFixture(t, newStore)
		for _, id := range []string{"s1", "s2"} {
			f.register(session("acme", "u1", id))
			f.app(id, "mail", "Mail")
		}
		f.rollUpAll()
		f.app("s1", "mail", "Post")
		f.revoke("s2")
		for range 2 {
			stats, err := f.TenantStats(f.ctx, store.InTenant("acme"))
			require.NoError(t, err)
			assert.Equal(t, []store.ApplicationStats{{ApplicationID: "mail", ApplicationName: "Post", Sessions: 1}}, stats.TopApplications)
			f.rollUpAll()
		}
	})
}

func (f fixture) app(sessionID, id, name string) {
	f.t.Helper()
	app := store.App{SessionID: sessionID, ApplicationID: id, ApplicationName: name}
	require.NoError(f.t, f.RecordApp(f.ctx, store.AllTenants(), app, tester()))
}

// testCounted makes every kind of change that affects a counter, and compares the counters after each.
func testCounted(f fixture, rollUp func()) {
	run := func(what string, do func()) {
		do()
		rollUp()
		f.verifyCounters()
		for _, scope := range []store.Scope{store.AllTenants(), store.InTenant("acme"), store.AllTenants().OfPartner("north")} {
			for _, activeOnly := range []bool{true, false} {
				all, n := f.ids(scope, page{ActiveOnly: activeOnly})
				_, total := f.ids(scope, page{ActiveOnly: activeOnly, Limit: 1})
				if len(all) > 0 {
					assert.Equal(f.t, n, total, "%s: %v, active only: %v", what, scope, activeOnly)
				}
				_, beyond := f.ids(scope, page{ActiveOnly: activeOnly, Offset: 1000, Limit: 1})
				assert.Equal(f.t, n, beyond, what)
			}
		}
	}
	id := func(i int) string { return fmt.Sprintf("s%d-%d", i, f.clock.Now().UnixMicro()) }
	ids := []string{id(0), id(1), id(2), id(3), id(4)}
	run("registered", func() {
		for i, id := range ids {
			s := session("acme", fmt.Sprintf("u%d", i%2), id)
			s.ExpiresAt = f.clock.Now().Add(time.Duration(i+1) * time.Hour)
			f.register(s)
		}
	})
	run("single sign-on", func() { f.app(ids[0], "mail", "Mail"); f.app(ids[1], "mail", "Mail"); f.app(ids[4], "wiki", "Wiki") })
	run("another device", func() {
		tablet := "tablet"
		require.NoError(f.t, f.RecordActivity(f.ctx, store.AllTenants(), ids[1], store.Activity{UserAgent: &tablet, DeviceType: &tablet}, tester()))
	})
	run("a partner", func() {
		s := session("acme", "u9", id(9))
		s.PartnerID, s.ExpiresAt = new("north"), f.clock.Now().Add(time.Hour)
		f.register(s)
	})
	run("revoked", func() { f.revoke(ids[1]) })
	run("expired", func() { f.clock.Advance(time.Hour) })
	run("expiration recorded", func() {
		_, err := f.RecordExpired(f.ctx, 100)
		require.NoError(f.t, err)
	})
	run("erased", func() {
		_, err := f.EraseUser(f.ctx, "acme", "u0", tester())
		require.NoError(f.t, err)
	})
	run("purged", func() {
		_, err := f.PurgeEnded(f.ctx, f.clock.Now().Add(time.Minute), 100)
		require.NoError(f.t, err)
	})
	run("all revoked", func() {
		_, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", tester())
		require.NoError(f.t, err)
	})
	f.clock.Advance(time.Minute)
}

// testFarPagesOfOneTime makes a bucket that cannot be split, because its sessions have one creation time, and more sessions before and
// after it, rolled up with it and later.
func testFarPagesOfOneTime(f fixture) {
	n := 0
	add := func(times ...time.Duration) {
		for _, after := range times {
			s := session("acme", fmt.Sprintf("u%d", n%3), fmt.Sprintf("s%03d", n))
			s.CreatedAt = Epoch.Add(after - time.Hour)
			f.register(s)
			n++
		}
	}
	pages := func() {
		f.t.Helper()
		f.rollUpAll()
		f.verifyCounters()
		for _, scope := range []store.Scope{store.InTenant("acme"), store.AllTenants()} {
			page := page{ActiveOnly: true}
			want, _ := f.ids(scope, page)
			for page.Limit = 4; page.Offset < n; page.Offset++ {
				got, _ := f.ids(scope, page)
				assert.Equal(f.t, want[min(page.Offset, len(want)):min(page.Offset+4, len(want))], got, "%+v", page)
			}
		}
	}
	add(slices.Repeat([]time.Duration{time.Minute}, 20)...)
	pages()
	for i := range 12 {
		add(time.Duration(i)*time.Second, time.Minute+time.Duration(i)*time.Second, 2*time.Minute)
		pages()
	}
	for i := range n / 2 {
		f.revoke(fmt.Sprintf("s%03d", i))
	}
	pages()
}

// testFarPagesOfEnded reads pages while the page index has sessions that have ended: by themselves, and by a bulk revocation of one of
// two tenants.
func testFarPagesOfEnded(f fixture) {
	n := 0
	add := func(tenantID string, lives time.Duration) {
		s := session(tenantID, "u1", fmt.Sprintf("s%03d", n))
		f.clock.Advance(time.Second)
		s.ExpiresAt = f.clock.Now().Add(lives)
		f.register(s)
		n++
	}
	pages := func(when string) {
		f.t.Helper()
		for _, activeOnly := range []bool{true, false} {
			for _, scope := range []store.Scope{store.InTenant("acme"), store.InTenant("globex"), store.AllTenants(), store.AllTenants().OfPartner("north")} {
				page := page{ActiveOnly: activeOnly}
				want, total := f.ids(scope, page)
				assert.Len(f.t, want, total)
				for page.Limit = 4; page.Offset < total+4; page.Offset += 3 {
					got, found := f.ids(scope, page)
					assert.Equal(f.t, total, found)
					assert.Equal(f.t, want[min(page.Offset, total):min(page.Offset+4, total)], got, "%s: %v, %+v", when, scope, page)
				}
			}
		}
	}
	joined := session("acme", "u1", "joined")
	joined.PartnerID = new("north")
	f.register(joined)
	for i := range 24 {
		add("acme", time.Duration(1+i%4)*10*time.Minute)
		add("globex", time.Duration(1+i%3)*10*time.Minute)
	}
	f.rollUpAll()
	pages("all are active")
	f.clock.Advance(15 * time.Minute)
	pages("some have expired")
	add("acme", time.Hour) // at the time of the revocation
	_, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", tester())
	require.NoError(f.t, err)
	f.clock.Advance(time.Second)
	pages("a tenant is revoked")
	for range 12 {
		add("acme", time.Hour)
		add("globex", time.Hour)
	}
	pages("with new ones")
	f.rollUpAll()
	pages("rolled up")
	for range 4 { // some have expired before, and are recorded first
		more, err := f.ApplyBulkRevocations(f.ctx, 5)
		require.NoError(f.t, err)
		require.True(f.t, more)
		pages("applied in part")
	}
	f.rollUpAll()
	pages("applied in part, rolled up")
}

// testFarPages makes many buckets, some of them with revoked sessions, and reads every page.
func testFarPages(f fixture) {
	add := func(from, n int) {
		for i := from; i < from+n; i++ {
			s := session("acme", "u1", fmt.Sprintf("s%03d", i*37%100))
			s.CreatedAt = Epoch.Add(-time.Duration(i/2*7%50) * time.Minute) // two of each time, in no order
			f.register(s)
		}
	}
	pages := func() {
		f.t.Helper()
		for _, activeOnly := range []bool{true, false} {
			for _, scope := range []store.Scope{store.InTenant("acme"), store.AllTenants()} {
				page := page{ActiveOnly: activeOnly}
				want, n := f.ids(scope, page)
				for page.Limit = 7; page.Offset < n+7; page.Offset += 3 {
					got, total := f.ids(scope, page)
					assert.Equal(f.t, n, total)
					assert.Equal(f.t, want[min(page.Offset, n):min(page.Offset+7, n)], got, "%+v", page)
				}
			}
		}
		f.verifyCounters()
	}
	add(0, 60)
	pages()
	f.rollUpAll()
	pages()
	for i := range 20 {
		f.revoke(fmt.Sprintf("s%03d", i*3*37%100))
	}
	pages()
	f.rollUpAll()
	add(60, 40)
	pages()
	f.rollUpAll()
	pages()
	_, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "s000", tester())
	require.NoError(f.t, err)
	f.rollUpAll()
	pages()
}
