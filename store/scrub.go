package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// scrubBatch is how many counter deltas are rolled up at once.
	scrubBatch = 2000
	// scrubAttempts and scrubPause bound the wait for another instance that rolls up.
	scrubAttempts = 200
	scrubPause    = 50 * time.Millisecond
)

// errStillNamed: another instance keeps what an erasure waits for.
var errStillNamed = errors.New("the user is erased, but still named by numbers that wait to be rolled up: run the command again")

// scrub removes what an erasure leaves behind for a moment: deltas of the numbers, which name the user until they are rolled
// up, and on SQLite the old content of pages in the write-ahead log.
func (s *Store) scrub(ctx context.Context, tenantID, userID string) error {
	for range scrubAttempts {
		n, err := s.FoldChanges(ctx, scrubBatch)
		if err != nil {
			return err
		}
		named, err := s.stillNamed(ctx, tenantID, userID)
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

// stillNamed reports whether what waits to be rolled up names a user.
func (s *Store) stillNamed(ctx context.Context, tenantID, userID string) (bool, error) {
	for _, table := range []string{"session_changes", "user_deltas"} {
		named := int64(0)
		err := s.db.WithContext(ctx).Table(table).Where("tenant_id = ? AND user_id = ?", tenantID, userID).Count(&named).Error
		if err != nil || named > 0 {
			return true, err
		}
	}
	return false, nil
}

// truncateLog moves SQLite's write-ahead log into the file and empties it. What is deleted in the file is overwritten
// (secure_delete). Readers under way are waited for.
func (s *Store) truncateLog(ctx context.Context) error {
	if s.engine.name != sqliteName {
		return nil
	}
	owner := ownerIn(ctx, "")
	if err := s.transactions.enter(ctx, owner); err != nil {
		return mapError("erase user", err)
	}
	defer s.transactions.leave(owner)
	var busy, frames, moved int
	err := s.db.WithContext(ctx).Raw("PRAGMA wal_checkpoint(TRUNCATE)").Row().Scan(&busy, &frames, &moved)
	if err == nil && busy != 0 {
		err = fmt.Errorf("%w: the write-ahead log is in use, and may hold what was erased until it is not", ErrUnavailable)
	}
	return mapError("erase user", err)
}
