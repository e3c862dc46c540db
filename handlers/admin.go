package handlers

import (
	"context"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/validation"
	"github.com/sessiond/sessiond/store"
)

// ListSessions serves GET /api/v1/admin/sessions/.
func (s *Server) ListSessions(ctx context.Context, request gen.ListSessionsRequestObject) (gen.ListSessionsResponseObject, error) {
	params := request.Params
	scope := authorizedScope(ctx)
	if params.UserId != nil {
		scope = scope.OfUser(*params.UserId)
	}
	if params.TenantId != nil {
		scope = scope.InTenant(*params.TenantId)
	}
	if params.PartnerId != nil {
		scope = scope.OfPartner(*params.PartnerId)
	}
	page, err := s.page(ctx, scope, true, *params.Page, *params.PerPage)
	if err != nil {
		return nil, err
	}
	return page, nil
}

// RevokeAllSessions serves POST /api/v1/admin/sessions/revoke-all.
func (s *Server) RevokeAllSessions(ctx context.Context, request gen.RevokeAllSessionsRequestObject) (gen.RevokeAllSessionsResponseObject, error) {
	scope, err := chosen(authorizedScope(ctx), *request.Body)
	if err != nil {
		return nil, err
	}
	by := actor(ctx)
	if reason, ok := (*request.Body)["reason"].(string); ok {
		by.Reason = sanitizeReason(reason)
	}
	revoked, err := s.store.RevokeAllSessions(ctx, scope, "", by)
	if err != nil {
		return nil, err
	}
	return gen.RevokeAllSessions200JSONResponse{Body: s.revocation(ctx, revoked)}, nil
}

// chosen narrows a scope to the user and the tenant that a free-form body names. A member that is there but empty is
// refused: taken for an absent one, it would end far more sessions than were meant.
func chosen(scope store.Scope, body map[string]any) (store.Scope, error) {
	invalid := &validation.Error{}
	named := 0
	for _, member := range []struct {
		name   string
		narrow func(store.Scope, string) store.Scope
	}{{"user_id", store.Scope.OfUser}, {"tenant_id", store.Scope.InTenant}} {
		switch value := body[member.name].(type) {
		case nil:
		case string:
			if value == "" {
				invalid.Violations = append(invalid.Violations, validation.ValueError(member.name+" must not be empty", "body", member.name).Violations...)
				continue
			}
			scope = member.narrow(scope, value)
			named++
		default:
			invalid.Violations = append(invalid.Violations, validation.StringType("body", member.name).Violations...)
			named++
		}
	}
	switch {
	case named == 0:
		return store.Scope{}, validation.ValueError("user_id or tenant_id is required", "body")
	case len(invalid.Violations) > 0:
		return store.Scope{}, invalid
	default:
		return scope, nil
	}
}

// RevokeSession serves DELETE /api/v1/admin/sessions/{session_id}.
func (s *Server) RevokeSession(ctx context.Context, request gen.RevokeSessionRequestObject) (gen.RevokeSessionResponseObject, error) {
	if _, err := s.store.RevokeSession(ctx, authorizedScope(ctx), request.SessionId, actor(ctx)); err != nil {
		return nil, err
	}
	return gen.RevokeSession204Response{}, nil
}

// GetSession serves GET /api/v1/admin/sessions/{session_id}.
func (s *Server) GetSession(ctx context.Context, request gen.GetSessionRequestObject) (gen.GetSessionResponseObject, error) {
	session, err := s.session(ctx, authorizedScope(ctx), request.SessionId)
	if err != nil {
		return nil, err
	}
	return session, nil
}
