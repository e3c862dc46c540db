package auth

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"

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

// Authenticate lets a request through with a good token of a session that has not ended, and puts the Caller into its
// context. Requests for which public returns true pass as they are. A verdict that cannot be reached is an error that is
// no *Error, and the request does not pass.
func Authenticate(v *Verifier, sessions SessionChecker, public func(echo.Context) bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if public != nil && public(c) {
				return next(c)
			}
			caller, err := authenticate(c.Request(), v, sessions)
			if err != nil {
				return err
			}
			c.SetRequest(c.Request().WithContext(NewContext(c.Request().Context(), caller)))
			return next(c)
		}
	}
}

func authenticate(request *http.Request, v *Verifier, sessions SessionChecker) (Caller, error) {
	token, err := bearer(request.Header)
	if err != nil {
		return Caller{}, err
	}
	caller, err := v.Verify(request.Context(), token)
	if err != nil || caller.SessionID == "" {
		return caller, err
	}
	ended, err := sessions.SessionEnded(request.Context(), caller.TenantID, caller.SessionID)
	if err != nil {
		return Caller{}, fmt.Errorf("checking the token's session: %w", err)
	}
	if ended {
		return Caller{}, errSessionEnded()
	}
	return caller, nil
}

// bearer returns the token of the one Authorization header. A token anywhere else, such as in the query, does not count:
// it would stand in logs and histories.
func bearer(header http.Header) (string, error) {
	values := header.Values(echo.HeaderAuthorization)
	if len(values) > 1 {
		// Whoever stands in front may have looked at the other one.
		return "", errToken("The request has more than one Authorization header.", "two Authorization headers")
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
		return "", errToken("The Authorization header has no token.", "the token is empty")
	}
	return token, nil
}

// Authorize lets a bound request through to its handler when the policy allows it, and puts the Reach into its context.
func Authorize(tenants TenantPartners) gen.StrictMiddlewareFunc {
	rules := Policy()
	return func(next gen.StrictHandlerFunc, operationID string) gen.StrictHandlerFunc {
		return func(c echo.Context, request any) (any, error) {
			if rules[operationID].Audience == Issuer {
				return next(c, request) // without a Reach, so that nothing but the verified body can open anything
			}
			ctx := c.Request().Context()
			caller, ok := FromContext(ctx)
			if !ok {
				return nil, errNoToken()
			}
			partnerOf := func(tenantID string) (string, error) { return tenants.TenantPartner(ctx, tenantID) }
			reach, err := rules.Decide(operationID, caller, pathTenant(request), partnerOf)
			if err != nil {
				return nil, err
			}
			c.SetRequest(c.Request().WithContext(NewReachContext(ctx, reach)))
			return next(c, request)
		}
	}
}

// pathTenant returns the tenant that the handler will see. It is not taken from the route again: Echo leaves a path like
// /tenants/%61cme escaped while the generated code unescapes it, and a token for the tenant "%61cme" would open "acme".
func pathTenant(request any) string {
	value := reflect.ValueOf(request)
	if value.Kind() != reflect.Struct {
		return ""
	}
	if field := value.FieldByName("TenantId"); field.IsValid() && field.Kind() == reflect.String {
		return field.String()
	}
	return ""
}
