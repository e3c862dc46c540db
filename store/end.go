package store

import "time"

// revocation ends sessions of a selection.
type revocation struct {
	querier
	sel   Selection
	trail trail
	// tenants are those in which it has ended sessions, and expires is the latest time at which one of these would have ended
	// by itself.
	tenants map[string]bool
	expires time.Time
}

// actionOf is the event of an ending.
func actionOf(how string) string {
	switch how {
	case Revoked:
		return ActionRevoked
	case Replaced:
		return ActionReplaced
	case Idle:
		return ActionIdle
	default:
		return ActionExpired
	}
}

// condition appends one to those of a selection.
type condition func(*statement)

// every is the condition of every session.
func every(*statement) {}

// end ends the active sessions of the selection that fulfil the condition as well, records it, and returns their ids. On
// PostgreSQL it is one statement.
func (r *revocation) end(how string, also condition) ([]string, error) {
	return r.endWhere(how, func(st *statement) {
		also(st.selected(r.sel))
		st.addActive(r.sel, r.trail.at)
	})
}

// endInOrder is end for many sessions. Their rows are locked in the order of their key before they change: two calls that
// meet would otherwise lock in different orders and deadlock.
func (r *revocation) endInOrder(how string, also condition) ([]string, error) {
	if r.engine.serial != nil {
		return r.end(how, also)
	}
	return r.endWhere(how, func(st *statement) {
		also(st.add("(tenant_id, id) IN (SELECT tenant_id, id FROM sessions WHERE ").selected(r.sel))
		st.addActive(r.sel, r.trail.at).add(" ORDER BY tenant_id, id FOR UPDATE) AND "+active, r.trail.at)
	})
}

// endWhere ends the sessions that fulfil the condition, which must leave out those that have ended.
func (r *revocation) endWhere(how string, where condition) ([]string, error) {
	t, e := r.trail, r.engine
	st := e.statement("")
	if e.pool != nil {
		st.add("WITH ended AS (")
	}
	st.add("UPDATE sessions SET revoked_at = ?, ended_how = ?, ended_by_sub = ?, ended_by_client = ?, ended_reason = ?",
		t.at, how, t.by.Subject, t.by.ClientID, t.by.Reason)
	if e.pool != nil {
		st.add(", notes = notes + 1")
	}
	where(st.add(" WHERE "))
	if st.add(" RETURNING tenant_id, id, user_id, expires_at"); e.pool != nil {
		st.add(", partner_id, device_type, created_at, revoked_at), noted AS (").addEndingNotes("ended").add("), told AS (")
		st.addEvents(t, actionOf(how), "ended").add(") SELECT tenant_id, id, user_id, expires_at FROM ended")
	}
	var ids []string
	var ended []Session
	err := r.run(st, func(row rows) error {
		var s Session
		err := row.Scan(&s.TenantID, &s.ID, &s.UserID, &s.ExpiresAt)
		ids = append(ids, s.ID)
		r.met(s)
		if e.pool == nil {
			ended = append(ended, s)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return ids, t.record(r.tx, actionOf(how), ended...)
}

// met keeps what has to be known of a session that has been ended.
func (r *revocation) met(s Session) {
	if r.tenants == nil {
		r.tenants = map[string]bool{}
	}
	r.tenants[s.TenantID] = true
	if s.ExpiresAt.After(r.expires) {
		r.expires = s.ExpiresAt.UTC()
	}
}
