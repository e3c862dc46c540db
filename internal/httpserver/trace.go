package httpserver

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// requestSpan is the span of a request, or none.
type requestSpan struct{ trace.Span }

// startSpan begins the span of a request, in the trace that the client names (W3C Trace Context) or in a new one. Without a tracer
// there is none.
func startSpan(tracer trace.Tracer, r *http.Request, start time.Time) (context.Context, requestSpan) {
	if tracer == nil {
		return r.Context(), requestSpan{}
	}
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(start))
	return ctx, requestSpan{span}
}

// end names the span after the operation, which is known by now, and ends it. The attributes are those of OpenTelemetry's
// semantic conventions for HTTP; what a client wrote, such as the path, is in none of them.
func (s requestSpan) end(c echo.Context, op operation, at time.Time) {
	if s.Span == nil {
		return
	}
	status := c.Response().Status
	if s.IsRecording() {
		s.SetName(op.name)
		s.SetAttributes(
			attribute.String("http.request.method", op.method), attribute.String("http.route", c.Path()),
			attribute.Int("http.response.status_code", status), attribute.String("sessiond.request_id", RequestID(c.Request().Context())))
		if status >= http.StatusInternalServerError {
			s.SetStatus(codes.Error, "")
		}
	}
	s.End(trace.WithTimestamp(at))
}

// traceID is "" where there is no trace.
func (s requestSpan) traceID() string {
	if s.Span == nil || !s.SpanContext().HasTraceID() {
		return ""
	}
	return s.SpanContext().TraceID().String()
}
