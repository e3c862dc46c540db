package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sessiond/sessiond/store/internal/counters"
	"github.com/sessiond/sessiond/store/internal/engine"
)

// tombstone is what is left of a session that has ended and whose row is deleted, for as long as a token of it can live.
type tombstone struct {
	SessionDigest string `gorm:"primaryKey"`
	KeepUntil     time.Time
}

// TableName names the table.
func (tombstone) TableName() string { return "session_tombstones" }

// PurgeEnded deletes up to limit sessions that ended before a time and are recorded as such (RecordExpired), with their applications, and
// returns how many. Those of which a token may still live leave a tombstone. It takes those that nobody is working on, and nothing at all
// while another instance purges, so that a caller stops, and comes back later, when it returns less than limit.
func (s *Store) PurgeEnded(ctx context.Context, before time.Time, limit int) (int, error) {
	if _, err := s.digestKey(ctx); err != nil {
		return 0, err
	}
	return s.writeAsJob(ctx, "purge", expiryJob, func(tx *gorm.DB) (int, error) {
		audit, err := s.auditContext(system())
		if err != nil {
			return 0, err
		}
		purged, err := endedBefore(tx, timestamp(before), limit)
		if err != nil || len(purged) == 0 {
			return 0, err
		}
		t := &transaction{Store: s, tx: tx, audit: audit}
		if err := t.deleteSessions(purged); err != nil {
			return 0, err
		}
		return len(purged), t.recordPurge(purged)
	})
}

// endedBefore selects up to limit sessions that ended before a time. It goes from tenant to tenant, because the index on their end begins
// with the tenant; a tenant without any costs one look at the index.
func endedBefore(tx *gorm.DB, before time.Time, limit int) ([]Session, error) {
	var purged []Session
	var tenantIDs []string
	err := tx.Model(&Tenant{}).Order("tenant_id").Pluck("tenant_id", &tenantIDs).Error
	for _, tenantID := range tenantIDs {
		var ended []Session
		err = endedOf(tx, tenantID, before, limit-len(purged)).Find(&ended).Error
		if purged = append(purged, ended...); err != nil || len(purged) == limit {
			break
		}
	}
	return purged, err
}

// endedOf selects those of one tenant.
func endedOf(tx *gorm.DB, tenantID string, before time.Time, limit int) *gorm.DB {
	return unlocked(selectCounted(tx)).Where("tenant_id = ? AND end_cause IS NOT NULL AND "+endedAt+" < ?", tenantID, before).
		Order(endedAt + ", id").Limit(limit)
}

// deleteSessions deletes sessions, with their applications and what only they are found by, and keeps tombstones. No session of these ids is being registered from then on
// until the end of the transaction, and a registration after it finds the tombstone.
func (t *transaction) deleteSessions(sessions []Session) error {
	now := t.now()
	var tombstones []tombstone
	var locks []engine.Lock
	changes := make([]change, len(sessions))
	for i := range sessions {
		changes[i] = change{before: &sessions[i]}
		_, ended := sessions[i].Ending(now)
		until := t.keepUntil(ended, sessions[i].ExpiresAt)
		if !until.After(now) {
			continue
		}
		digest, err := t.digest(t.tx.Statement.Context, digestOfSession, sessions[i].ID)
		if err != nil {
			return err
		}
		tombstones = append(tombstones, tombstone{digest, timestamp(until)})
		if lock := exclusive(idStripe(digest)); !slices.Contains(locks, lock) {
			locks = append(locks, lock)
		}
	}
	gone, err := t.lastSessions(sessions)
	if err != nil {
		return err
	}
	if err := t.engine.Lock(t.tx, append(locks, locksOf(gone)...)...); err != nil {
		return err
	}
	if err := counters.Create(t.tx.Clauses(clause.OnConflict{DoNothing: true}), tombstones); err != nil {
		return err
	}
	if err := t.record(changes...); err != nil {
		return err
	}
	for tenantID, ids := range idsByTenant(sessions) {
		if err := t.tx.Where("tenant_id = ?", tenantID).Scopes(t.engine.In("id", ids)).Delete(&Session{}).Error; err != nil {
			return err
		}
	}
	return t.deleteKeys(gone)
}

// recordPurge appends one event a tenant, with the number.
func (t *transaction) recordPurge(purged []Session) error {
	for tenantID, ids := range idsByTenant(purged) {
		if err := t.recordEvent(ActionPurged, tenantID, "", fmt.Sprint(len(ids))); err != nil {
			return err
		}
	}
	return nil
}

// PurgeAuditLog deletes up to limit audit events from before a time, and returns how many.
func (s *Store) PurgeAuditLog(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.writeAsJob(ctx, "purge the audit log", expiryJob, func(tx *gorm.DB) (int, error) {
		row, are := s.rowIdentity()
		old := tx.Model(&AuditEvent{}).Select(row).Where("at < ?", timestamp(before)).Limit(limit)
		deleted := tx.Where(are, old).Delete(&AuditEvent{})
		return int(deleted.RowsAffected), deleted.Error
	})
}

// rowIdentity is what identifies an event where it is stored, and the condition of those that a query selects. By their keys the planner may
// look each of them up by its time alone, which a bulk revocation gives to very many.
func (s *Store) rowIdentity() (columns, condition string) {
	switch {
	case s.engine.Distributed: // there rows are on several nodes
		const key = "tenant_id, at, operation_id, session_id, action"
		return key, "(" + key + ") IN (?)"
	case s.engine.IsPostgres():
		return "ctid", "ctid = ANY(ARRAY(?))"
	default:
		return "rowid", "rowid IN (?)"
	}
}

// keptLonger is how much longer things are kept than they are needed: a clock may be ahead, and be set back.
const keptLonger = 24 * time.Hour

// PurgeTombstones deletes up to limit tombstones, as many cutoffs, finished revocation jobs and idempotency keys, that have not been needed
// for a day, and returns how many it deleted of the kind that it deleted most of. Cutoffs and jobs stay until a time, too. Like PurgeEnded it does nothing while
// another instance is at it.
func (s *Store) PurgeTombstones(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.writeAsJob(ctx, "purge tombstones", expiryJob, func(tx *gorm.DB) (int, error) {
		now, most := s.now().Add(-keptLonger), 0
		for _, purged := range []struct {
			model, key any
			unneeded   *gorm.DB
		}{
			{&tombstone{}, "session_digest", tx.Where("keep_until < ?", now)},
			{&cutoff{}, "tenant_id, partner_id, user_id", tx.Where("not_before < ? AND keep_until < ?", timestamp(before), now)},
			{&RevocationJob{}, "tenant_id, id", tx.Where("finished_at < ?", timestamp(before))},
			{&idempotencyKey{}, "key_digest", tx.Where("at < ?", now.Add(-idempotencyWindow))},
		} {
			keys := purged.unneeded.Model(purged.model).Select(purged.key).Limit(limit)
			deleted := tx.Where(fmt.Sprintf("(%s) IN (?)", purged.key), keys).Delete(purged.model)
			if deleted.Error != nil {
				return 0, deleted.Error
			}
			most = max(most, int(deleted.RowsAffected))
		}
		return most, nil
	})
}
