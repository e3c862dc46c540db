package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/qa/sequential"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestForeignAndAbsentAreTheSameWork: for another tenant's session and for one that never existed an administrator gets the same answer,
// and the database reads the same rows: otherwise the time would reveal which of the two it is.
func TestForeignAndAbsentAreTheSameWork(t *testing.T) {
	sequential.Test(t)
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := open(t, store.Options{})
			now := time.Now()
			var rows store.Import
			for i := range 4000 {
				rows.Sessions = append(rows.Sessions, store.Session{
					TenantID: fmt.Sprintf("t%d", i%20), ID: fmt.Sprintf("s%05d", i), UserID: "u1",
					CreatedAt: now, ExpiresAt: now.Add(time.Hour), EndsAt: now.Add(time.Hour),
				})
			}
			require.NoError(t, s.ImportSessions(t.Context(), rows))
			ctx := store.WithScope(t.Context(), store.InTenant("t0"))
			explain := func(id string, others ...string) string {
				how, err := s.ExplainGet(ctx, store.InTenant("t0"), append([]string{id}, others...)...)
				require.NoError(t, err)
				how, _, _ = strings.Cut(how, "Planning:")
				return strings.ReplaceAll(how, id, "ID")
			}
			blocks := regexp.MustCompile(`(?m)^\s*(Buffers: |Rows Removed).*$`)
			own, foreign, absent := explain("s00020"), explain("s00021"), explain("s00021x")
			assert.Equal(t, absent, foreign)
			assert.NotContains(t, own, "sessions_id", "the key of the tenant finds it")
			if name == "postgres" {
				assert.NotEqual(t, blocks.FindAllString(own, -1), blocks.FindAllString(absent, -1), "the plan shows what is read")
				foreign, absent := explain("s00021", "s00040", "s00060"), explain("s00021x", "s00040", "s00060")
				assert.Equal(t, absent, foreign, "together with others")
				assert.Contains(t, foreign, "Nested Loop (actual rows=2 loops=1)")
				assert.Contains(t, foreign, "Index Scan using sessions_pkey on sessions (actual rows=1 loops=3)")
			}
		})
	}
}

// TestDeepPagesReadTheIndexFromTheirBucketOn: the deep pages of a tenant, restricted to it, and of all tenants are found by the page index;
// the sessions before their bucket are not read.
func TestDeepPagesReadTheIndexFromTheirBucketOn(t *testing.T) {
	sequential.Test(t)
	s := storetest.Postgres(t, store.Options{}, 200)
	now := time.Now()
	var rows store.Import
	for i := range 8000 {
		rows.Sessions = append(rows.Sessions, store.Session{
			TenantID: fmt.Sprintf("t%d", i%2), ID: fmt.Sprintf("s%05d", i), UserID: fmt.Sprintf("u%d", i),
			CreatedAt: now.Add(-time.Duration(i) * time.Second), ExpiresAt: now.Add(time.Hour), EndsAt: now.Add(time.Hour),
		})
	}
	require.NoError(t, s.ImportSessions(t.Context(), rows))
	_, err := s.RollUp(t.Context(), 10_000)
	require.NoError(t, err)
	_, err = s.Analyze(t.Context())
	require.NoError(t, err)
	few := func(ctx context.Context, scope store.Scope, offset, most int) string {
		how, err := s.ExplainList(ctx, store.Filter{ActiveOnly: true}, store.Page{Offset: offset, Limit: 20}, scope)
		require.NoError(t, err)
		assert.NotContains(t, how, "Seq Scan on sessions")
		scans := regexp.MustCompile(`(?:Rows Removed by Filter: |Index .*rows=)(\d+)`).FindAllStringSubmatch(how, -1)
		assert.NotEmpty(t, scans, "the plan says how many rows are read: %s", how)
		for _, passed := range scans {
			n, err := strconv.Atoi(passed[1])
			require.NoError(t, err)
			assert.LessOrEqual(t, n, most, how)
		}
		return how
	}
	authorized := func(tenant string) context.Context { return store.WithScope(t.Context(), store.InTenant(tenant)) }
	few(authorized("t0"), store.InTenant("t0"), 3000, 2*200+20)
	assert.Contains(t, few(t.Context(), store.AllTenants(), 3000, 2*200+20), "sessions_id", "a page's sessions by their ids")

	// A bulk revocation of one tenant changes nothing for the lists of another.
	_, err = s.RevokeAllSessions(t.Context(), store.InTenant("t1"), "", store.Actor{})
	require.NoError(t, err)
	few(authorized("t1"), store.InTenant("t1"), 0, 20) // and then without those that it covers, of which there is no page
	few(authorized("t0"), store.InTenant("t0"), 3000, 2*200+20)
}

