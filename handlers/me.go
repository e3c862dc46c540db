package handlers

import (
	"context"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/store"
)

// ownSessions selects the sessions of the user that the token speaks for.
func ownSessions(ctx context.Context) store.Scope {
	return authorizedScope(ctx).OfUser(caller(ctx).Subject)
}

// ListMySessions serves GET /api/v1/me/sessions, which has no pages: it gives the newest sessions.
func (s *Server) ListMySessions(ctx context.Context, _ gen.ListMySessionsRequestObject) (gen.ListMySessionsResponseObject, error) {
	sessions, more, err := s.store.NewestActive(ctx, callerSession(ctx), ownSessions(ctx))
	if err != nil {
		return nil, err
	}
	return sessionList{items: ToAPIListItems(sessions, caller(ctx).SessionID), meta: s.meta(ctx), more: more}, nil
}

// RevokeMyOtherSessions serves POST /api/v1/me/sessions/revoke-all.
func (s *Server) RevokeMyOtherSessions(ctx context.Context, _ gen.RevokeMyOtherSessionsRequestObject) (gen.RevokeMyOtherSessionsResponseObject, error) {
	revoked, err := s.store.RevokeAllSessions(ctx, ownSessions(ctx), caller(ctx).SessionID, actor(ctx))
	if err != nil {
		return nil, err
	}
	return gen.RevokeMyOtherSessions200JSONResponse{Body: s.revocation(ctx, revoked)}, nil
}

// RevokeMySession serves DELETE /api/v1/me/sessions/{session_id}.
func (s *Server) RevokeMySession(ctx context.Context, request gen.RevokeMySessionRequestObject) (gen.RevokeMySessionResponseObject, error) {
	ended, err := s.store.RevokeSession(ctx, ownSessions(ctx), request.SessionId, actor(ctx))
	if err != nil {
		return nil, err
	}
	revoked := []string{}
	if ended {
		revoked = append(revoked, request.SessionId)
	}
	return gen.RevokeMySession200JSONResponse{Body: s.revocation(ctx, revoked)}, nil
}
