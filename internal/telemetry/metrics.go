// Package telemetry is what the process tells of itself: numbers for Prometheus and traces for an OpenTelemetry collector.
//
// No label holds what a client chooses: requests are distinguished by operation, known method and known status, so the
// number of series is bounded by the contract.
package telemetry

import (
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Other stands in a label for all that has no name of its own.
const Other = "other"

// Metrics is the process's numbers. It is safe for concurrent use. Requests are not counted where it is nil.
type Metrics struct {
	registry *prometheus.Registry
	inFlight prometheus.Gauge
	duration *prometheus.HistogramVec
	ended    *prometheus.CounterVec
	refused  *prometheus.CounterVec
}

// NewMetrics returns the numbers of a process of that version; all start at zero.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sessiond_http_requests_in_flight", Help: "Requests that are being served.",
		}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sessiond_http_request_duration_seconds", Help: "Time from the request's head to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"operation", "method", "status"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sessiond_sessions_ended_total", Help: "Endings that this process has recorded, by cause.",
		}, []string{"how"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sessiond_auth_failures_total", Help: "Requests that were answered with 401, by the check that their token failed.",
		}, []string{"reason"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sessiond_build_info", Help: "1, labelled with the version.",
		ConstLabels: prometheus.Labels{"version": version, "go_version": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(m.inFlight, m.duration, m.ended, m.refused, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Ended counts n sessions that ended in one way. It is what store.Options.OnEnded wants; the ways are the store's.
func (m *Metrics) Ended(how string, n int) {
	m.ended.WithLabelValues(how).Add(float64(n))
}

// AuthFailed counts a request that was answered with 401. The reasons are internal/auth's, of which there are few; "" is none.
func (m *Metrics) AuthFailed(reason string) {
	if m != nil && reason != "" {
		m.refused.WithLabelValues(reason).Inc()
	}
}

// Handler answers a scrape in Prometheus' text format or OpenMetrics, whichever is asked for.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, ErrorHandling: promhttp.ContinueOnError})
}

// Begin counts a request that is being served, until End.
func (m *Metrics) Begin() {
	if m != nil {
		m.inFlight.Inc()
	}
}

// End is the end of what began with Begin.
func (m *Metrics) End() {
	if m != nil {
		m.inFlight.Dec()
	}
}

// statuses are those that have series of their own: all that the server sends. Others are counted together.
func statuses() []int {
	return []int{
		http.StatusOK, http.StatusCreated, http.StatusNoContent, http.StatusFound, http.StatusNotModified,
		http.StatusTemporaryRedirect, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
		http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusConflict, http.StatusRequestEntityTooLarge,
		http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable,
	}
}

// Operation is the series of one operation, by status. Each is found once, so that a request costs no look-up of labels,
// and only when it is needed, so that a scrape tells nothing of what never happened.
type Operation struct {
	known map[int]func() prometheus.Observer
	other func() prometheus.Observer
}

// Operation returns the series of an operation, which is always called with the same method.
func (m *Metrics) Operation(name, method string) *Operation {
	if m == nil {
		return nil
	}
	series := func(status string) func() prometheus.Observer {
		return sync.OnceValue(func() prometheus.Observer { return m.duration.WithLabelValues(name, method, status) })
	}
	o := &Operation{known: map[int]func() prometheus.Observer{}, other: series(Other)}
	for _, status := range statuses() {
		o.known[status] = series(strconv.Itoa(status))
	}
	return o
}

// Observe counts a request that was answered with a status.
func (o *Operation) Observe(status int, took time.Duration) {
	if o == nil {
		return
	}
	series, found := o.known[status]
	if !found {
		series = o.other
	}
	series().Observe(took.Seconds())
}
