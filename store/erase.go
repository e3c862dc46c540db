package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/engine"
)

// Erasure is what EraseUser did.
type Erasure struct {
	// Ended were active and ended first, Sessions were deleted in all, Events of the audit log lost the user's name.
	Ended, Sessions, Events int
	// Receipt is the operation id of the event that stays in the audit log.
	Receipt string
}

// EraseUser ends the active sessions of a user in a tenant and then deletes all that is known of the user there: sessions,
// applications, and the user's name in the audit log. The name goes in all tenants from what the user did. What stays says of
// nobody who he was: digests by which the ended sessions, and logins from before, are kept out, and an event with a digest of
// the user, by which the erasure can be proved to who knows the id.
//
// On SQLite nothing is left in the file or its write-ahead log either. PostgreSQL keeps old versions of rows until they are
// vacuumed, and its write-ahead log.
func (s *Store) EraseUser(ctx context.Context, tenantID, userID string, by Actor) (Erasure, error) {
	var done Erasure
	if !storable(tenantID) || !storable(userID) {
		return done, mapError("erase user", ErrNotFound)
	}
	e := erasure{tenantID: tenantID, userID: userID}
	var err error
	if e.userDigest, err = s.digest(ctx, digestOfUser, userID); err != nil {
		return done, err
	}
	if e.receipt, err = s.digest(ctx, digestOfErasure, tenantID, userID); err != nil {
		return done, err
	}
	err = s.transact(ctx, "erase user", by, func(t *transaction) error {
		e.revocation = revocation{transaction: *t, scope: InTenant(tenantID).OfUser(userID)}
		done, err = e.run()
		return err
	})
	if err != nil {
		return Erasure{}, err
	}
	s.onEnded(Revoked, done.Ended)
	return done, s.scrub(ctx, tenantID, userID)
}

// PreviewErasure counts what EraseUser would do now, and does nothing. An erasure appends an event for each session that it ends, and takes
// the user out of it at once: these are counted as well.
func (s *Store) PreviewErasure(ctx context.Context, tenantID, userID string) (Erasure, error) {
	var known Erasure
	if !storable(tenantID) || !storable(userID) {
		return known, nil
	}
	scope, of := InTenant(tenantID).OfUser(userID), erasure{tenantID: tenantID, userID: userID}
	_, all, err := s.ListSessions(ctx, CallerSession{}, scope, Filter{}, Page{Limit: 1})
	if err == nil {
		known.Ended, err = s.CountActive(ctx, scope)
	}
	events, waiting := 0, int64(0)
	if err == nil {
		err = s.read(ctx, func(tx *gorm.DB) (err error) {
			if events, err = of.countEvents(tx); err != nil {
				return err
			}
			// Bulk revocations that have not been applied to the user's sessions are, first.
			return tx.Model(&Session{}).Scopes(scope.where).Where(waitsForBulkRevocation).Count(&waiting).Error
		})
	}
	known.Sessions, known.Events = all, events+int(waiting)+known.Ended
	return known, mapError("look for a user", err)
}

// erasure is one transaction of EraseUser.
type erasure struct {
	revocation
	tenantID, userID    string
	userDigest, receipt string
}

func (e *erasure) run() (Erasure, error) {
	done := Erasure{Receipt: e.audit.operation}
	if err := e.waitForMaintenance(); err != nil {
		return done, err
	}
	if err := e.lockAll(); err != nil {
		return done, err
	}
	if err := e.endActive(); err != nil {
		return done, err
	}
	done.Ended = len(e.ids)
	if err := e.forgetJobs(); err != nil { // as long as it is known what the user was found by
		return done, err
	}
	var err error
	if done.Sessions, err = e.deleteSessions(); err != nil {
		return done, err
	}
	if err := e.deleteKeys([]user{{e.tenantID, e.userID}}); err != nil {
		return done, err
	}
	if done.Events, err = e.countEvents(e.tx); err != nil {
		return done, err
	}
	if err := e.forgetEvents(); err != nil {
		return done, err
	}
	if err := e.forgetActor(); err != nil {
		return done, err
	}
	if err := e.forgetCutoffs(); err != nil {
		return done, err
	}
	receipt := fmt.Sprintf("hmac-sha256:%s ended:%d sessions:%d", e.receipt, done.Ended, done.Sessions)
	return done, e.recordEvent(ActionErased, e.tenantID, "", receipt)
}

