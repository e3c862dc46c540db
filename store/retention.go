package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// ended is when a session ended or will end by itself; the index on it serves the purge.
const ended = "coalesce(revoked_at, ends_at)"

// SweepEnded records up to limit endings of sessions that have ended by themselves, the earliest first, and returns how
// many. They ended at their time and not now: this only writes it down, for the audit trail, and takes them out of the
// indexes of the active ones. Like PurgeEnded it does nothing while another instance is at it.
func (s *Store) SweepEnded(ctx context.Context, limit int) (int, error) {
	var swept []Session
	n, err := s.writeAlone(ctx, "sweep", endedLock, func(tx *gorm.DB) (int, error) {
		swept = nil // an attempt before this one was undone
		ripe := ripe(tx, limit, "ends_at", due+" AND "+spared, s.clock())
		err := tx.Model(&swept).
			Clauses(clause.Returning{Columns: []clause.Column{
				{Name: "tenant_id"}, {Name: "id"}, {Name: "user_id"}, {Name: "ends_at"}, {Name: "ended_how"},
			}}).
			Where("(tenant_id, id) IN (?)", ripe).
			Update("ended_how", gorm.Expr("CASE WHEN ends_at < expires_at THEN ? ELSE ? END", Idle, Expired)).Error
		if err != nil {
			return 0, err
		}
		return len(swept), s.recordSweep(tx, swept)
	})
	for _, session := range swept[:n] {
		s.onEnded(*session.EndedHow, 1)
	}
	return n, err
}

// recordSweep appends an event for each session, at the time of its end.
func (s *Store) recordSweep(tx *gorm.DB, swept []Session) error {
	if len(swept) == 0 {
		return nil
	}
	trail, err := s.trail(Actor{Subject: "sessiond"})
	if err != nil {
		return err
	}
	events := make([]AuditEvent, len(swept))
	for i, session := range swept {
		events[i] = trail.event(actionOf(*session.EndedHow), session.TenantID, session.ID, session.UserID)
		events[i].At = timestamp(session.EndsAt)
	}
	return tx.CreateInBatches(&events, rowsPerInsert).Error
}

// PurgeEnded deletes up to limit sessions that ended before a time and are recorded as such (SweepEnded), with their
// applications, and returns how many. It takes those that nobody is working on, and nothing at all while another instance
// purges, so that a caller stops, and comes back later, when it returns less than limit.
func (s *Store) PurgeEnded(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.writeAlone(ctx, "purge", endedLock, func(tx *gorm.DB) (int, error) {
		var purged []Session
		due := ripe(tx, limit, ended, "ended_how IS NOT NULL AND "+ended+" < ?", timestamp(before))
		err := tx.Model(&purged).
			Clauses(clause.Returning{Columns: []clause.Column{{Name: "tenant_id"}}}).
			Where("(tenant_id, id) IN (?)", due).Delete(&purged).Error
		if err != nil {
			return 0, err
		}
		return len(purged), s.recordPurge(tx, purged)
	})
}

// ripe selects the keys of up to limit sessions that fulfil the condition and that nobody is working on, in an order.
func ripe(tx *gorm.DB, limit int, order, condition string, at time.Time) *gorm.DB {
	return tx.Session(&gorm.Session{NewDB: true}).Model(&Session{}).Select("tenant_id", "id").
		Where(condition, at).Order(order).Limit(limit).
		Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate, Options: clause.LockingOptionsSkipLocked})
}

// recordPurge appends one event a tenant, with the number.
func (s *Store) recordPurge(tx *gorm.DB, purged []Session) error {
	if len(purged) == 0 {
		return nil
	}
	trail, err := s.trail(Actor{Subject: "sessiond"})
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for _, session := range purged {
		counts[session.TenantID]++
	}
	events := make([]AuditEvent, 0, len(counts))
	for tenantID, n := range counts {
		event := trail.event(ActionPurged, tenantID, "", "")
		event.Reason = fmt.Sprint(n)
		events = append(events, event)
	}
	return tx.CreateInBatches(&events, rowsPerInsert).Error
}

// PurgeTrail deletes up to limit audit events from before a time, and returns how many. The watermarks from before it go
// too: the logins that they refuse expired long ago.
func (s *Store) PurgeTrail(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.writeAlone(ctx, "purge the audit trail", endedLock, func(tx *gorm.DB) (int, error) {
		due := tx.Session(&gorm.Session{NewDB: true}).Model(&AuditEvent{}).
			Select("tenant_id", "operation_id", "session_id", "action").Where("at < ?", timestamp(before)).Limit(limit)
		deleted := tx.Where("(tenant_id, operation_id, session_id, action) IN (?)", due).Delete(&AuditEvent{})
		if deleted.Error != nil {
			return 0, deleted.Error
		}
		return int(deleted.RowsAffected), tx.Where("not_before < ?", timestamp(before)).Delete(&watermark{}).Error
	})
}

// Erasure is what EraseUser did.
type Erasure struct {
	// Sessions were deleted, Events of the audit trail lost whom they were about.
	Sessions, Events int
	// Receipt is the operation id of the event that stays in the audit trail.
	Receipt string
}

// EraseUser deletes all that is known of a user in a tenant: sessions, applications, and the user's name in the audit
// trail. What stays is an event with a digest of the user, by which the erasure can be proved to who knows the id.
func (s *Store) EraseUser(ctx context.Context, tenantID, userID string, by Actor) (Erasure, error) {
	var erasure Erasure
	if !storable(tenantID) || !storable(userID) {
		return erasure, mapError("erase user", ErrNotFound)
	}
	err := s.write(ctx, "erase user", func(tx *gorm.DB) error {
		if err := s.lock(tx, hold{watermark{TenantID: tenantID, UserID: userID}, exclusive}); err != nil {
			return err
		}
		var err error
		erasure, err = s.eraseUser(tx, tenantID, userID, by)
		return err
	})
	return erasure, err
}

func (s *Store) eraseUser(tx *gorm.DB, tenantID, userID string, by Actor) (Erasure, error) {
	trail, err := s.trail(by)
	if err != nil {
		return Erasure{}, err
	}
	sessions := tx.Where("tenant_id = ? AND user_id = ?", tenantID, userID).Delete(&Session{})
	if sessions.Error != nil {
		return Erasure{}, sessions.Error
	}
	// The user may stand in an event as the one it is about, as the one who did it, or in its reason.
	subject := tx.Model(&AuditEvent{}).Where("tenant_id = ? AND user_id = ?", tenantID, userID).
		Updates(map[string]any{"user_id": "", "reason": ""})
	if subject.Error != nil {
		return Erasure{}, subject.Error
	}
	actor := tx.Model(&AuditEvent{}).Where("tenant_id = ? AND actor_sub = ?", tenantID, userID).
		Updates(map[string]any{"actor_sub": "", "reason": ""})
	if actor.Error != nil {
		return Erasure{}, actor.Error
	}
	mark := tx.Where("tenant_id = ? AND user_id = ?", tenantID, userID).Delete(&watermark{})
	if mark.Error != nil {
		return Erasure{}, mark.Error
	}
	erasure := Erasure{Sessions: int(sessions.RowsAffected), Events: int(subject.RowsAffected), Receipt: trail.operation}
	digest := sha256.Sum256([]byte(tenantID + "\x00" + userID))
	receipt := trail.event(ActionErased, tenantID, "", "")
	receipt.Reason = fmt.Sprintf("sha256:%s sessions:%d", hex.EncodeToString(digest[:]), erasure.Sessions)
	return erasure, tx.Create(&receipt).Error
}
