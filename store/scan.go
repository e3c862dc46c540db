package store

import "time"

// sessionColumns are those that scanSession reads, in its order.
const sessionColumns = "tenant_id, id, user_id, partner_id, user_email, user_display_name, ip_address, user_agent, " +
	"device_type, location, created_at, last_activity_at, expires_at, ends_at, ended_how, revoked_at, ended_by_sub, " +
	"ended_by_client, ended_reason, app_count"

// itemColumns are those that scanItem reads, in its order: the fewer, the sooner a page is there.
const itemColumns = "tenant_id, id, user_id, user_email, ip_address, user_agent, device_type, created_at, last_activity_at, " +
	"expires_at, app_count"

// scanItem reads a row that begins with itemColumns; more tells where its further columns go.
func scanItem(row rows, item *ListItem, more ...any) error {
	into := [16]any{
		&item.TenantID, &item.ID, &item.UserID, &item.UserEmail, &item.IPAddress, &item.UserAgent, &item.DeviceType,
		&item.CreatedAt, &item.LastActivityAt, &item.ExpiresAt, &item.AppCount,
	}
	if err := row.Scan(append(into[:11], more...)...); err != nil {
		return err
	}
	item.CreatedAt, item.ExpiresAt = item.CreatedAt.UTC(), item.ExpiresAt.UTC()
	if item.LastActivityAt != nil {
		*item.LastActivityAt = item.LastActivityAt.UTC()
	}
	return nil
}

// scanSession reads a row that begins with sessionColumns; more tells where its further columns go.
func scanSession(row rows, session *Session, more ...any) error {
	into := [24]any{
		&session.TenantID, &session.ID, &session.UserID, &session.PartnerID, &session.UserEmail, &session.UserDisplayName,
		&session.IPAddress, &session.UserAgent, &session.DeviceType, &session.Location, &session.CreatedAt,
		&session.LastActivityAt, &session.ExpiresAt, &session.EndsAt, &session.EndedHow, &session.RevokedAt,
		&session.EndedBySub, &session.EndedByClient, &session.EndedReason, &session.AppCount,
	}
	if err := row.Scan(append(into[:20], more...)...); err != nil {
		return err
	}
	session.inUTC()
	return nil
}

// inUTC gives times one form whatever the driver's time zone is.
func (s *Session) inUTC() {
	s.CreatedAt, s.ExpiresAt, s.EndsAt = s.CreatedAt.UTC(), s.ExpiresAt.UTC(), s.EndsAt.UTC()
	for _, at := range []*time.Time{s.LastActivityAt, s.RevokedAt} {
		if at != nil {
			*at = at.UTC()
		}
	}
}