// waitForMaintenance keeps the jobs that work on ended sessions away until the end of the transaction: they may have read the user's name,
// and would write it again.
func (e *erasure) waitForMaintenance() error {
	return e.engine.Lock(e.tx, engine.Lock{Key: expiryJob}, engine.Lock{Key: revokeJob}, engine.Lock{Key: searchJob})
}

// endActive ends the user's active sessions, after applying the bulk revocations that cover any: who ended these stays.
func (e *erasure) endActive() error {
	var revocations []bulkRevocation
	if err := e.tx.Where("tenant_id = ?", e.tenantID).Order("at, operation_id").Find(&revocations).Error; err != nil {
		return err
	}
	for _, b := range revocations {
		earlier := revocation{transaction: transaction{Store: e.Store, tx: e.tx, audit: b.auditContext()}, scope: e.scope}
		if err := earlier.apply(b, func(tx *gorm.DB) *gorm.DB { return tx.Order("id") }); err != nil {
			return err
		}
	}
	return e.end(func(tx *gorm.DB) *gorm.DB { return tx }, byKey())
}

// deleteSessions deletes the user's sessions and keeps tombstones.
func (e *erasure) deleteSessions() (int, error) {
	deleted := 0
	for {
		var sessions []Session
		err := e.tx.Model(&Session{}).Table(activeAndEnded).Scopes(e.scope.where).Order(listOrder).Limit(sessionsAtOnce).Find(&sessions).Error
		if err != nil || len(sessions) == 0 {
			return deleted, err
		}
		if err := e.transaction.deleteSessions(sessions); err != nil {
			return deleted, err
		}
		deleted += len(sessions)
	}
}

// events selects those that are about the user.
func (e *erasure) events(tx *gorm.DB) *gorm.DB {
	return tx.Where("tenant_id IN ('', ?) AND user_id = ?", e.tenantID, e.userID)
}

// countEvents counts the events that are about the user, and those of what the user has done.
func (e *erasure) countEvents(tx *gorm.DB) (int, error) {
	var n int64
	err := tx.Model(&AuditEvent{}).Where(tx.Scopes(e.events).Or("actor_sub = ?", e.userID)).Count(&n).Error
	return int(n), err
}

// forgetEvents takes the user out of the events that are about the user.
func (e *erasure) forgetEvents() error {
	return e.tx.Model(&AuditEvent{}).Scopes(e.events).Updates(map[string]any{"user_id": "", "reason": "", "request_id": "", "changes": nil}).Error
}

// forgetActor takes the user, the reasons that the user gave and the ids that the user chose for requests, out of what the user has
// done, in whatever tenant: an administrator may have ended sessions in many.
func (e *erasure) forgetActor() error {
	for _, done := range []struct {
		model              any
		actor, reasonGiven string
		requests           bool
	}{
		{&AuditEvent{}, "actor_sub", "reason", true},
		{&Session{}, "ended_by_sub", "end_reason", false},
		{&bulkRevocation{}, "ended_by_sub", "end_reason", true},
		{&RevocationJob{}, "created_by_sub", "reason", true},
	} {
		forgotten := map[string]any{done.actor: "", done.reasonGiven: ""}
		if done.requests {
			forgotten["request_id"] = ""
		}
		if err := e.tx.Model(done.model).Where(done.actor+" = ?", e.userID).Updates(forgotten).Error; err != nil {
			return err
		}
	}
	return nil
}

