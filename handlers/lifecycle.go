package handlers

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/validation"
	"github.com/sessiond/sessiond/store"
)

// maxClockSkew is how far a service's clock may be ahead of ours.
const maxClockSkew = 5 * time.Minute

// RegisterSession serves POST /api/v1/lifecycle/sessions.
func (s *Server) RegisterSession(ctx context.Context, request gen.RegisterSessionRequestObject) (gen.RegisterSessionResponseObject, error) {
	if err := s.plausible(*request.Body); err != nil {
		return nil, err
	}
	session := s.FromAPIRegistration(*request.Body)
	if err := s.validateIDs(session); err != nil {
		return nil, err
	}
	registered, created, err := s.store.RegisterSession(ctx, registrar(ctx), session, actor(ctx))
	if err != nil {
		return nil, err
	}
	// A repeated registration may find applications; a new session has none.
	if created {
		return s.sessionAnswer(ctx, http.StatusCreated, &registered, nil), nil
	}
	registered, apps, err := s.store.GetSessionWithApps(ctx, store.CallerSession{}, store.InTenant(registered.TenantID), registered.ID)
	if err != nil {
		return nil, err
	}
	return s.sessionAnswer(ctx, http.StatusOK, &registered, apps), nil
}

// registrar returns the scope that a service may register for: the authorized scope and, where that is a tenant, the partner that
// the token names.
func registrar(ctx context.Context) store.Scope {
	scope := authorizedScope(ctx)
	if partnerID := caller(ctx).PartnerID; partnerID != "" {
		scope = scope.OfPartner(partnerID)
	}
	return scope
}

// plausible holds the times of a registration against each other and the clock: what no login can have is refused.
func (s *Server) plausible(body gen.SessionRegistration) error {
	if err := cmp.Or(inRange("created_at", body.CreatedAt), inRange("expires_at", &body.ExpiresAt)); err != nil {
		return err
	}
	now := s.now()
	created := now
	if body.CreatedAt != nil {
		created = *body.CreatedAt
	}
	switch {
	case created.After(now.Add(maxClockSkew)):
		return validation.ValueError("created_at is in the future", "body", "created_at")
	case created.Before(time.Unix(0, 0)):
		return validation.ValueError("created_at is before 1970", "body", "created_at")
	case !body.ExpiresAt.After(created):
		return validation.ValueError("expires_at must be after created_at", "body", "expires_at")
	default:
		return nil
	}
}

// inRange refuses a time whose year in UTC has not four digits: it has no form in RFC 3339, so no answer could show it.
func inRange(member string, at *time.Time) error {
	if at == nil {
		return nil
	}
	if year := at.UTC().Year(); year < 1 || year > 9999 {
		return validation.ValueError(member+" must be in the years 0001 to 9999 in UTC", "body", member)
	}
	return nil
}

// RecordSessionActivity serves POST /api/v1/lifecycle/sessions/{session_id}/activity.
func (s *Server) RecordSessionActivity(ctx context.Context, request gen.RecordSessionActivityRequestObject) (gen.RecordSessionActivityResponseObject, error) {
	var activity store.Activity
	if request.Body != nil {
		activity = s.FromAPIActivity(*request.Body)
	}
	if err := inRange("expires_at", activity.ExpiresAt); err != nil {
		return nil, err
	}
	if err := s.store.RecordActivity(ctx, authorizedScope(ctx), request.SessionId, activity, actor(ctx)); err != nil {
		return nil, err
	}
	return gen.RecordSessionActivity204Response{}, nil
}

// RecordSessionApp serves PUT /api/v1/lifecycle/sessions/{session_id}/apps/{application_id}.
func (s *Server) RecordSessionApp(ctx context.Context, request gen.RecordSessionAppRequestObject) (gen.RecordSessionAppResponseObject, error) {
	if err := validateApplicationID(request.ApplicationId); err != nil {
		return nil, err
	}
	app := store.App{
		SessionID: request.SessionId, ApplicationID: request.ApplicationId, ApplicationName: request.Body.ApplicationName,
	}
	if err := inRange("accessed_at", request.Body.AccessedAt); err != nil {
		return nil, err
	}
	if request.Body.AccessedAt != nil {
		app.AccessedAt = *request.Body.AccessedAt
	}
	if err := s.store.RecordApp(ctx, authorizedScope(ctx), app, actor(ctx)); err != nil {
		return nil, err
	}
	return gen.RecordSessionApp204Response{}, nil
}
