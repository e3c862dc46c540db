package store

import (
	"cmp"
	"context"
	"slices"
	"time"
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

// TenantStats counts the sessions of a tenant; one that nobody has registered a session for has zeros. It reads tallies and
// what is not folded into them yet, in one statement, and never the sessions themselves but for those that are due and, until a
// revocation of the whole tenant is brought up to date, those that were made since.
func (s *Store) TenantStats(ctx context.Context, tenantID string) (Stats, error) {
	now := s.clock()
	if !storable(tenantID) {
		return statsFrom(tallies{}, tenantID, now), nil
	}
	sums, err := s.statsSums(ctx, tenantID, s.engine.statsStatement(tenantID, now))
	if _, revoked := sums[tallyKey{scope{tenant: tenantID}, rowEnding, ""}]; err == nil && revoked {
		sums, err = s.statsSums(ctx, tenantID, s.engine.revokedStatsStatement(tenantID, now))
	}
	if err != nil {
		return Stats{}, mapError("tenant statistics", err)
	}
	return statsFrom(sums, tenantID, now), nil
}

// statsSums adds up what a statement of the statistics gives.
func (s *Store) statsSums(ctx context.Context, tenantID string, st *statement) (tallies, error) {
	sums := tallies{}
	err := s.query(ctx, st, func(row rows) error {
		var r tallyRow
		err := row.Scan(&r.kind, &r.key, &r.name, &r.open, &r.total, &r.revoked)
		r.tenant = tenantID
		sums.plus(r.tallyKey, r.amounts)
		return err
	})
	return sums, err
}

// Kinds of rows of the statement that are no tallies.
const (
	rowUser   = "user"   // of whom something is not folded: open sessions, with those that are gone; what is noted; less the gone
	rowLately = "lately" // made and revoked at the edge of the last day, where no slot begins
	rowEnding = "ending" // all sessions of the tenant were revoked, and do not all say so yet
)

// noted is a table of what is not folded of a tenant, which is the argument.
const noted = `noted AS (
	SELECT user_id, device_type, created_at, revoked_at, open, total, revoked, application_id, application_name, applications
	FROM session_changes WHERE tenant_id = ?), `

// statsStatement asks for all that the statistics are made of: kind, key, name, open, total, revoked.
func (e engine) statsStatement(tenantID string, now time.Time) *statement {
	st := e.statement("WITH "+noted, tenantID)
	// What has ended by itself and does not say so yet counts as if it had been noted.
	st.add(`gone AS (SELECT id, user_id, coalesce(device_type, '') AS device_type, app_count FROM `).
		addDue("id, user_id, device_type, app_count", scope{tenant: tenantID}, now).add(`), `)
	st.add(`more AS (SELECT user_id, device_type, open, 0 AS gone FROM noted WHERE open <> 0
		UNION ALL SELECT user_id, device_type, 0, -1 FROM gone)`)
	st.add(` SELECT kind, key, name, open, total, revoked FROM tallies WHERE tenant_id = ? AND partner_id = '' AND kind IN (?, ?, ?, ?)`,
		tenantID, kindSessions, kindUsers, kindDevice, kindApp)
	st.add(` UNION ALL SELECT '` + kindSessions + `', '', '', sum(open), sum(total), sum(revoked) FROM noted HAVING count(*) > 0`)
	st.add(` UNION ALL SELECT '` + kindSessions + `', '', '', -count(*), 0, 0 FROM gone HAVING count(*) > 0`)
	st.add(` UNION ALL SELECT '` + kindDevice + `', device_type, '', sum(open + gone), 0, 0 FROM more GROUP BY device_type`)
	st.add(` UNION ALL SELECT '`+rowUser+`', user_id, '', (SELECT count(*) FROM sessions AS s
		WHERE s.tenant_id = ? AND s.user_id = users.user_id AND s.ended_how IS NULL), sum(open), sum(gone)
		FROM (SELECT user_id, open, gone FROM more UNION ALL SELECT user_id, open, 0 FROM user_deltas WHERE tenant_id = ?) AS users
		GROUP BY user_id`, tenantID, tenantID)
	st.add(` UNION ALL SELECT '` + kindApp + `', application_id, max(application_name), sum(applications), 0, 0
		FROM noted WHERE application_id <> '' GROUP BY application_id`)
	// SQLite keeps the order of a cross join: what is gone first, and not all applications of the tenant.
	st.add(` UNION ALL SELECT '`+kindApp+`', application_id, max(application_name), -count(*), 0, 0
		FROM gone CROSS JOIN session_apps WHERE app_count > 0 AND tenant_id = ? AND session_id = gone.id GROUP BY application_id`, tenantID)
	st.add(` UNION ALL SELECT '`+rowEnding+`', '', '', count(*), 0, 0 FROM tenant_endings WHERE tenant_id = ? HAVING count(*) > 0`, tenantID)
	return st.addLastDay(tenantID, now)
}

// revokedStatsStatement asks for the same while sessions of the tenant do not say yet that they were revoked with all others.
// Those that are active were made since, and are looked at. How many were revoked is known without looking: all that do not say
// that they have ended, less those made since and less the few that had come to their own end before.
func (e engine) revokedStatsStatement(tenantID string, now time.Time) *statement {
	st := e.statement("WITH "+noted, tenantID)
	st.add(`newest AS (SELECT coalesce(max(at), `+st.earliest()+`) AS at FROM tenant_endings WHERE tenant_id = ?), `, tenantID)
	st.add(`since AS (SELECT id, user_id, coalesce(device_type, '') AS device_type, app_count FROM sessions
		WHERE tenant_id = ? AND ended_how IS NULL AND `+lasts+` AND created_at > (SELECT at FROM newest)), `, tenantID, now)
	st.add(`revoked AS (SELECT coalesce((SELECT open FROM tallies WHERE tenant_id = ? AND partner_id = '' AND kind = ? AND key = ''), 0)
			+ coalesce((SELECT sum(open) FROM noted), 0)`, tenantID, kindSessions)
	st.add(` - (SELECT count(*) FROM sessions WHERE tenant_id = ? AND ended_how IS NULL AND created_at > (SELECT at FROM newest))`, tenantID)
	st.add(` - (SELECT count(*) FROM sessions WHERE tenant_id = ? AND ended_how IS NULL AND ends_at <= (SELECT at FROM newest)
			AND ends_at <= (SELECT min(at) FROM tenant_endings AS e WHERE e.tenant_id = sessions.tenant_id AND e.at >= created_at)) AS n)`, tenantID)
	st.add(` SELECT kind, key, '', 0, total, revoked FROM tallies WHERE tenant_id = ? AND partner_id = '' AND kind = ?`, tenantID, kindSessions)
	st.add(` UNION ALL SELECT '` + kindSessions + `', '', '', 0, sum(total), sum(revoked) FROM noted HAVING count(*) > 0`)
	st.add(` UNION ALL SELECT '` + kindSessions + `', '', '', (SELECT count(*) FROM since), 0, n FROM revoked`)
	st.add(` UNION ALL SELECT '` + kindUsers + `', '', '', count(DISTINCT user_id), 0, 0 FROM since`)
	st.add(` UNION ALL SELECT '` + kindDevice + `', device_type, '', count(*), 0, 0 FROM since GROUP BY device_type`)
	st.add(` UNION ALL SELECT '`+kindApp+`', application_id, max(application_name), count(*), 0, 0
		FROM since CROSS JOIN session_apps WHERE app_count > 0 AND tenant_id = ? AND session_id = since.id GROUP BY application_id`, tenantID)
	st.add(` UNION ALL SELECT '`+kindRevoked+`', '', '', 0, 0, n FROM revoked, newest WHERE at > ?`, now.Add(-day))
	return st.addLastDay(tenantID, now)
}

// addLastDay appends what was made and revoked in the last day: whole slots by their tallies, with what is not folded, and at
// its edge the sessions themselves: those that were before the first slot, or are too many in it.
func (st *statement) addLastDay(tenantID string, now time.Time) *statement {
	dayAgo := now.Add(-day)
	edge := dayAgo.UTC().Round(slot) // of the slots', the nearest
	st.add(` UNION ALL SELECT kind, '', '', 0, sum(total), sum(revoked) FROM tallies
		WHERE tenant_id = ? AND partner_id = '' AND kind IN (?, ?) AND key >= ? GROUP BY kind`, tenantID, kindCreated, kindRevoked, slotKey(edge))
	st.add(` UNION ALL SELECT '`+kindCreated+`', '', '', 0, sum(total), 0 FROM noted WHERE total <> 0 AND created_at >= ? HAVING count(*) > 0`, edge)
	st.add(` UNION ALL SELECT '`+kindRevoked+`', '', '', 0, 0, sum(revoked) FROM noted WHERE revoked <> 0 AND revoked_at >= ? HAVING count(*) > 0`, edge)
	sign, after, before, from, to := "", " > ? AND ", " < ?", dayAgo, edge
	if !edge.After(dayAgo) {
		sign, after, before, from, to = "-", " >= ? AND ", " <= ?", edge, dayAgo
	}
	count := func(column string) string {
		return sign + "(SELECT count(*) FROM sessions WHERE tenant_id = ? AND " + column + after + column + before + ")"
	}
	return st.add(` UNION ALL SELECT '`+rowLately+`', '', '', 0, `+count("created_at")+`, `+count("revoked_at"),
		tenantID, from, to, tenantID, from, to)
}

// statsFrom makes the statistics from the rows of the statement, summed.
func statsFrom(sums tallies, tenantID string, now time.Time) Stats {
	stats := Stats{AsOf: now, ByDeviceType: map[string]int{}, TopApplications: []ApplicationStats{}}
	own := scope{tenant: tenantID}
	all := sums[tallyKey{own, kindSessions, ""}]
	stats.Total, stats.Active, stats.Revoked = int(all.total), int(all.open), int(all.revoked)
	stats.Expired = stats.Total - stats.Active - stats.Revoked
	users := sums[tallyKey{own, kindUsers, ""}].open
	for key, sum := range sums {
		switch key.kind {
		case kindDevice:
			if sum.open != 0 {
				stats.ByDeviceType[key.key] = int(sum.open)
			}
		case kindApp:
			if sum.open != 0 {
				stats.TopApplications = append(stats.TopApplications, ApplicationStats{key.key, sum.name, int(sum.open)})
			}
		case rowUser:
			users += present(sum.open+sum.revoked) - present(sum.open-sum.total)
		case kindCreated, kindRevoked, rowLately:
			stats.CreatedLast24h += int(sum.total)
			stats.RevokedLast24h += int(sum.revoked)
		}
	}
	stats.UniqueUsers = int(users)
	slices.SortFunc(stats.TopApplications, func(a, b ApplicationStats) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.ApplicationID, b.ApplicationID))
	})
	stats.TopApplications = stats.TopApplications[:min(len(stats.TopApplications), topApplications)]
	return stats
}
