package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sessiond/sessiond/store/internal/engine"
)

const (
	// readyEvery is how often the database is tried, however often anybody asks.
	readyEvery = time.Second
	// readyTimeout is how long that may take.
	readyTimeout = 2 * time.Second
	// notReadyFor is for how long a write that found no place to write to counts.
	notReadyFor = 5 * time.Second
)

// readiness is what is known of whether the database can be worked with.
type readiness struct {
	mu   sync.Mutex
	last *trial
	// failed is the last write that found the disk full or the database read-only.
	failed atomic.Pointer[failedWrite]
}

// trial is one look at whether the database can be worked with. Its err is there when done is closed.
type trial struct {
	began time.Time
	done  chan struct{}
	err   error
}

type failedWrite struct {
	at  time.Time
	err error
}

// readinessRow is the one row of its table.
type readinessRow struct {
	ID        int `gorm:"primaryKey"`
	WrittenAt time.Time
}

// TableName names the table.
func (readinessRow) TableName() string { return "readiness" }

// Ready reports whether requests can be served: a session can be looked up, and a row written. The answer is hardly more than a
// second old, and however many ask for it, it costs the database the same. It is ErrUnavailable too for some seconds after a
// write of anybody's found the disk full or the database read-only, which a small write may not.
func (s *Store) Ready(ctx context.Context) error {
	t := s.readyTrial(ctx)
	select {
	case <-t.done:
	case <-ctx.Done():
		return mapError("ready", ctx.Err())
	}
	failed := s.readiness.failed.Load()
	if t.err == nil && failed != nil && s.clock.machine().Sub(failed.at).Abs() < notReadyFor {
		return mapError("ready", failed.err)
	}
	return t.err
}

// readyTrial returns the trial that is under way or has just ended, or begins one.
func (s *Store) readyTrial(ctx context.Context) *trial {
	s.readiness.mu.Lock()
	defer s.readiness.mu.Unlock()
	now := s.clock.machine()
	if last := s.readiness.last; last != nil {
		select {
		case <-last.done:
			if now.Sub(last.began).Abs() < readyEvery {
				return last
			}
		default:
			return last
		}
	}
	t := &trial{began: now, done: make(chan struct{})}
	s.readiness.last = t
	go func() {
		defer close(t.done)
		t.err = s.tryToWork(context.WithoutCancel(ctx)) // others wait for it too
	}()
	return t
}

// tryToWork reads as every request does, and writes.
func (s *Store) tryToWork(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if _, err := s.SessionEnded(ctx, "", "readiness"); err != nil {
		return err
	}
	ctx = WithScope(ctx, AllTenants()) // the row is nobody's
	return mapError("ready", s.writeOnce(ctx, func(tx *gorm.DB) error {
		return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&readinessRow{ID: 1, WrittenAt: s.now()}).Error
	}))
}

// written records a write that found the disk full or the database read-only, and returns its error.
func (s *Store) written(err error) error {
	if errors.Is(err, ErrUnavailable) && engine.Unwritable(err) {
		s.readiness.failed.Store(&failedWrite{s.clock.machine(), err})
	}
	return err
}
