package handlers

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store"
)

// IntrospectToken serves POST /oauth2/introspect (RFC 7662).
func (s *Server) IntrospectToken(ctx context.Context, request gen.IntrospectTokenRequestObject) (gen.IntrospectTokenResponseObject, error) {
	var body gen.IntrospectionResponse
	subject, err := s.verifier.Verify(ctx, request.Body.Token)
	switch refused := (*auth.Error)(nil); {
	case errors.As(err, &refused):
		// A token that is not good is an answer, not an error, and says nothing else (section 2.2).
	case err != nil:
		return nil, err
	default:
		good, err := s.good(ctx, subject)
		if err != nil {
			return nil, err
		}
		if good {
			body = ToAPIIntrospection(subject)
		}
	}
	return gen.IntrospectToken200JSONResponse{Body: body}, nil
}

// good reports whether a verified token may be used: its session is known, the same user's, and has not ended. The
// caller learns this only of tokens within its authorized scope.
func (s *Server) good(ctx context.Context, subject auth.Caller) (bool, error) {
	granted, ok := auth.GrantFromContext(ctx)
	if !ok || granted.TenantID != "" && granted.TenantID != subject.TenantID ||
		granted.PartnerID != "" && granted.PartnerID != subject.PartnerID {
		return false, nil
	}
	if subject.SessionID == "" {
		return true, nil
	}
	scope := store.AllTenants().OfUser(subject.Subject)
	if subject.TenantID != "" {
		scope = scope.InTenant(subject.TenantID)
	}
	return s.store.SessionActive(ctx, scope, subject.SessionID)
}

// ToAPIIntrospection is the answer for a token that is good.
func ToAPIIntrospection(subject auth.Caller) gen.IntrospectionResponse {
	return gen.IntrospectionResponse{
		Active: true, Sub: subject.Subject, Sid: subject.SessionID, ClientId: subject.ClientID,
		TenantId: subject.TenantID, PartnerId: subject.PartnerID, Scope: strings.Join(subject.Scopes, " "),
		Iss: subject.Issuer, Aud: subject.Audience, Jti: subject.TokenID, TokenType: "Bearer",
		Exp: seconds(subject.ExpiresAt), Iat: seconds(subject.IssuedAt),
	}
}

// seconds is 0, and so absent from the answer, for a time that is not known.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
