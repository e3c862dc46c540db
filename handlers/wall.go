package handlers

import (
	"context"

	"github.com/labstack/echo/v4"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store"
)

// behindWall tells the database what the policy lets this request touch, whatever the handler asks for then. It comes after
// auth.Authorize; a request that the policy does not know stays behind a wall that lets nothing through.
func behindWall(next gen.StrictHandlerFunc, _ string) gen.StrictHandlerFunc {
	return func(c echo.Context, request any) (any, error) {
		ctx := c.Request().Context()
		if granted, ok := auth.GrantFromContext(ctx); ok {
			setWall(ctx, store.Behind(granted.TenantID, granted.PartnerID))
		}
		return next(c, request)
	}
}

// setWall puts the wall into the context of the request, which has had one from the beginning.
func setWall(ctx context.Context, wall store.Wall) {
	if set, ok := ctx.Value(store.WallKey{}).(*store.Wall); ok {
		*set = wall
	}
}
