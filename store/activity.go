package store

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sessiond/sessiond/store/internal/batch"
)

// maxPending bounds the activities that wait in memory; beyond it each is written at once.
const maxPending = 100_000

// Activity is a use of a session. Nil members leave what is known unchanged, but that Location and Country belong to IPAddress: with
// another address they are replaced, by nothing when they are nil.
type Activity struct {
	IPAddress, UserAgent, DeviceType, Location, Country *string
	// ExpiresAt is the session's new end; the tenant's absolute limit bounds it.
	ExpiresAt *time.Time
}

// changes reports whether the activity changes more of a session than when it was used.
func (a Activity) changes(session Session) bool {
	return differs(a.IPAddress, session.IPAddress) || differs(a.UserAgent, session.UserAgent) ||
		a.ExpiresAt != nil && !a.ExpiresAt.Equal(session.ExpiresAt)
}

func differs(given, known *string) bool {
	return given != nil && (known == nil || *given != *known)
}

// apply is what an activity at a time makes of a session. Instances' clocks differ a little; the latest use stays.
func (a Activity) apply(session Session, used time.Time, limits Limits) Session {
	if session.LastActivityAt == nil || session.LastActivityAt.Before(used) {
		session.LastActivityAt = &used
	}
	if differs(a.IPAddress, session.IPAddress) {
		// The old place is not that of the new address, even if none is known.
		session.IPAddress, session.Location, session.Country = a.IPAddress, a.Location, a.Country
	}
	if a.UserAgent != nil {
		session.UserAgent = a.UserAgent
	}
	if a.DeviceType != nil {
		session.DeviceType = a.DeviceType
	}
	switch idle := limits.end(used, session.ExpiresAt); {
	case a.ExpiresAt != nil:
		session.ExpiresAt = timestamp(limits.cap(session.CreatedAt, *a.ExpiresAt))
		session.EndsAt = timestamp(limits.end(used, session.ExpiresAt))
	case limits.Idle == 0 || idle.After(session.EndsAt):
		session.EndsAt = timestamp(idle)
	}
	return session
}

// RecordActivity records that a session was used now. It must answer ErrNotFound for an id outside the scope, and ErrEnded for a session
// that has ended, however it races with a revocation.
//
// A mere activity soon after a recorded one is not written at once: the latest one of the interval is, by FlushActivity. So a burst costs a
// write per interval, and the idle limit counts from the last use all the same.
func (s *Store) RecordActivity(ctx context.Context, scope Scope, id string, activity Activity, by Actor) error {
	session, err := s.GetSession(ctx, scope, id)
	if err != nil {
		return err
	}
	now, key := s.now(), sessionKey{session.TenantID, session.ID}
	if !session.Active(now) {
		return mapError("record activity", ErrEnded)
	}
	if activity.changes(session) {
		return s.change(ownedBy(ctx, session.TenantID), "record activity", by, func(t *transaction) error {
			return t.recordActivity(key, now, activity)
		})
	}
	due := session.lastUse().Add(s.limits(session.TenantID).interval(s.activityInterval))
	if session.LastActivityAt != nil && due.After(now) && s.pending.add(key, now, due) {
		return nil
	}
	return s.operations.recordUse(ctx, key, now)
}

// recordActivity writes an activity that changes more of an active session than when it was used.
func (t *transaction) recordActivity(key sessionKey, used time.Time, activity Activity) error {
	before, err := t.lockActive(key)
	if err != nil {
		return err
	}
	after := activity.apply(before, used, t.limits(before.TenantID))
	if err := t.update(after); err != nil {
		return err
	}
	return t.record(change{action: ActionChanged, before: &before, after: &after})
}

// lockActive reads an active session and locks its row. It answers ErrEnded when there is none.
func (t *transaction) lockActive(key sessionKey) (session Session, err error) {
	err = t.tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Scopes(key.active(t.now())).Take(&session).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = ErrEnded
	}
	return session, err
}

