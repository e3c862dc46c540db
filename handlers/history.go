package handlers

import (
	"context"
	"time"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store"
)

// GetSessionHistory serves GET /api/v1/sessions/{session_id}/history.
func (s *Server) GetSessionHistory(ctx context.Context, request gen.GetSessionHistoryRequestObject) (gen.GetSessionHistoryResponseObject, error) {
	params := request.Params
	filter := store.EventFilter{
		Actions: actions(params.Action), After: timeOf(params.After), Before: timeOf(params.Before),
		OldestFirst: *params.Order == gen.GetSessionHistoryParamsOrderOldest,
	}
	page := store.EventPage{Limit: *params.Limit, Cursor: textOf(params.Cursor)}
	found, err := s.store.SessionHistory(ctx, authorizedScope(ctx), request.SessionId, filter, page)
	if err != nil {
		return nil, err
	}
	return gen.GetSessionHistory200JSONResponse{Body: s.events(ctx, found, page)}, nil
}

// ListAuditEvents serves GET /api/v1/audit-events.
func (s *Server) ListAuditEvents(ctx context.Context, request gen.ListAuditEventsRequestObject) (gen.ListAuditEventsResponseObject, error) {
	params, scope := request.Params, authorizedScope(ctx)
	if params.TenantId != nil {
		scope = scope.InTenant(*params.TenantId)
	}
	if params.UserId != nil {
		scope = scope.OfUser(*params.UserId)
	}
	filter := store.EventFilter{
		SessionID: params.SessionId, Actor: params.Actor, RequestID: params.RequestId,
		Actions: actions(params.Action), After: timeOf(params.After), Before: timeOf(params.Before),
		OldestFirst: *params.Order == gen.ListAuditEventsParamsOrderOldest,
	}
	scope = asShown(ctx, scope, &filter)
	page := store.EventPage{Limit: *params.Limit, Cursor: textOf(params.Cursor)}
	if format := exportFormat(ctx); format != "" {
		granted, _ := auth.GrantFromContext(ctx)
		return s.export(ctx, format, "audit-events", gen.AuditEvent{}, params.Cursor, func(ctx context.Context, write func(any) error) error {
			return s.store.EachEvent(ctx, scope, filter, func(event store.AuditEvent) error { return write(ToAPIEvent(event, granted.UserID)) })
		})
	}
	found, err := s.store.ListEvents(ctx, scope, filter, page)
	if err != nil {
		return nil, err
	}
	return gen.ListAuditEvents200JSONResponse{Body: s.events(ctx, found, page)}, nil
}

// asShown keeps a user, who is not told who else acted, from finding it out by the filter. It returns the scope in which events are found.
func asShown(ctx context.Context, scope store.Scope, filter *store.EventFilter) store.Scope {
	granted, _ := auth.GrantFromContext(ctx)
	switch actor := filter.Actor; {
	case granted.UserID == "" || actor == nil && filter.RequestID == nil:
	case actor == nil:
		filter.Actor = &granted.UserID
	case *actor != granted.UserID && *actor != store.SystemActor:
		return store.Scope{}
	}
	return scope
}

// events is a page of events as the answer.
func (s *Server) events(ctx context.Context, found store.Events, page store.EventPage) gen.AuditEventList {
	list := gen.AuditEventList{
		Data: make([]gen.AuditEvent, len(found.Events)), Meta: s.meta(ctx),
		Pagination: gen.CursorPagination{Limit: page.Limit, NextCursor: optional(found.Next)},
	}
	granted, _ := auth.GrantFromContext(ctx)
	for i, event := range found.Events {
		list.Data[i] = ToAPIEvent(event, granted.UserID)
	}
	return list
}

// ToAPIEvent converts an event. A reader who is a user, and reads as no more than that, is not told who else acted, and why.
func ToAPIEvent(event store.AuditEvent, reader string) gen.AuditEvent {
	answer := gen.AuditEvent{
		At: gen.Timestamp{Time: event.At}, Action: gen.EventAction(event.Action), TenantId: optional(event.TenantID),
		SessionId: optional(event.SessionID), UserId: optional(event.UserID), OperationId: optional(event.OperationID),
		Changes: gen.EventChanges{
			IpAddress: toAPIChange(event, "ip_address"), Country: toAPIChange(event, "country"), UserAgent: toAPIChange(event, "user_agent"),
			ExpiresAt: toAPIChange(event, "expires_at"),
		},
	}
	if reader == "" || reader == event.ActorSub || event.ActorSub == store.SystemActor {
		answer.Actor = &gen.EventActor{Sub: event.ActorSub, ClientId: optional(event.ActorClient)}
		answer.Reason, answer.RequestId = optional(event.Reason), optional(event.RequestID)
	}
	return answer
}

// toAPIChange is what an event says of a value, nil when it did not change.
func toAPIChange(event store.AuditEvent, name string) *gen.EventChange {
	change, changed := event.Changes[name]
	if !changed {
		return nil
	}
	return &gen.EventChange{From: change.From, To: change.To}
}

func actions(named *gen.Action) []string {
	if named == nil {
		return nil
	}
	all := make([]string, len(*named))
	for i, action := range *named {
		all[i] = string(action)
	}
	return all
}

// optional is nil for an empty text.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// textOf is the text, "" for none.
func textOf(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// timeOf is the time, the zero time for none.
func timeOf(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}
