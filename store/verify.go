package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/counters"
)

// Drift is a number that is not what a count of the sessions gives, or a column of sessions that is not what another table gives.
type Drift = counters.Drift

// VerifyCounters compares what is kept with what it is derived from, and hands report each difference: the end of a session with the audit
// log, the columns of sessions that repeat another table, and every number that a count of the sessions gives. With repair it then puts right
// what differs. It returns how many sessions it counted. What differs can only come from a fault, or from a hand that changed rows.
//
// It sees one state of the database however long it takes. It keeps roll-ups away meanwhile, and while it repairs, writers too.
func (s *Store) VerifyCounters(ctx context.Context, repair bool, report func(Drift)) (int, error) {
	for {
		sessions, alone := 0, false
		err := s.write(ctx, "verify the counters", func(tx *gorm.DB) (err error) {
			if repair {
				if err := (counted{s.engine}).LockWriters(tx); err != nil {
					return err
				}
			}
			// A roll-up may wait for these tables: to wait for it here would be a deadlock.
			if alone, err = s.engine.TryLock(tx, rollUpJob); err != nil || !alone {
				return err
			}
			if err := verifyColumns(tx, repair, report); err != nil {
				return err
			}
			sessions, err = s.counters.Verify(tx, s.now(), repair, report)
			return err
		}, s.engine.RepeatableRead(false))
		if err != nil || alone {
			return sessions, err
		}
		select {
		case <-ctx.Done():
			return 0, mapError("verify the counters", ctx.Err())
		case <-time.After(verifyPause):
		}
	}
}

// verifyPause is how long a verification waits for a roll-up.
const verifyPause = 20 * time.Millisecond

// derived is what of a table repeats another one.
type derived struct {
	// name is what a Drift says of it.
	name, table string
	// wrong is the condition of rows in which it differs, repair the statement that puts it right in these.
	wrong, repair string
}

const (
	unknownTenant   = "NOT EXISTS (SELECT 1 FROM tenants t WHERE t.tenant_id = sessions.tenant_id)"
	otherPartner    = "EXISTS (SELECT 1 FROM tenants t WHERE t.tenant_id = sessions.tenant_id AND t.partner_id IS DISTINCT FROM sessions.partner_id)"
	appsOfSession   = "(SELECT count(*) FROM session_apps a WHERE a.tenant_id = sessions.tenant_id AND a.session_id = sessions.id)"
	otherAppCount   = "app_count <> " + appsOfSession
	partnerOfTenant = "(SELECT t.partner_id FROM tenants t WHERE t.tenant_id = sessions.tenant_id)"
	// noSession: PostgreSQL has a foreign key, SQLite's prompt does not heed it.
	noSession = "NOT EXISTS (SELECT 1 FROM sessions s WHERE s.tenant_id = session_apps.tenant_id AND s.id = session_apps.session_id)"
	// keyOfNobody is a search key that outlived the last session of its user. Active and ended sessions have an index by user each.
	keyOfNobody = "NOT EXISTS (SELECT 1 FROM sessions s WHERE s.tenant_id = search_keys.tenant_id AND s.user_id = search_keys.user_id AND s.end_cause IS NULL) " +
		"AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.tenant_id = search_keys.tenant_id AND s.user_id = search_keys.user_id AND s.end_cause IS NOT NULL)"
	// endEvents are the events of the end of a session, and not of another one that had its id long ago.
	endEvents = "FROM audit_events e WHERE e.tenant_id = sessions.tenant_id AND e.session_id = sessions.id " +
		"AND e.action IN ('" + ActionRevoked + "', '" + ActionReplaced + "', '" + ActionExpired + "', '" + ActionIdle + "') AND e.at >= sessions.created_at " +
		"AND NOT EXISTS (SELECT 1 FROM audit_events r WHERE r.tenant_id = e.tenant_id AND r.session_id = e.session_id AND r.at > e.at " +
		"AND r.action = '" + ActionRegistered + "')"
	// unended: what has ended stays ended, and its event says how.
	unended = "end_cause IS NULL AND EXISTS (SELECT 1 " + endEvents + ")"
	// unrevoked: somebody ended it, and the row does not say when.
	unrevoked = "end_cause IN ('" + Revoked + "', '" + Replaced + "') AND revoked_at IS NULL"
	// tooLate: no session ends later than it expires but one that was used at its end.
	tooLate = "end_cause IS NULL AND ends_at > expires_at AND ends_at > coalesce(last_activity_at, created_at)"
)

// derivedColumns are in an order in which each can be repaired: a tenant that was deleted by hand gets the partner of its sessions.
func derivedColumns() []derived {
	endOf := func(column string) string { return "(SELECT e." + column + " " + endEvents + " ORDER BY e.at LIMIT 1)" }
	endedAt := "CASE WHEN " + endOf("action") + " IN ('" + ActionRevoked + "', '" + ActionReplaced + "') THEN " + endOf("at") + " END"
	return []derived{
		{"session_apps", "session_apps", noSession, "DELETE FROM session_apps WHERE " + noSession},
		{"search_keys", "search_keys", keyOfNobody, "DELETE FROM search_keys WHERE " + keyOfNobody},
		{"end_cause", "sessions", unended, "UPDATE sessions SET end_cause = substr(" + endOf("action") + ", 9), revoked_at = " + endedAt +
			", ended_by_sub = " + endOf("actor_sub") + ", ended_by_client = " + endOf("actor_client") + ", end_reason = " + endOf("reason") + " WHERE " + unended},
		{"revoked_at", "sessions", unrevoked, "UPDATE sessions SET revoked_at = coalesce(" + endOf("at") + ", ends_at) WHERE " + unrevoked},
		{"ends_at", "sessions", tooLate, "UPDATE sessions SET ends_at = expires_at WHERE " + tooLate},
		{"tenant_id", "sessions", unknownTenant, "INSERT INTO tenants (tenant_id, partner_id, created_at) SELECT tenant_id, max(partner_id), min(created_at) " +
			"FROM sessions WHERE " + unknownTenant + " GROUP BY tenant_id"},
		{"partner_id", "sessions", otherPartner, "UPDATE sessions SET partner_id = " + partnerOfTenant + " WHERE " + otherPartner},
		{"app_count", "sessions", otherAppCount, "UPDATE sessions SET app_count = " + appsOfSession + " WHERE " + otherAppCount},
	}
}

// verifyColumns reports by tenant in how many rows something derived differs, and puts it right.
func verifyColumns(tx *gorm.DB, repair bool, report func(Drift)) error {
	for _, d := range derivedColumns() {
		var found []struct {
			TenantID string
			Sessions int64
		}
		err := tx.Table(d.table).Select("tenant_id, count(*) AS sessions").Where(d.wrong).Group("tenant_id").Order("tenant_id").Scan(&found).Error
		if err != nil {
			return err
		}
		for _, f := range found {
			report(Drift{TenantID: f.TenantID, Kind: d.name, Sessions: f.Sessions})
		}
		if repair && len(found) > 0 {
			if err := tx.Exec(d.repair).Error; err != nil {
				return err
			}
		}
	}
	return nil
}
