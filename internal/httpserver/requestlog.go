package httpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/sessiond/sessiond/internal/telemetry"
)

// maxRequestID bounds the id that a client may choose.
const maxRequestID = 128

// ErrPanic stands for a panic that has been logged.
var ErrPanic = errors.New("panic")

// RequestLog is the outermost step of the chain. Around every request it chooses the request id, sets the security headers and the
// deadline, has an error or a panic answered by Echo's HTTPErrorHandler, and then counts, traces and logs the request. It is one
// step, because each costs a copy of the request.
type RequestLog struct {
	Logger     *slog.Logger
	Now        func() time.Time
	Operations Operations
	// Metrics counts the requests; nobody does when nil.
	Metrics *telemetry.Metrics
	// Tracer makes a span of each request; there are none when nil.
	Tracer trace.Tracer
	// Timeout is how long a request may take until its context ends; it does not end when zero.
	Timeout time.Duration
	// NewContext makes the context of a request. It returns a context that embeds its argument and has its values.
	NewContext func(base RequestContext) context.Context
}

// Middleware implements the step.
func (l *RequestLog) Middleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := l.Now()
		l.Metrics.Begin()
		defer l.Metrics.End()
		id := requestID(c.Request().Header.Get(echo.HeaderXRequestID))
		ctx, span := startSpan(l.Tracer, c.Request(), start)
		unbounded := ctx
		if l.Timeout > 0 {
			bounded, cancel := context.WithTimeout(ctx, l.Timeout)
			defer cancel()
			ctx = bounded
		}
		ctx = l.NewContext(RequestContext{Context: ctx, id: id, unbounded: unbounded})
		c.SetRequest(c.Request().WithContext(ctx))
		setSecurityHeaders(c.Response().Header(), id, c.Request().TLS != nil)
		if err := recoverPanic(next, c, l.Logger); err != nil {
			c.Error(err)
		}
		end := l.Now()
		op := l.Operations.of(c)
		op.series.Observe(c.Response().Status, end.Sub(start))
		authFailure := requestContextOf(ctx).authFailure
		l.Metrics.AuthFailed(authFailure)
		span.end(c, op, end)
		l.log(ctx, c, span.traceID(), authFailure, end, end.Sub(start))
		return nil
	}
}

// log writes the request's line. The record is made here because Logger would ask the clock again and look for the place
// in the source, which is always this one.
func (l *RequestLog) log(ctx context.Context, c echo.Context, traceID, authFailure string, at time.Time, took time.Duration) {
	if !l.Logger.Enabled(ctx, slog.LevelInfo) {
		return
	}
	line := slog.NewRecord(at, slog.LevelInfo, "request", 0)
	line.AddAttrs(
		slog.String("method", c.Request().Method), slog.String("route", c.Path()),
		slog.Int("status", c.Response().Status), slog.Float64("took_ms", float64(took.Microseconds())/1e3), slog.String("request_id", RequestID(ctx)))
	if traceID != "" {
		line.AddAttrs(slog.String("trace_id", traceID))
	}
	if authFailure != "" {
		line.AddAttrs(slog.String("auth_error", authFailure))
	}
	// There is nowhere to report that the log cannot be written.
	_ = l.Logger.Handler().Handle(ctx, line)
}

// requestID takes the client's id when it is 1 to 128 visible ASCII characters, and makes one otherwise.
func requestID(fromClient string) string {
	if fromClient == "" || len(fromClient) > maxRequestID {
		return uuid.NewString()
	}
	for _, c := range []byte(fromClient) {
		if c <= ' ' || c > '~' {
			return uuid.NewString()
		}
	}
	return fromClient
}

// setSecurityHeaders sets what every answer carries: it must not be cached, framed or taken for another type, and whoever came
// with TLS has to come with it (RFC 6797).
func setSecurityHeaders(header http.Header, id string, encrypted bool) {
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

// recoverPanic makes a panic an error like others, with its stack in the log.
func recoverPanic(next echo.HandlerFunc, c echo.Context, logger *slog.Logger) (err error) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		if cause == http.ErrAbortHandler { //nolint:errorlint,err113 // net/http asks for this very value
			panic(cause)
		}
		ctx := c.Request().Context()
		logger.ErrorContext(ctx, "panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()), "request_id", RequestID(ctx))
		err = ErrPanic
	}()
	return next(c)
}
