package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Traces sends spans to a collector.
type Traces struct{ provider *sdktrace.TracerProvider }

// OpenTraces prepares to send spans to a collector's traces URL with OTLP over HTTP; nothing is sent yet, and a collector
// that is away later costs spans and a line in the log. Headers, compression, sampling and the rest follow OpenTelemetry's
// environment variables.
func OpenTraces(ctx context.Context, collector, version string, logger *slog.Logger) (*Traces, error) {
	parsed, err := url.Parse(collector)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return nil, fmt.Errorf("the trace collector's address %q is not a URL: use http://HOST:4318", collector)
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(collector))
	if err != nil {
		return nil, fmt.Errorf("prepare traces for %s: %w", collector, err)
	}
	// Later ones win: the environment may rename the service (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES).
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "sessiond"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("describe this service for traces: %w", err)
	}
	// The library's own trouble would otherwise go to standard error in a form of its own.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.WarnContext(ctx, "traces", "error", err) }))
	return &Traces{sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))}, nil
}

// Tracer makes the spans of the program.
func (t *Traces) Tracer() trace.Tracer { return t.provider.Tracer("github.com/sessiond/sessiond") }

// Close sends what still waits and ends.
func (t *Traces) Close(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last traces: %w", err)
	}
	return nil
}
