package store

import (
	"context"
	"strconv"
	"time"

	"gorm.io/gorm"
)

// tenantEnding says that all sessions of a tenant made until a time have ended then.
type tenantEnding struct {
	TenantID                               string `gorm:"primaryKey"`
	OperationID                            string `gorm:"primaryKey"`
	At                                     time.Time
	EndedBySub, EndedByClient, EndedReason string
	RequestID                              string
}

// TableName names the table.
func (tenantEnding) TableName() string { return "tenant_endings" }

// trail is that of the call.
func (e tenantEnding) trail() trail {
	by := Actor{Subject: e.EndedBySub, ClientID: e.EndedByClient, Reason: e.EndedReason, RequestID: e.RequestID}
	return trail{operation: e.OperationID, at: e.At.UTC(), by: by}
}

// endTenant ends all active sessions of a tenant, under the lock of its watermark, and returns their ids. To rewrite very
// many takes longer than a caller waits: of those it only says that they have ended, which counts at once, everywhere, and
// for good. FinishEndings does the rest.
func (r revocation) endTenant() ([]string, error) {
	n := 0
	st := r.engine.statement("SELECT ").addTotal(r.sel, true, r.trail.at)
	if err := r.run(st, func(row rows) error { return row.Scan(&n) }); err != nil {
		return nil, err
	}
	if n <= r.chunkSize {
		return r.end(Revoked, every)
	}
	// A clock that is ahead of ours may have made sessions that the ending does not meet.
	ids, err := r.end(Revoked, func(st *statement) { st.add(" AND created_at > ?", r.trail.at) })
	if err != nil {
		return nil, err
	}
	st = r.engine.statement("SELECT id FROM sessions WHERE ").selected(r.sel).addActive(r.sel, r.trail.at)
	err = r.run(st, func(row rows) error {
		var id string
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	by := r.trail.by
	return ids, r.tx.Create(&tenantEnding{
		TenantID: *r.sel.tenant, OperationID: r.trail.operation, At: r.trail.at, EndedBySub: by.Subject,
		EndedByClient: by.ClientID, EndedReason: by.Reason, RequestID: by.RequestID,
	}).Error
}

// FinishEndings brings up to limit sessions up to date that ended with all of their tenant, and records each in the audit
// trail, at the time of that call and by its caller. It reports whether there is more to do. It does nothing while another
// instance is at it; call it every second or so.
func (s *Store) FinishEndings(ctx context.Context, limit int) (bool, error) {
	more := false
	_, err := s.writeAlone(ctx, "finish endings", endingLock, func(tx *gorm.DB) (int, error) {
		var endings []tenantEnding
		// The earliest first: what two met, the first one ended.
		err := tx.Order("at, operation_id").Limit(2).Find(&endings).Error
		if more = len(endings) > 0; err != nil || !more {
			return 0, err
		}
		ending := endings[0]
		r := revocation{querier: querier{Store: s, ctx: ctx, tx: tx}, sel: InTenant(ending.TenantID), trail: ending.trail()}
		ids, err := r.endWhere(Revoked, func(st *statement) {
			st.add("tenant_id = ? AND id IN (SELECT id FROM sessions WHERE tenant_id = ?", ending.TenantID, ending.TenantID)
			st.add(" AND ended_how IS NULL AND "+lasts+" AND created_at <= ?", ending.At, ending.At)
			// The newest first, which lists show first.
			st.add(" ORDER BY created_at DESC, id DESC LIMIT " + strconv.Itoa(limit) + s.engine.forUpdate() + ")")
		})
		if err == nil && len(ids) < limit {
			more = len(endings) > 1
			err = tx.Where("tenant_id = ? AND operation_id = ?", ending.TenantID, ending.OperationID).Delete(&tenantEnding{}).Error
		}
		return len(ids), err
	})
	return more && err == nil, err
}

// forUpdate locks the rows of a SELECT, where a database has several writers.
func (e engine) forUpdate() string {
	if e.serial != nil {
		return ""
	}
	return " FOR UPDATE"
}
