package store

import (
	"context"
	"time"
)

// scope is whose sessions a tally counts: a tenant's, a partner's, or all when both are empty.
type scope struct{ tenant, partner string }

// scope is the selection as what tallies count, and false where sessions have to be counted: a user's are few.
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

// addTotal appends an expression for the exact number of selected sessions: the tally, what is not folded into it yet,
// and, of the active ones, less those that have ended by themselves since the last sweep.
func (st *statement) addTotal(sel Selection, activeOnly bool, now time.Time) *statement {
	sc, counted := sel.scope()
	switch {
	case !counted && activeOnly:
		return st.add("(SELECT count(*) FROM sessions WHERE ").selected(sel).add(" AND "+active+")", now)
	case !counted:
		return st.add("(SELECT count(*) FROM sessions WHERE ").selected(sel).add(")")
	}
	column := "total"
	if activeOnly {
		column = "open"
	}
	st.add("coalesce((SELECT "+column+" FROM tallies WHERE tenant_id = ? AND partner_id = ? AND kind = ? AND key = ''), 0)",
		sc.tenant, sc.partner, kindSessions)
	st.add(" + coalesce((SELECT sum(" + column + ") FROM session_changes WHERE ").selected(sel).add("), 0)")
	if activeOnly {
		st.add(" - (SELECT count(*) FROM sessions WHERE ").selected(sel).add(" AND "+due+")", now)
	}
	return st
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
