package handlers

import (
	"context"
	"time"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/validation"
	"github.com/sessiond/sessiond/store"
)

// clockSkew is how far a service's clock may be ahead of ours.
const clockSkew = time.Minute

// RegisterSession serves POST /api/v1/lifecycle/sessions.
func (s *Server) RegisterSession(ctx context.Context, request gen.RegisterSessionRequestObject) (gen.RegisterSessionResponseObject, error) {
	session := s.FromAPIRegistration(*request.Body)
	if err := s.plausible(session); err != nil {
		return nil, err
	}
	if err := confine(ctx, &session); err != nil {
		return nil, err
	}
	registered, created, err := s.store.RegisterSession(ctx, session, actor(ctx))
	if err != nil {
		return nil, err
	}
	// A repeated registration may find applications; a new session has none.
	body := gen.ApiResponseSessionResponse{Meta: s.meta(ctx)}
	if created {
		body.Data = ToAPISession(registered, nil, caller(ctx).SessionID)
		return gen.RegisterSession201JSONResponse{Body: body}, nil
	}
	registered, apps, err := s.store.GetSessionWithApps(ctx, store.InTenant(registered.TenantID), registered.ID)
	if err != nil {
		return nil, err
	}
	body.Data = ToAPISession(registered, apps, caller(ctx).SessionID)
	return gen.RegisterSession200JSONResponse{Body: body}, nil
}

// plausible holds the times of a registration against each other and the clock.
func (s *Server) plausible(session store.Session) error {
	created := session.CreatedAt
	if created.IsZero() {
		created = s.now()
	}
	switch {
	case created.After(s.now().Add(clockSkew)):
		return validation.ValueError("created_at is in the future", "body", "created_at")
	case !session.CreatedAt.IsZero() && !session.ExpiresAt.After(created):
		return validation.ValueError("expires_at must be after created_at", "body", "expires_at")
	default:
		return nil
	}
}

// confine keeps the service of one tenant or partner to what is theirs.
func confine(ctx context.Context, session *store.Session) error {
	granted, ok := auth.ReachFromContext(ctx)
	switch {
	case !ok, granted.TenantID != "" && granted.TenantID != session.TenantID:
		return auth.NotYourTenant()
	case granted.PartnerID == "":
		return nil
	case session.PartnerID == nil:
		session.PartnerID = &granted.PartnerID
		return nil
	case *session.PartnerID != granted.PartnerID:
		return auth.NotYourTenant()
	default:
		return nil
	}
}

// RecordSessionActivity serves POST /api/v1/lifecycle/sessions/{session_id}/activity.
func (s *Server) RecordSessionActivity(ctx context.Context, request gen.RecordSessionActivityRequestObject) (gen.RecordSessionActivityResponseObject, error) {
	var activity store.Activity
	if request.Body != nil {
		activity = s.FromAPIActivity(*request.Body)
	}
	if err := s.store.RecordActivity(ctx, reach(ctx), request.SessionId, activity, actor(ctx)); err != nil {
		return nil, err
	}
	return gen.RecordSessionActivity204Response{}, nil
}

// RecordSessionApp serves PUT /api/v1/lifecycle/sessions/{session_id}/apps/{application_id}.
func (s *Server) RecordSessionApp(ctx context.Context, request gen.RecordSessionAppRequestObject) (gen.RecordSessionAppResponseObject, error) {
	app := store.App{
		SessionID: request.SessionId, ApplicationID: request.ApplicationId, ApplicationName: request.Body.ApplicationName,
	}
	if request.Body.AccessedAt != nil {
		app.AccessedAt = *request.Body.AccessedAt
	}
	if err := s.store.RecordApp(ctx, reach(ctx), app, actor(ctx)); err != nil {
		return nil, err
	}
	return gen.RecordSessionApp204Response{}, nil
}
