package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/telemetry"
	"github.com/sessiond/sessiond/store"
)

func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	require.Equal(t, http.StatusOK, recorder.Code)
	return recorder.Body.String()
}

func TestMetrics(t *testing.T) {
	m := telemetry.NewMetrics("v1.2.3")
	m.Ended(store.Idle, 3)
	m.Ended(store.Revoked, 1)
	m.AuthFailed("expired")
	m.AuthFailed("")
	list := m.Operation("listSessions", "GET")
	list.Observe(200, 3*time.Millisecond)
	list.Observe(204, 40*time.Millisecond)
	list.Observe(503, time.Minute)
	list.Observe(-1, 0)
	list.Observe(700, 0)
	m.Begin()
	m.Begin()
	m.End()
	m.Watch(telemetry.State{
		Logger: slog.New(slog.DiscardHandler),
		Active: func(context.Context) (int, error) { return 42, nil },
		Pool: func() telemetry.Pool {
			return telemetry.Pool{Open: 5, InUse: 3, Idle: 2, MaxOpen: 16, WaitCount: 7, WaitDuration: 1500 * time.Millisecond}
		},
	})
	got := strings.Split(scrape(t, m), "\n")
	for _, line := range []string{
		`sessiond_sessions_ended_total{how="idle"} 3`,
		`sessiond_sessions_ended_total{how="revoked"} 1`,
		`sessiond_auth_failures_total{reason="expired"} 1`,
		`sessiond_http_request_duration_seconds_bucket{method="GET",operation="listSessions",status="200",le="0.0025"} 0`,
		`sessiond_http_request_duration_seconds_bucket{method="GET",operation="listSessions",status="200",le="0.005"} 1`,
		`sessiond_http_request_duration_seconds_count{method="GET",operation="listSessions",status="204"} 1`,
		`sessiond_http_request_duration_seconds_sum{method="GET",operation="listSessions",status="503"} 60`,
		`sessiond_http_request_duration_seconds_count{method="GET",operation="listSessions",status="other"} 2`,
		`sessiond_http_requests_in_flight 1`,
		`sessiond_sessions_active 42`,
		`sessiond_database_connections_open 5`,
		`sessiond_database_connections_in_use 3`,
		`sessiond_database_connections_idle 2`,
		`sessiond_database_connections_max 16`,
		`sessiond_database_waits_total 7`,
		`sessiond_database_wait_seconds_total 1.5`,
	} {
		assert.True(t, slices.Contains(got, line), line)
	}
	all := strings.Join(got, "\n")
	assert.Regexp(t, `sessiond_build_info\{go_version="go1\.\d+[^"]*",version="v1\.2\.3"\} 1`, all)
	assert.Contains(t, all, "go_goroutines ")
	assert.Contains(t, all, "process_resident_memory_bytes ")
	assert.NotContains(t, all, `reason=""`)
	assert.NotContains(t, all, `status="404"`, "what never happened has no series")
}

func TestAScrapeOutlivesTheDatabase(t *testing.T) {
	m := telemetry.NewMetrics("v1")
	var logs bytes.Buffer
	bounded := false
	m.Watch(telemetry.State{
		Logger: slog.New(slog.NewTextHandler(&logs, nil)),
		Pool:   func() telemetry.Pool { return telemetry.Pool{Open: 1} },
		Active: func(ctx context.Context) (int, error) {
			_, bounded = ctx.Deadline()
			return 0, errors.New("frozen")
		},
	})
	got := scrape(t, m)
	assert.NotContains(t, got, "sessiond_sessions_active", "no number is better than a wrong one")
	assert.Contains(t, got, "sessiond_database_connections_open 1")
	assert.Contains(t, logs.String(), "frozen")
	assert.True(t, bounded, "a scrape has a deadline")
}

func TestNobodyCounts(t *testing.T) {
	var m *telemetry.Metrics
	m.Begin()
	m.Operation("x", "GET").Observe(200, time.Second)
	m.AuthFailed("expired")
	m.End()
}

func TestTracesReachTheCollector(t *testing.T) {
	type sent struct{ path, kind, body string }
	got := make(chan sent, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		got <- sent{r.URL.Path, r.Header.Get("Content-Type"), string(body)}
	}))
	defer collector.Close()
	traces, err := telemetry.OpenTraces(t.Context(), collector.URL+"/v1/traces", "v1.2.3", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	_, span := traces.Tracer().Start(t.Context(), "listSessions")
	span.End()
	require.NoError(t, traces.Close(t.Context()), "closing sends what waits")
	batch := <-got
	assert.Equal(t, "/v1/traces", batch.path)
	assert.Equal(t, "application/x-protobuf", batch.kind)
	for _, text := range []string{"listSessions", "service.name", "sessiond", "service.version", "v1.2.3"} {
		assert.Contains(t, batch.body, text)
	}
}

func TestACollectorThatIsNone(t *testing.T) {
	for _, address := range []string{"collector:4318", "ftp://collector", "http://", "http://a b"} {
		_, err := telemetry.OpenTraces(t.Context(), address, "v1", slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, "use http://HOST:4318", address)
	}
}
