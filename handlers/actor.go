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
	// maxReason bounds a reason, in characters.
	maxReason = 255
)

type reasonKey struct{}

// withReason keeps the caller's reason for the audit trail.
func withReason(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if reason := c.Request().Header.Get(reasonHeader); reason != "" {
			ctx := context.WithValue(c.Request().Context(), reasonKey{}, plainReason(reason))
			c.SetRequest(c.Request().WithContext(ctx))
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
	return store.Actor{Subject: who.Subject, ClientID: who.ClientID, RequestID: requestID(ctx), Reason: reason}
}
