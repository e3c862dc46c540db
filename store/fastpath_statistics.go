package store

import (
	"context"
	"time"

	"github.com/sessiond/sessiond/store/internal/counters"
	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// Kinds of rows of the statement that are no counters.
const (
	rowUser = "user"   // of whom something is not counted: open sessions; what waits; less those that have expired
	rowEdge = "edge"   // created and revoked at the edge of the last day, where no time bucket begins
	rowBulk = "revoke" // a bulk revocation has not been applied to every session
)

func (f fast) tenantStats(ctx context.Context, scope Scope, now time.Time) (Stats, error) {
	tenantID := *scope.tenant
	sums, err := f.sums(ctx, tenantID, statsStatement(f.engine, tenantID, now))
	if _, revoked := sums[rowOf(tenantID, rowBulk)]; err == nil && revoked {
		return f.plain.tenantStats(ctx, scope, now)
	}
	return statsFrom(sums, tenantID, now), err
}

func rowOf(tenantID, kind string) counters.Key {
	return counters.Key{Group: counters.Group{Tenant: tenantID}, Kind: kind}
}

// sums adds up the rows of the statement.
func (f fast) sums(ctx context.Context, tenantID string, st *sqlbuild.Statement) (counters.Sums, error) {
	sums := counters.Sums{}
	return sums, f.queryLong(ctx, st, tenantID, func(row engine.Rows) error {
		c := counters.Counter{TenantID: tenantID}
		err := row.Scan(&c.Kind, &c.Key, &c.Name, &c.Open, &c.Total, &c.Revoked)
		sums.AddCounter(c)
		return err
	})
}

// statsStatement asks for all that the statistics are made of: kind, key, name, open, total, revoked.
func statsStatement(e *engine.Engine, tenantID string, now time.Time) *sqlbuild.Statement {
	st := e.Statement(`WITH waiting AS (
		SELECT seq, user_id, device_type, created_at, revoked_at, open, total, revoked, application_id, application_name, applications
		FROM counter_deltas WHERE tenant_id = ?), `, tenantID)
	// What has ended by itself and is not recorded counts as if it were.
	addDue(st.Add(`expired AS (SELECT id, user_id, coalesce(device_type, '') AS device_type, app_count FROM `), "id, user_id, device_type, app_count",
		counters.Group{Tenant: tenantID}, now).Add(`), `)
	st.Add(`more AS (SELECT user_id, device_type, open, 0 AS expired FROM waiting WHERE open <> 0
		UNION ALL SELECT user_id, device_type, 0, -1 FROM expired)`)
	st.Add(` SELECT kind, key, name, open, total, revoked FROM counters WHERE tenant_id = ? AND partner_id = '' AND kind IN (?, ?, ?, ?)`,
		tenantID, counters.KindRows, counters.KindUsers, counters.KindDevice, counters.KindApplication)
	st.Add(` UNION ALL SELECT '` + counters.KindRows + `', '', '', sum(open), sum(total), sum(revoked) FROM waiting HAVING count(*) > 0`)
	st.Add(` UNION ALL SELECT '` + counters.KindRows + `', '', '', -count(*), 0, 0 FROM expired HAVING count(*) > 0`)
	st.Add(` UNION ALL SELECT '` + counters.KindDevice + `', device_type, '', sum(open + expired), 0, 0 FROM more GROUP BY device_type`)
	st.Add(` UNION ALL SELECT '`+rowUser+`', user_id, '', (SELECT count(*) FROM sessions AS s
		WHERE s.tenant_id = ? AND s.user_id = users.user_id AND s.end_cause IS NULL), sum(open), sum(expired)
		FROM (SELECT user_id, open, expired FROM more UNION ALL SELECT user_id, open, 0 FROM user_counter_deltas WHERE tenant_id = ?) AS users
		GROUP BY user_id`, tenantID, tenantID)
	// The last name given to an application stays.
	st.Add(` UNION ALL SELECT '` + counters.KindApplication + `', application_id,
		coalesce((array_agg(application_name ORDER BY seq DESC) FILTER (WHERE application_name <> ''))[1], ''), sum(applications), 0, 0
		FROM waiting WHERE application_id <> '' GROUP BY application_id`)
	// Those of the expired sessions, and not all applications of the tenant.
	st.Add(` UNION ALL SELECT '`+counters.KindApplication+`', application_id, '', -count(*), 0, 0
		FROM expired CROSS JOIN session_apps WHERE app_count > 0 AND tenant_id = ? AND session_id = expired.id GROUP BY application_id`, tenantID)
	st.Add(` UNION ALL SELECT '`+rowBulk+`', '', '', count(*), 0, 0 FROM bulk_revocations WHERE tenant_id = ? HAVING count(*) > 0`, tenantID)
	return addLastDay(st, tenantID, now)
}

// addLastDay appends what was created and revoked in the last day: whole time buckets by their counters, with what is not rolled up, and at
// its edge the sessions themselves: those that were before the first bucket, or are too many in it.
func addLastDay(st *sqlbuild.Statement, tenantID string, now time.Time) *sqlbuild.Statement {
	dayAgo, first := now.Add(-counters.Day), lastDay(now)
	st.Add(` UNION ALL SELECT kind, '', '', 0, sum(total), sum(revoked) FROM counters
		WHERE tenant_id = ? AND partner_id = '' AND kind IN (?, ?) AND key >= ? GROUP BY kind`,
		tenantID, counters.KindCreated, counters.KindRevoked, counters.BucketKey(first))
	st.Add(` UNION ALL SELECT '`+counters.KindCreated+`', '', '', 0, sum(total), 0 FROM waiting WHERE total <> 0 AND created_at >= ? HAVING count(*) > 0`, first)
	st.Add(` UNION ALL SELECT '`+counters.KindRevoked+`', '', '', 0, 0, sum(revoked) FROM waiting WHERE revoked <> 0 AND revoked_at >= ? HAVING count(*) > 0`, first)
	sign, after, before, from, to := "", " > ? AND ", " < ?", dayAgo, first
	if !first.After(dayAgo) {
		sign, after, before, from, to = "-", " >= ? AND ", " <= ?", first, dayAgo
	}
	count := func(table, column, also string) string {
		return sign + "(SELECT count(*) FROM " + table + " WHERE tenant_id = ? AND " + column + after + column + before + also + ")"
	}
	return st.Add(` UNION ALL SELECT '`+rowEdge+`', '', '', 0, `+count(activeAndEnded, "created_at", "")+`, `+
		count("sessions", endedAt, " AND end_cause IS NOT NULL AND revoked_at IS NOT NULL"), tenantID, from, to, tenantID, from, to)
}

// statsFrom makes the statistics from the rows of the statement, summed up.
func statsFrom(sums counters.Sums, tenantID string, now time.Time) Stats {
	stats := newStats(now)
	all := sums[rowOf(tenantID, counters.KindRows)]
	stats.Total, stats.Active, stats.Revoked = int(all.Total), int(all.Open), int(all.Revoked)
	stats.Expired = stats.Total - stats.Active - stats.Revoked
	users := sums[rowOf(tenantID, counters.KindUsers)].Open
	for key, sum := range sums {
		switch key.Kind {
		case counters.KindDevice:
			if sum.Open != 0 {
				stats.ByDeviceType[key.Key] = int(sum.Open)
			}
		case counters.KindApplication:
			if sum.Open != 0 {
				stats.TopApplications = append(stats.TopApplications, ApplicationStats{key.Key, sum.Name, int(sum.Open)})
			}
		case rowUser:
			users += counters.Present(sum.Open+sum.Revoked) - counters.Present(sum.Open-sum.Total)
		case counters.KindCreated, counters.KindRevoked, rowEdge:
			stats.CreatedLast24h += int(sum.Total)
			stats.RevokedLast24h += int(sum.Revoked)
		}
	}
	stats.UniqueUsers = int(users)
	stats.top()
	return stats
}
