package httpserver

import "context"

// RequestContext is the context of a request: it knows the request's id and why the answer is 401. One struct costs one
// allocation, where each context.WithValue costs two; an API that keeps more with a request embeds it and implements Value (see
// RequestLog.NewContext).
type RequestContext struct {
	context.Context

	id          string
	authFailure string
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
