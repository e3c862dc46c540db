package bench

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report writes what was measured as a Markdown table, under what it was measured on.
func (b *bench) report(out io.Writer, rows []row) error {
	var t strings.Builder
	b.conditions(&t)
	t.WriteString("| operation | tenant | server | requests/s | p50 ms | p99 ms | ratio to floor (least–most) | CPU µs/request | PostgreSQL CPU µs/request |\n")
	t.WriteString("|---|---|---|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range rows {
		name := r.server.name
		if r.server.isFloor && r.op.against != "" {
			name += "'s " + r.op.against
		}
		ratio := "1"
		if !r.server.isFloor {
			ratio = fmt.Sprintf("%.2f (%.2f–%.2f)", median(r.ratios), slices.Min(r.ratios), slices.Max(r.ratios))
		}
		database := "–"
		if r.server.postmaster != 0 {
			database = micros(r.perRequest(func(m result) time.Duration { return m.databaseCPU }))
		}
		fmt.Fprintf(&t, "| %s | %s | %s | %.0f | %s | %s | %s | %s | %s |\n", r.op.name, r.class, name, r.rate(),
			millis(r.quantile(0.5)), millis(r.quantile(0.99)), ratio,
			micros(r.perRequest(func(m result) time.Duration { return m.serverCPU })), database)
	}
	_, err := io.WriteString(out, t.String())
	return err
}

// conditions are what a figure depends on.
func (b *bench) conditions(t *strings.Builder) {
	c := b.config
	fmt.Fprintf(t, "- %s, %d cores, shared by server, database and load; %s\n", processor(), runtime.NumCPU(), clock().Format(time.DateOnly))
	fmt.Fprintf(t, "- %s; %s; access tokens %s, %d distinct ones\n", runtime.Version(), b.databases.about, algorithm, b.issuer.minted)
	fmt.Fprintf(t, "- PostgreSQL: %s; SQLite: %s\n", c.Shape, c.SQLite)
	length := c.Round.String()
	if c.Requests > 0 {
		length = fmt.Sprintf("%d requests", c.Requests)
	}
	fmt.Fprintf(t, "- concurrency %d; %d rounds of %s for each server, alternating; the ratio is of requests/s, the median of the rounds'\n\n",
		c.Concurrency, c.Rounds, length)
}

// String says it in words.
func (s Shape) String() string {
	if s.Sessions == 0 {
		return "left out"
	}
	return fmt.Sprintf("%d sessions of %d tenants, the largest with %d", s.Sessions, s.Tenants, s.Largest)
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	if found := regexp.MustCompile(`(?m)^model name\s*:\s*(.+)$`).FindSubmatch(text); found != nil {
		return string(found[1])
	}
	return runtime.GOARCH
}

func millis(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1000) }
func micros(d time.Duration) string { return fmt.Sprintf("%d", d.Microseconds()) }
