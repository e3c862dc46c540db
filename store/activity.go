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

// maxPending bounds the heartbeats that wait in memory; beyond it each is written at once.
const maxPending = 100_000

// Activity is what a request says about the session that it uses. A nil member leaves the session's value unchanged; only Location and
// Country are replaced together with IPAddress, also by nil. An activity that changes nothing but the time of the last activity is a
// heartbeat.
type Activity struct {
	IPAddress, UserAgent, DeviceType, Location, Country *string
	// Browser and OS are replaced together with UserAgent.
	Browser, OS *string
	// ExpiresAt is the session's new end; the tenant's absolute limit bounds it.
	ExpiresAt *time.Time
}

// changes reports whether the activity is more than a heartbeat of a session.
func (a Activity) changes(session Session) bool {
	return differs(a.IPAddress, session.IPAddress) || differs(a.UserAgent, session.UserAgent) ||
		a.ExpiresAt != nil && !a.ExpiresAt.Equal(session.ExpiresAt)
}

func differs(sent, known *string) bool {
	return sent != nil && (known == nil || *sent != *known)
}

// apply returns the session after an activity at a time. The latest activity stays, because the clocks of instances differ a little.
func (a Activity) apply(session Session, at time.Time, limits Limits) Session {
	if session.LastActivityAt == nil || session.LastActivityAt.Before(at) {
		session.LastActivityAt = &at
	}
	if differs(a.IPAddress, session.IPAddress) {
		// The place of the old address is dropped, even when that of the new one is unknown.
		session.IPAddress, session.Location, session.Country = a.IPAddress, a.Location, a.Country
	}
	if a.UserAgent != nil {
		session.UserAgent, session.Browser, session.OS = a.UserAgent, a.Browser, a.OS
	}
	if a.DeviceType != nil {
		session.DeviceType = a.DeviceType
	}
	switch idle := limits.end(at, session.ExpiresAt); {
	case a.ExpiresAt != nil:
		session.ExpiresAt = timestamp(limits.cap(session.CreatedAt, *a.ExpiresAt))
		session.EndsAt = timestamp(limits.end(at, session.ExpiresAt))
	case limits.Idle == 0 || idle.After(session.EndsAt):
		session.EndsAt = timestamp(idle)
	}
	return session
}

// RecordActivity records that a session was used now. It must answer ErrNotFound for an id outside the scope, and ErrEnded for a session
// that has ended, however it races with a revocation.
//
// A heartbeat soon after a recorded activity is not written at once: FlushActivity writes the latest one of the interval. So a burst costs
// one write per interval, and the idle limit counts from the last activity all the same.
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
		return s.transactOne(ownedBy(ctx, session.TenantID), "record activity", by, func(t *transaction) error {
			return t.recordActivity(key, now, activity)
		})
	}
	due := session.LastActivity().Add(s.limits(session.TenantID).interval(s.activityInterval))
	if session.LastActivityAt != nil && due.After(now) && s.pending.add(key, now, due) {
		return nil
	}
	return s.operations.recordHeartbeat(ctx, key, now)
}

// recordActivity writes an activity that is more than a heartbeat, if the session is active, with its event and counter deltas.
func (t *transaction) recordActivity(key sessionKey, at time.Time, activity Activity) error {
	before, err := t.lockActive(key)
	if err != nil {
		return err
	}
	after := activity.apply(before, at, t.limits(before.TenantID))
	differing := []difference{{"expires_at", new(timeText(before.ExpiresAt)), new(timeText(after.ExpiresAt))}}
	if move := moved(&before, &after); len(differences(move...)) > 0 && !t.toldOfMove(before, at) {
		after.ChangeRecordedAt = &at
		differing = append(differing, move...)
	}
	changed := change{before: &before, after: &after, changes: differences(differing...)}
	if len(changed.changes) > 0 {
		changed.action = ActionChanged
	}
	row := stored(after)
	if err := t.update(after, map[string]any{
		"ip_address": after.IPAddress, "user_agent": after.UserAgent, "device_type": after.DeviceType, "location": after.Location,
		"country": after.Country, "browser": after.Browser, "os": after.OS, "address_key": row.AddressKey,
		"login_address_key": row.LoginAddressKey, "expires_at": after.ExpiresAt, "change_recorded_at": after.ChangeRecordedAt,
	}); err != nil {
		return err
	}
	return t.record(changed)
}

// toldOfMove reports whether an event has told lately that a session has another address, agent or country: one that comes from two networks in
// turn must not fill the audit log.
func (t *transaction) toldOfMove(session Session, now time.Time) bool {
	return session.ChangeRecordedAt != nil && now.Sub(*session.ChangeRecordedAt) < t.changeInterval
}

