package store

import (
	"context"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
)

// clock is the time by which the store decides. A session that has expired must not be active again when the machine's clock is
// set back: this clock then stands still until every end that it has passed is recorded (catchUp), and follows the machine's
// clock again from then on.
type clock struct {
	machine func() time.Time
	latest  atomic.Int64 // microseconds since 1970
}

// timestamp cuts a time to what both engines keep: UTC, microseconds.
func timestamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// read is the time as both engines keep it.
func (c *clock) read() time.Time {
	now := timestamp(c.machine())
	for {
		latest := c.latest.Load()
		if now.UnixMicro() < latest {
			return time.UnixMicro(latest).UTC()
		}
		if now.UnixMicro() == latest || c.latest.CompareAndSwap(latest, now.UnixMicro()) {
			return now
		}
	}
}

// setBack returns the time at which the clock stands still, and whether it does.
func (c *clock) setBack() (time.Time, bool) {
	latest := time.UnixMicro(c.latest.Load()).UTC()
	return latest, timestamp(c.machine()).Before(latest)
}

// follow lets the clock go on from the machine's time, if it stands still at that time.
func (c *clock) follow(from time.Time) {
	c.latest.CompareAndSwap(from.UnixMicro(), timestamp(c.machine()).UnixMicro())
}

// now is the time by which the store decides.
func (s *Store) now() time.Time { return s.clock.read() }

// catchUp lets a clock that was set back follow the machine's again, once every session that has expired by the clock's time is
// recorded as ended.
func (s *Store) catchUp(ctx context.Context) error {
	at, back := s.clock.setBack()
	if !back {
		return nil
	}
	var left []Session
	err := s.write(ctx, "look for sessions that are due", func(tx *gorm.DB) error {
		return tx.Select("id").Where(isDue, at).Limit(1).Find(&left).Error
	})
	if err == nil && len(left) == 0 {
		s.clock.follow(at)
	}
	return err
}
