package handlers

import (
	"context"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/sessiond/sessiond/store"
)

const (
	// reasonHeader has the caller's reason for revoking sessions.
	reasonHeader = "X-Revoke-Reason"
	// idempotencyHeader identifies a call, so that it can be repeated when its answer was lost
	// (draft-ietf-httpapi-idempotency-key-header).
	idempotencyHeader = "Idempotency-Key"
	// maxReason bounds a reason, in characters.
	maxReason = 255
)

type (
	reasonKey      struct{}
	idempotencyKey struct{}
)

// auditContext puts the caller's reason and idempotency key into the context of a request, for the audit log.
func auditContext(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		request := c.Request()
		ctx := request.Context()
		if reason := request.Header.Get(reasonHeader); reason != "" {
			ctx = context.WithValue(ctx, reasonKey{}, sanitizeReason(reason))
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

// sanitizeReason sanitizes a reason for the audit log: a header never makes a request fail, so what cannot be stored is
// removed, and what is too long is cut.
func sanitizeReason(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(decodeHeader(text), "\uFFFD"))
	runes := []rune(strings.TrimSpace(text))
	return string(runes[:min(len(runes), maxReason)])
}

// extendedValue begins a value with characters that a header cannot have, percent-encoded (RFC 8187, section 3.2).
const extendedValue = "UTF-8''"

// decodeHeader reads a text that may be UTF-8, percent-encoded UTF-8, or ISO 8859-1, which browsers send.
func decodeHeader(text string) string {
	if len(text) >= len(extendedValue) && strings.EqualFold(text[:len(extendedValue)], extendedValue) {
		if decoded, err := url.PathUnescape(text[len(extendedValue):]); err == nil {
			return decoded
		}
	}
	if utf8.ValidString(text) {
		return text
	}
	runes := make([]rune, len(text))
	for i := range len(text) {
		runes[i] = rune(text[i])
	}
	return string(runes)
}

// actor is the caller of the request, for the audit log.
func actor(ctx context.Context) store.Actor {
	who := caller(ctx)
	reason, _ := ctx.Value(reasonKey{}).(string)
	key, _ := ctx.Value(idempotencyKey{}).(string)
	return store.Actor{Subject: who.Subject, ClientID: who.ClientID, RequestID: requestID(ctx), Reason: reason, IdempotencyKey: key}
}
