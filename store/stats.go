package store

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// topApplications is how many applications the statistics name.
const topApplications = 10

// Stats counts a tenant's sessions, all at one instant.
type Stats struct {
	// Total is Active, Expired and Revoked together.
	Total, Active, Expired, Revoked int
	// UniqueUsers have an active session.
	UniqueUsers int
	// ByDeviceType counts active sessions; a session without one counts under "".
	ByDeviceType map[string]int
	// TopApplications are those in the most active sessions, most first, then by id.
	TopApplications []ApplicationStats
	// CreatedLast24h and RevokedLast24h count the day before AsOf.
	CreatedLast24h, RevokedLast24h int
	AsOf                           time.Time
}

// ApplicationStats counts the active sessions in which an application was reached.
type ApplicationStats struct {
	ApplicationID   string
	ApplicationName string
	Sessions        int
}

// TenantStats counts the sessions of a tenant; one that nobody has registered a session for has zeros.
func (s *Store) TenantStats(ctx context.Context, tenantID string) (Stats, error) {
	now := s.clock()
	stats := Stats{AsOf: now, ByDeviceType: map[string]int{}, TopApplications: []ApplicationStats{}}
	if !storable(tenantID) {
		return stats, nil
	}
	for _, count := range []func(*gorm.DB, string, *Stats) error{countSessions, countDevices, countApplications} {
		if err := count(s.read(ctx), tenantID, &stats); err != nil {
			return Stats{}, mapError("tenant statistics", err)
		}
	}
	return stats, nil
}

func countSessions(db *gorm.DB, tenantID string, stats *Stats) error {
	var row struct{ Total, Active, Revoked, UniqueUsers, Created, RevokedLately int }
	now, dayAgo := stats.AsOf, stats.AsOf.Add(-24*time.Hour)
	err := db.Raw(`
		SELECT count(*) AS total,
			count(CASE WHEN ended_how IS NULL AND ends_at > ? THEN 1 END) AS active,
			count(revoked_at) AS revoked,
			count(DISTINCT CASE WHEN ended_how IS NULL AND ends_at > ? THEN user_id END) AS unique_users,
			count(CASE WHEN created_at > ? THEN 1 END) AS created,
			count(CASE WHEN revoked_at > ? THEN 1 END) AS revoked_lately
		FROM sessions WHERE tenant_id = ?`, now, now, dayAgo, dayAgo, tenantID).Scan(&row).Error
	stats.Total, stats.Active, stats.Revoked = row.Total, row.Active, row.Revoked
	stats.Expired = row.Total - row.Active - row.Revoked
	stats.UniqueUsers, stats.CreatedLast24h, stats.RevokedLast24h = row.UniqueUsers, row.Created, row.RevokedLately
	return err
}

func countDevices(db *gorm.DB, tenantID string, stats *Stats) error {
	var rows []struct {
		DeviceType string
		Sessions   int
	}
	err := db.Raw(`
		SELECT coalesce(device_type, '') AS device_type, count(*) AS sessions FROM sessions
		WHERE tenant_id = ? AND `+active+` GROUP BY 1`, tenantID, stats.AsOf).Scan(&rows).Error
	for _, row := range rows {
		stats.ByDeviceType[row.DeviceType] = row.Sessions
	}
	return err
}

func countApplications(db *gorm.DB, tenantID string, stats *Stats) error {
	return db.Raw(`
		SELECT a.application_id, max(a.application_name) AS application_name, count(*) AS sessions
		FROM session_apps a JOIN sessions s ON s.tenant_id = a.tenant_id AND s.id = a.session_id
		WHERE a.tenant_id = ? AND s.ended_how IS NULL AND s.ends_at > ?
		GROUP BY a.application_id ORDER BY sessions DESC, a.application_id LIMIT ?`,
		tenantID, stats.AsOf, topApplications).Scan(&stats.TopApplications).Error
}
