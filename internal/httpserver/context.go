package httpserver

import "context"

// RequestContext is the context of a request: it knows the request's id and why the answer is 401. One struct costs one
// allocation, where each context.WithValue costs two; an API that keeps more with a request embeds it and implements Value (see
// RequestLog.NewContext).
type RequestContext struct {
	context.Context

	id          string
	authFailure string
	// unbounded is the context without the deadline.
	unbounded context.Context
}

type requestContextKey struct{}

// Value implements context.Context.
func (c *RequestContext) Value(key any) any {
	if key == (requestContextKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// RequestID returns the id of the request that the context belongs to, "" where there is none.
func RequestID(ctx context.Context) string {
	if c := requestContextOf(ctx); c != nil {
		return c.id
	}
	return ""
}

// Unbounded returns a context with the values of a request's, which ends when the client is gone, and not at the request's deadline. It is for
// an answer that is written as long as the client reads it.
func Unbounded(ctx context.Context) context.Context {
	c := requestContextOf(ctx)
	if c == nil || c.unbounded == nil {
		return ctx
	}
	return valuesOf{c.unbounded, ctx}
}

// valuesOf is a context with the values of another one.
type valuesOf struct {
	context.Context

	of context.Context
}

// Value implements context.Context.
func (v valuesOf) Value(key any) any { return v.of.Value(key) }

// SetAuthFailure records why the answer is 401, for the request's line in the log and the counter. The reason is one of few fixed
// words.
func SetAuthFailure(ctx context.Context, reason string) {
	if c := requestContextOf(ctx); c != nil {
		c.authFailure = reason
	}
}

// requestContextOf returns nil where there is none.
func requestContextOf(ctx context.Context) *RequestContext {
	c, _ := ctx.Value(requestContextKey{}).(*RequestContext)
	return c
}
