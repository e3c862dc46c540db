package storetest

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessiond/sessiond/store"
)

// searched is a store with sessions of every kind, and what of them a search may look at, as the suite knows it.
type searched struct {
	fixture
	sessions map[string]store.Session
	apps     map[string][]string
	made     int
	random   *rand.Rand
}

// emails and so on are the values that the world's sessions have: some begin alike, some differ in their case only.
func emails() []string {
	return []string{"", "ada@example.com", "Ada@Example.com", "ADAM@example.com", "bo_b%@example.org", "ÄRZTE@example.com"}
}
func names() []string    { return []string{"", "Ada Lovelace", "ada lovelace", "Bob", "Ärzte"} }
func browsers() []string { return []string{"", "Chrome", "Firefox", "curl"} }
func systems() []string  { return []string{"", "Windows", "macOS", "iOS"} }
func devices() []string  { return []string{"", "desktop", "mobile"} }
func places() []string   { return []string{"", "GB", "NO"} }
func addresses() []string {
	return []string{"", "203.0.113.7", "203.0.113.8", "203.0.114.1", "::ffff:203.0.113.7", "2001:db8::1", "2001:db8:1::1", "no address"}
}

// newSearched makes one with sessions of three tenants, two of them a partner's.
func newSearched(t *testing.T, newStore Factory) *searched {
	t.Helper()
	w := &searched{
		fixture:  newLimitedFixture(t, newStore, store.Limits{}, 0),
		sessions: map[string]store.Session{}, apps: map[string][]string{}, random: rand.New(rand.NewPCG(17, 17)), //nolint:gosec // always the same
	}
	var rows store.Import
	for range 160 {
		s, apps := w.session()
		switch w.random.IntN(6) {
		case 0:
			s.EndCause, s.RevokedAt = new(store.Revoked), new(s.CreatedAt.Add(time.Minute))
		case 1:
			s.EndCause, s.RevokedAt = new(store.Replaced), new(s.CreatedAt.Add(2*time.Minute))
		case 2:
			s.EndCause, s.EndsAt = new(store.Expired), s.CreatedAt.Add(time.Minute)
			s.ExpiresAt = s.EndsAt
		case 3: // has ended by itself, which is not recorded
			s.EndsAt = s.CreatedAt.Add(time.Minute)
			if w.random.IntN(2) == 0 {
				s.ExpiresAt = s.EndsAt
			}
		}
		s.AppCount = len(apps)
		rows.Sessions = append(rows.Sessions, s)
		for _, id := range apps {
			rows.Apps = append(rows.Apps, store.App{TenantID: s.TenantID, SessionID: s.ID, ApplicationID: id, ApplicationName: id, AccessedAt: s.CreatedAt})
		}
		w.apps[s.ID] = apps
	}
	for _, tenant := range []struct{ id, partner string }{{"acme", "north"}, {"wonka", "north"}, {"zeta", ""}} {
		row := store.Tenant{TenantID: tenant.id, CreatedAt: Epoch.Add(-24 * time.Hour)}
		if tenant.partner != "" {
			row.PartnerID = &tenant.partner
		}
		rows.Tenants = append(rows.Tenants, row)
	}
	require.NoError(t, w.ImportSessions(w.ctx, rows))
	for _, s := range rows.Sessions {
		w.learn(s.ID)
	}
	return w
}

// session is a new one with values by chance, and its applications.
func (w *searched) session() (store.Session, []string) {
	pick := func(from []string) *string {
		value := from[w.random.IntN(len(from))]
		if value == "" {
			return nil
		}
		return &value
	}
	w.made++
	id := fmt.Sprintf("s%03d", w.made)
	if w.made%5 == 0 {
		id = fmt.Sprintf("S%03d", w.made)
	}
	user := fmt.Sprintf("u%d", w.random.IntN(5))
	if w.made%7 == 0 {
		user = "Ulla"
	}
	s := store.Session{
		TenantID: []string{"acme", "acme", "wonka", "zeta"}[w.random.IntN(4)], ID: id, UserID: user, UserEmail: pick(emails()), UserDisplayName: pick(names()),
		IPAddress: pick(addresses()), LoginIPAddress: pick(addresses()), DeviceType: pick(devices()), Browser: pick(browsers()), OS: pick(systems()), Country: pick(places()),
		CreatedAt: Epoch.Add(-time.Duration(w.random.IntN(40)) * time.Minute), ExpiresAt: Epoch.Add(time.Hour),
	}
	if w.random.IntN(2) == 0 {
		s.LastActivityAt = new(s.CreatedAt.Add(time.Duration(w.random.IntN(100)) * time.Second))
	}
	s.EndsAt = s.ExpiresAt
	var apps []string
	for _, app := range []string{"mail", "wiki"} {
		if w.random.IntN(3) == 0 {
			apps = append(apps, app)
		}
	}
	return s, apps
}

