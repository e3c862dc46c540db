package handlers

import (
	"context"
	"errors"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store"
)

// logoutPath needs no access token: the logout token in the body is the proof.
const logoutPath = "/oauth2/backchannel-logout"

// BackchannelLogout serves POST /oauth2/backchannel-logout (OpenID Connect Back-Channel Logout 1.0).
func (s *Server) BackchannelLogout(ctx context.Context, request gen.BackchannelLogoutRequestObject) (gen.BackchannelLogoutResponseObject, error) {
	logout, err := s.verifier.VerifyLogout(ctx, request.Body.LogoutToken)
	if refused, ok := errors.AsType[*auth.LogoutError](err); ok {
		// As in introspection, a token that is not good is an expected answer.
		return gen.BackchannelLogout400JSONResponse{Body: gen.Error{Detail: refused.Detail()}}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := s.logOut(ctx, logout); err != nil {
		return nil, err
	}
	// Not before: the provider may repeat what could not be done.
	s.verifier.LogoutDone(logout)
	return gen.BackchannelLogout200Response{}, nil
}

// logOut ends the sessions that a logout names. One that is not known was never registered here or is another user's than
// the token says; the provider needs to know neither.
func (s *Server) logOut(ctx context.Context, logout auth.Logout) error {
	scope := store.AllTenants()
	if logout.TenantID != "" {
		scope = scope.InTenant(logout.TenantID)
	}
	if logout.Subject != "" {
		scope = scope.OfUser(logout.Subject)
	}
	ctx = store.WithScope(ctx, scope)
	// The identity provider ends the sessions, whatever made it do so: the user, an administrator there, or a timeout.
	by := store.Actor{Subject: logout.Issuer, ClientID: logout.ClientID, RequestID: requestID(ctx), Reason: "back-channel logout"}
	if logout.SessionID == "" {
		_, err := s.store.RevokeAllSessions(ctx, scope, "", by)
		return err
	}
	_, err := s.store.RevokeSession(ctx, scope, logout.SessionID, by)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
