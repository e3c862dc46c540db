package store

import (
	"context"
	"strconv"
	"time"

	"github.com/sessiond/sessiond/store/internal/counters"
	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// itemColumns are those that scanItem reads, in its order: the fewer, the sooner a page is there.
const itemColumns = "tenant_id, id, user_id, user_email, ip_address, user_agent, device_type, created_at, last_activity_at, expires_at, app_count"

// scanItem reads a row that begins with itemColumns; more says where its further columns go.
func scanItem(row engine.Rows, item *ListItem, more ...any) error {
	into := [16]any{
		&item.TenantID, &item.ID, &item.UserID, &item.UserEmail, &item.IPAddress, &item.UserAgent, &item.DeviceType,
		&item.CreatedAt, &item.LastActivityAt, &item.ExpiresAt, &item.AppCount,
	}
	if err := row.Scan(append(into[:11], more...)...); err != nil {
		return err
	}
	item.inUTC()
	return nil
}

// fastListing is the statement of a list.
type fastListing struct {
	listing
	engine *engine.Engine
	// bucketSize is that of the page index.
	bucketSize, buckets int
	caller              func(st *sqlbuild.Statement)
	// bulkRevoked leaves out the sessions that a bulk revocation covers which has not been applied to them. There hardly ever are any, and to
	// look for them costs a fifth of a page: at first the statement only says whether there is such a bulk revocation.
	bulkRevoked bool
	// uncounted leaves out the total.
	uncounted bool
	// long: it is sent by itself, because it passes over or counts many sessions.
	long bool
}

func (f fast) listing(ctx context.Context, caller CallerSession, l listing) fastListing {
	return fastListing{
		listing: l, engine: f.engine, bucketSize: f.counters.BucketSize(), buckets: f.counters.BucketsBefore(l.page.Offset),
		caller: func(st *sqlbuild.Statement) { f.joinCaller(ctx, st, caller) },
		// Those of a user that are a partner's may be few among very many.
		long: l.page.Offset >= maxShort || l.sorts() && l.scope.partner != nil,
	}
}

// sorts reports whether no index has the order of the list, so that all of its sessions are read and sorted: a user's in several tenants. A
// short statement does so only if they are few, and returns none otherwise.
func (l listing) sorts() bool { return l.scope.user != nil && l.scope.tenant == nil }

func (f fast) listSessions(ctx context.Context, caller CallerSession, l listing) ([]ListItem, int, error) {
	list := f.listing(ctx, caller, l)
	for {
		items, total, again, err := f.readPage(ctx, caller, list)
		switch {
		case err == nil && again:
			list.bulkRevoked = true
		case err == nil && !list.long && (total > maxShort && list.countsRows() || len(items) == 0 && list.sorts()):
			list.long = true // the count was cut off at maxShort, or there may be too many to sort
		case err == nil && len(items) == 0 && l.page.Offset > 0:
			// The total is a column of the page's rows, and the page is empty.
			total, err = f.countSessions(ctx, l)
			return items, total, err
		default:
			return items, total, err
		}
	}
}

func (f fast) newestActive(ctx context.Context, caller CallerSession, scope Scope, now time.Time) ([]ListItem, bool, error) {
	list := f.listing(ctx, caller, listing{scope: scope, filter: Filter{ActiveOnly: true}, now: now})
	list.uncounted, list.page.Limit = true, maxShort+1
	for {
		items, _, again, err := f.readPage(ctx, caller, list)
		switch {
		case err == nil && again:
			list.bulkRevoked = true
		case err == nil && !list.long && (len(items) > maxShort || len(items) == 0 && list.sorts()):
			list.long, list.page.Limit = true, MaxListed+1
		default:
			return items[:min(len(items), MaxListed)], len(items) > MaxListed, err
		}
	}
}

// readPage reads the page and the total. It reports whether they have to be asked for again, with the bulk revocations.
func (f fast) readPage(ctx context.Context, caller CallerSession, l fastListing) (items []ListItem, total int, again bool, err error) {
	items = make([]ListItem, 0, min(l.limit(), 100))
	var callerEnded *bool
	query := f.query
	if l.long {
		query = f.queryLong
	}
	err = query(ctx, l.statement(), l.scope.tenantID(), func(row engine.Rows) error {
		items = append(items, ListItem{})
		last := &items[len(items)-1]
		if err := scanItem(row, last, &total, &again, &callerEnded); err != nil {
			return err
		}
		return l.scope.admit(last.TenantID)
	})
	if err == nil {
		err = f.checkJoined(ctx, caller, callerEnded)
	}
	return items, total, again, err
}

// countsRows reports whether the total is found by counting sessions, because no counter has it.
func (l fastListing) countsRows() bool {
	_, counted := l.filter.counted(l.scope)
	return !counted
}

// limit is the most that are returned, and one more where that says whether there are more.
func (l fastListing) limit() int {
	if l.uncounted {
		return l.page.Limit
	}
	return l.page.limit()
}

// usesPageIndex reports whether a far page is looked for by the page index. Nearer, to pass over the sessions costs less; the ended ones
// are in the page index of tenants only.
func (l fastListing) usesPageIndex() bool {
	group, counted := l.filter.counted(l.scope)
	return counted && l.page.Offset >= l.bucketSize && (l.filter.ActiveOnly || group.Tenant != "")
}

const newestFirst = " ORDER BY " + listOrder

func literalLimit(n int) string { return " LIMIT " + strconv.Itoa(n) }

// statement asks for the page and, with each of its rows, for the total: one statement sees one state. That of a tenant's first page of
// active sessions is, without row-level security and the caller's session,
//
//	SELECT tenant_id, id, …,
//		coalesce((SELECT open FROM counters WHERE tenant_id = ? …), 0)           -- addSum: what is counted
//		+ coalesce((SELECT sum(open) FROM counter_deltas WHERE tenant_id = ?), 0) -- and what waits to be counted,
//		- (SELECT count(*) FROM (… WHERE ends_at <= ? …) AS due),                 -- addDue: less what has expired;
//		EXISTS (SELECT 1 FROM bulk_revocations WHERE tenant_id = ?)               -- if true, asked for again with bulkRevoked
//	FROM sessions WHERE tenant_id = ? AND … ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?
//
// A far page begins with the CTEs of addSeek, and reads the ids from the index first.
func (l fastListing) statement() *sqlbuild.Statement {
	seeks := l.usesPageIndex()
	// The ids are read from the index alone, the rest of a session only for those on the page.
	idsFirst := seeks || l.page.Offset >= maxShort
	st := l.engine.Statement("")
	if seeks {
		l.addSeek(st)
	}
	st.Add("SELECT " + itemColumns + ", ")
	// What a user has in all tenants must not be read twice whenever a bulk revocation waits in any.
	quick := !seeks && !l.bulkRevoked && (l.scope.user == nil || l.scope.tenant != nil)
	if l.uncounted {
		st.Add("0")
	} else {
		addTotal(st, l.listing, l.countLimit(), !quick)
	}
	if quick && l.filter.ActiveOnly {
		l.addWhetherBulkRevoked(st)
	} else {
		st.Add(", FALSE")
	}
	l.caller(st)
	if !idsFirst {
		l.addRows(st, "*", quick, func() {}, func() { st.Add(" LIMIT ?", l.page.Offset+l.limit()) })
		return st.Add(" LIMIT ? OFFSET ?", l.limit(), l.page.Offset)
	}
	if l.scope.add(st.Add(" FROM sessions WHERE ")); l.scope.tenant == nil {
		st.Add(" AND " + useIDIndex)
	}
	older, from := func() {}, ""
	if seeks {
		// With the coalesce outside, row-level security would evaluate each session before the index is used.
		older = func() { st.Add(" AND created_at < (SELECT coalesce((SELECT at FROM start), ?))", latestTime()) }
		from = " - coalesce((SELECT newer FROM start), 0)"
	}
	l.addRows(st.Add(" AND id IN (SELECT id FROM (SELECT id"), "id, created_at", quick, older, func() { st.Add(" LIMIT ?"+from, l.page.Offset+l.limit()) })
	// PostgreSQL takes a limit that is an argument for a tenth of all rows. One that stands in the text tells it that there are few, and is
	// the same for all pages, because every connection keeps each statement prepared; the one around it is exact.
	return st.Add(literalLimit(MaxListed)+" OFFSET ?"+from+") AS near LIMIT ?)"+newestFirst, l.page.Offset, l.limit())
}

// addRows appends the sessions that the list shows, in its order. Where there are ended ones too, the index of these and that of the active
// ones are merged: older is a further condition of each, most the limit of what is read.
func (l fastListing) addRows(st *sqlbuild.Statement, columns string, quick bool, older, most func()) {
	if l.filter.table(l.scope) != activeAndEnded {
		l.filter.add(st.Add(" FROM sessions WHERE "), l.scope, l.now, !quick)
		if older(); l.sorts() && !l.long {
			l.addIfFew(st)
		}
		st.Add(newestFirst)
		return
	}
	and := " FROM ("
	for _, half := range []string{"end_cause IS NULL", "end_cause IS NOT NULL"} {
		l.filter.add(st.Add(and+"SELECT * FROM (SELECT "+columns+" FROM sessions WHERE "), l.scope, l.now, !quick)
		older()
		st.Add(" AND " + half + newestFirst)
		most()
		st.Add(") AS half")
		and = " UNION ALL "
	}
	st.Add(") AS sessions" + newestFirst)
}

// latestTime is after every time that a session can have.
func latestTime() time.Time { return time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }

// addSeek finds the bucket of the page index from which on to pass over sessions: the oldest one that begins with no more than the offset
// of sessions newer than itself. Their number is exact: what is not rolled up yet is added where it belongs.
func (l fastListing) addSeek(st *sqlbuild.Statement) {
	group, _ := l.filter.counted(l.scope)
	column := "total"
	if l.filter.ActiveOnly {
		column = "open"
	}
	st.Add(`WITH items AS (SELECT at, n, 1 AS bucket FROM (SELECT * FROM (SELECT starts_at AS at, `+column+` AS n FROM page_index
		WHERE tenant_id = ? AND partner_id = ? ORDER BY starts_at DESC LIMIT 65536) AS newest LIMIT ?) AS near`, group.Tenant, group.Partner, l.buckets)
	l.scope.add(st.Add(` UNION ALL SELECT created_at, ` + column + `, 0 FROM counter_deltas WHERE ` + column + ` <> 0 AND `))
	if l.filter.ActiveOnly {
		addNotActive(st.Add(` UNION ALL SELECT created_at, -1, 0 FROM `), "created_at", group, l.now)
	}
	st.Add(`), ranked AS (SELECT at, bucket, CAST(sum(n) OVER (ORDER BY at DESC) AS bigint) AS newer FROM items),
		start AS (SELECT at, newer FROM ranked WHERE bucket = 1 AND newer <= ? ORDER BY newer DESC, at LIMIT 1) `, l.page.Offset)
}

// addNotActive appends a table of columns of a group's sessions that are counted as open and have ended: those that have expired, and those
// that a bulk revocation covers.
func addNotActive(st *sqlbuild.Statement, columns string, of counters.Group, now time.Time) *sqlbuild.Statement {
	addDue(st.Add("(SELECT * FROM "), columns, of, now)
	st.Add(" UNION ALL SELECT partner_id, " + columns + " FROM (SELECT tenant_id AS of, max(at) AS at FROM bulk_revocations GROUP BY tenant_id) AS e")
	// The bulk revocations first, which are hardly ever any.
	st.Add(" CROSS JOIN LATERAL (SELECT partner_id, " + columns + " FROM sessions WHERE tenant_id = of AND created_at <= at AND ")
	addTenant(st, of)
	return addPartner(st.Add("end_cause IS NULL AND "+notEnded+" OFFSET 0) AS s) AS not_active", now), of)
}

// addDue appends a table of those that have expired.
//
// They are few, but PostgreSQL would expect a third of all and read them another way: it expects less between two bounds, and a limit keeps
// the partner out of its choice.
func addDue(st *sqlbuild.Statement, columns string, of counters.Group, now time.Time) *sqlbuild.Statement {
	addTenant(st.Add("(SELECT partner_id, "+columns+" FROM sessions WHERE "), of)
	return st.Add(isDue+" AND ends_at > '-infinity'::timestamptz LIMIT 1000000000) AS due", now)
}

// addPartner appends the condition of a group's partner, when it has one.
func addPartner(st *sqlbuild.Statement, of counters.Group) *sqlbuild.Statement {
	if of.Partner != "" {
		st.Add(" WHERE partner_id = ?", of.Partner)
	}
	return st
}

// addTenant appends the condition of a group's tenant, when it has one, with an AND.
func addTenant(st *sqlbuild.Statement, of counters.Group) {
	if of.Tenant != "" {
		st.Add("tenant_id = ? AND ", of.Tenant)
	}
}

// addTotal appends an expression for the exact number of sessions that a list shows: the counter, the deltas that are not rolled up and, of
// the active ones, less those that are not active any more; with bulkRevocations also less those that one covers which waits to be applied.
// Sessions that have to be counted one by one are counted within a limit, where there is one.
func addTotal(st *sqlbuild.Statement, l listing, limit string, bulkRevocations bool) *sqlbuild.Statement {
	group, counted := l.filter.counted(l.scope)
	if addSum(st, l, limit, bulkRevocations); !counted || !l.filter.ActiveOnly {
		return st
	}
	addPartner(addDue(st.Add(" - (SELECT count(*) FROM "), "id", group, l.now), group).Add(")")
	if bulkRevocations {
		addBulkRevoked(st.Add(" - "), group, l.now)
	}
	return st
}

// addBulkRevoked appends the number of a group's sessions that a bulk revocation covers and that are not recorded as ended, which may be
// very many: all of the tenant's that are not recorded as ended, less the few that were created since or have come to their own end.
func addBulkRevoked(st *sqlbuild.Statement, of counters.Group, now time.Time) *sqlbuild.Statement {
	st.Add(`coalesce((SELECT CAST(sum(
			coalesce((SELECT open FROM counters WHERE tenant_id = of AND partner_id = '' AND kind = ? AND key = ''), 0)
			+ coalesce((SELECT sum(open) FROM counter_deltas WHERE tenant_id = of), 0)
			- (SELECT count(*) FROM sessions WHERE tenant_id = of AND end_cause IS NULL AND created_at > at)
			- (SELECT count(*) FROM sessions WHERE tenant_id = of AND `+isDue+` AND ends_at > '-infinity'::timestamptz AND created_at <= at)) AS bigint)
		FROM (SELECT tenant_id AS of, max(at) AS at FROM bulk_revocations GROUP BY tenant_id) AS e`, counters.KindRows, now)
	switch {
	case of.Tenant != "":
		st.Add(" WHERE of = ?", of.Tenant)
	case of.Partner != "":
		st.Add(" WHERE of IN (SELECT tenant_id FROM tenants WHERE partner_id = ?)", of.Partner)
	}
	return st.Add("), 0)")
}

// addIfFew appends the condition that there are no more sessions than may be sorted: otherwise none is read.
func (l fastListing) addIfFew(st *sqlbuild.Statement) {
	st.Add(" AND (SELECT count(*) <= " + strconv.Itoa(maxShort) + " FROM (SELECT 1 FROM sessions WHERE ")
	l.filter.add(st, l.scope, l.now, false).Add(literalLimit(maxShort+1) + ") AS few)")
}

// countLimit bounds how many sessions a short statement counts: there are too many when one more than maxShort is found.
func (l fastListing) countLimit() string {
	if l.long {
		return ""
	}
	return literalLimit(maxShort + 1)
}

// addWhetherBulkRevoked appends a column that says whether a bulk revocation waits to be applied to sessions that the list may show.
func (l fastListing) addWhetherBulkRevoked(st *sqlbuild.Statement) {
	if st.Add(", EXISTS (SELECT 1 FROM bulk_revocations"); l.scope.tenant != nil {
		st.Add(" WHERE tenant_id = ?", *l.scope.tenant)
	}
	st.Add(")")
}

// addSum appends the number of sessions that are counted as what a list shows. Those that have to be counted one by one are counted within
// a limit, where there is one, and without those that a bulk revocation covers, or with them.
func addSum(st *sqlbuild.Statement, l listing, limit string, bulkRevocations bool) {
	group, counted := l.filter.counted(l.scope)
	if !counted {
		l.filter.add(st.Add("(SELECT count(*) FROM (SELECT 1 FROM "+l.filter.table(l.scope)+" WHERE "), l.scope, l.now, bulkRevocations).Add(limit + ") AS counted)")
		return
	}
	column := "total"
	if l.filter.ActiveOnly {
		column = "open"
	}
	st.Add("coalesce((SELECT "+column+" FROM counters WHERE tenant_id = ? AND partner_id = ? AND kind = ? AND key = ''), 0)",
		group.Tenant, group.Partner, counters.KindRows)
	l.scope.add(st.Add(" + coalesce((SELECT sum(" + column + ") FROM counter_deltas WHERE ")).Add("), 0)")
}

// countSessions is the total alone.
func (f fast) countSessions(ctx context.Context, l listing) (int, error) {
	var total int
	err := f.queryLong(ctx, addTotal(f.engine.Statement("SELECT "), l, "", true), l.scope.tenantID(), func(row engine.Rows) error { return row.Scan(&total) })
	return total, err
}