// timeText writes a time as the API does.
func timeText(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000Z") }

// lockActive reads an active session and locks its row. It answers ErrEnded when there is none.
func (t *transaction) lockActive(key sessionKey) (session Session, err error) {
	err = t.tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Scopes(key.active(t.now())).Take(&session).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = ErrEnded
	}
	return session, err
}

// update writes the times of an activity, and other columns that it changes, of a session whose row is locked.
func (t *transaction) update(session Session, columns map[string]any) error {
	updated := map[string]any{"last_activity_at": session.LastActivityAt, "ends_at": session.EndsAt}
	maps.Copy(updated, columns)
	return t.tx.Model(&Session{}).Where("tenant_id = ? AND id = ?", session.TenantID, session.ID).Updates(updated).Error
}

func (p plain) recordHeartbeat(ctx context.Context, key sessionKey, at time.Time) error {
	return p.writeOne(ownedBy(ctx, key.tenantID), "record activity", func(tx *gorm.DB) error {
		return (&transaction{Store: p.Store, tx: tx}).recordHeartbeat(key, at)
	})
}

// recordHeartbeat writes a heartbeat of an active session; it answers ErrEnded when there is none.
func (t *transaction) recordHeartbeat(key sessionKey, at time.Time) error {
	session, err := t.lockActive(key)
	if err != nil {
		return err
	}
	return t.update(Activity{}.apply(session, at, t.limits(key.tenantID)), nil)
}

// sessionKey is the key of a session.
type sessionKey struct{ tenantID, id string }

// active selects the session if it is active.
func (k sessionKey) active(now time.Time) func(*gorm.DB) *gorm.DB {
	return func(tx *gorm.DB) *gorm.DB {
		return tx.Where("tenant_id = ? AND id = ?", k.tenantID, k.id).Where(isActive, now)
	}
}

// pendingActivity is the heartbeats that wait to be written.
type pendingActivity struct {
	mu         sync.Mutex
	heartbeats map[sessionKey]heartbeat
}

type heartbeat struct{ at, due time.Time }

// add keeps a heartbeat until it is due, and reports false when there is no room.
func (p *pendingActivity) add(key sessionKey, at, due time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.heartbeats[key]; !known && len(p.heartbeats) >= maxPending {
		return false
	}
	p.heartbeats[key] = heartbeat{at: at, due: due}
	return true
}

// take removes and returns the heartbeats that are due by a time, or all of them.
func (p *pendingActivity) take(by time.Time, all bool) map[sessionKey]heartbeat {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := map[sessionKey]heartbeat{}
	for key, h := range p.heartbeats {
		if all || !h.due.After(by) {
			taken[key] = h
			delete(p.heartbeats, key)
		}
	}
	return taken
}

// restore puts back heartbeats that could not be written, unless a later one has come.
func (p *pendingActivity) restore(heartbeats map[sessionKey]heartbeat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, h := range heartbeats {
		if _, later := p.heartbeats[key]; !later {
			p.heartbeats[key] = h
		}
	}
}

// FlushActivity writes the heartbeats whose interval is over, or all of them. Call it every second or so, and with all before Close. The
// next call tries again those that cannot be written.
func (s *Store) FlushActivity(ctx context.Context, all bool) error {
	heartbeats := s.pending.take(s.now(), all)
	for keys := range slices.Chunk(slices.Collect(maps.Keys(heartbeats)), batch.MaxQueries) {
		times := map[sessionKey]time.Time{}
		for _, key := range keys {
			times[key] = heartbeats[key].at
		}
		if err := s.operations.recordHeartbeats(ctx, times); err != nil {
			s.pending.restore(heartbeats)
			return err
		}
		for _, key := range keys {
			delete(heartbeats, key)
		}
	}
	return nil
}

// recordHeartbeats writes several heartbeats. To write one twice changes nothing.
func (p plain) recordHeartbeats(ctx context.Context, heartbeats map[sessionKey]time.Time) error {
	keys := slices.SortedFunc(maps.Keys(heartbeats), sessionKey.compare) // all transactions lock rows in one order, or they would deadlock
	return p.write(ctx, "flush activity", func(tx *gorm.DB) error {
		t := &transaction{Store: p.Store, tx: tx}
		for _, key := range keys {
			if err := t.recordHeartbeat(key, heartbeats[key]); err != nil && !errors.Is(err, ErrEnded) {
				return err
			}
		}
		return nil
	})
}

func (k sessionKey) compare(other sessionKey) int {
	return cmp.Or(cmp.Compare(k.tenantID, other.tenantID), cmp.Compare(k.id, other.id))
}
