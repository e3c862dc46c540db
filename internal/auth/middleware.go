package auth

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/sessiond/sessiond/gen"
)

// SessionChecker reports whether a session has ended. A session that was never registered has not.
type SessionChecker interface {
	SessionEnded(ctx context.Context, tenantID, sessionID string) (bool, error)
}

// TenantPartners returns the partner of a tenant, empty for none or an unknown tenant.
type TenantPartners interface {
	TenantPartner(ctx context.Context, tenantID string) (string, error)
}

// Sessions is the part of the store that authentication and authorization need.
type Sessions interface {
	SessionChecker
	TenantPartners
}

// Authenticate lets a request through with a good token of a session that has not ended, and puts the Caller into its context. Requests
// for which public returns true pass as they are. A verdict that cannot be reached is an error that is no *Error, and the request does not
// pass.
//
// The session of a GET is checked later, where the operation is known: by Authorize, or by an operation that looks it up in a statement that
// it sends anyhow (Rule.ChecksSession). A GET that does not come so far is checked on its way back: 401 comes before whatever else is wrong.
func Authenticate(v *Verifier, sessions SessionChecker, public func(echo.Context) bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if public != nil && public(c) {
				return next(c)
			}
			ctx := c.Request().Context()
			state, err := authenticate(c.Request(), v)
			if err != nil {
				return err
			}
			if c.Request().Method != http.MethodGet {
				if err := state.checkSession(ctx, sessions); err != nil {
					return err
				}
			}
			c.SetRequest(c.Request().WithContext(withState(ctx, state)))
			err = next(c)
			if err == nil && c.Response().Committed {
				return nil // Authorize has let it out
			}
			return cmp.Or(state.checkSession(ctx, sessions), err)
		}
	}
}

// authenticate verifies the token and returns the caller. It does not check whether the session of the token has ended.
func authenticate(request *http.Request, v *Verifier) (*authState, error) {
	token, err := bearer(request.Header)
	if err != nil {
		return nil, err
	}
	caller, err := v.Verify(request.Context(), token)
	if err != nil {
		return nil, err
	}
	return &authState{caller: caller, known: true, checked: caller.SessionID == ""}, nil
}

// checkSession refuses a caller whose own session has ended. It looks the session up once in a request.
func (s *authState) checkSession(ctx context.Context, sessions SessionChecker) error {
	if s.checked {
		return s.refused
	}
	s.checked = true
	switch ended, err := sessions.SessionEnded(ctx, s.caller.TenantID, s.caller.SessionID); {
	case err != nil:
		s.refused = fmt.Errorf("checking the token's session: %w", err)
	case ended:
		s.refused = SessionEnded()
	}
	return s.refused
}

// bearer returns the token of the one Authorization header. A token anywhere else, such as in the query, does not count:
// it would stand in logs and histories.
func bearer(header http.Header) (string, error) {
	values := header.Values(echo.HeaderAuthorization)
	if len(values) > 1 {
		// Whoever stands in front may have looked at the other one.
		return "", errToken("The request has more than one Authorization header.", ReasonMalformed, "two Authorization headers")
	}
	if len(values) == 0 {
		return "", errNoToken()
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", errNoToken() // another scheme is no attempt at this one (RFC 6750, section 3.1)
	}
	token = strings.TrimLeft(token, " ")
	if token == "" {
		return "", errToken("The Authorization header has no token.", ReasonNoToken, "the token is empty")
	}
	return token, nil
}

// Authorize lets a bound request through to its handler when the policy allows it and the caller's own session has not ended, and puts the
// Grant into its context. Where the rule says that the operation checks the session, an answer without an error says that it has not ended.
func Authorize(sessions Sessions) gen.StrictMiddlewareFunc {
	rules := Policy()
	var tenants pathTenants
	return func(next gen.StrictHandlerFunc, operationID string) gen.StrictHandlerFunc {
		return func(c echo.Context, request any) (any, error) {
			rule := rules[operationID]
			if rule.Audience == Issuer {
				return next(c, request) // without a Grant, so that nothing but the verified body can open anything
			}
			ctx := c.Request().Context()
			state := stateIn(ctx)
			if !state.known {
				return nil, errNoToken()
			}
			partnerOf := func(tenantID string) (string, error) { return sessions.TenantPartner(ctx, tenantID) }
			grant, err := rules.Decide(operationID, state.caller, tenants.of(request), partnerOf)
			if err != nil {
				return nil, err
			}
			if !rule.ChecksSession {
				if err := state.checkSession(ctx, sessions); err != nil {
					return nil, err
				}
			}
			state.grant, state.decided = grant, true
			answer, err := next(c, request)
			state.checked = state.checked || err == nil
			return answer, err
		}
	}
}

// pathTenants finds the tenant in a bound request, the one that the handler will see. It is not taken from the route
// again: Echo leaves a path like /tenants/%61cme escaped while the generated code unescapes it, and a token for the tenant
// "%61cme" would open "acme".
type pathTenants struct {
	fields sync.Map // from a request's type to the number of its field, -1 for none
}

// of returns the tenant, empty when the request has none.
func (p *pathTenants) of(request any) string {
	value := reflect.ValueOf(request)
	if value.Kind() != reflect.Struct {
		return ""
	}
	known, ok := p.fields.Load(value.Type())
	if !ok {
		known, _ = p.fields.LoadOrStore(value.Type(), tenantField(value.Type()))
	}
	if number, _ := known.(int); number >= 0 {
		return value.Field(number).String()
	}
	return ""
}

func tenantField(request reflect.Type) int {
	field, ok := request.FieldByName("TenantId")
	if !ok || field.Type.Kind() != reflect.String || len(field.Index) != 1 {
		return -1
	}
	return field.Index[0]
}