// learn reads a session again.
func (w *searched) learn(id string) { w.sessions[id] = w.get(id) }

// matches is what a filter means.
func matches(s store.Session, apps []string, f store.SessionFilter, sorted store.SessionSort, now time.Time) bool {
	begins := func(value *string) bool {
		return value != nil && strings.HasPrefix(strings.ToLower(*value), strings.ToLower(f.Text))
	}
	has := func(value *string) bool {
		address, err := netip.ParseAddr(deref(value))
		return err == nil && f.Network.Contains(address.Unmap())
	}
	same := func(wanted, value *string) bool {
		return wanted == nil || value != nil && strings.EqualFold(*wanted, *value)
	}
	within := func(p store.Period, at time.Time) bool {
		return !at.Before(p.After) && (p.Before.IsZero() || at.Before(p.Before))
	}
	used := s.CreatedAt
	if s.LastActivityAt != nil {
		used = *s.LastActivityAt
	}
	status := s.Status(now)
	_, ended := s.Ending(now)
	return (f.Text == "" || begins(&s.ID) || begins(&s.UserID) || begins(s.UserEmail) || begins(s.UserDisplayName)) &&
		(len(f.Statuses) == 0 || slices.Contains(f.Statuses, status)) &&
		(!f.Network.IsValid() || has(s.IPAddress) || has(s.LoginIPAddress)) &&
		same(f.Country, s.Country) && same(f.DeviceType, s.DeviceType) && same(f.Browser, s.Browser) && same(f.OS, s.OS) &&
		(f.ApplicationID == nil || slices.Contains(apps, *f.ApplicationID)) &&
		within(f.Created, s.CreatedAt) && within(f.LastActivity, used) &&
		((f.Ended == store.Period{} && sorted != store.SortEnded) || status != store.Active && within(f.Ended, ended))
}

func deref(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}

// placeBy is the time by which a search sorts a session.
func placeBy(s store.Session, sorted store.SessionSort, now time.Time) time.Time {
	switch sorted {
	case store.SortLastActivity:
		if s.LastActivityAt != nil {
			return *s.LastActivityAt
		}
	case store.SortEnded:
		_, ended := s.Ending(now)
		return ended
	case store.SortCreated:
	}
	return s.CreatedAt
}

// expected are the ids that a search finds, in its order.
func (w *searched) expected(of func(store.Session) bool, f store.SessionFilter, p store.SessionPage) []string {
	var found []store.Session
	for _, s := range w.sessions {
		if of(s) && matches(s, w.apps[s.ID], f, p.Sort, w.clock.Now()) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b store.Session) int {
		order := cmp.Or(placeBy(a, p.Sort, w.clock.Now()).Compare(placeBy(b, p.Sort, w.clock.Now())), cmp.Compare(a.ID, b.ID))
		if !p.OldestFirst {
			order = -order
		}
		return order
	})
	ids := []string{}
	for _, s := range found {
		ids = append(ids, s.ID)
	}
	return ids
}

// drawn is a search by chance.
type drawn struct {
	scope  store.Scope
	of     func(store.Session) bool
	filter store.SessionFilter
	page   store.SessionPage
}

