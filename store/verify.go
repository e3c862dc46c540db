package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/counters"
	"github.com/sessiond/sessiond/store/internal/engine"
)

// Drift is a number that is not what a count of the sessions gives, or a column of sessions that is not what another table gives.
type Drift = counters.Drift

// VerifyCounters compares what is kept with what it is derived from, and hands report each difference: the columns of sessions that repeat
// another table, and every number that a count of the sessions gives. With repair it then puts right what differs. It returns how many
// sessions it counted. What differs can only come from a fault, or from a hand that changed rows.
//
// It sees one state of the database however long it takes. It keeps roll-ups away meanwhile, and while it repairs, writers too.
func (s *Store) VerifyCounters(ctx context.Context, repair bool, report func(Drift)) (int, error) {
	sessions := 0
	err := s.write(ctx, "verify the counters", func(tx *gorm.DB) (err error) {
		if repair {
			if err := (counted{s.engine}).LockWriters(tx); err != nil {
				return err
			}
		}
		if err := s.engine.Lock(tx, engine.Lock{Key: rollUpJob}); err != nil {
			return err
		}
		if err := verifyColumns(tx, repair, report); err != nil {
			return err
		}
		sessions, err = s.counters.Verify(tx, s.now(), repair, report)
		return err
	}, s.engine.RepeatableRead(false))
	return sessions, err
}

// derived is what of a session repeats another table.
type derived struct {
	column string
	// wrong is the condition of sessions in which it differs, repair the statement that puts it right in these.
	wrong, repair string
}

const (
	unknownTenant   = "NOT EXISTS (SELECT 1 FROM tenants t WHERE t.tenant_id = sessions.tenant_id)"
	otherPartner    = "EXISTS (SELECT 1 FROM tenants t WHERE t.tenant_id = sessions.tenant_id AND t.partner_id IS DISTINCT FROM sessions.partner_id)"
	appsOfSession   = "(SELECT count(*) FROM session_apps a WHERE a.tenant_id = sessions.tenant_id AND a.session_id = sessions.id)"
	otherAppCount   = "app_count <> " + appsOfSession
	partnerOfTenant = "(SELECT t.partner_id FROM tenants t WHERE t.tenant_id = sessions.tenant_id)"
)

// derivedColumns are in an order in which each can be repaired: a tenant that was deleted by hand gets the partner of its sessions.
func derivedColumns() []derived {
	return []derived{
		{"tenant_id", unknownTenant, "INSERT INTO tenants (tenant_id, partner_id, created_at) SELECT tenant_id, max(partner_id), min(created_at) " +
			"FROM sessions WHERE " + unknownTenant + " GROUP BY tenant_id"},
		{"partner_id", otherPartner, "UPDATE sessions SET partner_id = " + partnerOfTenant + " WHERE " + otherPartner},
		{"app_count", otherAppCount, "UPDATE sessions SET app_count = " + appsOfSession + " WHERE " + otherAppCount},
	}
}

// verifyColumns reports by tenant in how many sessions a derived column differs, and puts it right.
func verifyColumns(tx *gorm.DB, repair bool, report func(Drift)) error {
	for _, d := range derivedColumns() {
		var found []struct {
			TenantID string
			Sessions int64
		}
		err := tx.Model(&Session{}).Select("tenant_id, count(*) AS sessions").Where(d.wrong).Group("tenant_id").Order("tenant_id").Scan(&found).Error
		if err != nil {
			return err
		}
		for _, f := range found {
			report(Drift{TenantID: f.TenantID, Kind: d.column, Sessions: f.Sessions})
		}
		if repair && len(found) > 0 {
			if err := tx.Exec(d.repair).Error; err != nil {
				return err
			}
		}
	}
	return nil
}
