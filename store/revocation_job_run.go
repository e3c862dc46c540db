package store

import (
	"context"
	"errors"
	"math"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// allRows is a limit that no table reaches.
const allRows = math.MaxInt32

// chunk is what one step of a job does: the sessions that it ends, and where the next one begins.
type chunk struct {
	ids, tenants []string
	users        []user
	next         *sessionPlace
}

// RunRevocationJobs ends up to limit sessions of the job whose turn it is, records each in the audit log as a call of who created the job, and
// reports whether there is more to do. It does nothing while another instance is at it; call it every second or so. Each session ends
// once, whenever the process is killed: the job's position is written in the same transaction.
func (s *Store) RunRevocationJobs(ctx context.Context, limit int) (bool, error) {
	var job RevocationJob
	err := s.read(ctx, func(tx *gorm.DB) error {
		return tx.Where("state = ?", JobRunning).Order("updated_at, id").Take(&job).Error
	})
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return false, nil
	}
	if err != nil {
		return false, mapError("run a revocation job", err)
	}
	restricted := ctx
	if job.TenantID != "" {
		restricted = WithScope(ctx, InTenant(job.TenantID))
	}
	done, err := s.step(restricted, &job, limit)
	if err != nil && ctx.Err() == nil {
		// Whatever it is, the others get their turn.
		err = errors.Join(err, s.write(ctx, "postpone a revocation job", func(tx *gorm.DB) error {
			of := tx.Model(&RevocationJob{}).Where("tenant_id = ? AND id = ? AND state = ?", job.TenantID, job.ID, JobRunning)
			return of.Update("updated_at", s.now()).Error
		}))
	}
	return done && err == nil, err
}

// step does the next chunk of a job.
func (s *Store) step(ctx context.Context, job *RevocationJob, limit int) (done bool, err error) {
	q := job.search(s)
	found, err := q.nextChunk(ctx, limit)
	if err != nil {
		return false, mapError("run a revocation job", err)
	}
	ended := 0
	_, err = s.writeAsJob(ownedBy(ctx, job.TenantID), "run a revocation job", searchJob, func(tx *gorm.DB) (int, error) {
		ended, done, err = q.runChunk(tx, job, found)
		return ended, err
	})
	if err == nil {
		s.onEnded(Revoked, ended)
	}
	return done, err
}

// search is the search for the sessions that the job has still to end.
func (j *RevocationJob) search(s *Store) *search {
	q := Revocation{Scope: j.scope(), Filter: j.Filter, ExceptSessionID: j.ExceptSessionID}.search(s, j.CreatedAt)
	if j.PositionAt != nil {
		q.from = &sessionPlace{*j.PositionAt, j.PositionID}
	}
	return &q
}

// nextChunk looks for the next sessions that a job ends.
func (q *search) nextChunk(ctx context.Context, limit int) (found chunk, err error) {
	err = q.run(ctx, q.reading(q.scope), func(tx *gorm.DB) error {
		found = chunk{}
		until, err := q.until(tx, q.most())
		if err != nil {
			return err
		}
		sessions, err := q.sessions(tx, until, limit)
		if err != nil {
			return err
		}
		if found.next = until; len(sessions) == limit {
			found.next = new(q.placeOf(sessions[limit-1]))
		}
		found.ids = idsOf(sessions)
		for _, session := range sessions {
			if !slices.Contains(found.tenants, session.TenantID) {
				found.tenants = append(found.tenants, session.TenantID)
			}
			if of := (user{session.TenantID, session.UserID}); !slices.Contains(found.users, of) {
				found.users = append(found.users, of)
			}
		}
		return nil
	})
	return found, err
}

// runChunk ends the sessions of a chunk and moves the job on, if nobody has done so meanwhile. It reports whether it did.
func (q *search) runChunk(tx *gorm.DB, job *RevocationJob, found chunk) (ended int, done bool, err error) {
	var now RevocationJob
	locked := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("tenant_id = ? AND id = ?", job.TenantID, job.ID)
	if err := locked.Take(&now).Error; err != nil {
		return 0, false, err
	}
	if now.State != JobRunning || now.Chunks != job.Chunks {
		return 0, true, nil
	}
	audit, err := q.auditContext(now.actor()) // who created it may have been erased meanwhile
	if err != nil {
		return 0, false, err
	}
	audit.operation = job.ID
	t := &transaction{Store: q.Store, tx: tx, audit: audit}
	users, err := t.endChunk(q, job, found)
	if err != nil {
		return 0, false, err
	}
	for _, n := range users {
		ended += n
	}
	columns := map[string]any{"ended": now.Ended + ended, "chunks": now.Chunks + 1, "updated_at": audit.at}
	if found.next == nil {
		now.State, now.FinishedAt = JobCompleted, &audit.at
		columns["state"] = now.State
	} else {
		columns["position_at"], columns["position_id"] = timestamp(found.next.At), found.next.ID
	}
	columns = now.finishing(columns)
	return ended, true, tx.Model(&RevocationJob{}).Where("tenant_id = ? AND id = ?", job.TenantID, job.ID).Updates(columns).Error
}

// endChunk ends those sessions of a chunk that the search still finds, and returns how many of each user it has ended.
func (t *transaction) endChunk(q *search, job *RevocationJob, found chunk) (map[user]int, error) {
	users := map[user]int{}
	if len(found.ids) == 0 {
		return users, nil
	}
	locks := sharedTenants(found.tenants)
	if job.BlockLoginsBefore != nil {
		locks = append(locks, locksOf(found.users)...)
	}
	if err := t.engine.Lock(t.tx, locks...); err != nil {
		return nil, err
	}
	t.audit.at = t.now()
	expires := t.audit.at
	chosen := func(tx *gorm.DB) *gorm.DB {
		if job.TenantID == "" {
			tx = tx.Where(useIDIndex)
		}
		return q.matching(t.engine.In("id", found.ids)(tx))
	}
	err := t.end(Revoked, job.scope(), chosen, byKey(), func(ended []Session) {
		for _, session := range ended {
			users[user{session.TenantID, session.UserID}]++
			if session.ExpiresAt.After(expires) {
				expires = session.ExpiresAt.UTC()
			}
		}
	})
	if err != nil || job.BlockLoginsBefore == nil {
		return users, err
	}
	for _, of := range found.users {
		if users[of] == 0 {
			continue
		}
		c := cutoff{TenantID: of.tenantID, UserID: of.id, NotBefore: *job.BlockLoginsBefore, KeepUntil: timestamp(t.keepUntil(t.audit.at, expires))}
		if err := advance(t.tx, c); err != nil {
			return nil, err
		}
	}
	return users, nil
}
