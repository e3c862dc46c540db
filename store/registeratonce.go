package store

import "context"

// registerAtOnce registers a session in one exchange with PostgreSQL when nothing is in its way, and reports whether it
// did. Where something is (a new tenant, a known id, a late login), it changes nothing, and register finds out what.
func (s *Store) registerAtOnce(ctx context.Context, session *Session, trail trail) (bool, error) {
	made := false
	what := changing{session.TenantID, session.ID, watermarks(*session)}
	err := s.change(ctx, "register session", what, func(q querier) error {
		made = false
		return q.run(s.insertStatement(*session, trail), func(row rows) error {
			made = true
			return row.Scan(&session.PartnerID)
		})
	})
	return made, err
}

// insertStatement inserts the session, and its event, if its tenant is known, its partner is the tenant's, no watermark
// covers it and nothing has its id.
func (s *Store) insertStatement(n Session, trail trail) *statement {
	st := s.engine.statement(`WITH made AS (INSERT INTO sessions (tenant_id, id, user_id, partner_id, user_email,
		user_display_name, ip_address, user_agent, device_type, location, created_at, expires_at, ends_at, notes)
		SELECT t.tenant_id, ?, ?, t.partner_id, ?, ?, ?, ?, ?, ?, ?::timestamptz, ?::timestamptz, ?::timestamptz, 1 FROM tenants t`,
		n.ID, n.UserID, n.UserEmail, n.UserDisplayName, n.IPAddress, n.UserAgent, n.DeviceType, n.Location,
		n.CreatedAt, n.ExpiresAt, n.EndsAt)
	st.add(` WHERE t.tenant_id = ? AND t.partner_id IS NOT DISTINCT FROM coalesce(?, t.partner_id)`, n.TenantID, n.PartnerID)
	st.add(` AND NOT EXISTS (SELECT FROM watermarks WHERE tenant_id IN ('', ?) AND user_id IN ('', ?) AND not_before >= ?)`,
		n.TenantID, n.UserID, n.CreatedAt)
	st.add(` ON CONFLICT DO NOTHING RETURNING tenant_id, id, user_id, partner_id, device_type, created_at), `)
	st.add("noted AS (").addBeginningNotes("made").add("), told AS (").addEvents(trail, ActionRegistered, "made")
	return st.add(") SELECT partner_id FROM made")
}