// update writes what activities change of a session whose row is locked.
func (t *transaction) update(session Session) error {
	return t.tx.Model(&Session{}).Where("tenant_id = ? AND id = ?", session.TenantID, session.ID).Updates(map[string]any{
		"last_activity_at": session.LastActivityAt, "ip_address": session.IPAddress, "user_agent": session.UserAgent,
		"device_type": session.DeviceType, "location": session.Location, "country": session.Country,
		"expires_at": session.ExpiresAt, "ends_at": session.EndsAt,
	}).Error
}

func (p plain) recordUse(ctx context.Context, key sessionKey, used time.Time) error {
	return p.write(ownedBy(ctx, key.tenantID), "record activity", func(tx *gorm.DB) error {
		return (&transaction{Store: p.Store, tx: tx}).recordUse(key, used)
	})
}

// recordUse writes a mere activity of an active session; it answers ErrEnded when there is none.
func (t *transaction) recordUse(key sessionKey, used time.Time) error {
	session, err := t.lockActive(key)
	if err != nil {
		return err
	}
	return t.update(Activity{}.apply(session, used, t.limits(key.tenantID)))
}

// sessionKey is the key of a session.
type sessionKey struct{ tenantID, id string }

// active selects the session if it is active.
func (k sessionKey) active(now time.Time) func(*gorm.DB) *gorm.DB {
	return func(tx *gorm.DB) *gorm.DB {
		return tx.Where("tenant_id = ? AND id = ?", k.tenantID, k.id).Where(isActive, now)
	}
}

// pendingActivity is the mere activities that wait to be written.
type pendingActivity struct {
	mu   sync.Mutex
	uses map[sessionKey]pendingUse
}

type pendingUse struct{ used, due time.Time }

// add keeps an activity until it is due, and reports whether it could.
func (p *pendingActivity) add(key sessionKey, used, due time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.uses[key]; !known && len(p.uses) >= maxPending {
		return false
	}
	p.uses[key] = pendingUse{used: used, due: due}
	return true
}

// take removes and returns the activities that are due by a time, or all of them.
func (p *pendingActivity) take(by time.Time, all bool) map[sessionKey]pendingUse {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := map[sessionKey]pendingUse{}
	for key, use := range p.uses {
		if all || !use.due.After(by) {
			taken[key] = use
			delete(p.uses, key)
		}
	}
	return taken
}

// restore puts back activities that could not be written, unless a later one has come.
func (p *pendingActivity) restore(uses map[sessionKey]pendingUse) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, use := range uses {
		if _, later := p.uses[key]; !later {
			p.uses[key] = use
		}
	}
}

// FlushActivity writes the activities that have waited for their interval, or all of them. Call it every second or so, and with all before
// Close. What cannot be written is kept for the next call.
func (s *Store) FlushActivity(ctx context.Context, all bool) error {
	uses := s.pending.take(s.now(), all)
	for keys := range slices.Chunk(slices.Collect(maps.Keys(uses)), batch.MaxQueries) {
		used := map[sessionKey]time.Time{}
		for _, key := range keys {
			used[key] = uses[key].used
		}
		if err := s.operations.recordUses(ctx, used); err != nil {
			s.pending.restore(uses)
			return err
		}
		for _, key := range keys {
			delete(uses, key)
		}
	}
	return nil
}

// recordUses writes several activities. To write one twice does no harm.
func (p plain) recordUses(ctx context.Context, uses map[sessionKey]time.Time) error {
	keys := slices.SortedFunc(maps.Keys(uses), sessionKey.compare) // in one order, so that nobody waits in a circle
	return p.write(ctx, "flush activity", func(tx *gorm.DB) error {
		t := &transaction{Store: p.Store, tx: tx}
		for _, key := range keys {
			if err := t.recordUse(key, uses[key]); err != nil && !errors.Is(err, ErrEnded) {
				return err
			}
		}
		return nil
	})
}

func (k sessionKey) compare(other sessionKey) int {
	return cmp.Or(cmp.Compare(k.tenantID, other.tenantID), cmp.Compare(k.id, other.id))
}
