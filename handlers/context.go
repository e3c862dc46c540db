package handlers

import (
	"context"

	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/store"
)

// requestContext is the context of a request with its authorized scope: store.WithScope without an allocation.
type requestContext struct {
	httpserver.RequestContext

	// scope is empty, which permits nothing, until the policy has decided; see rowSecurity.
	scope store.Scope
}

func newRequestContext(base httpserver.RequestContext) context.Context {
	return &requestContext{RequestContext: base}
}

// Value implements context.Context.
func (c *requestContext) Value(key any) any {
	if key == (store.ScopeKey{}) {
		return &c.scope
	}
	return c.RequestContext.Value(key)
}

// requestID is the id of the request that the context belongs to.
func requestID(ctx context.Context) string { return httpserver.RequestID(ctx) }