func draw(t *rapid.T) drawn {
	optional := func(from []string, name string) *string {
		value := rapid.SampledFrom(from).Draw(t, name)
		if value == "" || !rapid.Bool().Draw(t, "by "+name) {
			return nil
		}
		return &value
	}
	period := func(name string) (p store.Period) {
		minutes := rapid.IntRange(-45, 5)
		if rapid.IntRange(0, 4).Draw(t, "by "+name) > 0 {
			return p
		}
		if rapid.Bool().Draw(t, "after") {
			p.After = Epoch.Add(time.Duration(minutes.Draw(t, name+" after")) * time.Minute)
		}
		if rapid.Bool().Draw(t, "before") {
			p.Before = Epoch.Add(time.Duration(minutes.Draw(t, name+" before")) * time.Minute)
		}
		return p
	}
	d := drawn{scope: store.AllTenants(), of: func(store.Session) bool { return true }}
	narrow := func(is func(store.Session) bool) {
		before := d.of
		d.of = func(s store.Session) bool { return before(s) && is(s) }
	}
	switch rapid.IntRange(0, 3).Draw(t, "scope") {
	case 0, 1:
		d.scope = d.scope.InTenant("acme")
		narrow(func(s store.Session) bool { return s.TenantID == "acme" })
	case 2:
		d.scope = d.scope.OfPartner("north")
		narrow(func(s store.Session) bool { return s.TenantID != "zeta" })
	}
	if rapid.IntRange(0, 3).Draw(t, "of a user") == 0 {
		d.scope = d.scope.OfUser("u1")
		narrow(func(s store.Session) bool { return s.UserID == "u1" })
	}
	d.filter = store.SessionFilter{
		Text:     rapid.SampledFrom([]string{"", "", "", "a", "ADA@", "ada l", "äR", "s01", "S", "u", "ul", "bo_", "b%", "x"}).Draw(t, "text"),
		Statuses: rapid.SliceOfN(rapid.SampledFrom(store.Statuses()), 0, 3).Draw(t, "statuses"),
		Country:  optional(places(), "country"), DeviceType: optional(devices(), "device"), Browser: optional([]string{"", "chrome", "curl"}, "browser"),
		OS: optional(systems(), "os"), ApplicationID: optional([]string{"", "mail", "none"}, "application"),
		Created: period("created"), LastActivity: period("last activity"), Ended: period("ended"),
	}
	if network := optional([]string{"203.0.113.7/32", "203.0.113.0/24", "203.0.112.0/21", "0.0.0.0/0", "2001:db8::/48", "::/0", "2001:db8::1/128"}, "network"); network != nil {
		d.filter.Network = netip.MustParsePrefix(*network)
	}
	d.page = store.SessionPage{
		Sort:        rapid.SampledFrom([]store.SessionSort{store.SortCreated, store.SortCreated, store.SortLastActivity, store.SortEnded}).Draw(t, "sort"),
		OldestFirst: rapid.Bool().Draw(t, "oldest first"), Limit: rapid.SampledFrom([]int{40, 25, 7}).Draw(t, "limit"), CountAll: rapid.Bool().Draw(t, "count all"),
	}
	return d
}

// search reads all pages of a search, and calls between after each.
func (w *searched) search(t require.TestingT, d drawn, between func()) (ids []string, first store.FoundSessions, err error) {
	ids = []string{}
	for page := 0; ; page++ {
		found, err := w.SearchSessions(w.ctx, d.scope, d.filter, d.page)
		if err != nil {
			return nil, found, err
		}
		if page == 0 {
			first = found
		}
		require.LessOrEqual(t, len(found.Sessions), d.page.Limit)
		require.Equal(t, []any{first.Total, first.TotalExact}, []any{found.Total, found.TotalExact}, "the number stays on the pages")
		for _, s := range found.Sessions {
			ids = append(ids, s.ID)
		}
		if found.Next == "" {
			return ids, first, nil
		}
		require.Less(t, page, len(w.sessions)+1000, "the search has no end")
		d.page.Cursor = found.Next
		between()
	}
}

// each calls do with as many searches as a third of -rapid.checks says, the same ones each time.
func each(t *testing.T, do func(drawn)) {
	t.Helper()
	checks, err := strconv.Atoi(flag.Lookup("rapid.checks").Value.String())
	require.NoError(t, err)
	searches := rapid.Custom(draw)
	for seed := range checks / 3 {
		do(searches.Example(seed))
	}
}

