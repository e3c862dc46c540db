package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"
)

// maxPending bounds the uses that wait in memory; beyond it each is written at once.
const maxPending = 100_000

// Activity is a use of a session. Nil members leave what is known unchanged, but that Location belongs to IPAddress: with
// another address it is replaced, by nothing when it is nil.
type Activity struct {
	IPAddress, UserAgent, DeviceType, Location *string
	// ExpiresAt is the session's new end; the tenant's absolute limit bounds it.
	ExpiresAt *time.Time
}

// changes reports whether a use is more than a use.
func (a Activity) changes(session Session) bool {
	return differs(a.IPAddress, session.IPAddress) || differs(a.UserAgent, session.UserAgent) ||
		a.ExpiresAt != nil && !a.ExpiresAt.Equal(session.ExpiresAt)
}

func differs(given, known *string) bool {
	return given != nil && (known == nil || *given != *known)
}

// RecordActivity notes that a session was used now. It must answer ErrNotFound for an id outside the selection, and
// ErrEnded for a session that has ended, however it races with a revocation.
//
// A mere use soon after a recorded one is not written at once: the latest one of the interval is, by FlushActivity. So a
// burst costs a write per interval, and the idle limit counts from the last use all the same.
func (s *Store) RecordActivity(ctx context.Context, sel Selection, id string, activity Activity, by Actor) error {
	session, err := s.GetSession(ctx, sel, id)
	if err != nil {
		return err
	}
	now := s.clock()
	if !session.Active(now) {
		return mapError("record activity", ErrEnded)
	}
	due := session.lastUse().Add(s.limits(session.TenantID).interval(s.interval))
	if session.LastActivityAt != nil && due.After(now) && !activity.changes(session) && s.pending.add(session, now, due) {
		return nil
	}
	if !activity.changes(session) {
		return s.use(ctx, session, now)
	}
	return s.write(ownedBy(ctx, session.TenantID), "record activity", func(tx *gorm.DB) error {
		if err := (querier{Store: s, ctx: ctx, tx: tx}).touch(session, now, activity); err != nil {
			return err
		}
		trail, err := s.trail(by)
		if err != nil {
			return err
		}
		return trail.record(tx, ActionChanged, session)
	})
}

// use writes a mere use of an active session.
func (s *Store) use(ctx context.Context, session Session, used time.Time) error {
	return s.change(ctx, "record activity", changing{tenantID: session.TenantID, id: session.ID}, func(q querier) error {
		if !s.onOneServer() {
			return q.touch(session, used, Activity{})
		}
		return q.touched(s.useStatement(session, used))
	})
}

// useStatement is what touch does for a mere use, of the sessions that are asked for.
func (s *Store) useStatement(session Session, used time.Time) *statement {
	var idle *time.Time
	if limits := s.limits(session.TenantID); limits.Idle > 0 {
		idle = new(timestamp(used.Add(limits.Idle)))
	}
	return s.engine.asking(
		value{"tenant", "text", session.TenantID}, value{"session", "text", session.ID},
		value{"used", "timestamptz", used}, value{"now", "timestamptz", s.clock()}, value{"idle", "timestamptz", idle},
	).add(`touched AS (UPDATE sessions SET last_activity_at = greatest(last_activity_at, used),
			ends_at = CASE WHEN idle IS NULL OR expires_at < idle THEN expires_at ELSE greatest(ends_at, idle) END
		FROM asked WHERE tenant_id = tenant AND id = session AND ` + activeAt("asked.now") + ` RETURNING nr) SELECT nr FROM touched`)
}

// touch writes a use of an active session, and changes no other.
func (q querier) touch(session Session, used time.Time, activity Activity) error {
	// Instances' clocks differ a little; the latest use stays.
	st := q.engine.statement("UPDATE sessions SET last_activity_at = CASE WHEN last_activity_at > ? THEN last_activity_at ELSE ? END", used, used)
	for _, change := range []struct {
		column string
		value  *string
	}{{"ip_address", activity.IPAddress}, {"user_agent", activity.UserAgent}, {"device_type", activity.DeviceType}} {
		if change.value != nil {
			st.add(", "+change.column+" = ?", *change.value)
		}
	}
	if differs(activity.IPAddress, session.IPAddress) {
		st.add(", location = ?", activity.Location) // the old place is not that of the new address, even if none is known
	}
	q.addEnds(st, session, used, activity.ExpiresAt)
	st.add(" WHERE tenant_id = ? AND id = ? AND ", session.TenantID, session.ID).add(active+" RETURNING 1", q.clock())
	return q.touched(st)
}

