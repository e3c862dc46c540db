package handlers

import (
	"context"
	"strings"
	"unicode"

	"github.com/labstack/echo/v4"

	"github.com/sessiond/sessiond/store"
)

const (
	// reasonHeader is where a caller may say why sessions are ended.
	reasonHeader = "X-Revoke-Reason"
	// idempotencyHeader is where a caller may say which call this is, so that it can be repeated when its answer was lost
	// (draft-ietf-httpapi-idempotency-key-header).
	idempotencyHeader = "Idempotency-Key"
	// maxReason bounds a reason, in characters.
	maxReason = 255
)

type (
	reasonKey      struct{}
	idempotencyKey struct{}
)

// withCallHeaders keeps what the headers say of a call that ends sessions: the caller's reason, and which call it is.
func withCallHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		request := c.Request()
		ctx := request.Context()
		if reason := request.Header.Get(reasonHeader); reason != "" {
			ctx = context.WithValue(ctx, reasonKey{}, plainReason(reason))
		}
		if key := request.Header.Get(idempotencyHeader); key != "" {
			ctx = context.WithValue(ctx, idempotencyKey{}, key)
		}
		if ctx != request.Context() {
			c.SetRequest(request.WithContext(ctx))
		}
		return next(c)
	}
}

// plainReason is a reason as the audit trail keeps it: a header never makes a request fail, so what cannot be kept is
// left out, and what is too long is cut.
func plainReason(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	runes := []rune(strings.TrimSpace(text))
	return string(runes[:min(len(runes), maxReason)])
}

// actor is who asks, for the audit trail.
func actor(ctx context.Context) store.Actor {
	who := caller(ctx)
	reason, _ := ctx.Value(reasonKey{}).(string)
	key, _ := ctx.Value(idempotencyKey{}).(string)
	return store.Actor{Subject: who.Subject, ClientID: who.ClientID, RequestID: requestID(ctx), Reason: reason, IdempotencyKey: key}
}
