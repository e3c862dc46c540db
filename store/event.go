package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/rls"
)

// Actor is who changes something, for the audit log.
type Actor struct {
	// Subject and ClientID are those of the token, RequestID the request's.
	Subject, ClientID, RequestID string
	// Reason is what the caller gives, "" when nothing.
	Reason string
	// IdempotencyKey tells a call that is repeated from another one like it, "" when the caller gives none.
	IdempotencyKey string
}

// SystemActor is the subject of the actor of what happens by itself.
const SystemActor = "sessiond"

// system is that actor.
func system() Actor { return Actor{Subject: SystemActor} }

// What an audit event says happened.
const (
	ActionRegistered = "session.registered"
	ActionChanged    = "session.changed"     // address, agent, country or end; a heartbeat is no event
	ActionApp        = "session.app"         // first single sign-on into an application; Reason has its id
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

// Actions lists every action.
func Actions() []string {
	return []string{
		ActionRegistered, ActionChanged, ActionApp, ActionAppRenamed, ActionRevoked, ActionReplaced, ActionExpired, ActionIdle, ActionPartner,
		ActionTenantRevoked, ActionUserRevoked, ActionPurged, ActionErased,
	}
}

// actionOf is the event of an end.
func actionOf(cause string) string {
	switch cause {
	case Revoked:
		return ActionRevoked
	case Replaced:
		return ActionReplaced
	case Idle:
		return ActionIdle
	default:
		return ActionExpired
	}
}

// AuditEvent is one change. It is there if and only if the change is.
type AuditEvent struct {
	TenantID string `gorm:"primaryKey" json:"tenant_id"`
	// OperationID is the same for all that one call changed: a UUID.
	OperationID string `gorm:"primaryKey" json:"operation_id"`
	// SessionID and UserID are empty where the event is about none.
	SessionID   string    `gorm:"primaryKey" json:"session_id"`
	Action      string    `gorm:"primaryKey" json:"action"`
	At          time.Time `gorm:"primaryKey" json:"at"`
	UserID      string    `json:"user_id"`
	ActorSub    string    `json:"actor_sub"`
	ActorClient string    `json:"actor_client"`
	Reason      string    `json:"reason"`
	RequestID   string    `json:"request_id"`
	// Changes are values of the session that changed, by their names in the API; of a registration those that tell where it came from.
	Changes map[string]Change `gorm:"serializer:json" json:"changes,omitempty"`
}

// Change is a value before and after, nil where there was, or is, none.
type Change struct {
	From *string `json:"from"`
	To   *string `json:"to"`
}

// AfterFind gives times one form whatever the driver's time zone is.
func (e *AuditEvent) AfterFind(*gorm.DB) error {
	e.At = e.At.UTC()
	return nil
}

// auditContext is what all events of one call share: which call it is, when, and by whom.
type auditContext struct {
	operation string
	at        time.Time
	by        Actor
}

func (s *Store) auditContext(by Actor) (auditContext, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return auditContext{}, fmt.Errorf("make an operation id: %w", err)
	}
	return auditContext{operation: id.String(), at: s.now(), by: by}, nil
}

func (c auditContext) event(action, tenantID, sessionID, userID string) AuditEvent {
	return AuditEvent{
		TenantID: tenantID, OperationID: c.operation, SessionID: sessionID, Action: action, At: c.at, UserID: userID,
		ActorSub: c.by.Subject, ActorClient: c.by.ClientID, Reason: c.by.Reason, RequestID: c.by.RequestID,
	}
}

// AuditFilter chooses events; empty members choose all.
type AuditFilter struct {
	TenantID, UserID, SessionID, Action string
	Since, Until                        time.Time
	// Limit is the most that are returned, the newest of those that match; no limit when it is 0.
	Limit int
}

// ListAuditEvents returns the events that match, by their time, the earliest first. That of an expired session has the time at which it
// expired, and may be recorded later. It is the operator's: a context that is restricted to a tenant or a partner is refused.
func (s *Store) ListAuditEvents(ctx context.Context, filter AuditFilter) ([]AuditEvent, error) {
	if restricted, err := restriction(ctx); err != nil || restricted != (rls.Restriction{}) {
		return nil, errNotAuthorized
	}
	db := s.engine.DB.WithContext(ctx)
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
	err := db.Order("at DESC, operation_id DESC, tenant_id DESC, session_id DESC, action DESC").Find(&events).Error
	slices.Reverse(events)
	return events, mapError("list audit events", err)
}
