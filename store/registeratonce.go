package store

import "context"

// registerAtOnce registers a session in one exchange with PostgreSQL when nothing is in its way, and reports whether it
// did. Where something is (a new tenant, a known id, a late login), it changes nothing, and register finds out what.
func (s *Store) registerAtOnce(ctx context.Context, session *Session, r registration) (bool, error) {
	made := false
	what := changing{session.TenantID, session.ID, r.watermarks(*session)}
	err := s.change(ctx, "register session", what, func(q querier) error {
		made = false
		return q.run(s.insertStatement(*session, r), func(row rows) error {
			made = true
			return row.Scan(&session.PartnerID)
		})
	})
	return made, err
}

// insertStatement inserts the sessions that are asked for, and their events, if their tenant is known, their partner is the
// tenant's, no cutoff covers them and nothing has, or had, their id.
func (s *Store) insertStatement(n Session, r registration) *statement {
	st := s.engine.asking(append(r.trail.values(),
		value{"tenant", "text", n.TenantID}, value{"session", "text", n.ID}, value{"of_user", "text", n.UserID},
		value{"partner", "text", n.PartnerID}, value{"email", "text", n.UserEmail}, value{"name", "text", n.UserDisplayName},
		value{"address", "text", n.IPAddress}, value{"agent", "text", n.UserAgent}, value{"device", "text", n.DeviceType},
		value{"place", "text", n.Location}, value{"since", "timestamptz", n.CreatedAt}, value{"until", "timestamptz", n.ExpiresAt},
		value{"ends", "timestamptz", n.EndsAt}, value{"id_digest", "text", r.sessionDigest}, value{"user_digest", "text", r.userDigest})...)
	st.add(`inserted AS (INSERT INTO sessions (tenant_id, id, user_id, partner_id, user_email, user_display_name, ip_address,
			user_agent, device_type, location, created_at, expires_at, ends_at, notes)
		SELECT t.tenant_id, session, of_user, t.partner_id, email, name, address, agent, device, place, since, until, ends, 1
		FROM asked JOIN tenants t ON t.tenant_id = tenant AND t.partner_id IS NOT DISTINCT FROM coalesce(partner, t.partner_id)
		WHERE (NOT EXISTS (SELECT FROM watermarks WHERE tenant_id IN ('', tenant) AND user_id IN ('', of_user, user_digest) AND not_before >= since)) IS TRUE
			AND (NOT EXISTS (SELECT FROM partner_cutoffs c
				WHERE c.partner_id = t.partner_id AND c.user_id IN ('', of_user, user_digest) AND c.not_before >= since)) IS TRUE
			AND (NOT EXISTS (SELECT FROM ended_sessions WHERE session_digest = id_digest)) IS TRUE
		ORDER BY nr
		ON CONFLICT DO NOTHING RETURNING tenant_id, id, user_id, partner_id, device_type, created_at), `)
	st.add(`made AS (SELECT inserted.*, asked.* FROM inserted JOIN asked ON tenant_id = tenant AND id = session), `)
	st.add("noted AS (").addBeginningNotes("inserted").add("), told AS (").addEventsOf(ActionRegistered, "made")
	return st.add(") SELECT nr, partner_id FROM made")
}
