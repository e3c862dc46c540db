package handlers

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// maxRequestID bounds the id that a client may choose.
const maxRequestID = 128

type requestIDKey struct{}

// requestID is the id of the request that the context belongs to.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// observe is the outermost of the chain: it gives the request its id, has every error written, and logs one line. A panic
// is an error like others, with its stack in the log.
func observe(logger *slog.Logger, now func() time.Time) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := now()
			id := chooseRequestID(c.Request().Header.Get(echo.HeaderXRequestID))
			ctx := context.WithValue(c.Request().Context(), requestIDKey{}, id)
			c.SetRequest(c.Request().WithContext(ctx))
			secure(c.Response().Header(), id)
			if err := recovered(next, c, logger); err != nil {
				c.Error(err)
			}
			logger.LogAttrs(ctx, slog.LevelInfo, "request",
				slog.String("method", c.Request().Method), slog.String("route", c.Path()),
				slog.Int("status", c.Response().Status), slog.Duration("took", now().Sub(start)),
				slog.String("request_id", id))
			return nil
		}
	}
}

// chooseRequestID takes the client's id when it is 1 to 128 visible ASCII characters, and makes one otherwise.
func chooseRequestID(given string) string {
	if given == "" || len(given) > maxRequestID {
		return uuid.NewString()
	}
	for _, c := range []byte(given) {
		if c <= ' ' || c > '~' {
			return uuid.NewString()
		}
	}
	return given
}

// secure sets what every answer carries: nothing here may be cached, framed or taken for another type.
func secure(header http.Header, id string) {
	header.Set(echo.HeaderXRequestID, id)
	header.Set(echo.HeaderCacheControl, "no-store")
	header.Set(echo.HeaderXContentTypeOptions, "nosniff")
	header.Set(echo.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
}

func recovered(next echo.HandlerFunc, c echo.Context, logger *slog.Logger) (err error) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		if cause == http.ErrAbortHandler { //nolint:errorlint,err113 // net/http asks for this very value
			panic(cause)
		}
		ctx := c.Request().Context()
		logger.ErrorContext(ctx, "panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()), "request_id", requestID(ctx))
		err = errPanic
	}()
	return next(c)
}
