package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// table writes what was measured in Markdown.
func table(t *strings.Builder, first string, all []*contestant, reference string) {
	fmt.Fprintf(t, "| operation | %s | requests/s | p50 ms | p99 ms | ratio to %s (least–most) | CPU µs/request | PostgreSQL CPU µs/request |\n",
		first, reference)
	t.WriteString("|---|--:|---|---|--:|--:|--:|--:|--:|--:|\n")
	for _, c := range all {
		database := "–"
		if c.server.postmaster != 0 {
			database = micros(perRequest([]*contestant{c}, func(r result) time.Duration { return r.databaseCPU }))
		}
		fmt.Fprintf(t, "| %s | %d | %s | %s | %.4g | %s | %s | %.3f (%.3f–%.3f) | %s | %s |\n", c.operation, c.concurrency, c.class, c.name, c.rate(),
			millis(c.quantile(0.5)), millis(c.quantile(0.99)), median(c.ratios), slices.Min(c.ratios), slices.Max(c.ratios),
			micros(perRequest([]*contestant{c}, func(r result) time.Duration { return r.serverCPU })), database)
	}
}

// ratios writes, for each operation, tenant and server, the ratio at each concurrency, and that of the p99.
func ratios(t *strings.Builder, concurrency []int, all []*contestant) {
	t.WriteString("| operation | tenant | server |")
	for _, n := range concurrency {
		fmt.Fprintf(t, " %d at a time |", n)
	}
	t.WriteString(" their p99 |\n|---|---|---|" + strings.Repeat("--:|", len(concurrency)+1) + "\n")
	for len(all) > 0 {
		first := all[0]
		is := func(c *contestant) bool {
			return c.operation == first.operation && c.class == first.class && c.name == first.name
		}
		if c := first; !c.server.isBaseline || c.server.writesOnly {
			fmt.Fprintf(t, "| %s | %s | %s |", c.operation, c.class, c.name)
			var slowest []string
			for _, c := range all {
				if is(c) {
					fmt.Fprintf(t, " %.2f |", median(c.ratios))
					slowest = append(slowest, fmt.Sprintf("%.2f", median(c.slowest)))
				}
			}
			fmt.Fprintf(t, " %s |\n", strings.Join(slowest, ", "))
		}
		all = slices.DeleteFunc(slices.Clone(all), is)
	}
}

// measurement is what is kept of a contestant in JSON. Times are in microseconds.
type measurement struct {
	Operation   string  `json:"operation"`
	Tenant      string  `json:"tenant"`
	Server      string  `json:"server"`
	Concurrency int     `json:"concurrency"`
	Rate        float64 `json:"requests_per_second"`
	P50         float64 `json:"p50_us"`
	P99         float64 `json:"p99_us"`
	CPU         float64 `json:"cpu_us"`
	PostgresCPU float64 `json:"postgres_cpu_us"`
	Ratio       float64 `json:"ratio"`
	// Ratios are those of the rounds.
	Ratios []float64 `json:"ratios"`
}

// writeJSON writes the file for what was measured, if one is asked for.
func (b *bench) writeJSON(all []*contestant) error {
	if b.config.JSON == "" {
		return nil
	}
	report := struct {
		Date         string        `json:"date"`
		Processor    string        `json:"processor"`
		Processors   int           `json:"processors"`
		Go           string        `json:"go"`
		Database     string        `json:"database"`
		Sessions     string        `json:"sessions"`
		Rounds       int           `json:"rounds"`
		Measurements []measurement `json:"measurements"`
	}{
		clock().Format(time.DateOnly), processor(), runtime.NumCPU(), runtime.Version(), b.databases.about, b.config.Shape.String(), b.config.Rounds, nil,
	}
	for _, c := range all {
		one := []*contestant{c}
		report.Measurements = append(report.Measurements, measurement{
			c.operation, c.class, c.name, c.concurrency, c.rate(), inMicros(c.quantile(0.5)), inMicros(c.quantile(0.99)),
			inMicros(perRequest(one, func(r result) time.Duration { return r.serverCPU })),
			inMicros(perRequest(one, func(r result) time.Duration { return r.databaseCPU })), median(c.ratios), c.ratios,
		})
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(b.config.JSON, append(text, '\n'), 0o644) //nolint:gosec // a report
}

func inMicros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// conditions are what a figure depends on.
func (b *bench) conditions(t *strings.Builder, all []*contestant) {
	fmt.Fprintf(t, "- %s, %d cores, shared by server, database and load (which takes %s µs/request itself); %s\n",
		processor(), runtime.NumCPU(), micros(perRequest(all, func(r result) time.Duration { return r.loadCPU })), clock().Format(time.DateOnly))
	fmt.Fprintf(t, "- %s; %s\n", runtime.Version(), b.databases.about)
	fmt.Fprintf(t, "- access tokens: RS256 with 2048 bits, but where ES256 or EdDSA (Ed25519) stands; drawn at random, and so verified before, but where "+
		"they are new\n")
	length := b.config.Round.String()
	if b.config.Requests > 0 {
		length = fmt.Sprintf("%d requests", b.config.Requests)
	}
	fmt.Fprintf(t, "- %d rounds of %s each, alternating; the ratio is of requests/s, the median of the rounds'\n", b.config.Rounds, length)
}

// write puts the text out at once.
func write(out io.Writer, t *strings.Builder) error {
	_, err := io.WriteString(out, t.String())
	return err
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