// TestMergedListsUseTheSameIndexes: a merged statement reads each list by the index of the single one, in its order and no further than
// the page, whatever statistics PostgreSQL has.
func TestMergedListsUseTheSameIndexes(t *testing.T) {
	s := storetest.Postgres(t, store.Options{})
	indexes := regexp.MustCompile(`Index.* using \S+ on \S+`)
	compare := func(what string) {
		for filter, page := range map[store.Filter]store.Page{{ActiveOnly: true}: {Limit: 20}, {}: {Limit: 20, Offset: 40}} {
			explain := func(scopes ...store.Scope) string {
				how, err := s.ExplainList(t.Context(), filter, page, scopes...)
				require.NoError(t, err)
				return how
			}
			alone, together := explain(store.InTenant("t0")), explain(store.InTenant("t0"), store.InTenant("t1"), store.InTenant("t2"))
			found := indexes.FindAllString(alone, -1)
			assert.NotEmpty(t, found, "%s: %s", what, alone)
			assert.Equal(t, found, indexes.FindAllString(together, -1), what)
			assert.Contains(t, together, "Function Scan on input (actual rows=3 loops=1)", what)
			assert.NotContains(t, together, "Sort Method", what)
		}
	}
	compare("empty")
	now := time.Now()
	var rows store.Import
	for i := range 4000 {
		rows.Sessions = append(rows.Sessions, store.Session{
			TenantID: fmt.Sprintf("t%d", i%40), ID: fmt.Sprintf("s%05d", i), UserID: fmt.Sprintf("u%d", i%400),
			CreatedAt: now.Add(-time.Duration(i) * time.Second), ExpiresAt: now.Add(time.Hour), EndsAt: now.Add(time.Hour),
		})
	}
	require.NoError(t, s.ImportSessions(t.Context(), rows))
	_, err := s.RollUp(t.Context(), 10_000)
	require.NoError(t, err)
	compare("grown")
	_, err = s.Analyze(t.Context())
	require.NoError(t, err)
	compare("analyzed")
}

// TestGrownTablesAreAnalyzed: a table that has grown is analyzed, so that no plan for an empty table stays in use.
func TestGrownTablesAreAnalyzed(t *testing.T) {
	s := storetest.Postgres(t, store.Options{})
	now := time.Now()
	grow := func(from, to int) {
		var rows store.Import
		for i := from; i < to; i++ {
			rows.Sessions = append(rows.Sessions, store.Session{
				TenantID: fmt.Sprintf("t%d", i%2), ID: fmt.Sprintf("s%05d", i), UserID: fmt.Sprintf("u%d", i%100),
				CreatedAt: now, ExpiresAt: now.Add(time.Hour), EndsAt: now.Add(time.Hour),
			})
		}
		require.NoError(t, s.ImportSessions(t.Context(), rows))
		_, err := s.RollUp(t.Context(), 10_000)
		require.NoError(t, err)
	}
	analyzed := func() bool {
		did, err := s.Analyze(t.Context())
		require.NoError(t, err)
		return did
	}
	require.False(t, analyzed(), "nothing is there")
	grow(0, 400)
	require.False(t, analyzed(), "a small table needs no statistics")
	grow(400, 2000)
	require.True(t, analyzed())
	require.False(t, analyzed(), "once is enough")
	how, err := s.ExplainGet(t.Context(), store.InTenant("t0"), "s00020")
	require.NoError(t, err)
	require.Contains(t, how, "sessions_pkey")
	how, err = s.ExplainGet(t.Context(), store.AllTenants(), "s00020")
	require.NoError(t, err)
	require.Contains(t, how, "sessions_id")
	grow(2000, 4400)
	require.False(t, analyzed(), "not twice as many yet")
	grow(4400, 4600)
	require.True(t, analyzed())
}

