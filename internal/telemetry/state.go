package telemetry

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// scrapeTimeout bounds how long a scrape waits for the database; without an answer the number is left out.
const scrapeTimeout = 2 * time.Second

// Pool is the state of a pool of connections.
type Pool struct {
	// Open counts the connections, those in use and those that are idle. MaxOpen bounds them; 0 is no bound.
	Open, InUse, Idle, MaxOpen int
	// WaitCount is how often a caller had to wait for a connection, WaitDuration the sum of these waits.
	WaitCount    int64
	WaitDuration time.Duration
}

// State is where the metrics of a scrape come from. Its functions are called on each scrape.
type State struct {
	// Active returns the number of active sessions in the whole database: every instance reports the same number.
	Active func(ctx context.Context) (int, error)
	// Pool returns the state of this process's connections to the database.
	Pool func() Pool
	// Logger receives a warning when a metric is left out of a scrape.
	Logger *slog.Logger
}

// Watch adds the numbers of a state.
func (m *Metrics) Watch(state State) {
	m.registry.MustRegister(stateCollector{
		State:  state,
		active: describe("sessiond_sessions_active", "Active sessions in the database; the same number from every instance."),
		open:   describe("sessiond_database_connections_open", "Connections to the database."),
		inUse:  describe("sessiond_database_connections_in_use", "Connections to the database that are being used."),
		idle:   describe("sessiond_database_connections_idle", "Connections to the database that wait to be used."),
		most:   describe("sessiond_database_connections_max", "Connections to the database at the most; 0 is no bound."),
		waits:  describe("sessiond_database_waits_total", "How often somebody had to wait for a connection."),
		waited: describe("sessiond_database_wait_seconds_total", "How long they waited in all."),
	})
}

func describe(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }

type stateCollector struct {
	State

	active, open, inUse, idle, most, waits, waited *prometheus.Desc
}

// Describe implements prometheus.Collector. It does not query the database.
func (c stateCollector) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.active, c.open, c.inUse, c.idle, c.most, c.waits, c.waited} {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (c stateCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	pool := c.Pool()
	gauge(c.open, float64(pool.Open))
	gauge(c.inUse, float64(pool.InUse))
	gauge(c.idle, float64(pool.Idle))
	gauge(c.most, float64(pool.MaxOpen))
	to <- prometheus.MustNewConstMetric(c.waits, prometheus.CounterValue, float64(pool.WaitCount))
	to <- prometheus.MustNewConstMetric(c.waited, prometheus.CounterValue, pool.WaitDuration.Seconds())

	//nolint:forbidigo // Prometheus' interface hands no context in, and the scrape's deadline is ours.
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	active, err := c.Active(ctx)
	if err != nil {
		c.Logger.WarnContext(ctx, "active sessions could not be counted", "error", err)
		return
	}
	gauge(c.active, float64(active))
}
