package handlers

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sessiond/sessiond/store"
)

// tracedStore makes a span of each call of a store, with the method's name and no values. It does not embed the store, so
// that a method cannot be forgotten here.
type tracedStore struct {
	store  Store
	tracer trace.Tracer
}

var _ Store = tracedStore{}

func (s tracedStore) begin(ctx context.Context, method string) (context.Context, trace.Span) {
	return s.tracer.Start(ctx, "store."+method, trace.WithSpanKind(trace.SpanKindClient))
}

// finish ends a span. The store's own answers are no errors, and the text of others may hold values.
func finish(span trace.Span, err error) {
	if err != nil && !answered(err) {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// answered reports whether an error is what the store has to say about a request, rather than a failure.
func answered(err error) bool {
	for _, answer := range []error{
		store.ErrNotFound, store.ErrCallerEnded, store.ErrTaken, store.ErrEnded, store.ErrOtherPartner, store.ErrOutOfScope, store.ErrTooOld, store.ErrTooMany,
		store.ErrCursor,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// Ready implements Store.
func (s tracedStore) Ready(ctx context.Context) (err error) {
	ctx, span := s.begin(ctx, "Ready")
	defer func() { finish(span, err) }()
	return s.store.Ready(ctx)
}

// ListEvents implements Store.
func (s tracedStore) ListEvents(
	ctx context.Context, scope store.Scope, filter store.EventFilter, page store.EventPage,
) (events store.Events, err error) {
	ctx, span := s.begin(ctx, "ListEvents")
	defer func() { finish(span, err) }()
	return s.store.ListEvents(ctx, scope, filter, page)
}

// SessionHistory implements Store.
func (s tracedStore) SessionHistory(
	ctx context.Context, scope store.Scope, id string, filter store.EventFilter, page store.EventPage,
) (events store.Events, err error) {
	ctx, span := s.begin(ctx, "SessionHistory")
	defer func() { finish(span, err) }()
	return s.store.SessionHistory(ctx, scope, id, filter, page)
}

// RevokeDevice implements Store.
func (s tracedStore) RevokeDevice(ctx context.Context, scope store.Scope, device store.Device, except string, by store.Actor) (ids []string, err error) {
	ctx, span := s.begin(ctx, "RevokeDevice")
	defer func() { finish(span, err) }()
	return s.store.RevokeDevice(ctx, scope, device, except, by)
}

// SessionApps implements Store.
func (s tracedStore) SessionApps(ctx context.Context, sessions []store.Session) (apps []store.App, err error) {
	ctx, span := s.begin(ctx, "SessionApps")
	defer func() { finish(span, err) }()
	return s.store.SessionApps(ctx, sessions)
}

// SessionEnded implements Store.
func (s tracedStore) SessionEnded(ctx context.Context, tenantID, sessionID string) (ended bool, err error) {
	ctx, span := s.begin(ctx, "SessionEnded")
	defer func() { finish(span, err) }()
	return s.store.SessionEnded(ctx, tenantID, sessionID)
}

// TenantPartner implements Store.
func (s tracedStore) TenantPartner(ctx context.Context, tenantID string) (partnerID string, err error) {
	ctx, span := s.begin(ctx, "TenantPartner")
	defer func() { finish(span, err) }()
	return s.store.TenantPartner(ctx, tenantID)
}

// Registered implements Store.
func (s tracedStore) Registered(ctx context.Context, tenantID, userID string) (known bool, err error) {
	ctx, span := s.begin(ctx, "Registered")
	defer func() { finish(span, err) }()
	return s.store.Registered(ctx, tenantID, userID)
}

// SessionActive implements Store.
func (s tracedStore) SessionActive(ctx context.Context, scope store.Scope, id string) (active bool, err error) {
	ctx, span := s.begin(ctx, "SessionActive")
	defer func() { finish(span, err) }()
	return s.store.SessionActive(ctx, scope, id)
}

// GetSessionWithApps implements Store.
func (s tracedStore) GetSessionWithApps(
	ctx context.Context, caller store.CallerSession, scope store.Scope, id string,
) (found store.Session, apps []store.App, err error) {
	ctx, span := s.begin(ctx, "GetSessionWithApps")
	defer func() { finish(span, err) }()
	return s.store.GetSessionWithApps(ctx, caller, scope, id)
}

// ListSessions implements Store.
func (s tracedStore) ListSessions(
	ctx context.Context, caller store.CallerSession, scope store.Scope, filter store.Filter, page store.Page,
) (found []store.ListItem, total int, err error) {
	ctx, span := s.begin(ctx, "ListSessions")
	defer func() { finish(span, err) }()
	return s.store.ListSessions(ctx, caller, scope, filter, page)
}

// NewestActive implements Store.
func (s tracedStore) NewestActive(ctx context.Context, caller store.CallerSession, scope store.Scope) (found []store.ListItem, more bool, err error) {
	ctx, span := s.begin(ctx, "NewestActive")
	defer func() { finish(span, err) }()
	return s.store.NewestActive(ctx, caller, scope)
}

// TenantStats implements Store.
func (s tracedStore) TenantStats(ctx context.Context, scope store.Scope) (stats store.Stats, err error) {
	ctx, span := s.begin(ctx, "TenantStats")
	defer func() { finish(span, err) }()
	return s.store.TenantStats(ctx, scope)
}

// RevokeSession implements Store.
func (s tracedStore) RevokeSession(ctx context.Context, scope store.Scope, id string, by store.Actor) (ended bool, err error) {
	ctx, span := s.begin(ctx, "RevokeSession")
	defer func() { finish(span, err) }()
	return s.store.RevokeSession(ctx, scope, id, by)
}

// SearchSessions implements Store.
func (s tracedStore) SearchSessions(
	ctx context.Context, scope store.Scope, filter store.SessionFilter, page store.SessionPage,
) (found store.FoundSessions, err error) {
	ctx, span := s.begin(ctx, "SearchSessions")
	defer func() { finish(span, err) }()
	return s.store.SearchSessions(ctx, scope, filter, page)
}

// PreviewRevocation implements Store.
func (s tracedStore) PreviewRevocation(ctx context.Context, revocation store.Revocation) (preview store.RevocationPreview, err error) {
	ctx, span := s.begin(ctx, "PreviewRevocation")
	defer func() { finish(span, err) }()
	return s.store.PreviewRevocation(ctx, revocation)
}

// CreateRevocationJob implements Store.
func (s tracedStore) CreateRevocationJob(
	ctx context.Context, revocation store.Revocation, confirmation string, tolerance int, blockLoginsBefore *time.Time, by store.Actor,
) (job store.RevocationJob, created bool, err error) {
	ctx, span := s.begin(ctx, "CreateRevocationJob")
	defer func() { finish(span, err) }()
	return s.store.CreateRevocationJob(ctx, revocation, confirmation, tolerance, blockLoginsBefore, by)
}

// GetRevocationJob implements Store.
func (s tracedStore) GetRevocationJob(ctx context.Context, scope store.Scope, id string) (job store.RevocationJob, err error) {
	ctx, span := s.begin(ctx, "GetRevocationJob")
	defer func() { finish(span, err) }()
	return s.store.GetRevocationJob(ctx, scope, id)
}

// ListRevocationJobs implements Store.
func (s tracedStore) ListRevocationJobs(
	ctx context.Context, scope store.Scope, states []string, limit int, cursor string,
) (jobs store.RevocationJobs, err error) {
	ctx, span := s.begin(ctx, "ListRevocationJobs")
	defer func() { finish(span, err) }()
	return s.store.ListRevocationJobs(ctx, scope, states, limit, cursor)
}

// SetRevocationJobState implements Store.
func (s tracedStore) SetRevocationJobState(ctx context.Context, scope store.Scope, id, state string) (job store.RevocationJob, err error) {
	ctx, span := s.begin(ctx, "SetRevocationJobState")
	defer func() { finish(span, err) }()
	return s.store.SetRevocationJobState(ctx, scope, id, state)
}

// EachSession implements Store.
func (s tracedStore) EachSession(
	ctx context.Context, scope store.Scope, filter store.SessionFilter, page store.SessionPage, do func(store.Session) error,
) (err error) {
	ctx, span := s.begin(ctx, "EachSession")
	defer func() { finish(span, err) }()
	return s.store.EachSession(ctx, scope, filter, page, do)
}

// EachEvent implements Store.
func (s tracedStore) EachEvent(ctx context.Context, scope store.Scope, filter store.EventFilter, do func(store.AuditEvent) error) (err error) {
	ctx, span := s.begin(ctx, "EachEvent")
	defer func() { finish(span, err) }()
	return s.store.EachEvent(ctx, scope, filter, do)
}

// RevokeSessions implements Store.
func (s tracedStore) RevokeSessions(ctx context.Context, scope store.Scope, ids []string, by store.Actor) (ended []string, err error) {
	ctx, span := s.begin(ctx, "RevokeSessions")
	defer func() { finish(span, err) }()
	return s.store.RevokeSessions(ctx, scope, ids, by)
}

// RevokeAllSessions implements Store.
func (s tracedStore) RevokeAllSessions(ctx context.Context, scope store.Scope, except string, by store.Actor) (ended []string, err error) {
	ctx, span := s.begin(ctx, "RevokeAllSessions")
	defer func() { finish(span, err) }()
	return s.store.RevokeAllSessions(ctx, scope, except, by)
}

// RegisterSession implements Store.
func (s tracedStore) RegisterSession(
	ctx context.Context, scope store.Scope, session store.Session, by store.Actor,
) (kept store.Session, created bool, err error) {
	ctx, span := s.begin(ctx, "RegisterSession")
	defer func() { finish(span, err) }()
	return s.store.RegisterSession(ctx, scope, session, by)
}

// RecordActivity implements Store.
func (s tracedStore) RecordActivity(ctx context.Context, scope store.Scope, id string, activity store.Activity, by store.Actor) (err error) {
	ctx, span := s.begin(ctx, "RecordActivity")
	defer func() { finish(span, err) }()
	return s.store.RecordActivity(ctx, scope, id, activity, by)
}

// RecordApp implements Store.
func (s tracedStore) RecordApp(ctx context.Context, scope store.Scope, app store.App, by store.Actor) (err error) {
	ctx, span := s.begin(ctx, "RecordApp")
	defer func() { finish(span, err) }()
	return s.store.RecordApp(ctx, scope, app, by)
}