// TestListsOfAUserReadOnlyActiveSessions: a list reads no ended session of its user, though PostgreSQL's statistics say that another user has
// most of the sessions, and most sessions of this user have ended.
func TestListsOfAUserReadOnlyActiveSessions(t *testing.T) {
	sequential.Test(t)
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		for _, users := range []int{1, 40} {
			t.Run(fmt.Sprintf("%s, %d other users", name, users), func(t *testing.T) {
				s := open(t, store.Options{})
				importDominated(t, s, users)
				ada, page, active := store.AllTenants().OfUser("ada"), store.Page{Limit: 20}, store.Filter{ActiveOnly: true}
				explain := map[string]func(ctx context.Context, scope ...store.Scope) (string, error){
					"own": func(ctx context.Context, scope ...store.Scope) (string, error) {
						return s.ExplainNewest(ctx, false, scope...)
					},
					"own, long": func(ctx context.Context, scope ...store.Scope) (string, error) {
						return s.ExplainNewest(ctx, true, scope...)
					},
					"page": func(ctx context.Context, scope ...store.Scope) (string, error) {
						return s.ExplainList(ctx, active, page, scope...)
					},
					"far page": func(ctx context.Context, scope ...store.Scope) (string, error) {
						far := page
						far.Offset = 400
						return s.ExplainList(ctx, active, far, scope...)
					},
				}
				for what, explain := range explain {
					for _, ctx := range []context.Context{t.Context(), store.WithScope(t.Context(), store.InTenant("t0"))} {
						for _, scope := range [][]store.Scope{{ada}, {ada.InTenant("t0")}, {ada.InTenant("t0"), ada.InTenant("t1"), ada.InTenant("t2")}} {
							how, err := explain(ctx, scope...)
							require.NoError(t, err)
							how, _, _ = strings.Cut(how, "Planning:")
							assert.Regexp(t, `sessions_user_active`, how, what)
							assert.NotRegexp(t, `SCAN sessions|sessions_(user_ended|tenant_ended|active|tenant_active|due|tenant_due)\b`, how, what)
							for _, passed := range regexp.MustCompile(`(?:Rows Removed by Filter: |Index .*rows=)(\d+)`).FindAllStringSubmatch(how, -1) {
								n, err := strconv.Atoi(passed[1])
								require.NoError(t, err)
								assert.LessOrEqual(t, n, 5, "%s: %s", what, how)
							}
						}
					}
				}
				how, err := s.ExplainList(t.Context(), store.Filter{}, store.Page{Limit: 20}, ada.InTenant("t0"))
				require.NoError(t, err)
				assert.Contains(t, how, "sessions_user_ended", "the ended ones too")
			})
		}
	}
}

