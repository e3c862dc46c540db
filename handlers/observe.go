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

	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/telemetry"
	"github.com/sessiond/sessiond/store"
)

// maxRequestID bounds the id that a client may choose.
const maxRequestID = 128

// requestContext is the context of a request that knows its id and its wall. A type of its own costs one allocation where
// context.WithValue costs two each.
type requestContext struct {
	context.Context
	id string
	// wall lets nothing through until the policy has decided; see behindWall.
	wall store.Wall
	// authError is why the answer is 401, "" when it is not.
	authError auth.Reason
}

type requestIDKey struct{}

// Value implements context.Context.
func (c *requestContext) Value(key any) any {
	switch key {
	case requestIDKey{}:
		return c
	case store.WallKey{}:
		return &c.wall
	default:
		return c.Context.Value(key)
	}
}

// requestID is the id of the request that the context belongs to.
func requestID(ctx context.Context) string {
	if c, ok := ctx.Value(requestIDKey{}).(*requestContext); ok {
		return c.id
	}
	return ""
}

// unauthenticated notes why the answer is 401, for the request's line in the log and the counter.
func unauthenticated(ctx context.Context, reason auth.Reason) {
	if c, ok := ctx.Value(requestIDKey{}).(*requestContext); ok {
		c.authError = reason
	}
}

// observer sees every request from outside the chain.
type observer struct {
	logger     *slog.Logger
	now        func() time.Time
	metrics    *telemetry.Metrics
	operations operations
	tracer     tracer
	timeout    time.Duration // of a request; none when zero
}

// middleware is the outermost of the chain: it gives the request its id, has every error written, logs one line, counts
// and traces. A panic is an error like others, with its stack in the log.
func (o observer) middleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := o.now()
		o.metrics.Begin()
		defer o.metrics.End()
		id := chooseRequestID(c.Request().Header.Get(echo.HeaderXRequestID))
		ctx, span := o.tracer.request(c.Request(), start)
		if o.timeout > 0 {
			bounded, cancel := context.WithTimeout(ctx, o.timeout)
			defer cancel()
			ctx = bounded
		}
		request := &requestContext{Context: ctx, id: id}
		ctx = request
		c.SetRequest(c.Request().WithContext(ctx))
		secure(c.Response().Header(), id, c.Request().TLS != nil)
		if err := recovered(next, c, o.logger); err != nil {
			c.Error(err)
		}
		end := o.now()
		op := o.operations.of(c)
		op.series.Observe(c.Response().Status, end.Sub(start))
		o.metrics.AuthFailed(string(request.authError))
		span.end(c, op, end)
		o.log(request, c, span.traceID(), end, end.Sub(start))
		return nil
	}
}

// log writes the request's line. The record is made here because Logger would ask the clock again and look for the place
// in the source, which is always this one.
func (o observer) log(request *requestContext, c echo.Context, traceID string, at time.Time, took time.Duration) {
	if !o.logger.Enabled(request, slog.LevelInfo) {
		return
	}
	line := slog.NewRecord(at, slog.LevelInfo, "request", 0)
	line.AddAttrs(
		slog.String("method", c.Request().Method), slog.String("route", c.Path()),
		slog.Int("status", c.Response().Status), slog.Float64("took_ms", float64(took.Microseconds())/1e3), slog.String("request_id", request.id))
	if traceID != "" {
		line.AddAttrs(slog.String("trace_id", traceID))
	}
	if request.authError != "" {
		line.AddAttrs(slog.String("auth_error", string(request.authError)))
	}
	// Nobody could be told that the log cannot be written.
	_ = o.logger.Handler().Handle(request, line)
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

// secure sets what every answer carries: nothing here may be cached, framed or taken for another type, and who came with
// TLS has to come with it (RFC 6797).
func secure(header http.Header, id string, encrypted bool) {
	if encrypted {
		header.Set(echo.HeaderStrictTransportSecurity, "max-age=63072000")
	}
	// The names are canonical already, and the values share one array.
	values := [...]string{id, "no-store", "nosniff", "default-src 'none'; frame-ancestors 'none'"}
	header[echo.HeaderXRequestID] = values[0:1:1]
	header[echo.HeaderCacheControl] = values[1:2:2]
	header[echo.HeaderXContentTypeOptions] = values[2:3:3]
	header[echo.HeaderContentSecurityPolicy] = values[3:4:4]
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