func testSearch(t *testing.T, newStore Factory) {
	t.Helper()
	for name, bulk := range map[string]bool{"": false, ", while a bulk revocation waits": true} {
		t.Run("random filters find what they say"+name, func(t *testing.T) {
			w := newSearched(t, newStore)
			if bulk {
				w.revokeInBulk()
			}
			each(t, func(d drawn) {
				want := w.expected(d.of, d.filter, d.page)
				ids, first, err := w.search(t, d, func() {})
				if w.tooWide(d) && err != nil {
					require.ErrorIs(t, err, store.ErrTooWide)
					return
				}
				require.NoError(t, err)
				require.Equal(t, want, ids, "%+v %+v", d.filter, d.page)
				most := 10 * smallBuckets
				switch {
				case first.TotalExact:
					require.Equal(t, len(want), first.Total)
				case d.page.CountAll:
					require.Equal(t, most, first.Total)
					require.Greater(t, len(want), most)
				default:
					require.LessOrEqual(t, first.Total, len(want))
				}
			})
		})
	}
	t.Run("pages while sessions come and end", func(t *testing.T) {
		w := newSearched(t, newStore)
		each(t, func(d drawn) {
			changed := map[string]bool{}
			want := w.expected(d.of, d.filter, d.page)
			ids, _, err := w.search(t, d, func() {
				if len(changed) < 6 {
					w.change(t, changed)
				}
			})
			if w.tooWide(d) && err != nil {
				require.ErrorIs(t, err, store.ErrTooWide)
				return
			}
			require.NoError(t, err)
			require.Len(t, slices.Compact(slices.Sorted(slices.Values(ids))), len(ids), "none comes twice")
			was := func(id string) bool { return changed[id] }
			require.Equal(t, slices.DeleteFunc(want, was), slices.DeleteFunc(ids, was), "%+v %+v", d.filter, d.page)
		})
	})
	t.Run("cursors", onFixture(newStore, testSearchCursors))
	t.Run("what is looked at for a page", onFixture(newStore, testSearchBounds))
	t.Run("none comes twice that is found in two ways", onFixture(newStore, testSearchTwice))
	t.Run("what a record says", onFixture(newStore, testSearchRecord))
}

// testSearchKeys: what sessions are found by is written by registrations on every way, and goes with the last session of a user.
func testSearchKeys(t *testing.T, newStore Factory) {
	t.Helper()
	searchKeysGo(newFixture(t, newStore))
}

func onFixture(newStore Factory, test func(f fixture)) func(t *testing.T) {
	return func(t *testing.T) { test(newFixture(t, newStore)) }
}

// tooWide reports whether a search may be refused: no index has its order.
func (w *searched) tooWide(d drawn) bool { return d.page.Sort != store.SortCreated }

// revokeInBulk leaves a bulk revocation of the tenant acme that is not applied.
func (w *searched) revokeInBulk() {
	_, err := w.RevokeAllSessions(w.ctx, store.InTenant("acme"), "", store.Actor{Subject: "ada", Reason: "breach"})
	require.NoError(w.t, err)
	for id := range w.sessions {
		w.learn(id)
	}
}

// change registers a session, or ends one.
func (w *searched) change(t require.TestingT, changed map[string]bool) {
	if w.random.IntN(2) == 0 {
		s, _ := w.session()
		s.CreatedAt = w.clock.Now()
		_, _, err := w.RegisterSession(w.ctx, store.AllTenants(), s, tester())
		require.NoError(t, err)
		changed[s.ID] = true
		w.learn(s.ID)
		return
	}
	ids := slices.Sorted(func(yield func(string) bool) {
		for id := range w.sessions {
			if !yield(id) {
				return
			}
		}
	})
	id := ids[w.random.IntN(len(ids))]
	_, err := w.RevokeSession(w.ctx, store.AllTenants(), id, tester())
	require.NoError(t, err)
	changed[id] = true
	w.learn(id)
}

