package store

import (
	"context"
	"time"
)

// scope is whose sessions a tally counts: a tenant's, a partner's, or all when both are empty.
type scope struct{ tenant, partner string }

// scope is the selection as what tallies count, and false where sessions have to be counted.
func (s Selection) scope() (scope, bool) {
	switch {
	case s.user != nil, s.tenant != nil && s.partner != nil:
		return scope{}, false
	case s.tenant != nil:
		return scope{tenant: *s.tenant}, true
	case s.partner != nil:
		return scope{partner: *s.partner}, true
	default:
		return scope{}, true
	}
}

// due is the condition of a session that has ended by itself and is not recorded as such yet.
const due = "ended_how IS NULL AND ends_at <= ?"

// addGone appends a table of columns of a scope's sessions that have ended and do not say so yet: those that are due, and
// those that ended with all of their tenant.
func (st *statement) addGone(columns string, sc scope, now time.Time) *statement {
	return st.add("(SELECT * FROM ").addDue(columns, sc, now).addWithTenant(columns, sc, now).add(") AS gone").addPartner(sc)
}

// addDue appends a table of those that are due.
//
// They are few, but PostgreSQL would expect a third of all and read them another way: it expects less between two bounds, and
// a limit keeps the partner out of its choice.
func (st *statement) addDue(columns string, sc scope, now time.Time) *statement {
	st.add("(SELECT partner_id, " + columns + " FROM sessions WHERE ").addTenant(sc)
	return st.add(due+" AND ends_at > "+st.earliest()+" LIMIT 1000000000) AS due", now)
}

// addWithTenant appends those that ended with all of their tenant to a table.
func (st *statement) addWithTenant(columns string, sc scope, now time.Time) *statement {
	st.add(" UNION ALL SELECT partner_id, " + columns + " FROM (SELECT tenant_id AS of, max(at) AS at FROM tenant_endings GROUP BY tenant_id) AS e")
	// The endings first, which are hardly ever any: SQLite keeps the order of a cross join, PostgreSQL that of this one.
	before, after := " CROSS JOIN sessions WHERE ", ""
	if st.numbers {
		before, after = " CROSS JOIN LATERAL (SELECT partner_id, "+columns+" FROM sessions WHERE ", " OFFSET 0) AS s"
	}
	st.add(before + "tenant_id = of AND created_at <= at AND ").addTenant(sc)
	return st.add("ended_how IS NULL AND "+lasts+after, now)
}

// addPartner appends the condition of a scope's partner, when it has one.
func (st *statement) addPartner(sc scope) *statement {
	if sc.partner != "" {
		st.add(" WHERE partner_id = ?", sc.partner)
	}
	return st
}

// addTenant appends the condition of a scope's tenant, when it has one, with an AND.
func (st *statement) addTenant(sc scope) {
	if sc.tenant != "" {
		st.add("tenant_id = ? AND ", sc.tenant)
	}
}

// addTotal appends an expression for the exact number of selected sessions: the tally, what is not folded into it yet,
// and, of the active ones, less those that are gone.
func (st *statement) addTotal(sel Selection, activeOnly bool, now time.Time) *statement {
	sc, counted := sel.scope()
	if st.addSum(sel, activeOnly, now, ""); !counted || !activeOnly {
		return st
	}
	return st.add(" - (SELECT count(*) FROM ").addDue("id", sc, now).addPartner(sc).add(") - ").addEndedWithTenant(sc, now)
}

// addEndedWithTenant appends the number of a scope's sessions that ended with all of their tenant and do not say so yet, which
// may be very many: all of the tenant's that do not say that they have ended, less the few that were made since or have come to
// their own end.
func (st *statement) addEndedWithTenant(sc scope, now time.Time) *statement {
	st.add(`coalesce((SELECT CAST(sum(
			coalesce((SELECT open FROM tallies WHERE tenant_id = of AND partner_id = '' AND kind = ? AND key = ''), 0)
			+ coalesce((SELECT sum(open) FROM session_changes WHERE tenant_id = of), 0)
			- (SELECT count(*) FROM sessions WHERE tenant_id = of AND ended_how IS NULL AND created_at > at)
			- (SELECT count(*) FROM sessions WHERE tenant_id = of AND `+due+` AND ends_at > `+st.earliest()+` AND created_at <= at)) AS bigint)
		FROM (SELECT tenant_id AS of, max(at) AS at FROM tenant_endings GROUP BY tenant_id) AS e`, kindSessions, now)
	switch {
	case sc.tenant != "":
		st.add(" WHERE of = ?", sc.tenant)
	case sc.partner != "":
		st.add(" WHERE of IN (SELECT tenant_id FROM tenants WHERE partner_id = ?)", sc.partner)
	}
	return st.add("), 0)")
}

// addTotalBut is addTotal where no tenant that it counts has ended as a whole a moment ago: then that is all there is to know,
// and hardly ever is it otherwise, but to look for it costs as much as all the rest. A second column says whether one has. Sessions
// that have to be counted are counted until there are more than fewSessions.
func (st *statement) addTotalBut(sel Selection, activeOnly bool, now time.Time) *statement {
	sc, counted := sel.scope()
	if st.addSum(sel, activeOnly, now, literalLimit(fewSessions+1)); !counted || !activeOnly {
		return st.add(", FALSE")
	}
	st.add(" - (SELECT count(*) FROM ").addDue("id", sc, now).addPartner(sc).add("), EXISTS (SELECT 1 FROM tenant_endings")
	if sc.tenant != "" {
		st.add(" WHERE tenant_id = ?", sc.tenant)
	}
	return st.add(")")
}

// addSum appends the number of selected sessions that do not say that they have ended. Those that have to be counted are counted
// within a limit, where there is one.
func (st *statement) addSum(sel Selection, activeOnly bool, now time.Time, limit string) {
	sc, counted := sel.scope()
	if !counted {
		st.add("(SELECT count(*) FROM (SELECT 1 FROM sessions WHERE ").matching(sel, activeOnly, now).add(limit + ") AS counted)")
		return
	}
	column := "total"
	if activeOnly {
		column = "open"
	}
	st.add("coalesce((SELECT "+column+" FROM tallies WHERE tenant_id = ? AND partner_id = ? AND kind = ? AND key = ''), 0)",
		sc.tenant, sc.partner, kindSessions)
	st.add(" + coalesce((SELECT sum(" + column + ") FROM session_changes WHERE ").selected(sel).add("), 0)")
}

// countSessions is the number of selected sessions.
func (s *Store) countSessions(ctx context.Context, sel Selection, activeOnly bool, now time.Time) (int, error) {
	total := 0
	st := s.engine.statement("SELECT ").addTotal(sel, activeOnly, now)
	err := s.query(ctx, st, func(row rows) error { return row.Scan(&total) })
	return total, mapError("count sessions", err)
}

// CountActive is the number of active sessions of a selection.
func (s *Store) CountActive(ctx context.Context, sel Selection) (int, error) {
	sel, err := s.settlePartner(ctx, sel)
	if err != nil || sel.empty() {
		return 0, err
	}
	return s.countSessions(ctx, sel, true, s.clock())
}
