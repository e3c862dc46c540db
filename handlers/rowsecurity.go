package handlers

import (
	"github.com/labstack/echo/v4"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store"
)

// rowSecurity tells the database what the policy lets this request touch, whatever the handler asks for then. It comes after
// auth.Authorize; for a request that the policy does not know the database lets nothing through.
func rowSecurity(next gen.StrictHandlerFunc, _ string) gen.StrictHandlerFunc {
	return func(c echo.Context, request any) (any, error) {
		ctx := c.Request().Context()
		if granted, ok := auth.GrantFromContext(ctx); ok {
			if scope, ok := ctx.Value(store.ScopeKey{}).(*store.Scope); ok {
				*scope = scopeOf(granted)
			}
		}
		return next(c, request)
	}
}
