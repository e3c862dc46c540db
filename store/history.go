package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

const (
	// MaxEvents is the most events that one call returns.
	MaxEvents = 200
	// scannedBuckets is how many events one call looks at for those that match, where no index finds them: 10,240, in buckets of the page
	// index.
	scannedBuckets = 10
)

// EventFilter says which events of a scope a history shows. The zero EventFilter shows all, the newest first.
type EventFilter struct {
	// SessionID, Actor (the subject of who did it) and RequestID choose events; nil chooses all.
	SessionID, Actor, RequestID *string
	// Actions are alternatives.
	Actions []string
	// After is the earliest time, Before is after the latest one; a zero time bounds nothing.
	After, Before time.Time
	OldestFirst   bool
}

// EventPage is a part of a history.
type EventPage struct {
	// Limit is the most events that are returned; MaxEvents when it is 0 or more than that.
	Limit int
	// Cursor is the Next of the page before, "" for the first page.
	Cursor string
}

// limit is the most that are returned.
func (p EventPage) limit() int {
	if p.Limit <= 0 || p.Limit > MaxEvents {
		return MaxEvents
	}
	return p.Limit
}

// Events is one page.
type Events struct {
	Events []AuditEvent
	// Next is the cursor of the next page, "" after the last one. A page may have fewer events than its limit, or none, and a next one
	// nevertheless: it looked at so many others.
	Next string
}

// eventKey is the place of an event in a history.
type eventKey struct {
	At                          time.Time
	OperationID                 string
	SessionID, Action, TenantID string
}

func keyOf(e AuditEvent) eventKey {
	return eventKey{e.At, e.OperationID, e.SessionID, e.Action, e.TenantID}
}

// ListEvents returns events of a scope that a filter shows, in the order of their time. An event of an end that came by itself has the time
// of that end, and may be recorded later. It must answer ErrCursor for a cursor of another list.
func (s *Store) ListEvents(ctx context.Context, scope Scope, filter EventFilter, page EventPage) (Events, error) {
	found := Events{Events: []AuditEvent{}}
	scope, err := s.knownPartner(ctx, scope)
	if err != nil || scope.empty() || !filter.storable() {
		return found, mapError("list events", err)
	}
	asked, err := json.Marshal([]any{scope.tenant, scope.partner, scope.user, filter})
	if err != nil {
		return found, err
	}
	var from *eventKey
	if page.Cursor != "" {
		from = &eventKey{}
		if err := s.openCursor(ctx, string(asked), page.Cursor, from); err != nil {
			return found, mapError("list events", err)
		}
	}
	q := eventQuery{scope: scope, filter: filter, from: from}
	if q.scans() {
		if err := s.boundScan(ctx, &q); err != nil {
			return found, mapError("list events", err)
		}
	}
	var next *eventKey
	err = s.readLong(ctx, scope.tenantID(), func(tx *gorm.DB) error {
		found.Events, next, err = q.page(tx, page.limit())
		return err
	})
	if err == nil && next != nil {
		found.Next, err = s.sealCursor(ctx, string(asked), next)
	}
	return found, mapError("list events", err)
}

// storable reports whether there can be such events at all.
func (f EventFilter) storable() bool {
	return !slices.ContainsFunc([]*string{f.SessionID, f.Actor, f.RequestID}, func(text *string) bool { return text != nil && !storable(*text) })
}

// eventQuery is what ListEvents asks for.
type eventQuery struct {
	scope  Scope
	filter EventFilter
	// from is the last event of the page before, nil at the beginning.
	from *eventKey
	// until is the time of the last event that is looked at, nil when it is known that there are not so many.
	until *time.Time
}

