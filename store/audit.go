package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Actor is who changes something, for the audit trail.
type Actor struct {
	// Subject and ClientID are those of the token, RequestID the request's.
	Subject, ClientID, RequestID string
	// Reason is what the caller gives, "" when nothing.
	Reason string
	// IdempotencyKey tells a call that is repeated from another one like it, "" when the caller gives none.
	IdempotencyKey string
}

// What an audit event says happened.
const (
	ActionRegistered = "session.registered"
	ActionChanged    = "session.changed"     // address, agent or end; a mere use is no event
	ActionApp        = "session.app"         // first single sign-on into an application
	ActionAppRenamed = "session.app_renamed" // an access gave another name; Reason has the application's id
	ActionRevoked    = "session.revoked"
	ActionReplaced   = "session.replaced"
	ActionExpired    = "session.expired" // at its end, by its age
	ActionIdle       = "session.idle"    // at its end, because it was not used
	ActionPartner    = "tenant.partner"  // the tenant has another partner from now on; Reason names it, "" for none
	// ActionTenantRevoked: all sessions of the tenant ended at that time; each has an event of its own, which may come later.
	ActionTenantRevoked = "tenant.revoked"
	// ActionUserRevoked: all sessions of the user ended, in the tenant, or in all that the caller reaches when that is empty. As
	// for a tenant there may have been none: from then on no login from before can be registered.
	ActionUserRevoked = "user.revoked"
	ActionPurged      = "sessions.purged" // sessions of the tenant that ended before the retention time; Reason has their number
	ActionErased      = "user.erased"     // the receipt of an erasure; Reason has a digest of the user and numbers, no more
)

// AuditEvent is one change. Together with what was changed it is there or not there.
type AuditEvent struct {
	TenantID string `gorm:"primaryKey" json:"tenant_id"`
	// OperationID is the same for all that one call changed, and orders events by time.
	OperationID string `gorm:"primaryKey" json:"operation_id"`
	// SessionID and UserID are empty where the event is about none.
	SessionID   string    `gorm:"primaryKey" json:"session_id"`
	Action      string    `gorm:"primaryKey" json:"action"`
	At          time.Time `json:"at"`
	UserID      string    `json:"user_id"`
	ActorSub    string    `json:"actor_sub"`
	ActorClient string    `json:"actor_client"`
	Reason      string    `json:"reason"`
	RequestID   string    `json:"request_id"`
}

// AfterFind gives times one form whatever the driver's time zone is.
func (e *AuditEvent) AfterFind(*gorm.DB) error {
	e.At = e.At.UTC()
	return nil
}

// trail makes the events of one call.
type trail struct {
	operation string
	at        time.Time
	by        Actor
}

func (s *Store) trail(by Actor) (trail, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return trail{}, fmt.Errorf("make an operation id: %w", err)
	}
	return trail{operation: id.String(), at: s.clock(), by: by}, nil
}

func (t trail) event(action, tenantID, sessionID, userID string) AuditEvent {
	return AuditEvent{
		TenantID: tenantID, OperationID: t.operation, SessionID: sessionID, Action: action, At: t.at, UserID: userID,
		ActorSub: t.by.Subject, ActorClient: t.by.ClientID, Reason: t.by.Reason, RequestID: t.by.RequestID,
	}
}

// record appends an event for each of the sessions.
func (t trail) record(tx *gorm.DB, action string, sessions ...Session) error {
	if len(sessions) == 0 {
		return nil
	}
	events := make([]AuditEvent, len(sessions))
	for i, session := range sessions {
		events[i] = t.event(action, session.TenantID, session.ID, session.UserID)
	}
	return appendEvents(tx, events)
}

// appendEvents appends events. PostgreSQL gets them as arrays: one statement for any number.
func appendEvents(tx *gorm.DB, events []AuditEvent) error {
	if tx.Name() != postgresName {
		return tx.CreateInBatches(&events, rowsPerInsert).Error
	}
	var texts [9][]string
	times := make([]time.Time, len(events))
	for i, e := range events {
		for column, text := range []string{
			e.TenantID, e.OperationID, e.SessionID, e.Action, e.UserID, e.ActorSub, e.ActorClient, e.Reason, e.RequestID,
		} {
			texts[column] = append(texts[column], text)
		}
		times[i] = e.At
	}
	st := &statement{numbers: true}
	return execIn(tx, st.add(insertEvents+` SELECT * FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::timestamptz[], ?::text[],
		?::text[], ?::text[], ?::text[], ?::text[])`,
		texts[0], texts[1], texts[2], texts[3], times, texts[4], texts[5], texts[6], texts[7], texts[8]))
}

const insertEvents = `INSERT INTO audit_events (tenant_id, operation_id, session_id, action, at, user_id, actor_sub, actor_client,
	reason, request_id)`

// addEvents appends an INSERT of an event for each row of a table of sessions.
func (st *statement) addEvents(t trail, action, table string) *statement {
	return st.add(insertEvents+` SELECT tenant_id, ?, id, ?, ?::timestamptz, user_id, ?, ?, ?, ? FROM `+table,
		t.operation, action, t.at, t.by.Subject, t.by.ClientID, t.by.Reason, t.by.RequestID)
}

// values are what asking is told of a trail.
func (t trail) values() []value {
	return []value{
		{"operation", "text", t.operation},
		{"at", "timestamptz", t.at},
		{"by_sub", "text", t.by.Subject},
		{"by_client", "text", t.by.ClientID},
		{"because", "text", t.by.Reason},
		{"request", "text", t.by.RequestID},
	}
}

// addEventsOf appends an INSERT of an event for each row of a table of sessions that has those values too.
func (st *statement) addEventsOf(action, table string) {
	st.add(insertEvents + ` SELECT tenant_id, operation, id, '` + action + `', at, user_id, by_sub, by_client, because, request FROM ` + table)
}

// AuditFilter chooses events; empty members choose all.
type AuditFilter struct {
	TenantID, UserID, SessionID, Action string
	Since, Until                        time.Time
	// Limit is the most that are returned, the newest of those that match; no limit when it is 0.
	Limit int
}

// ListAuditEvents returns the events that match, oldest first.
func (s *Store) ListAuditEvents(ctx context.Context, filter AuditFilter) ([]AuditEvent, error) {
	if wallIn(ctx) != Behind("", "") {
		return nil, errUndecided // it is the operator's: nothing confines it
	}
	db := s.db.WithContext(ctx)
	for column, value := range map[string]string{
		"tenant_id": filter.TenantID, "user_id": filter.UserID, "session_id": filter.SessionID, "action": filter.Action,
	} {
		if value != "" {
			if !storable(value) {
				return []AuditEvent{}, nil
			}
			db = db.Where(column+" = ?", value)
		}
	}
	if !filter.Since.IsZero() {
		db = db.Where("at >= ?", timestamp(filter.Since))
	}
	if !filter.Until.IsZero() {
		db = db.Where("at < ?", timestamp(filter.Until))
	}
	if filter.Limit > 0 {
		db = db.Limit(filter.Limit)
	}
	events := []AuditEvent{}
	err := db.Order("operation_id DESC, tenant_id DESC, session_id DESC, action DESC").Find(&events).Error
	slices.Reverse(events)
	return events, mapError("list audit events", err)
}
