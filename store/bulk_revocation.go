package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
)

// bulkRevocation is a revocation of all sessions of a tenant that were created until a time. To rewrite very many rows takes longer than a
// caller waits, so that the revocation is one row, which counts at once and everywhere (isActive), and is applied to the sessions in the
// background (ApplyBulkRevocations).
//
// It is not the tenant's cutoff, though both invalidate everything from before a time. A cutoff is kept for a day and more, and records
// nothing about the call. A bulk revocation records the actor and the reason of its call for the events of its sessions, several of a tenant
// may be pending, and each is deleted within minutes, so that active sessions are hardly ever compared with any.
type bulkRevocation struct {
	TenantID                             string `gorm:"primaryKey"`
	OperationID                          string `gorm:"primaryKey"`
	At                                   time.Time
	EndedBySub, EndedByClient, EndReason string
	RequestID                            string
}

// AfterFind gives times one form whatever the driver's time zone is.
func (b *bulkRevocation) AfterFind(*gorm.DB) error {
	b.At = b.At.UTC()
	return nil
}

// auditContext is that of the call.
func (b bulkRevocation) auditContext() auditContext {
	by := Actor{Subject: b.EndedBySub, ClientID: b.EndedByClient, Reason: b.EndReason, RequestID: b.RequestID}
	return auditContext{operation: b.OperationID, at: b.At, by: by}
}

// applyTo fills in the end of a session that the bulk revocation covers, if it was active then.
func (b bulkRevocation) applyTo(session *Session) {
	if !session.CreatedAt.After(b.At) && session.Active(b.At) {
		session.EndCause, session.RevokedAt = new(Revoked), &b.At
	}
}

// bulkRevocationsIn reports whether a bulk revocation of a tenant of the scope has not been applied to every session.
func bulkRevocationsIn(tx *gorm.DB, scope Scope) (bool, error) {
	waiting := int64(0)
	query := tx.Model(&bulkRevocation{})
	if scope.tenant != nil {
		query = query.Where("tenant_id = ?", *scope.tenant)
	}
	err := query.Limit(1).Count(&waiting).Error
	return waiting > 0, err
}

// revokeTenant ends all active sessions of the one tenant of a scope and returns their ids. Logins of the tenant wait for it.
func (p plain) revokeTenant(ctx context.Context, scope Scope, call idempotentCall, by Actor) ([]string, error) {
	return p.revoke(ctx, call, by, func(r *revocation) error {
		return r.endTenant(func() error {
			var covered []string
			err := r.tx.Model(&Session{}).Scopes(r.covered).Pluck("id", &covered).Error
			r.ids = append(r.ids, covered...)
			return err
		})
	})
}

// covered selects the sessions that a bulk revocation at the time of this one covers.
func (r *revocation) covered(tx *gorm.DB) *gorm.DB {
	return Filter{ActiveOnly: true}.where(r.scope, r.audit.at)(tx).Where("created_at <= ?", r.audit.at)
}

// endTenant ends the sessions of the tenant. If they are few, it updates their rows; if they are many, it stores a bulk revocation and calls
// covered to collect their ids.
func (r *revocation) endTenant(covered func() error) error {
	if err := r.lockAll(); err != nil {
		return err
	}
	n, err := plain{r.Store}.count(r.tx, listing{scope: r.scope, filter: Filter{ActiveOnly: true}, now: r.audit.at}, 0)
	if err != nil {
		return err
	}
	if n <= r.counters.BucketSize() {
		err = r.end(func(tx *gorm.DB) *gorm.DB { return tx }, newest())
	} else {
		err = r.endInBulk(covered)
	}
	if err == nil {
		err = r.advanceCutoff()
	}
	if err != nil {
		return err
	}
	return r.recordEvent(ActionTenantRevoked, *r.scope.tenant, "", "")
}