// forgetJobs takes the user out of the revocation jobs that name the user: those of the user's sessions in the tenant are deleted, and of finished
// ones the text that the user was found by, and the reason, which may be about the user. A job about all tenants goes on to the other ones.
func (e *erasure) forgetJobs() error {
	err := e.tx.Where("tenant_id = ? AND user_id = ?", e.tenantID, e.userID).Delete(&RevocationJob{}).Error
	if err != nil {
		return err
	}
	finished := e.tx.Model(&RevocationJob{}).Where("tenant_id IN ('', ?) AND finished_at IS NOT NULL", e.tenantID)
	var jobs []RevocationJob
	err = finished.Session(&gorm.Session{}).Where("user_id = ? OR filter NOT LIKE ?", e.userID, `%"Text":""%`).Find(&jobs).Error
	if err != nil {
		return err
	}
	var keys []string
	if err := e.tx.Model(&SearchKey{}).Where("tenant_id = ? AND user_id = ?", e.tenantID, e.userID).Pluck("key", &keys).Error; err != nil {
		return err
	}
	keys = append(keys, fold(e.userID))
	for _, job := range jobs {
		text := fold(job.Filter.Text)
		found := text != "" && slices.ContainsFunc(keys, func(key string) bool { return strings.HasPrefix(key, text) })
		if !found && (job.UserID == nil || *job.UserID != e.userID) {
			continue
		}
		job.Filter.Text, job.UserID, job.Reason = "", nil, ""
		if err := e.tx.Model(&job).Select("filter", "user_id", "reason").Updates(&job).Error; err != nil {
			return err
		}
	}
	return nil
}

// forgetCutoffs keeps logins from before the erasure out, and puts a digest in the place of the user in every other cutoff.
func (e *erasure) forgetCutoffs() error {
	var cutoffs []cutoff
	named := e.tx.Where("user_id = ? AND tenant_id IN ('', ?)", e.userID, e.tenantID).Session(&gorm.Session{})
	if err := named.Find(&cutoffs).Error; err != nil {
		return err
	}
	cutoffs = append(cutoffs, cutoff{TenantID: e.tenantID, NotBefore: e.audit.at, KeepUntil: timestamp(e.keepUntil(e.audit.at, e.expires))})
	for _, c := range cutoffs {
		c.UserID = e.userDigest
		if err := advance(e.tx, c); err != nil {
			return err
		}
	}
	return named.Delete(&cutoff{}).Error
}

const (
	// scrubBatch is how many counter deltas are rolled up at once.
	scrubBatch = 2000
	// scrubAttempts and scrubPause bound the wait for another instance that rolls up.
	scrubAttempts = 200
	scrubPause    = 50 * time.Millisecond
)

// errStillNamed: another instance keeps what an erasure waits for.
var errStillNamed = errors.New("the user is erased, but still named by numbers that wait to be rolled up: run the command again")

// scrub removes the traces that the transaction of an erasure leaves: counter deltas, which name the user until they are rolled up,
// and on SQLite the old content of pages in the write-ahead log.
func (s *Store) scrub(ctx context.Context, tenantID, userID string) error {
	for range scrubAttempts {
		n, err := s.RollUp(ctx, scrubBatch)
		if err != nil {
			return err
		}
		named, err := s.counters.Waiting(s.engine.DB.WithContext(ctx), tenantID, userID)
		if err != nil {
			return mapError("erase user", err)
		}
		if !named {
			return s.truncateLog(ctx)
		}
		if n == 0 {
			select {
			case <-ctx.Done():
				return mapError("erase user", ctx.Err())
			case <-time.After(scrubPause):
			}
		}
	}
	return errStillNamed
}

// truncateLog moves SQLite's write-ahead log into the file and empties it. What is deleted in the file is overwritten
// (secure_delete). Readers under way are waited for.
func (s *Store) truncateLog(ctx context.Context) error {
	if s.engine.IsPostgres() {
		return nil
	}
	of := owner(ctx, "")
	if err := s.engine.Writers.Acquire(ctx, of); err != nil {
		return mapError("erase user", err)
	}
	defer s.engine.Writers.Release(of)
	var busy, frames, moved int
	err := s.engine.DB.WithContext(ctx).Raw("PRAGMA wal_checkpoint(TRUNCATE)").Row().Scan(&busy, &frames, &moved)
	if err == nil && busy != 0 {
		err = fmt.Errorf("%w: the write-ahead log is in use, and may hold what was erased until it is not", ErrUnavailable)
	}
	return mapError("erase user", err)
}
