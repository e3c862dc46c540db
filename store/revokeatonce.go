package store

import "context"

// revokeAtOnce ends a session of a selection in one tenant, in one exchange with PostgreSQL, and reports whether there was
// one to end.
func (s *Store) revokeAtOnce(ctx context.Context, sel Selection, id string, trail trail) (bool, error) {
	ended := false
	what := changing{*sel.tenant, id, []watermark{{TenantID: *sel.tenant}}}
	err := s.change(ctx, "revoke session", what, func(q querier) error {
		ended = false
		return q.run(s.revokeStatement(sel, id, trail), func(row rows) error {
			ended = true
			return row.Scan(new(int))
		})
	})
	return ended, err
}

// revokeStatement ends the sessions that are asked for, if they are active, and appends their events.
func (s *Store) revokeStatement(sel Selection, id string, trail trail) *statement {
	values, more := append(trail.values(), value{"session", "text", id}), ""
	for _, condition := range []struct {
		name, where string
		of          *string
	}{
		{"of_tenant", "tenant_id = of_tenant", sel.tenant},
		{"of_partner", " AND partner_id = of_partner", sel.partner},
		{"of_user", " AND user_id = of_user", sel.user},
	} {
		if condition.of != nil {
			values, more = append(values, value{condition.name, "text", *condition.of}), more+condition.where
		}
	}
	st := s.engine.asking(values...).add(`ended AS (UPDATE sessions SET revoked_at = asked.at, ended_how = '` + Revoked + `',
			ended_by_sub = by_sub, ended_by_client = by_client, ended_reason = because, notes = notes + 1
		FROM asked WHERE ` + more + ` AND id = session AND ` + activeAt("asked.at") + `
		RETURNING tenant_id, id, user_id, partner_id, device_type, created_at, revoked_at, asked.*), `)
	st.add("noted AS (").addEndingNotes("ended").add("), told AS (").addEventsOf(ActionRevoked, "ended")
	return st.add(") SELECT nr FROM ended")
}