// importDominated makes three tenants, one user of which has six in ten sessions, and ada with 5 active and 2,000 ended ones.
func importDominated(t *testing.T, s *store.Store, users int) {
	t.Helper()
	now := time.Now().Truncate(time.Millisecond) // as texts of plans have it
	var rows store.Import
	add := func(tenantID, userID, id string, created time.Time, ended *time.Time) {
		session := store.Session{
			TenantID: tenantID, ID: id, UserID: userID, CreatedAt: created, ExpiresAt: now.Add(time.Hour), EndsAt: now.Add(time.Hour),
		}
		if ended != nil {
			session.EndCause, session.RevokedAt = new(store.Revoked), ended
		}
		rows.Sessions = append(rows.Sessions, session)
	}
	for i := range 10_000 {
		user := "svc"
		if i%5 > 2 {
			user = fmt.Sprintf("u%d", i%users)
		}
		add(fmt.Sprintf("t%d", i%3), user, fmt.Sprintf("s%05d", i), now.Add(-time.Duration(i)*time.Second), nil)
	}
	for i := range 5 {
		add("t0", "ada", fmt.Sprintf("ada%05d", i), now.Add(-time.Duration(i)*time.Hour), nil)
	}
	for i := range 2000 {
		add("t0", "ada", fmt.Sprintf("ended%05d", i), now.Add(-time.Duration(i)*time.Second), &now)
	}
	require.NoError(t, s.ImportSessions(t.Context(), rows))
	_, err := s.RollUp(t.Context(), 100_000)
	require.NoError(t, err)
	_, err = s.Analyze(t.Context())
	require.NoError(t, err)
}

// TestSearchesReadNoMoreThanTheyMay: whatever is looked for, by whom and in which order, a search goes by an index, and passes over no more rows
// than it may read for a page.
func TestSearchesReadNoMoreThanTheyMay(t *testing.T) {
	sequential.Test(t)
	s := storetest.Postgres(t, store.Options{}, 3) // of buckets so small, some 30 sessions may be read
	importDominated(t, s, 40)
	hour := store.Period{After: time.Now().Add(-time.Hour), Before: time.Now()}
	for name, filter := range map[string]store.SessionFilter{
		"nothing": {}, "text": {Text: "ad"}, "text of many": {Text: "u"}, "session": {Text: "ada0000"}, "network": {Network: netip.MustParsePrefix("203.0.113.0/24")},
		"country": {Country: new("GB")}, "browser": {Browser: new("firefox")}, "application": {ApplicationID: new("wiki")}, "active": {Statuses: []string{store.Active}},
		"revoked": {Statuses: []string{store.Revoked}}, "created": {Created: hour}, "used": {LastActivity: hour}, "ended": {Ended: hour},
		"country and text": {Country: new("GB"), Text: "ada"}, "browser and revoked": {Browser: new("firefox"), Statuses: []string{store.Revoked}},
	} {
		for reader, scope := range map[string]store.Scope{
			"platform": store.AllTenants(), "tenant": store.InTenant("t0"), "user": store.InTenant("t0").OfUser("ada"), "user of all": store.AllTenants().OfUser("u1"),
		} {
			for _, sort := range []store.SessionSort{store.SortCreated, store.SortLastActivity, store.SortEnded} {
				ctx := store.WithScope(t.Context(), scope)
				how, err := s.ExplainSearch(ctx, scope, filter, store.SessionPage{Sort: sort, Limit: 5})
				if errors.Is(err, store.ErrTooWide) {
					continue
				}
				require.NoError(t, err)
				what := strings.Join([]string{name, reader, string(sort)}, ", ")
				assert.NotRegexp(t, `Seq Scan on (sessions|search_keys|session_apps)[^(]*\(actual|Bitmap`, how, what)
				for _, passed := range regexp.MustCompile(`(?:Rows Removed by Filter: |Index .*rows=)(\d+)`).FindAllStringSubmatch(how, -1) {
					n, err := strconv.Atoi(passed[1])
					require.NoError(t, err)
					require.LessOrEqual(t, n, 64, "%s:\n%s", what, how)
				}
			}
		}
	}
}

