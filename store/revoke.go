package store

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// RevokeSession ends one session and reports whether this call did: false when it had already ended. It must answer ErrNotFound for an id
// outside the scope exactly as for one that never existed.
func (s *Store) RevokeSession(ctx context.Context, scope Scope, id string, by Actor) (bool, error) {
	if scope.empty() || !storable(id) {
		return false, mapError("revoke session", ErrNotFound)
	}
	audit, err := s.auditContext(by)
	if err != nil {
		return false, err
	}
	if scope.tenant == nil {
		// By its tenant the statement finds its node, and its lock.
		session, err := s.GetSession(ctx, scope, id)
		if err != nil {
			return false, err
		}
		scope = scope.InTenant(session.TenantID)
	}
	for revoke := s.operations.revokeSession; ; revoke = (plain{s}).revokeSession {
		ended, err := revoke(ctx, scope, id, audit)
		if ended {
			s.onEnded(Revoked, 1)
		}
		if err != nil || ended {
			return ended, err
		}
		session, err := s.GetSession(ctx, scope, id)
		if err != nil || !session.Active(s.now()) {
			return false, err
		}
		// It was registered, or changed, after the revocation had looked for it. To say that it has ended would be wrong.
	}
}

// revokeSession ends the session of a scope of one tenant if it is active, and reports whether it did.
func (p plain) revokeSession(ctx context.Context, scope Scope, id string, audit auditContext) (ended bool, err error) {
	err = p.writeOne(ownedBy(ctx, *scope.tenant), "revoke session", func(tx *gorm.DB) error {
		t := &transaction{Store: p.Store, tx: tx, audit: audit}
		if err := p.engine.Lock(tx, shared(lockName(*scope.tenant, ""))); err != nil {
			return err
		}
		ended = false // an attempt before this one was rolled back
		one := func(tx *gorm.DB) *gorm.DB { return tx.Where("id = ?", id) }
		return t.end(Revoked, scope, one, byKey(), func([]Session) { ended = true })
	})
	return ended && err == nil, err
}

// endBatch is how many sessions are locked, ended and recorded at a time.
const endBatch = 500

// order is one in which sessions are locked. Two calls that lock the same sessions in different orders deadlock.
type order struct {
	columns string
	// after selects what comes after a session.
	after func(tx *gorm.DB, last Session) *gorm.DB
}

// byKey is the order for sessions that others may be ending one by one.
func byKey() order {
	return order{"tenant_id, id", func(tx *gorm.DB, last Session) *gorm.DB {
		return tx.Where("(tenant_id, id) > (?, ?)", last.TenantID, last.ID)
	}}
}

// newest is the order of lists. It is found without sorting, and for who has the locks of all tenants concerned.
func newest() order {
	return order{listOrder, func(tx *gorm.DB, last Session) *gorm.DB {
		return tx.Where("(created_at, id) < (?, ?)", last.CreatedAt, last.ID)
	}}
}

// end ends the active sessions of a scope that fulfil a condition as well, records that, and gives each batch of them to ended.
func (t *transaction) end(cause string, scope Scope, condition func(*gorm.DB) *gorm.DB, in order, ended func([]Session)) error {
	var last *Session
	for {
		var batch []Session
		query := t.tx.Scopes(Filter{ActiveOnly: true}.where(scope, t.audit.at), condition).Order(in.columns).Limit(endBatch)
		if last != nil {
			query = in.after(query, *last)
		}
		if err := lockCounted(query).Find(&batch).Error; err != nil || len(batch) == 0 {
			return err
		}
		if err := t.endLocked(cause, batch); err != nil {
			return err
		}
		if ended(batch); len(batch) < endBatch {
			return nil
		}
		last = &batch[len(batch)-1]
	}
}

// lockCounted reads of sessions what their events and deltas are made of, and locks their rows.
func lockCounted(query *gorm.DB) *gorm.DB {
	return selectCounted(query).Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate})
}

func selectCounted(query *gorm.DB) *gorm.DB {
	return query.Select("tenant_id", "id", "user_id", "partner_id", "device_type", "created_at", "expires_at", "ends_at", "end_cause",
		"revoked_at", "app_count")
}

// endLocked ends active sessions whose rows are locked, and records that.
func (t *transaction) endLocked(cause string, sessions []Session) error {
	by := t.audit.by
	for tenantID, ids := range idsByTenant(sessions) {
		err := t.tx.Model(&Session{}).Where("tenant_id = ?", tenantID).Scopes(t.engine.In("id", ids)).Updates(map[string]any{
			"revoked_at": t.audit.at, "end_cause": cause, "ended_by_sub": by.Subject, "ended_by_client": by.ClientID, "end_reason": by.Reason,
		}).Error
		if err != nil {
			return err
		}
	}
	changes := make([]change, len(sessions))
	for i, session := range sessions {
		after := session
		after.EndCause, after.RevokedAt = &cause, &t.audit.at
		changes[i] = change{action: actionOf(cause), before: &sessions[i], after: &after}
	}
	return t.record(changes...)
}
