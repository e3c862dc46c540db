package handlers

import (
	"context"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/validation"
)

// ListTenantSessions serves GET /api/v1/tenants/{tenant_id}/sessions.
func (s *Server) ListTenantSessions(ctx context.Context, request gen.ListTenantSessionsRequestObject) (gen.ListTenantSessionsResponseObject, error) {
	params := request.Params
	scope := authorizedScope(ctx).InTenant(request.TenantId)
	if params.UserId != nil {
		scope = scope.OfUser(*params.UserId)
	}
	page, err := s.page(ctx, scope, *params.ActiveOnly, *params.Page, *params.PerPage)
	if err != nil {
		return nil, err
	}
	return page, nil
}

// RevokeAllTenantSessions serves POST /api/v1/tenants/{tenant_id}/sessions/revoke-all.
func (s *Server) RevokeAllTenantSessions(ctx context.Context, request gen.RevokeAllTenantSessionsRequestObject) (gen.RevokeAllTenantSessionsResponseObject, error) {
	revoked, err := s.store.RevokeAllSessions(ctx, authorizedScope(ctx).InTenant(request.TenantId), "", actor(ctx))
	if err != nil {
		return nil, err
	}
	return gen.RevokeAllTenantSessions200JSONResponse{Body: s.revocation(ctx, revoked)}, nil
}

// GetTenantSessionStats serves GET /api/v1/tenants/{tenant_id}/sessions/stats.
func (s *Server) GetTenantSessionStats(ctx context.Context, request gen.GetTenantSessionStatsRequestObject) (gen.GetTenantSessionStatsResponseObject, error) {
	stats, err := s.store.TenantStats(ctx, authorizedScope(ctx).InTenant(request.TenantId))
	if err != nil {
		return nil, err
	}
	return gen.GetTenantSessionStats200JSONResponse{
		Body: gen.ApiResponseDictStrAny{Data: ToAPIStats(stats), Meta: s.meta(ctx)},
	}, nil
}

// ListUserSessions serves GET /api/v1/tenants/{tenant_id}/sessions/users/{user_id}.
func (s *Server) ListUserSessions(ctx context.Context, request gen.ListUserSessionsRequestObject) (gen.ListUserSessionsResponseObject, error) {
	params := request.Params
	scope := authorizedScope(ctx).InTenant(request.TenantId).OfUser(request.UserId)
	page, err := s.page(ctx, scope, *params.ActiveOnly, *params.Page, *params.PerPage)
	if err != nil {
		return nil, err
	}
	return page, nil
}

// RevokeUserSessions serves POST /api/v1/tenants/{tenant_id}/sessions/users/{user_id}/revoke.
func (s *Server) RevokeUserSessions(ctx context.Context, request gen.RevokeUserSessionsRequestObject) (gen.RevokeUserSessionsResponseObject, error) {
	named, err := instruction(*request.Body)
	if err != nil {
		return nil, err
	}
	scope := authorizedScope(ctx).InTenant(request.TenantId).OfUser(request.UserId)
	var revoked []string
	if named != nil {
		revoked, err = s.store.RevokeSessions(ctx, scope, named, actor(ctx))
	} else {
		except := ""
		if *request.Body.ExceptCurrent {
			except = caller(ctx).SessionID
		}
		revoked, err = s.store.RevokeAllSessions(ctx, scope, except, actor(ctx))
	}
	if err != nil {
		return nil, err
	}
	return gen.RevokeUserSessions200JSONResponse{Body: s.revocation(ctx, revoked)}, nil
}

// instruction returns the sessions that a body names, or nil for all of them: it must say exactly one of the two.
func instruction(body gen.SessionRevokeRequest) ([]string, error) {
	var named []string
	if body.SessionIds != nil {
		named = *body.SessionIds
	}
	switch {
	case *body.RevokeAll && len(named) > 0:
		return nil, validation.ValueError("session_ids and revoke_all cannot be given together", "body")
	case *body.RevokeAll:
		return nil, nil
	case len(named) == 0:
		return nil, validation.ValueError("session_ids or revoke_all is required", "body")
	default:
		return named, nil
	}
}

// RevokeTenantSession serves DELETE /api/v1/tenants/{tenant_id}/sessions/{session_id}.
func (s *Server) RevokeTenantSession(ctx context.Context, request gen.RevokeTenantSessionRequestObject) (gen.RevokeTenantSessionResponseObject, error) {
	if _, err := s.store.RevokeSession(ctx, authorizedScope(ctx).InTenant(request.TenantId), request.SessionId, actor(ctx)); err != nil {
		return nil, err
	}
	return gen.RevokeTenantSession204Response{}, nil
}

// GetTenantSession serves GET /api/v1/tenants/{tenant_id}/sessions/{session_id}.
func (s *Server) GetTenantSession(ctx context.Context, request gen.GetTenantSessionRequestObject) (gen.GetTenantSessionResponseObject, error) {
	session, err := s.session(ctx, authorizedScope(ctx).InTenant(request.TenantId), request.SessionId)
	if err != nil {
		return nil, err
	}
	return session, nil
}
