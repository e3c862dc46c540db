package store

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// RecordExpired records up to limit ends of sessions that have ended by themselves, the earliest first, and returns how many. They ended at
// their time and not now: this only writes it down, for the audit log, and takes them out of the indexes of the active ones. It does nothing
// while another instance is at it; call it every few seconds.
func (s *Store) RecordExpired(ctx context.Context, limit int) (int, error) {
	var expired []Session
	n, err := s.writeAsJob(ctx, "record expired sessions", expiryJob, func(tx *gorm.DB) (int, error) {
		var err error
		expired, err = s.recordExpired(tx, tx.Where(isDue+" AND "+notBulkRevoked, s.now()), limit)
		return len(expired), err
	})
	s.countExpired(expired[:n])
	if err == nil && n < limit {
		err = s.catchUp(ctx)
	}
	return n, err
}

// recordExpired records of up to limit sessions that a query selects that they have ended by themselves, those that nobody is working on.
func (s *Store) recordExpired(tx, query *gorm.DB, limit int) ([]Session, error) {
	audit, err := s.auditContext(system())
	if err != nil {
		return nil, err
	}
	var sessions []Session
	if err := unlocked(selectCounted(query)).Order("ends_at, tenant_id, id").Limit(limit).Find(&sessions).Error; err != nil {
		return nil, err
	}
	expired, changes := make([]Session, len(sessions)), make([]change, len(sessions))
	byCause := map[string][]Session{}
	for i, session := range sessions {
		cause, at := session.Ending(session.EndsAt)
		session.EndCause = &cause
		expired[i], byCause[cause] = session, append(byCause[cause], session)
		changes[i] = change{action: actionOf(cause), at: at, before: &sessions[i], after: &expired[i]}
	}
	for cause, sessions := range byCause {
		for tenantID, ids := range idsByTenant(sessions) {
			err := tx.Model(&Session{}).Where("tenant_id = ?", tenantID).Scopes(s.engine.In("id", ids)).Update("end_cause", cause).Error
			if err != nil {
				return nil, err
			}
		}
	}
	return expired, (&transaction{Store: s, tx: tx, audit: audit}).record(changes...)
}

// unlocked leaves out of a query the rows that somebody is working on, and locks the others.
func unlocked(query *gorm.DB) *gorm.DB {
	return query.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate, Options: clause.LockingOptionsSkipLocked})
}

func (s *Store) countExpired(expired []Session) {
	for _, session := range expired {
		s.onEnded(*session.EndCause, 1)
	}
}
