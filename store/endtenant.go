package store

import (
	"context"
	"errors"
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

// endTenant ends all active sessions of a tenant and returns their ids. To rewrite very many takes longer than a caller waits:
// of those it only says that they have ended, which counts at once, everywhere, and for good. FinishEndings does the rest.
//
// Logins of the tenant wait for that, and for no more: the ids are read from a snapshot of the moment before, afterwards, and
// gently.
func (s *Store) endTenant(ctx context.Context, sel Selection, by Actor) ([]string, error) {
	beside, err := s.takeSpare(ctx)
	if err != nil {
		return nil, mapError("revoke sessions", err)
	}
	if beside != nil {
		defer beside.release()
	}
	met := &endedByTenant{engine: s.engine, sel: sel}
	defer met.forget(ctx)
	ended, err := s.end(ctx, sel, "all but\x00", by, func(r *revocation) ([]string, error) {
		met.forget(ctx) // an attempt before this one was undone
		return r.endTenant(met, beside)
	})
	if err == nil {
		err = mapError("revoke sessions", met.readSnapshot(ctx))
		s.onEnded(Revoked, len(met.ids))
	}
	return s.revoked(append(ended, met.ids...), err)
}

// endTenant does it under the lock of the tenant's watermark.
func (r *revocation) endTenant(met *endedByTenant, beside *spare) ([]string, error) {
	if err := r.lockAll(); err != nil {
		return nil, err
	}
	ids, err := r.endTenantNow(met, beside)
	if err != nil {
		return nil, err
	}
	if err := r.advanceCutoff(); err != nil {
		return nil, err
	}
	event := r.trail.event(ActionTenantRevoked, *r.sel.tenant, "", "")
	return ids, r.tx.Create(&event).Error
}

// endTenantNow ends few sessions at once; of many it says that they have ended, and remembers how to find them.
func (r *revocation) endTenantNow(met *endedByTenant, beside *spare) ([]string, error) {
	n, at := 0, r.trail.at
	st := r.engine.statement("SELECT ").addTotal(r.sel, true, at)
	if err := r.run(st, func(row rows) error { return row.Scan(&n) }); err != nil {
		return nil, err
	}
	if n <= r.chunkSize {
		return r.end(Revoked, every)
	}
	var err error
	if met.at = at; beside != nil {
		met.before, err = r.takeSnapshot(r.ctx, beside)
	} else {
		err = r.run(met.statement(), met.scan)
	}
	if err != nil {
		return nil, err
	}
	// A clock that is ahead of ours may have made sessions that the ending does not meet.
	ended, err := r.end(Revoked, func(st *statement) { st.add(" AND created_at > ?", at) })
	if err != nil {
		return nil, err
	}
	by := r.trail.by
	return ended, r.tx.Create(&tenantEnding{
		TenantID: *r.sel.tenant, OperationID: r.trail.operation, At: at, EndedBySub: by.Subject,
		EndedByClient: by.ClientID, EndedReason: by.Reason, RequestID: by.RequestID,
	}).Error
}

// endedByTenant are the sessions that an ending of all of their tenant meets.
type endedByTenant struct {
	engine engine
	sel    Selection
	at     time.Time
	// before is the state in which they were active, nil when it need not be looked at.
	before *snapshot
	ids    []string
	last   time.Time
}

// statement reads them, where they are active still.
func (e *endedByTenant) statement() *statement {
	st := e.engine.statement("SELECT id, created_at FROM sessions WHERE ").selected(e.sel)
	return st.addActive(e.sel, e.at).add(" AND created_at <= ?", e.at)
}

func (e *endedByTenant) scan(row rows) error {
	var id string
	err := row.Scan(&id, &e.last)
	e.ids = append(e.ids, id)
	return err
}

// readSnapshot reads them from the snapshot, in pieces with rests in between.
func (e *endedByTenant) readSnapshot(ctx context.Context) error {
	for n := piece; e.before != nil && n == piece; {
		st := e.statement()
		if n = len(e.ids); n > 0 {
			st.add(" AND (created_at, id) < (?, ?)", e.last, e.ids[n-1])
			rest(n / piece)
		}
		st.add(" ORDER BY created_at DESC, id DESC LIMIT " + strconv.Itoa(piece))
		if err := e.before.read(ctx, st, e.scan); err != nil {
			return err
		}
		n = len(e.ids) - n
	}
	return nil
}

func (e *endedByTenant) forget(ctx context.Context) {
	if e.before != nil {
		e.before.close(ctx)
	}
	e.before, e.ids = nil, nil
}

// FinishEndings brings up to limit sessions up to date that ended with all of their tenant, and records each in the audit
// trail, at the time of that call and by its caller. Tenants take turns, so that none waits for all sessions of another. It
// reports whether there is more to do. It does nothing while another instance is at it; call it every second or so.
func (s *Store) FinishEndings(ctx context.Context, limit int) (bool, error) {
	more := false
	var swept []Session
	n, err := s.writeAlone(ctx, "finish endings", endingLock, func(tx *gorm.DB) (int, error) {
		ending, err := s.nextEnding(tx)
		if errors.Is(err, gorm.ErrRecordNotFound) {
			more = false
			return 0, nil
		}
		more = true
		if err != nil {
			return 0, err
		}
		// Those that had come to their own end before were not revoked.
		swept, err = s.sweep(tx, ripe(tx, limit, "ends_at", due+" AND tenant_id = ? AND created_at <= ?", ending.At, ending.TenantID, ending.At))
		if err != nil || len(swept) > 0 {
			return len(swept), err
		}
		r := revocation{querier: querier{Store: s, ctx: ctx, tx: tx}, sel: InTenant(ending.TenantID), trail: ending.trail()}
		n, err := r.finishSome(ending, limit)
		if err == nil && n == 0 {
			err = tx.Where("tenant_id = ? AND operation_id = ?", ending.TenantID, ending.OperationID).Delete(&tenantEnding{}).Error
		}
		return n, err
	})
	s.countSwept(swept[:min(n, len(swept))])
	return more && err == nil, err
}

// finishSome brings up to limit sessions up to date: first those that would have ended by now, which everybody who looks for such
// would pass over again and again, and then the newest, which lists show first.
func (r *revocation) finishSome(ending tenantEnding, limit int) (int, error) {
	some := " LIMIT " + strconv.Itoa(limit)
	ids, err := r.finish(ending, func(st *statement) { st.add(" AND ends_at <= ?", r.clock()) }, " ORDER BY ends_at"+some)
	if err != nil || len(ids) > 0 {
		return len(ids), err
	}
	ids, err = r.finish(ending, every, " ORDER BY created_at DESC, id DESC"+some)
	return len(ids), err
}

// nextEnding is that of the tenant whose turn it is. Of one tenant's the earliest comes first: what two met, the first one
// ended.
func (s *Store) nextEnding(tx *gorm.DB) (tenantEnding, error) {
	var ending tenantEnding
	last, _ := s.finished.Load().(string)
	err := tx.Order("tenant_id, at, operation_id").Where("tenant_id > ?", last).Take(&ending).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = tx.Order("tenant_id, at, operation_id").Take(&ending).Error
	}
	s.finished.Store(ending.TenantID)
	return ending, err
}

// finish records of sessions that an ending of all of their tenant has met that they have ended.
func (r *revocation) finish(ending tenantEnding, also condition, order string) ([]string, error) {
	ids, err := r.endWhere(Revoked, func(st *statement) {
		st.add("tenant_id = ? AND id IN (SELECT id FROM sessions WHERE tenant_id = ?", ending.TenantID, ending.TenantID)
		also(st.add(" AND ended_how IS NULL AND "+lasts+" AND created_at <= ?", ending.At, ending.At))
		st.add(order + r.engine.forUpdate() + ")")
	})
	if err != nil || !r.expires.After(r.keepUntil(r.trail.at, time.Time{})) {
		return ids, err
	}
	// The call did not know how long these would have lived.
	return ids, r.tx.Model(&watermark{}).Where("tenant_id = ? AND user_id = '' AND keep_until < ?", ending.TenantID, r.expires).
		Update("keep_until", r.expires).Error
}

// forUpdate locks the rows of a SELECT, where a database has several writers.
func (e engine) forUpdate() string {
	if e.serial != nil {
		return ""
	}
	return " FOR UPDATE"
}