// boundScan finds how far the page looks for events that no index finds: scannedBuckets of events, whether they match or not. Row-level
// security would leave out those of others, and go through all of these: a time is all that is learnt of them.
func (s *Store) boundScan(ctx context.Context, q *eventQuery) error {
	return s.readLong(unrestricted(ctx), q.scope.tenantID(), func(tx *gorm.DB) error {
		var last AuditEvent
		err := q.indexed(tx).Order(q.order()).Offset(scannedBuckets*s.counters.BucketSize() - 1).Take(&last).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return nil
		}
		q.until = &last.At
		return err
	})
}

// page reads a page, and says where the next one begins. What an index finds is read as far as the page goes.
func (q eventQuery) page(tx *gorm.DB, limit int) (events []AuditEvent, next *eventKey, err error) {
	events = []AuditEvent{}
	query := q.scanned(q.indexed(tx), tx)
	if q.until != nil {
		query = query.Where("at"+q.compare("<=")+"?", timestamp(*q.until))
	}
	if err := query.Order(q.order()).Limit(limit + 1).Find(&events).Error; err != nil {
		return nil, nil, err
	}
	if len(events) > limit {
		events = events[:limit]
		next := keyOf(events[limit-1])
		return events, &next, nil
	}
	if q.until != nil {
		next = q.after(*q.until)
	}
	return events, next, nil
}

// after is the place behind all events of a time.
func (q eventQuery) after(at time.Time) *eventKey {
	id := uuid.Nil
	if q.filter.OldestFirst {
		id = uuid.Max
	}
	return &eventKey{At: at, OperationID: id.String()}
}

// keyColumns are those of an eventKey.
const keyColumns = "(at, operation_id, session_id, action, tenant_id)"

func (k eventKey) values() []any {
	return []any{timestamp(k.At), k.OperationID, k.SessionID, k.Action, k.TenantID}
}

func (q eventQuery) order() string {
	if q.filter.OldestFirst {
		return "at, operation_id, session_id, action, tenant_id"
	}
	return "at DESC, operation_id DESC, session_id DESC, action DESC, tenant_id DESC"
}

// compare turns an operator of the order, which is given as if the oldest came first, around where the newest does.
func (q eventQuery) compare(operator string) string {
	newestFirst := map[string]string{">": " < ", "<=": " >= "}
	if q.filter.OldestFirst {
		return " " + operator + " "
	}
	return newestFirst[operator]
}

// indexed selects the events that an index finds in their order: of a tenant, or of one of its sessions or users, or of everybody.
func (q eventQuery) indexed(tx *gorm.DB) *gorm.DB {
	tx = tx.Model(&AuditEvent{})
	if q.scope.tenant != nil {
		tx = tx.Where("tenant_id = ?", *q.scope.tenant)
		switch {
		case q.filter.SessionID != nil:
			tx = tx.Where("session_id = ?", *q.filter.SessionID)
		case q.scope.user != nil:
			tx = tx.Where("user_id = ?", *q.scope.user)
		}
	}
	if !q.filter.After.IsZero() {
		tx = tx.Where("at >= ?", timestamp(q.filter.After))
	}
	if !q.filter.Before.IsZero() {
		tx = tx.Where("at < ?", timestamp(q.filter.Before))
	}
	if q.from != nil {
		tx = tx.Where(keyColumns+q.compare(">")+"(?, ?, ?, ?, ?)", q.from.values()...)
	}
	return tx
}

// scans reports whether scanned selects fewer than indexed, which finds a tenant's events and those of one session or one user in it.
func (q eventQuery) scans() bool {
	f, of := q.filter, 0
	for _, chosen := range []*string{f.SessionID, q.scope.user} {
		if chosen != nil {
			of++
		}
	}
	if q.scope.tenant != nil {
		of--
	}
	return of > 0 || f.Actor != nil || f.RequestID != nil || len(f.Actions) > 0 || q.scope.partner != nil
}