func testSearchCursors(f fixture) {
	for i := range 5 {
		f.register(session("acme", "u1", fmt.Sprintf("s%d", i)))
	}
	first, err := f.SearchSessions(f.ctx, store.InTenant("acme"), store.SessionFilter{}, store.SessionPage{Limit: 2})
	require.NoError(f.t, err)
	require.NotEmpty(f.t, first.Next)
	changedByte := []byte(first.Next)
	changedByte[len(changedByte)/2] ^= 1
	for name, c := range map[string]struct {
		scope  store.Scope
		filter store.SessionFilter
		page   store.SessionPage
	}{
		"another tenant": {store.InTenant("wonka"), store.SessionFilter{}, store.SessionPage{Cursor: first.Next}},
		"another filter": {store.InTenant("acme"), store.SessionFilter{Statuses: []string{store.Active}}, store.SessionPage{Cursor: first.Next}},
		"another order":  {store.InTenant("acme"), store.SessionFilter{}, store.SessionPage{Cursor: first.Next, OldestFirst: true}},
		"another sort":   {store.InTenant("acme"), store.SessionFilter{}, store.SessionPage{Cursor: first.Next, Sort: store.SortLastActivity}},
		"changed":        {store.InTenant("acme"), store.SessionFilter{}, store.SessionPage{Cursor: string(changedByte)}},
		"no cursor":      {store.InTenant("acme"), store.SessionFilter{}, store.SessionPage{Cursor: "x"}},
	} {
		_, err := f.SearchSessions(f.ctx, c.scope, c.filter, c.page)
		require.ErrorIs(f.t, err, store.ErrCursor, name)
	}
	none, err := f.SearchSessions(f.ctx, store.Scope{}, store.SessionFilter{}, store.SessionPage{})
	require.NoError(f.t, err)
	assert.Equal(f.t, store.FoundSessions{Sessions: []store.Session{}, TotalExact: true, AsOf: f.clock.Now()}, none)
	none, err = f.SearchSessions(f.ctx, store.InTenant("acme"), store.SessionFilter{Text: "a\x00"}, store.SessionPage{})
	require.NoError(f.t, err)
	assert.Empty(f.t, none.Sessions)
}

// testSearchBounds: ten buckets of sessions are looked at for a page, the last one too; in a tenant that has no more, and when it is asked for,
// all are counted.
func testSearchBounds(f fixture) {
	const looked = 10 * smallBuckets
	for i := range looked + 5 { // the oldest first
		s := session("acme", fmt.Sprintf("u%d", i), fmt.Sprintf("s%02d", i))
		s.CreatedAt = Epoch.Add(time.Duration(i-100) * time.Minute)
		if i == 5 || i == 0 { // the last one that is looked at for the first page, and the last one of all
			s.Browser = new("Firefox")
		}
		f.register(s)
		if s.TenantID = "wonka"; i >= 10 && i < looked {
			s.ID = "w" + s.ID
			if i == 10 {
				s.Browser = new("Firefox")
			}
			f.register(s)
		}
	}
	find := func(tenantID string, page store.SessionPage) (ids []string, found store.FoundSessions) {
		found, err := f.SearchSessions(f.ctx, store.InTenant(tenantID), store.SessionFilter{Browser: new("firefox")}, page)
		require.NoError(f.t, err)
		for _, s := range found.Sessions {
			ids = append(ids, s.ID)
		}
		return ids, found
	}
	ids, first := find("acme", store.SessionPage{Limit: 5})
	assert.Equal(f.t, []string{"s05"}, ids)
	assert.Equal(f.t, []any{1, false}, []any{first.Total, first.TotalExact})
	ids, second := find("acme", store.SessionPage{Limit: 5, Cursor: first.Next})
	assert.Equal(f.t, []string{"s00"}, ids)
	assert.Empty(f.t, second.Next)
	_, all := find("acme", store.SessionPage{Limit: 5, CountAll: true})
	assert.Equal(f.t, []any{2, true}, []any{all.Total, all.TotalExact})
	ids, few := find("wonka", store.SessionPage{Limit: 1})
	assert.Equal(f.t, []string{"ws10"}, ids)
	assert.Equal(f.t, []any{1, true}, []any{few.Total, few.TotalExact})
	found, err := f.SearchSessions(f.ctx, store.InTenant("wonka"), store.SessionFilter{Statuses: []string{store.Active, store.Idle}}, store.SessionPage{Limit: 1})
	require.NoError(f.t, err)
	assert.Equal(f.t, []any{looked - 10, true}, []any{found.Total, found.TotalExact}, "though the page is full at once")
}

