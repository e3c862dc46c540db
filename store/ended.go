package store

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// endedSession is what is left of a session that has ended and whose row is deleted, for as long as a token of it can live.
type endedSession struct {
	SessionDigest string `gorm:"primaryKey"`
	KeepUntil     time.Time
}

// TableName names the table.
func (endedSession) TableName() string { return "ended_sessions" }

// keepUntil is how long it must be known that a session has ended, or that a login is too old: until no token lives that was
// issued for it. A token may live as long as its session, or for the configured time after the end.
func (s *Store) keepUntil(ended, expires time.Time) time.Time {
	if latest := ended.Add(s.maxTokenLifetime); latest.After(expires) {
		return latest
	}
	return expires
}

// selectKept reads of sessions what keepEnded needs.
func selectKept(query *gorm.DB) *gorm.DB {
	return query.Select("tenant_id", "id", "revoked_at", "ends_at", "expires_at", "ended_how")
}

// keepEnded keeps the digests of sessions whose rows are being deleted and of which a token may still live. No session of these ids
// is being registered from then on until the end of the transaction, and who registers one afterwards finds the digest.
func (s *Store) keepEnded(tx *gorm.DB, sessions []Session) error {
	now := s.clock()
	var kept []endedSession
	var holds []hold
	for _, session := range sessions {
		_, at := session.Ending(now)
		until := s.keepUntil(at, session.ExpiresAt)
		if !until.After(now) {
			continue
		}
		digest, err := s.digest(tx.Statement.Context, digestOfSession, session.ID)
		if err != nil {
			return err
		}
		kept = append(kept, endedSession{SessionDigest: digest, KeepUntil: timestamp(until)})
		if h := (hold{stripe(digest), exclusive}); !slices.Contains(holds, h) {
			holds = append(holds, h)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	if err := s.lock(tx, holds...); err != nil {
		return err
	}
	return s.insertEnded(tx, kept)
}

// insertEnded stores digests. PostgreSQL gets them as arrays: one statement for any number.
func (s *Store) insertEnded(tx *gorm.DB, kept []endedSession) error {
	if s.engine.pool == nil {
		return tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(&kept, rowsPerInsert).Error
	}
	digests, untils := make([]string, len(kept)), make([]time.Time, len(kept))
	for i, session := range kept {
		digests[i], untils[i] = session.SessionDigest, session.KeepUntil
	}
	return execIn(tx, s.engine.statement(`INSERT INTO ended_sessions (session_digest, keep_until)
		SELECT * FROM unnest(?::text[], ?::timestamptz[]) ON CONFLICT DO NOTHING`, digests, untils))
}

// SessionEnded reports whether the session with that id has ended, in whatever tenant it is: a user who works for two
// tenants has tokens of one session that name either. An empty tenant means that it is not known. One that was never
// registered has not ended; one whose row was deleted has, as long as a token of it can live.
func (s *Store) SessionEnded(ctx context.Context, tenantID, id string) (bool, error) {
	if !storable(id) {
		return false, nil
	}
	if storable(tenantID) {
		ended, found := false, false
		st := s.engine.statement("SELECT NOT ("+active+") FROM sessions WHERE ", s.clock()).selected(InTenant(tenantID)).add(" AND id = ?", id)
		err := s.ask(WithWall(ctx, Behind(tenantID, "")), st, func(row rows) error {
			found = true
			return row.Scan(&ended)
		})
		if err != nil || found {
			return ended, mapError("look up session", err)
		}
	}
	return s.endedAnywhere(ctx, id)
}

// endedAnywhere looks for a session in all tenants, and among those whose rows are deleted.
func (s *Store) endedAnywhere(ctx context.Context, id string) (bool, error) {
	digest, err := s.digest(ctx, digestOfSession, id)
	if err != nil {
		return false, err
	}
	ended := false
	st := s.engine.statement("SELECT coalesce((SELECT NOT ("+active+") FROM sessions WHERE id = ?"+byIDAlone+`),
		EXISTS (SELECT 1 FROM ended_sessions WHERE session_digest = ?))`, s.clock(), id, digest)
	err = s.ask(WithWall(ctx, Behind("", "")), st, func(row rows) error { return row.Scan(&ended) })
	return ended, mapError("look up session", err)
}

// keptLonger is how much longer things are kept than they are needed: a clock may be ahead, and be set back.
const keptLonger = 24 * time.Hour

// PurgeKept deletes up to limit digests of ended sessions, as many cutoffs of each kind and as many idempotency keys, that have
// not been needed for a day, and returns how many it deleted of the kind that it deleted most of. Cutoffs stay until a time, too. Like
// PurgeEnded it does nothing while another instance is at it.
func (s *Store) PurgeKept(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.writeAlone(ctx, "purge what is kept of ended sessions", endedLock, func(tx *gorm.DB) (int, error) {
		now, most := s.clock().Add(-keptLonger), 0
		cutoffs := "not_before < ? AND (keep_until < ? OR keep_until IS NULL AND not_before < ?)"
		times := []any{timestamp(before), now, now.Add(-s.maxTokenLifetime)}
		for _, kept := range []struct {
			table, key, condition string
			times                 []any
		}{
			{"ended_sessions", "session_digest", "keep_until < ?", []any{now}},
			{"watermarks", "tenant_id, user_id", cutoffs, times},
			{"partner_cutoffs", "partner_id, user_id", cutoffs, times},
			{"idempotency_keys", "key_digest", "at < ?", []any{now.Add(-idempotencyWindow)}},
		} {
			deleted := tx.Exec("DELETE FROM "+kept.table+" WHERE ("+kept.key+") IN (SELECT "+kept.key+" FROM "+kept.table+
				" WHERE "+kept.condition+" LIMIT ?)", append(slices.Clone(kept.times), limit)...)
			if deleted.Error != nil {
				return 0, deleted.Error
			}
			most = max(most, int(deleted.RowsAffected))
		}
		return most, nil
	})
}