// TestEndedSessionsAreFoundByTheirEnd: statistics read the sessions at the edge of the last day, and a purge those that are to go, of very
// many that have ended. The role is one to which row-level security applies: it keeps PostgreSQL from using an index for what it takes for
// able to reveal a row.
func TestEndedSessionsAreFoundByTheirEnd(t *testing.T) {
	s := storetest.Postgres(t, store.Options{})
	now := time.Now()
	var rows store.Import
	for i := range 4000 {
		ended := now.Add(-time.Duration(i) * time.Minute)
		rows.Sessions = append(rows.Sessions, store.Session{
			TenantID: "t0", ID: fmt.Sprintf("s%05d", i), UserID: "u1", CreatedAt: ended.Add(-time.Hour), ExpiresAt: now.Add(time.Hour), RevokedAt: &ended,
		})
	}
	rows.Tenants = []store.Tenant{{TenantID: "t0", CreatedAt: now}}
	require.NoError(t, s.ImportSessions(t.Context(), rows))
	_, err := s.RollUp(t.Context(), 10_000)
	require.NoError(t, err)
	_, err = s.Analyze(t.Context())
	require.NoError(t, err)
	how, err := s.ExplainStatistics(store.WithScope(t.Context(), store.InTenant("t0")), "t0")
	require.NoError(t, err)
	assert.Regexp(t, `using sessions_tenant_ended_at on .*\n +Index Cond: .*revoked_at`, how)
	how, err = s.ExplainPurge(t.Context(), "t0", now.Add(-3900*time.Minute))
	require.NoError(t, err)
	assert.Regexp(t, `using sessions_tenant_ended_at on .*\n +Index Cond: .*revoked_at`, how)
}

// TestStatisticsReadOnlyApplicationsOfExpiredSessions: a tenant may have very many applications in all.
func TestStatisticsReadOnlyApplicationsOfExpiredSessions(t *testing.T) {
	s := storetest.SQLite(t, store.Options{})
	how, err := s.ExplainExpiredApplications(t.Context(), "t0")
	require.NoError(t, err)
	assert.Regexp(t, `SEARCH a USING INDEX \S+ \(tenant_id=\? AND session_id=\?\)`, how)
}

// TestAUserOfManyTenantsIsSortedByALongReadOnly: no index has the order of a user's sessions in all tenants. The short statement that every
// caller may send at any time reads no more than it takes to know that they are many.
func TestAUserOfManyTenantsIsSortedByALongReadOnly(t *testing.T) {
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := open(t, store.Options{})
			now := time.Now()
			var rows store.Import
			for i := range 1500 {
				rows.Sessions = append(rows.Sessions, store.Session{
					TenantID: fmt.Sprintf("t%d", i%50), ID: fmt.Sprintf("s%05d", i), UserID: "admin",
					CreatedAt: now.Add(-time.Duration(i) * time.Second), ExpiresAt: now.Add(time.Hour), EndsAt: now.Add(time.Hour),
				})
			}
			require.NoError(t, s.ImportSessions(t.Context(), rows))
			_, err := s.RollUp(t.Context(), 10_000)
			require.NoError(t, err)
			_, err = s.Analyze(t.Context())
			require.NoError(t, err)
			admin := store.AllTenants().OfUser("admin")
			if name == "postgres" {
				own, err := s.ExplainNewest(t.Context(), false, admin)
				require.NoError(t, err)
				list, err := s.ExplainList(t.Context(), store.Filter{ActiveOnly: true}, store.Page{Limit: 20}, admin)
				require.NoError(t, err)
				for _, how := range []string{own, list} {
					for _, read := range regexp.MustCompile(`Scan .*rows=(\d+)`).FindAllStringSubmatch(how, -1) {
						n, err := strconv.Atoi(read[1])
						require.NoError(t, err)
						assert.LessOrEqual(t, n, 201, how)
					}
				}
			}
			newest, more, err := s.NewestActive(t.Context(), store.CallerSession{}, admin)
			require.NoError(t, err)
			assert.True(t, more)
			require.Len(t, newest, 1000)
			page, total, err := s.ListSessions(t.Context(), store.CallerSession{}, admin, store.Filter{ActiveOnly: true}, store.Page{Offset: 40, Limit: 20})
			require.NoError(t, err)
			assert.Equal(t, 1500, total)
			assert.Equal(t, newest[40:60], page)
			none, more, err := s.NewestActive(t.Context(), store.CallerSession{}, store.AllTenants().OfUser("nobody"))
			require.NoError(t, err)
			assert.False(t, more)
			assert.Empty(t, none)
		})
	}
}
