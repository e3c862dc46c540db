package handlers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/sessiond/sessiond/handlers"
	"github.com/sessiond/sessiond/internal/telemetry"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// counted are the requests of each series, "operation method status".
func counted(t *testing.T, m *telemetry.Metrics) map[string]string {
	t.Helper()
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	assert.Contains(t, recorder.Body.String(), "sessiond_http_requests_in_flight 0\n")
	series := map[string]string{}
	line := regexp.MustCompile(`sessiond_http_request_duration_seconds_count\{method="(\w+)",operation="([\w./]+)",status="(\w+)"\} (\d+)`)
	for _, found := range line.FindAllStringSubmatch(recorder.Body.String(), -1) {
		series[found[2]+" "+found[1]+" "+found[3]] = found[4]
	}
	return series
}

func TestRequestsAreCounted(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	metrics := telemetry.NewMetrics("test")
	f.serve(f.store, func(c *handlers.Config) { c.Metrics = metrics })
	f.register("acme", "u1", "s1")
	for i := range 20 {
		f.do(http.MethodGet, fmt.Sprintf("/api/v1/admin/sessions/s%d", i), f.admin(), nil)
		f.do(http.MethodGet, fmt.Sprintf("/nothing/%d", i), "", nil).want(http.StatusNotFound)
	}
	f.do(http.MethodGet, "/api/v1/me/sessions", "", nil).want(http.StatusUnauthorized)
	f.do(http.MethodPatch, "/api/v1/me/sessions", "", nil).want(http.StatusMethodNotAllowed)
	f.do("BREW", "/api/v1/me/sessions", "", nil).want(http.StatusMethodNotAllowed)
	f.do("POUR", "/api/v1/me/sessions", "", nil).want(http.StatusMethodNotAllowed)
	f.do(http.MethodGet, "/api/v1/admin/sessions", "", nil).want(http.StatusTemporaryRedirect)
	f.do(http.MethodGet, "/api/v1/admin/sessions/?page=0", f.admin(), nil).want(http.StatusUnprocessableEntity)
	f.do(http.MethodGet, "/healthz", "", nil).want(http.StatusOK)
	f.do(http.MethodGet, "/docs/swagger-ui.css", "", nil).want(http.StatusOK)
	f.serve(failing{Store: f.store}, func(c *handlers.Config) { c.Metrics = metrics })
	f.do(http.MethodGet, "/api/v1/me/sessions", f.user("acme", "u1", ""), nil).want(http.StatusInternalServerError)
	assert.Equal(t, map[string]string{
		"registerSession POST 201": "1", "getSession GET 200": "1", "getSession GET 404": "19", "other GET 404": "20",
		"listMySessions GET 401": "1", "listMySessions GET 500": "1", "other PATCH 405": "1", "other other 405": "2",
		"other GET 307": "1", "listSessions GET 422": "1", "healthz GET 200": "1", "docs GET 200": "1",
	}, counted(t, metrics))
}

// traced serves with spans that the test can read.
func traced(f *fixture, s handlers.Store) *tracetest.SpanRecorder {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	f.serve(s, func(c *handlers.Config) { c.Tracer = provider.Tracer("test") })
	return recorder
}

// named are the ended spans of a name.
func named(recorder *tracetest.SpanRecorder, name string) []sdktrace.ReadOnlySpan {
	var found []sdktrace.ReadOnlySpan
	for _, span := range recorder.Ended() {
		if span.Name() == name {
			found = append(found, span)
		}
	}
	return found
}

func TestRequestsAreTraced(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	spans := traced(f, f.store)
	f.register("acme", "u1", "canary-session", "user_agent", "canary-agent", "ip_address", "203.0.113.1")
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	f.do(http.MethodDelete, "/api/v1/tenants/acme/sessions/canary-session", f.tenant("acme"), nil,
		"traceparent", parent, "X-Revoke-Reason", "canary-reason", "X-Request-ID", "r-1").want(http.StatusNoContent)

	revoke := named(spans, "revokeTenantSession")
	require.Len(t, revoke, 1)
	assert.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", revoke[0].SpanContext().TraceID().String())
	assert.Equal(t, "00f067aa0ba902b7", revoke[0].Parent().SpanID().String())
	assert.Equal(t, trace.SpanKindServer, revoke[0].SpanKind())
	assert.Equal(t, codes.Unset, revoke[0].Status().Code)
	attributes := map[string]string{}
	for _, a := range revoke[0].Attributes() {
		attributes[string(a.Key)] = a.Value.String()
	}
	assert.Equal(t, map[string]string{
		"http.request.method": "DELETE", "http.route": "/api/v1/tenants/:tenant_id/sessions/:session_id",
		"http.response.status_code": "204", "sessiond.request_id": "r-1",
	}, attributes)
	statement := named(spans, "store.RevokeSession")
	require.Len(t, statement, 1)
	assert.Equal(t, revoke[0].SpanContext().SpanID(), statement[0].Parent().SpanID(), "the store's work is part of the request's")

	own := named(spans, "registerSession")
	require.Len(t, own, 1)
	assert.False(t, own[0].Parent().IsValid(), "a request without a trace begins one")
	for line := range strings.SplitSeq(f.logs.String(), "\n") {
		if strings.Contains(line, "request_id=r-1") {
			assert.Contains(t, line, "trace_id=4bf92f3577b34da6a3ce929d0e0e4736")
		}
	}
	assert.Contains(t, f.logs.String(), "request_id=r-1")
	assert.NotContains(t, fmt.Sprintf("%+v", tracetest.SpanStubsFromReadOnlySpans(spans.Ended())), "canary", "a span holds no values")
}

func TestWhatATraceCallsAnError(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	spans := traced(f, failing{Store: f.store, err: store.ErrUnavailable})
	f.do(http.MethodGet, "/api/v1/me/sessions", f.user("acme", "u1", ""), nil).want(http.StatusServiceUnavailable)
	f.do(http.MethodGet, "/api/v1/admin/sessions/none", f.admin(), nil).want(http.StatusNotFound)
	for name, want := range map[string]codes.Code{
		"listMySessions": codes.Error, "store.NewestActive": codes.Error, "getSession": codes.Unset, "store.GetSessionWithApps": codes.Unset,
	} {
		found := named(spans, name)
		require.Len(t, found, 1, name)
		assert.Equal(t, want, found[0].Status().Code, name)
	}
}

// TestTheLogSaysHowLongInMilliseconds: a bare duration would be nanoseconds in JSON, without saying so.
func TestTheLogSaysHowLongInMilliseconds(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	f.serve(f.store, func(c *handlers.Config) {
		c.Now = func() time.Time {
			f.clock.Advance(1250 * time.Microsecond)
			return f.clock.Now()
		}
	})
	f.do(http.MethodGet, "/healthz", "", nil).want(http.StatusOK)
	assert.Contains(t, f.logs.String(), " took_ms=1.25 ")
	assert.NotContains(t, f.logs.String(), "took=")
}

func TestNoTraces(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	f.do(http.MethodGet, "/healthz", "", nil, "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	assert.Contains(t, f.logs.String(), "route=/healthz")
	assert.NotContains(t, f.logs.String(), "trace_id")
}
