package handlers

import (
	"github.com/labstack/echo/v4"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store"
)

// rowSecurity puts the authorized scope into the request's context, from which the store sets PostgreSQL's row-level security. It
// comes after auth.Authorize; for a request without a policy decision the scope is empty and permits nothing.
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
