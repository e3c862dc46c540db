package handlers

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/internal/validation"
	"github.com/sessiond/sessiond/store"
)

// validateIDs refuses a registration with an id that no path can contain. Every other id can be percent-encoded.
func (s *Server) validateIDs(session store.Session) error {
	partnerID := ""
	if session.PartnerID != nil {
		partnerID = *session.PartnerID
	}
	invalid := &validation.Error{}
	for _, member := range [...]struct{ name, id string }{
		{"id", session.ID}, {"user_id", session.UserID}, {"tenant_id", session.TenantID}, {"partner_id", partnerID},
	} {
		reason := validation.PathProblem(member.id)
		if member.name == "id" && slices.Contains(s.reserved, member.id) {
			reason = "is a part of this API's own paths"
		}
		if reason != "" {
			invalid.Violations = append(invalid.Violations, validation.ValueError(member.name+" "+reason, "body", member.name).Violations...)
		}
	}
	if len(invalid.Violations) > 0 {
		return invalid
	}
	return nil
}

// validateApplicationID does the same for an application, which is registered by being named.
func validateApplicationID(applicationID string) error {
	if reason := validation.PathProblem(applicationID); reason != "" {
		return validation.ValueError("application_id "+reason, "path", "application_id")
	}
	return nil
}

// reservedSegments are the literal segments of the contract at the position of a parameter: with such an id the path would be
// another operation's.
func reservedSegments(contract *openapi3.T, parameter string) []string {
	var reserved []string
	paths := contract.Paths.Keys()
	for _, path := range paths {
		before, _, found := strings.Cut(path, "{"+parameter+"}")
		if !found {
			continue
		}
		for _, other := range paths {
			rest, beside := strings.CutPrefix(other, before)
			segment, _, _ := strings.Cut(rest, "/")
			if beside && segment != "" && !strings.HasPrefix(segment, "{") && !slices.Contains(reserved, segment) {
				reserved = append(reserved, segment)
			}
		}
	}
	return reserved
}

// escapedSlashes decodes the parameters of a path in which an id has a slash. When there is no such tenant, user or session, it
// answers as the reference does, which splits the path at that slash. It comes after authentication and before validation: to the
// reference it is another path, whatever else is wrong.
func (s *Server) escapedSlashes(ops httpserver.Operations) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			unrouted, slashed := httpserver.EscapedSlash(c)
			if !slashed {
				return next(c)
			}
			if err := decodeParameters(c); err != nil {
				return err
			}
			switch known, err := s.known(c, ops.ID(c)); {
			case err != nil:
				return err
			case !known:
				return unrouted
			}
			if err := next(c); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return s.withoutNeighbour(c, unrouted)
		}
	}
}

// withoutNeighbour is the answer for an unknown session whose id ends in slashes. The reference redirects to the id without them.
// When that is an active session, a client that follows the redirect would revoke another session than it named: then it is 404.
func (s *Server) withoutNeighbour(c echo.Context, unrouted error) error {
	if _, moved := errors.AsType[*httpserver.RedirectError](unrouted); !moved {
		return unrouted
	}
	ctx, neighbour := c.Request().Context(), strings.TrimRight(c.Param("session_id"), "/")
	scope := authorizedScope(ctx)
	if strings.HasPrefix(c.Path(), "/api/v1/me/") {
		scope = ownSessions(ctx)
	}
	switch active, err := s.store.SessionActive(ctx, scope, neighbour); {
	case err != nil:
		return err
	case active:
		return httpserver.ErrNoRoute
	default:
		return unrouted
	}
}

// decodeParameters decodes the path parameters, which Echo took from the escaped path. An empty RawPath keeps the generated code from
// decoding them again.
func decodeParameters(c echo.Context) error {
	values := slices.Clone(c.ParamValues())
	for i, value := range values {
		decoded, err := url.PathUnescape(value)
		if err != nil {
			return httpserver.ErrNoRoute
		}
		values[i] = decoded
	}
	c.SetParamValues(values...)
	c.Request().URL.RawPath = ""
	return nil
}

// known reports whether a tenant or user with a slash in its id is known. For a caller whom the policy refuses it is true: the policy
// answers that request.
func (s *Server) known(c echo.Context, operationID string) (bool, error) {
	ctx, tenantID, userID := c.Request().Context(), c.Param("tenant_id"), c.Param("user_id")
	if !strings.Contains(userID, "/") {
		userID = "" // of other users nothing needs to be known
	}
	if userID == "" && !strings.Contains(tenantID, "/") {
		return true, nil
	}
	partnerOf := func(tenantID string) (string, error) { return s.store.TenantPartner(ctx, tenantID) }
	_, err := auth.Policy().Decide(strings.ToUpper(operationID[:1])+operationID[1:], caller(ctx), tenantID, partnerOf)
	if _, refused := errors.AsType[*auth.Error](err); refused || err != nil {
		return refused, err
	}
	return s.store.Registered(ctx, tenantID, userID)
}