// scanned selects those that match in every respect.
func (q eventQuery) scanned(query, tx *gorm.DB) *gorm.DB {
	if q.scope.partner != nil {
		query = query.Where("tenant_id IN (?)", tx.Model(&Tenant{}).Select("tenant_id").Where("partner_id = ?", *q.scope.partner))
	}
	if q.scope.user != nil {
		query = query.Where("user_id = ?", *q.scope.user)
	}
	if len(q.filter.Actions) > 0 {
		query = query.Where("action IN ?", q.filter.Actions)
	}
	for column, value := range map[string]*string{
		"session_id": q.filter.SessionID, "actor_sub": q.filter.Actor, "request_id": q.filter.RequestID,
	} {
		if value != nil {
			query = query.Where(column+" = ?", *value)
		}
	}
	return query
}

// SessionHistory returns the events of one session of a scope. Its end is among them also when it has not been recorded yet: at the end of
// the history. It must answer ErrNotFound for a session that is not in the scope, and for one that is deleted unless the scope is of its
// tenant and events of it are kept.
func (s *Store) SessionHistory(ctx context.Context, scope Scope, id string, filter EventFilter, page EventPage) (Events, error) {
	filter.SessionID = &id
	session, err := s.GetSession(ctx, scope, id)
	known := err == nil
	switch {
	case known:
		scope = scope.InTenant(session.TenantID)
	case !errors.Is(err, ErrNotFound) || scope.empty() || scope.tenant == nil:
		return Events{}, err
	}
	found, err := s.ListEvents(ctx, scope, filter, page)
	if err != nil {
		return found, err
	}
	if !known {
		if len(found.Events) == 0 && page.Cursor == "" {
			return found, mapError("session history", ErrNotFound)
		}
		return found, nil
	}
	atItsEnd := page.Cursor == ""
	if filter.OldestFirst {
		atItsEnd = found.Next == ""
	}
	if !atItsEnd {
		return found, nil
	}
	return s.addEnd(ctx, found, session, filter)
}

// addEnd adds the end of a session that no event tells of yet.
func (s *Store) addEnd(ctx context.Context, found Events, session Session, filter EventFilter) (Events, error) {
	cause, at := session.Ending(s.now())
	if cause == "" {
		return found, nil
	}
	end := AuditEvent{
		TenantID: session.TenantID, SessionID: session.ID, UserID: session.UserID, Action: actionOf(cause), At: at.UTC(), ActorSub: system().Subject,
	}
	recorded := false
	err := s.read(ctx, func(tx *gorm.DB) error {
		var n int64
		err := tx.Model(&AuditEvent{}).Where("tenant_id = ? AND session_id = ? AND action IN ?", session.TenantID, session.ID, endActions()).Count(&n).Error
		if recorded = n > 0; err != nil || recorded || session.RevokedAt == nil {
			return err
		}
		end.ActorSub, end.ActorClient, end.Reason = text(session.EndedBySub), text(session.EndedByClient), text(session.EndReason)
		var b bulkRevocation
		err = tx.Where("tenant_id = ? AND at = ?", session.TenantID, timestamp(at)).Take(&b).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return nil
		}
		end = b.auditContext().event(end.Action, end.TenantID, end.SessionID, end.UserID)
		return err
	})
	if err != nil || recorded || !filter.shows(end) {
		return found, mapError("session history", err)
	}
	if filter.OldestFirst {
		found.Events = append(found.Events, end)
	} else {
		found.Events = slices.Insert(found.Events, 0, end)
	}
	return found, nil
}

// endActions are those of the events that tell of a session's end.
func endActions() []string { return []string{ActionRevoked, ActionReplaced, ActionExpired, ActionIdle} }

// shows reports whether the filter shows an event.
func (f EventFilter) shows(e AuditEvent) bool {
	if f.Actor != nil && *f.Actor != e.ActorSub || f.RequestID != nil && *f.RequestID != e.RequestID {
		return false
	}
	return (len(f.Actions) == 0 || slices.Contains(f.Actions, e.Action)) && !e.At.Before(f.After) && (f.Before.IsZero() || e.At.Before(f.Before))
}