func (r *revocation) endInBulk(covered func() error) error {
	if err := covered(); err != nil {
		return err
	}
	// The bulk revocation does not cover sessions that an instance whose clock is ahead has created.
	err := r.end(func(tx *gorm.DB) *gorm.DB { return tx.Where("created_at > ?", r.audit.at) }, newest())
	if err != nil {
		return err
	}
	by := r.audit.by
	return r.tx.Create(&bulkRevocation{
		TenantID: *r.scope.tenant, OperationID: r.audit.operation, At: r.audit.at, EndedBySub: by.Subject, EndedByClient: by.ClientID,
		EndReason: by.Reason, RequestID: by.RequestID,
	}).Error
}

// ApplyBulkRevocations applies bulk revocations to up to limit sessions, and records each in the audit log, at the time of that call and by
// its caller. Tenants take turns, so that none waits for all sessions of another. It reports whether there is more to do. It does nothing
// while another instance is at it; call it every second or so.
func (s *Store) ApplyBulkRevocations(ctx context.Context, limit int) (bool, error) {
	more := false
	var expired []Session
	n, err := s.writeAsJob(ctx, "apply bulk revocations", revokeJob, func(tx *gorm.DB) (int, error) {
		expired = nil
		b, err := s.nextBulkRevocation(tx)
		if more = !errors.Is(err, gorm.ErrRecordNotFound); !more {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		// Sessions that had expired before the bulk revocation were not revoked.
		before := tx.Where("tenant_id = ? AND created_at <= ?", b.TenantID, b.At).Where(isDue, b.At)
		expired, err = s.recordExpired(tx, before, limit)
		if err != nil || len(expired) > 0 {
			return len(expired), err
		}
		n, err := s.applyBulkRevocation(tx, b, limit)
		if err == nil && n == 0 {
			err = tx.Where("tenant_id = ? AND operation_id = ?", b.TenantID, b.OperationID).Delete(&bulkRevocation{}).Error
		}
		return n, err
	})
	s.countExpired(expired[:min(n, len(expired))])
	return more && err == nil, err
}

// nextBulkRevocation returns a bulk revocation of the tenant whose turn it is. The earliest of a tenant comes first, because it ended the
// sessions that later ones cover too.
func (s *Store) nextBulkRevocation(tx *gorm.DB) (bulkRevocation, error) {
	var b bulkRevocation
	last, _ := s.revokedLast.Load().(string)
	err := tx.Order("tenant_id, at, operation_id").Where("tenant_id > ?", last).Take(&b).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		b = bulkRevocation{}
		err = tx.Order("tenant_id, at, operation_id").Take(&b).Error
	}
	s.revokedLast.Store(b.TenantID)
	return b, err
}

// applyBulkRevocation applies one to up to limit sessions: first those that would have expired by now, over which every search for expired
// sessions passes until then, and then the newest, which lists show first.
func (s *Store) applyBulkRevocation(tx *gorm.DB, b bulkRevocation, limit int) (int, error) {
	r := &revocation{transaction: transaction{Store: s, tx: tx, audit: b.auditContext()}, scope: InTenant(b.TenantID)}
	err := r.apply(b, func(tx *gorm.DB) *gorm.DB { return tx.Where("ends_at <= ?", s.now()).Order("ends_at, id").Limit(limit) })
	if err != nil || len(r.ids) > 0 {
		return len(r.ids), err
	}
	err = r.apply(b, func(tx *gorm.DB) *gorm.DB { return tx.Order(listOrder).Limit(limit) })
	return len(r.ids), err
}

// apply records the end of sessions that a bulk revocation covers.
func (r *revocation) apply(b bulkRevocation, which func(*gorm.DB) *gorm.DB) error {
	var covered []Session
	query := r.tx.Scopes(r.scope.where, which).Where("end_cause IS NULL AND created_at <= ? AND "+notEnded, b.At, b.At)
	if err := lockCounted(query).Find(&covered).Error; err != nil || len(covered) == 0 {
		return err
	}
	r.add(covered)
	if err := r.endLocked(Revoked, covered); err != nil || !r.expires.After(r.keepUntil(r.audit.at, time.Time{})) {
		return err
	}
	// The call could not know the longest remaining life of its sessions, which the cutoff has to outlast.
	return r.tx.Model(&cutoff{}).Where("tenant_id = ? AND partner_id = '' AND user_id = '' AND keep_until < ?", b.TenantID, r.expires).
		Update("keep_until", r.expires).Error
}