func testSearchTwice(f fixture) {
	s := session("acme", "ada", "ada-1")
	s.UserEmail, s.IPAddress = new("Ada@example.com"), new("203.0.113.7")
	f.register(s)
	require.NoError(f.t, f.RecordActivity(f.ctx, store.AllTenants(), "ada-1", store.Activity{IPAddress: new("203.0.113.8")}, tester()))
	for _, filter := range []store.SessionFilter{{Text: "ada"}, {Network: netip.MustParsePrefix("203.0.113.0/24")}} {
		for _, scope := range []store.Scope{store.InTenant("acme"), store.AllTenants()} {
			found, err := f.SearchSessions(f.ctx, scope, filter, store.SessionPage{})
			require.NoError(f.t, err)
			assert.Len(f.t, found.Sessions, 1)
			assert.Equal(f.t, 1, found.Total)
		}
	}
}

func testSearchRecord(f fixture) {
	in := f.register(fullSession())
	f.clock.Advance(time.Minute)
	_, err := f.RevokeSession(f.ctx, store.AllTenants(), "s1", store.Actor{Subject: "ada", ClientID: "console", Reason: "lost"})
	require.NoError(f.t, err)
	found, err := f.SearchSessions(f.ctx, store.AllTenants(), store.SessionFilter{Text: "S1"}, store.SessionPage{})
	require.NoError(f.t, err)
	in.EndCause, in.RevokedAt, in.EndedBySub, in.EndedByClient, in.EndReason = new(store.Revoked), new(f.clock.Now()), new("ada"), new("console"), new("lost")
	assert.Equal(f.t, []store.Session{in}, found.Sessions)

	for i := range 2 * smallBuckets {
		f.register(session("wonka", "u1", fmt.Sprintf("w%d", i)))
	}
	_, err = f.RevokeAllSessions(f.ctx, store.InTenant("wonka"), "", store.Actor{Subject: "bob", Reason: "breach"})
	require.NoError(f.t, err)
	found, err = f.SearchSessions(f.ctx, store.InTenant("wonka"), store.SessionFilter{Statuses: []string{store.Revoked}}, store.SessionPage{Sort: store.SortEnded})
	require.NoError(f.t, err)
	require.Len(f.t, found.Sessions, 2*smallBuckets)
	for _, s := range found.Sessions {
		cause, at := s.Ending(f.clock.Now())
		assert.Equal(f.t, []any{store.Revoked, f.clock.Now(), new("bob"), new("breach")}, []any{cause, at, s.EndedBySub, s.EndReason})
	}
}

func searchKeysGo(f fixture) {
	s := session("acme", "u1", "s1")
	s.UserEmail = new("ada@example.com")
	f.register(s)
	s.ID = "s2"
	f.register(s)
	finds := func(n int) {
		found, err := f.SearchSessions(f.ctx, store.AllTenants(), store.SessionFilter{Text: "ADA"}, store.SessionPage{})
		require.NoError(f.t, err)
		assert.Len(f.t, found.Sessions, n)
	}
	f.revoke("s1")
	f.clock.Advance(time.Minute)
	_, err := f.PurgeEnded(f.ctx, f.clock.Now(), 10)
	require.NoError(f.t, err)
	f.verifyCounters()
	finds(1)
	f.revoke("s2")
	f.clock.Advance(time.Minute)
	_, err = f.PurgeEnded(f.ctx, f.clock.Now(), 10)
	require.NoError(f.t, err)
	f.verifyCounters() // no key is left over
	s.ID = "s3"
	f.register(s)
	f.verifyCounters()
	finds(1)
	_, err = f.EraseUser(f.ctx, "acme", "u1", tester())
	require.NoError(f.t, err)
	f.verifyCounters()
}
