package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store/storetest"
)

// served is a running server of the command.
type served struct {
	t         *testing.T
	base      string
	dir       string
	tour, log *output
	stop      func() error
}

// startServer runs `serve --dev` with demo sessions and further arguments until the test ends or stop is called.
func startServer(t *testing.T, url string, args ...string) *served {
	t.Helper()
	s := &served{t: t, dir: t.TempDir(), tour: &output{}, log: &output{}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	args = append([]string{
		"serve", "--dev", "--addr", "127.0.0.1:0", "--data-dir", s.dir, "--database-url", url, "--demo-sessions", "50",
	}, args...)
	go func() { ended <- run(ctx, args, noEnvironment, s.tour, s.log) }()
	s.stop = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() { assert.NoError(t, s.stop()) })
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), `"msg":"serving"`) }, 30*time.Second, 10*time.Millisecond)
	s.base = regexp.MustCompile(`https?://127\.0\.0\.1:\d+`).FindString(s.tour.String())
	return s
}

// metrics is a scrape.
func (s *served) metrics() string {
	s.t.Helper()
	found := regexp.MustCompile(`"msg":"serving".*"metrics":"([^"]+)"`).FindStringSubmatch(s.log.String())
	require.Len(s.t, found, 2, s.log.String())
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+found[1]+"/metrics", http.NoBody)
	require.NoError(s.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return string(text)
}

func TestMetricsAndTracesOfTheCommand(t *testing.T) {
	for name, url := range map[string]string{"sqlite": storetest.SQLiteURL(t), "postgres": storetest.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) {
			spans := &output{}
			collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(spans, r.Body)
				assert.NoError(t, err)
			}))
			defer collector.Close()
			s := startServer(t, url, "--metrics-addr", "127.0.0.1:0", "--otlp-endpoint", collector.URL)
			active := regexp.MustCompile(`(?m)^sessiond_sessions_active (\d+)$`)
			before := active.FindStringSubmatch(s.metrics())
			require.Len(t, before, 2)

			tour := s.tour.String()
			mine := regexp.MustCompile(`/api/v1/me/sessions/[^\s']+`).FindString(tour)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.base+mine, http.NoBody)
			require.NoError(t, err)
			request.Header.Set("Authorization", "Bearer "+tokenOf(t, tour, "ME"))
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusOK, response.StatusCode)

			after := s.metrics()
			assert.NotEqual(t, before[1], active.FindStringSubmatch(after)[1], "one is active no more")
			for _, line := range []string{
				`sessiond_sessions_ended_total{how="revoked"} 1`,
				`sessiond_http_request_duration_seconds_count{method="DELETE",operation="revokeMySession",status="200"} 1`,
			} {
				assert.Contains(t, strings.Split(after, "\n"), line)
			}
			assert.Regexp(t, `(?m)^sessiond_database_connections_open [1-9]`, after)
			assert.Equal(t, http.StatusNotFound, get(t, s.base+"/metrics", ""), "the numbers are not the API's")

			require.NoError(t, s.stop())
			assert.Contains(t, spans.String(), "revokeMySession", "what waits is sent at the end")
			assert.Contains(t, spans.String(), "store.RevokeSession")
		})
	}
}

func TestWhereTracesGo(t *testing.T) {
	for want, c := range map[string]struct{ flag, general, traces string }{
		"":                         {},
		"http://flag:1/v1/traces":  {"http://flag:1", "http://general:1", "http://traces:1/x"},
		"http://flag:2/v1/traces":  {"http://flag:2/", "", ""},
		"http://general/v1/traces": {"", "http://general", ""},
		"http://traces:1/x":        {"", "http://general", "http://traces:1/x"},
	} {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.general)
		t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", c.traces)
		assert.Equal(t, want, (&telemetryOptions{collector: c.flag}).tracesURL())
	}
}
