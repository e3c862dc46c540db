package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"go.opentelemetry.io/otel/trace"

	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/internal/telemetry"
	"github.com/sessiond/sessiond/store"
)

// tracesPath is what OpenTelemetry puts after the address of a collector.
const tracesPath = "/v1/traces"

// telemetryOptions are the flags of metrics and traces.
type telemetryOptions struct {
	metricsAddr string
	collector   string
}

func (o *telemetryOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.metricsAddr, "metrics-addr", "",
		"address, as `HOST:PORT`, on which /metrics is served for Prometheus without authentication; off when empty")
	flags.StringVar(&o.collector, "otlp-endpoint", "",
		"`URL` of an OpenTelemetry collector (OTLP over HTTP) that receives traces, such as http://127.0.0.1:4318; "+
			"OTEL_EXPORTER_OTLP_ENDPOINT when empty")
}

// tracesURL is where traces go, or "". A flag wins; OpenTelemetry's own variables follow its specification of the OTLP
// exporter: the one for traces is taken as it is.
func (o *telemetryOptions) tracesURL() string {
	base := o.collector
	if base == "" {
		if url := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"); url != "" {
			return url
		}
		base = os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
	}
	if base == "" {
		return ""
	}
	return strings.TrimSuffix(base, "/") + tracesPath
}

// telemetryServices are what serves metrics and sends traces. Members are nil where nothing is configured, and then cost nothing.
type telemetryServices struct {
	metrics  *telemetry.Metrics
	traces   *telemetry.Traces
	listener net.Listener
	server   *http.Server
	logger   *slog.Logger
}

func (o *telemetryOptions) open(ctx context.Context, logger *slog.Logger) (*telemetryServices, error) {
	opened := &telemetryServices{logger: logger}
	var err error
	if url := o.tracesURL(); url != "" {
		if opened.traces, err = telemetry.OpenTraces(ctx, url, version(), logger); err != nil {
			return nil, usageError{err}
		}
	}
	if o.metricsAddr != "" {
		opened.metrics = telemetry.NewMetrics(version())
		if opened.listener, err = listen(ctx, "--metrics-addr", o.metricsAddr); err != nil {
			return nil, errors.Join(err, opened.close(ctx))
		}
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", opened.metrics.Handler())
		opened.server = httpserver.New(mux, 0, logger)
	}
	return opened, nil
}

// tracer is nil where there are no traces.
func (o *telemetryServices) tracer() trace.Tracer {
	if o.traces == nil {
		return nil
	}
	return o.traces.Tracer()
}

// addr is where the metrics are served, or "".
func (o *telemetryServices) addr() string {
	if o.listener == nil {
		return ""
	}
	return o.listener.Addr().String()
}

// onEnded counts ended sessions; nil without metrics.
func (o *telemetryServices) onEnded() func(how string, n int) {
	if o.metrics == nil {
		return nil
	}
	return o.metrics.Ended
}

// serve answers scrapes until it is closed.
func (o *telemetryServices) serve(ctx context.Context, db *store.Store) {
	if o.metrics == nil {
		return
	}
	o.metrics.Watch(telemetry.State{
		Logger: o.logger, Pool: func() telemetry.Pool { return telemetry.Pool(db.Pool()) },
		Active: func(ctx context.Context) (int, error) { return db.CountActive(ctx, store.AllTenants()) },
	})
	o.logger.InfoContext(ctx, "serving metrics", "addr", o.listener.Addr().String())
	go func() {
		if err := o.server.Serve(o.listener); !errors.Is(err, http.ErrServerClosed) {
			o.logger.ErrorContext(ctx, "metrics are served no longer", "error", err)
		}
	}()
}

// close ends both. Traces that still wait are sent, for as long as a shutdown may take.
func (o *telemetryServices) close(ctx context.Context) error {
	var err error
	if o.server != nil {
		// The listener is the server's once it serves.
		err = errors.Join(o.server.Close(), ignoreClosed(o.listener.Close()))
	}
	if o.traces != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if failed := o.traces.Close(last); failed != nil {
			// Nothing of the sessions is lost with them.
			o.logger.WarnContext(ctx, "traces are lost", "error", failed)
		}
	}
	return err
}
