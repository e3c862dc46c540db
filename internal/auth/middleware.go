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

// SessionChecker tells whether a session has ended. A session that was never registered has not.
type SessionChecker interface {
	SessionEnded(ctx context.Context, tenantID, sessionID string) (bool, error)
}

// TenantPartners tells which partner a tenant belongs to, empty for none or an unknown tenant.
type TenantPartners interface {
	TenantPartner(ctx context.Context, tenantID string) (string, error)
}

// Sessions is what authorization asks of the store.
type Sessions interface {
	SessionChecker
	TenantPartners
}

// Authenticate lets a request through with a good token of a session that has not ended, and puts the Caller into its
// context. Whether the session has ended may be found out while a GET is worked on; see OwnSession. Requests for which public
// returns true pass as they are. A verdict that cannot be reached is an error that is no *Error, and the request does not
// pass.
func Authenticate(v *Verifier, sessions SessionChecker, public func(echo.Context) bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if public != nil && public(c) {
				return next(c)
			}
			found, err := authenticate(c.Request(), v)
			if err != nil {
				return err
			}
			// What changes nothing may begin before the answer is known.
			if c.Request().Method != http.MethodGet {
				if err := found.session.settle(c.Request().Context(), sessions); err != nil {
					return err
				}
			}
			c.SetRequest(c.Request().WithContext(withState(c.Request().Context(), found)))
			err = next(c)
			if err == nil && c.Response().Committed {
				return nil // Authorize has let it out
			}
			// 401 comes before whatever else is wrong.
			return cmp.Or(found.session.settle(c.Request().Context(), sessions), err)
		}
	}
}

// authenticate finds out who asks, but not whether the session of the token has ended.
func authenticate(request *http.Request, v *Verifier) (*authState, error) {
	token, err := bearer(request.Header)
	if err != nil {
		return nil, err
	}
	caller, err := v.Verify(request.Context(), token)
	if err != nil {
		return nil, err
	}
	session := OwnSession{TenantID: caller.TenantID, ID: caller.SessionID, open: caller.SessionID != ""}
	return &authState{caller: caller, known: true, session: session}, nil
}

// settle has the question answered, if nobody has yet, and is an error when the session has ended.
func (s *OwnSession) settle(ctx context.Context, sessions SessionChecker) error {
	if s.open {
		ended, err := sessions.SessionEnded(ctx, s.TenantID, s.ID)
		s.Answer(ended)
		if err != nil {
			s.failure = fmt.Errorf("checking the token's session: %w", err)
		}
	}
	if s.ended && s.failure == nil {
		return errSessionEnded()
	}
	return s.failure
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

// Authorize lets a bound request through to its handler when the policy allows it, and puts the Grant into its context. What
// the handler answers goes out only if the caller's own session has not ended.
func Authorize(sessions Sessions) gen.StrictMiddlewareFunc {
	rules := Policy()
	var tenants pathTenants
	return func(next gen.StrictHandlerFunc, operationID string) gen.StrictHandlerFunc {
		return func(c echo.Context, request any) (any, error) {
			if rules[operationID].Audience == Issuer {
				return next(c, request) // without a Grant, so that nothing but the verified body can open anything
			}
			ctx := c.Request().Context()
			found := stateIn(ctx)
			if !found.known {
				return nil, errNoToken()
			}
			partnerOf := func(tenantID string) (string, error) { return sessions.TenantPartner(ctx, tenantID) }
			grant, err := rules.Decide(operationID, found.caller, tenants.of(request), partnerOf)
			if err != nil {
				return nil, err
			}
			found.grant, found.decided = grant, true
			answer, err := next(c, request)
			if ended := found.session.settle(ctx, sessions); ended != nil {
				return nil, ended
			}
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
