package store

import (
	"context"
	"fmt"
	"slices"
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
		var err error
		swept, err = s.sweep(tx, ripe(tx, limit, "ends_at", due+" AND "+spared, s.clock()))
		return len(swept), err
	})
	s.countSwept(swept[:n])
	if err == nil && n < limit {
		err = s.catchUp(ctx)
	}
	return n, err
}

// sweep records of the selected sessions that they have ended by themselves.
func (s *Store) sweep(tx, selected *gorm.DB) ([]Session, error) {
	var swept []Session
	err := tx.Model(&swept).
		Clauses(clause.Returning{Columns: []clause.Column{
			{Name: "tenant_id"}, {Name: "id"}, {Name: "user_id"}, {Name: "ends_at"}, {Name: "ended_how"},
		}}).
		Where("(tenant_id, id) IN (?)", selected).
		Update("ended_how", gorm.Expr("CASE WHEN ends_at < expires_at THEN ? ELSE ? END", Idle, Expired)).Error
	if err != nil {
		return nil, err
	}
	return swept, s.recordSweep(tx, swept)
}

func (s *Store) countSwept(swept []Session) {
	for _, session := range swept {
		s.onEnded(*session.EndedHow, 1)
	}
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
	return appendEvents(tx, events)
}

// PurgeEnded deletes up to limit sessions that ended before a time and are recorded as such (SweepEnded), with their
// applications, and returns how many. Of those of which a token may still live it keeps a digest. It takes those that nobody is
// working on, and nothing at all while another instance purges, so that a caller stops, and comes back later, when it returns
// less than limit.
func (s *Store) PurgeEnded(ctx context.Context, before time.Time, limit int) (int, error) {
	if _, err := s.digestKey(ctx); err != nil {
		return 0, err
	}
	return s.writeAlone(ctx, "purge", endedLock, func(tx *gorm.DB) (int, error) {
		var purged []Session
		err := selectKept(ripe(tx, limit, ended, "ended_how IS NOT NULL AND "+ended+" < ?", timestamp(before))).Find(&purged).Error
		if err != nil || len(purged) == 0 {
			return 0, err
		}
		if err := s.keepEnded(tx, purged); err != nil {
			return 0, err
		}
		if err := s.deleteSessions(tx, purged); err != nil {
			return 0, err
		}
		return len(purged), s.recordPurge(tx, purged)
	})
}

// deleteSessions deletes sessions with their applications.
func (s *Store) deleteSessions(tx *gorm.DB, sessions []Session) error {
	for batch := range slices.Chunk(sessions, idsPerStatement) {
		tenantIDs, ids := make([]string, len(batch)), make([]string, len(batch))
		for i, session := range batch {
			tenantIDs[i], ids[i] = session.TenantID, session.ID
		}
		st := s.engine.statement("DELETE FROM sessions WHERE (tenant_id, id) IN (")
		if err := execIn(tx, st.addTexts([]string{"of_tenant", "session"}, tenantIDs, ids).add(")")); err != nil {
			return err
		}
	}
	return nil
}

// ripe selects the keys of up to limit sessions that fulfil the condition and that nobody is working on, in an order.
func ripe(tx *gorm.DB, limit int, order, condition string, args ...any) *gorm.DB {
	return tx.Session(&gorm.Session{NewDB: true}).Model(&Session{}).Select("tenant_id", "id").
		Where(condition, args...).Order(order).Limit(limit).
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
	return appendEvents(tx, events)
}

// PurgeTrail deletes up to limit audit events from before a time, and returns how many.
func (s *Store) PurgeTrail(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.writeAlone(ctx, "purge the audit trail", endedLock, func(tx *gorm.DB) (int, error) {
		due := tx.Session(&gorm.Session{NewDB: true}).Model(&AuditEvent{}).
			Select("tenant_id", "operation_id", "session_id", "action").Where("at < ?", timestamp(before)).Limit(limit)
		deleted := tx.Where("(tenant_id, operation_id, session_id, action) IN (?)", due).Delete(&AuditEvent{})
		return int(deleted.RowsAffected), deleted.Error
	})
}