// touched runs a statement that gives a row when it has found an active session.
func (q querier) touched(st *statement) error {
	touched, err := q.found(st)
	if err == nil && !touched {
		return ErrEnded
	}
	return err
}

// addEnds appends what a use makes of the session's ends, which may have been given a new one.
func (q querier) addEnds(st *statement, session Session, used time.Time, given *time.Time) {
	limits := q.limits(session.TenantID)
	switch {
	case given != nil:
		expires := timestamp(limits.cap(session.CreatedAt, *given))
		st.add(", expires_at = ?, ends_at = ?", expires, timestamp(limits.end(used, expires)))
	case limits.Idle > 0:
		idle := timestamp(used.Add(limits.Idle))
		st.add(", ends_at = CASE WHEN expires_at < ? THEN expires_at WHEN ends_at > ? THEN ends_at ELSE ? END", idle, idle, idle)
	default:
		st.add(", ends_at = expires_at")
	}
}

// pendingUses are the uses that wait to be written.
type pendingUses struct {
	mu   sync.Mutex
	uses map[pendingKey]pendingUse
}

type pendingKey struct{ tenantID, id string }

func (k pendingKey) session() Session { return Session{TenantID: k.tenantID, ID: k.id} }

type pendingUse struct {
	used, due time.Time
}

// add keeps a use until it is due, and reports whether it could.
func (p *pendingUses) add(session Session, used, due time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := pendingKey{session.TenantID, session.ID}
	if _, known := p.uses[key]; !known && len(p.uses) >= maxPending {
		return false
	}
	p.uses[key] = pendingUse{used: used, due: due}
	return true
}

// take removes and returns the uses that are due by a time, or all of them.
func (p *pendingUses) take(by time.Time, all bool) map[pendingKey]pendingUse {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := map[pendingKey]pendingUse{}
	for key, use := range p.uses {
		if all || !use.due.After(by) {
			taken[key] = use
			delete(p.uses, key)
		}
	}
	return taken
}

// restore puts back uses that could not be written, unless a later one has come.
func (p *pendingUses) restore(uses map[pendingKey]pendingUse) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, use := range uses {
		if _, later := p.uses[key]; !later {
			p.uses[key] = use
		}
	}
}

// FlushActivity writes the uses that have waited for their interval, or all of them. Call it every second or so, and with
// all before Close. What cannot be written is kept for the next call.
func (s *Store) FlushActivity(ctx context.Context, all bool) error {
	uses := s.pending.take(s.clock(), all)
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(uses)), mostTogether) {
		if err := s.flush(ctx, uses, chunk); err != nil {
			s.pending.restore(uses)
			return err
		}
		for _, key := range chunk {
			delete(uses, key)
		}
	}
	return nil
}

// flush writes uses of as many sessions as travel together. To write one twice does no harm.
func (s *Store) flush(ctx context.Context, uses map[pendingKey]pendingUse, of []pendingKey) error {
	if s.engine.pool == nil {
		return s.write(ctx, "flush activity", func(tx *gorm.DB) error {
			for _, key := range of {
				q := querier{Store: s, ctx: ctx, tx: tx}
				if err := q.touch(key.session(), uses[key].used, Activity{}); err != nil && !errors.Is(err, ErrEnded) {
					return err
				}
			}
			return nil
		})
	}
	errs := make([]error, len(of))
	var group sync.WaitGroup
	for i, key := range of {
		group.Go(func() {
			if err := s.use(ctx, key.session(), uses[key].used); !errors.Is(err, ErrEnded) {
				errs[i] = err
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}
