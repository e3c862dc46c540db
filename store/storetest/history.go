package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

// history reads all pages of events.
func (f fixture) history(read func(page store.EventPage) (store.Events, error), limit int) []store.AuditEvent {
	f.t.Helper()
	all := []store.AuditEvent{}
	page := store.EventPage{Limit: limit}
	for range 10_000 {
		found, err := read(page)
		require.NoError(f.t, err)
		assert.LessOrEqual(f.t, len(found.Events), limit+1) // an end that is not recorded comes on top
		all = append(all, found.Events...)
		if found.Next == "" {
			return all
		}
		page.Cursor = found.Next
	}
	f.t.Fatal("the history has no end")
	return nil
}

func (f fixture) ofSession(id string, filter store.EventFilter) []store.AuditEvent {
	f.t.Helper()
	return f.history(func(page store.EventPage) (store.Events, error) {
		return f.SessionHistory(f.ctx, store.AllTenants(), id, filter, page)
	}, 2)
}

func testHistory(t *testing.T, newStore Factory) {
	t.Helper()
	oldest := store.EventFilter{OldestFirst: true}
	t.Run("where it came from, where it went, how it ended", func(t *testing.T) {
		f := newFixture(t, newStore)
		s := session("acme", "u1", "s1")
		s.IPAddress, s.Country = new("203.0.113.7"), new("GB")
		f.register(s)
		f.clock.Advance(time.Minute)
		moved := store.Activity{IPAddress: new("198.51.100.4"), UserAgent: new("curl/8"), Country: new("US"), Location: new("Reno")}
		require.NoError(t, f.RecordActivity(f.ctx, store.AllTenants(), "s1", moved, tester()))
		f.clock.Advance(time.Minute)
		_, err := f.RevokeSession(f.ctx, store.AllTenants(), "s1", store.Actor{Subject: "ada", ClientID: "console", Reason: "lost", RequestID: "r1"})
		require.NoError(t, err)
		events := f.ofSession("s1", oldest)
		require.Len(t, events, 3)
		assert.Equal(t, map[string]store.Change{"ip_address": {To: new("203.0.113.7")}, "country": {To: new("GB")}}, events[0].Changes)
		assert.Equal(t, map[string]store.Change{
			"ip_address": {From: new("203.0.113.7"), To: new("198.51.100.4")}, "country": {From: new("GB"), To: new("US")},
			"user_agent": {From: s.UserAgent, To: new("curl/8")},
		}, events[1].Changes)
		end := events[2]
		assert.Equal(t, []string{store.ActionRevoked, "ada", "console", "lost", "r1"}, []string{end.Action, end.ActorSub, end.ActorClient, end.Reason, end.RequestID})
		assert.Empty(t, end.Changes)
		assert.Equal(t, f.clock.Now(), end.At)
		kept, err := f.GetSession(f.ctx, store.AllTenants(), "s1")
		require.NoError(t, err)
		assert.Equal(t, new("203.0.113.7"), kept.LoginIPAddress)
		newestFirst := f.ofSession("s1", store.EventFilter{})
		slices.Reverse(newestFirst)
		assert.Equal(t, events, newestFirst)
	})
	t.Run("changes are recorded once in an interval, ends always", func(t *testing.T) {
		clock := NewClock()
		f := fixture{t: t, ctx: t.Context(), clock: clock, Store: newStore(t, store.Options{Now: clock.Now, ChangeInterval: time.Hour})}
		f.register(session("acme", "u1", "s1"))
		move := func(address string, expires *time.Time) {
			f.clock.Advance(10 * time.Minute)
			require.NoError(t, f.RecordActivity(f.ctx, store.AllTenants(), "s1", store.Activity{IPAddress: &address, ExpiresAt: expires}, tester()))
		}
		move("203.0.113.1", nil)
		move("203.0.113.2", nil)
		later := f.clock.Now().Add(48 * time.Hour)
		move("203.0.113.3", &later)
		f.clock.Advance(40 * time.Minute)
		move("203.0.113.4", nil)
		var told []string
		for _, e := range f.ofSession("s1", oldest)[1:] {
			change, ended := e.Changes["ip_address"], e.Changes["expires_at"]
			told = append(told, fmt.Sprintf("%s→%s %t", textOr(change.From), textOr(change.To), ended.To != nil))
		}
		assert.Equal(t, []string{"-→203.0.113.1 false", "-→- true", "203.0.113.3→203.0.113.4 false"}, told)
	})
	t.Run("an end that is not recorded yet is told, once it is, once", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "expires"))
		f.clock.Advance(25 * time.Hour * 30)
		for range 2 {
			for _, filter := range []store.EventFilter{oldest, {}} {
				var actions []string
				for _, e := range f.ofSession("expires", filter) {
					actions = append(actions, e.Action)
				}
				slices.Sort(actions)
				assert.Equal(t, []string{store.ActionExpired, store.ActionRegistered}, actions)
			}
			_, err := f.RecordExpired(f.ctx, 10)
			require.NoError(t, err)
		}
	})
	t.Run("nobody reads what is another's", func(t *testing.T) {
		f := newFixture(t, newStore)
		s := session("acme", "u1", "s1")
		s.PartnerID = new("north")
		f.register(s)
		f.register(session("globex", "u2", "s2"))
		for _, scope := range []store.Scope{
			{}, store.InTenant("globex"), store.AllTenants().OfPartner("south"), store.InTenant("acme").OfUser("u2"), store.AllTenants().OfUser("u2"),
		} {
			_, err := f.SessionHistory(f.ctx, scope, "s1", store.EventFilter{}, store.EventPage{})
			require.ErrorIs(t, err, store.ErrNotFound)
			found, err := f.ListEvents(f.ctx, scope, store.EventFilter{SessionID: new("s1")}, store.EventPage{})
			require.NoError(t, err)
			assert.Empty(t, found.Events)
		}
		for _, scope := range []store.Scope{store.InTenant("acme"), store.AllTenants().OfPartner("north"), store.AllTenants().OfUser("u1"), store.AllTenants()} {
			found, err := f.SessionHistory(f.ctx, scope, "s1", store.EventFilter{}, store.EventPage{})
			require.NoError(t, err)
			assert.Len(t, found.Events, 1)
		}
	})
	t.Run("of a deleted session its tenant reads what is kept", func(t *testing.T) {
		f := newFixture(t, newStore)
		f.register(session("acme", "u1", "s1"))
		f.clock.Advance(time.Minute)
		_, err := f.RevokeSession(f.ctx, store.AllTenants(), "s1", tester())
		require.NoError(t, err)
		f.clock.Advance(time.Minute)
		n, err := f.PurgeEnded(f.ctx, f.clock.Now(), 10)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		found, err := f.SessionHistory(f.ctx, store.InTenant("acme"), "s1", store.EventFilter{}, store.EventPage{})
		require.NoError(t, err)
		assert.Len(t, found.Events, 2)
		_, err = f.SessionHistory(f.ctx, store.InTenant("globex"), "s1", store.EventFilter{}, store.EventPage{})
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("a page looks at so many events, also of others", func(t *testing.T) {
		f := newFixture(t, newStore)
		s := session("acme", "u1", "s1")
		s.PartnerID = new("north")
		f.register(s)
		for i := range 100 {
			f.clock.Advance(time.Second)
			f.register(session("globex", "u2", fmt.Sprint("g", i)))
		}
		partner := store.AllTenants().OfPartner("north")
		ctx := store.WithScope(f.ctx, partner)
		first, err := f.ListEvents(ctx, partner, store.EventFilter{}, store.EventPage{})
		require.NoError(t, err)
		assert.Empty(t, first.Events)
		assert.NotEmpty(t, first.Next, "there may be more")
		all := f.history(func(page store.EventPage) (store.Events, error) {
			return f.ListEvents(ctx, partner, store.EventFilter{}, page)
		}, 10)
		require.Len(t, all, 2, "the session's, and that its tenant has a partner")
		none, err := f.ListEvents(ctx, partner.InTenant("globex"), store.EventFilter{}, store.EventPage{})
		require.NoError(t, err)
		assert.Equal(t, store.Events{Events: []store.AuditEvent{}}, none, "nothing is learnt of another's tenant")
	})
	t.Run("a cursor is of one list", func(t *testing.T) {
		f := newFixture(t, newStore)
		for i := range 3 {
			f.register(session("acme", "u1", fmt.Sprint("s", i)))
		}
		page := store.EventPage{Limit: 1}
		found, err := f.ListEvents(f.ctx, store.InTenant("acme"), store.EventFilter{}, page)
		require.NoError(t, err)
		page.Cursor = found.Next
		for what, wrong := range map[string]func() error{
			"another scope":  func() error { _, err := f.ListEvents(f.ctx, store.AllTenants(), store.EventFilter{}, page); return err },
			"another filter": func() error { _, err := f.ListEvents(f.ctx, store.InTenant("acme"), oldest, page); return err },
			"made up": func() error {
				forged := page
				forged.Cursor = "AAAA" + page.Cursor[4:]
				_, err := f.ListEvents(f.ctx, store.InTenant("acme"), store.EventFilter{}, forged)
				return err
			},
			"nonsense": func() error {
				_, err := f.ListEvents(f.ctx, store.InTenant("acme"), store.EventFilter{}, store.EventPage{Cursor: "%"})
				return err
			},
		} {
			require.ErrorIs(t, wrong(), store.ErrCursor, what)
		}
	})
	t.Run("random filters, against all events", func(t *testing.T) { testRandomHistory(t, newStore) })
}

func textOr(text *string) string {
	if text == nil {
		return "-"
	}
	return *text
}

// testRandomHistory compares random pages with what a plain filter over all events gives.
func testRandomHistory(t *testing.T, newStore Factory) {
	t.Helper()
	f := newFixture(t, newStore)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // spread, not secret
	one := func(prefix string, n int) string { return fmt.Sprint(prefix, random.IntN(n)) }
	var rows store.Import
	for tenant := range 3 {
		row := store.Tenant{TenantID: fmt.Sprint("t", tenant), CreatedAt: f.clock.Now()}
		if tenant > 0 {
			row.PartnerID = new("north")
		}
		rows.Tenants = append(rows.Tenants, row)
	}
	for i := range 400 {
		rows.Events = append(rows.Events, store.AuditEvent{
			TenantID: one("t", 3), OperationID: fmt.Sprintf("01900000-0000-7000-8000-%012d", i), SessionID: one("s", 5), UserID: one("u", 3),
			Action: store.Actions()[random.IntN(3)], At: f.clock.Now().Add(time.Duration(random.IntN(50)) * time.Second), ActorSub: one("a", 2), RequestID: one("r", 40),
		})
	}
	require.NoError(t, f.ImportSessions(f.ctx, rows))
	for range 300 {
		var filter store.EventFilter
		var keep []func(e store.AuditEvent) bool
		scope := store.AllTenants()
		perhaps := func(do func()) {
			if random.IntN(3) == 0 {
				do()
			}
		}
		perhaps(func() {
			of := one("t", 3)
			scope = scope.InTenant(of)
			keep = append(keep, func(e store.AuditEvent) bool { return e.TenantID == of })
		})
		perhaps(func() {
			scope = scope.OfPartner("north")
			keep = append(keep, func(e store.AuditEvent) bool { return e.TenantID != "t0" })
		})
		perhaps(func() {
			of := one("u", 3)
			scope = scope.OfUser(of)
			keep = append(keep, func(e store.AuditEvent) bool { return e.UserID == of })
		})
		perhaps(func() {
			of := one("s", 5)
			filter.SessionID = &of
			keep = append(keep, func(e store.AuditEvent) bool { return e.SessionID == of })
		})
		perhaps(func() {
			of := one("a", 2)
			filter.Actor = &of
			keep = append(keep, func(e store.AuditEvent) bool { return e.ActorSub == of })
		})
		perhaps(func() {
			of := one("r", 40)
			filter.RequestID = &of
			keep = append(keep, func(e store.AuditEvent) bool { return e.RequestID == of })
		})
		perhaps(func() {
			filter.Actions = store.Actions()[:1+random.IntN(2)]
			keep = append(keep, func(e store.AuditEvent) bool { return slices.Contains(filter.Actions, e.Action) })
		})
		perhaps(func() {
			filter.After = f.clock.Now().Add(time.Duration(random.IntN(50)) * time.Second)
			keep = append(keep, func(e store.AuditEvent) bool { return !e.At.Before(filter.After) })
		})
		perhaps(func() {
			filter.Before = f.clock.Now().Add(time.Duration(random.IntN(50)) * time.Second)
			keep = append(keep, func(e store.AuditEvent) bool { return e.At.Before(filter.Before) })
		})
		perhaps(func() { filter.OldestFirst = true })
		want := []string{}
		sorted := slices.SortedFunc(slices.Values(rows.Events), func(a, b store.AuditEvent) int {
			return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.OperationID, b.OperationID))
		})
		for _, e := range sorted {
			if !slices.ContainsFunc(keep, func(keeps func(store.AuditEvent) bool) bool { return !keeps(e) }) {
				want = append(want, e.OperationID)
			}
		}
		if !filter.OldestFirst {
			slices.Reverse(want)
		}
		got := []string{}
		for _, e := range f.history(func(page store.EventPage) (store.Events, error) { return f.ListEvents(f.ctx, scope, filter, page) }, 1+random.IntN(60)) {
			got = append(got, e.OperationID)
		}
		require.Equal(t, want, got, "%+v", filter)
	}
}
