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

// table writes what was measured in Markdown.
func table(t *strings.Builder, first string, all []*contestant, reference string) {
	fmt.Fprintf(t, "| operation | %s | requests/s | p50 ms | p99 ms | ratio to %s (least–most) | CPU µs/request | PostgreSQL CPU µs/request |\n",
		first, reference)
	t.WriteString("|---|---|---|--:|--:|--:|--:|--:|--:|\n")
	for _, c := range all {
		database := "–"
		if c.server.postmaster != 0 {
			database = micros(perRequest([]*contestant{c}, func(r result) time.Duration { return r.databaseCPU }))
		}
		fmt.Fprintf(t, "| %s | %s | %s | %.4g | %s | %s | %.3f (%.3f–%.3f) | %s | %s |\n", c.operation, c.class, c.name, c.rate(),
			millis(c.quantile(0.5)), millis(c.quantile(0.99)), median(c.ratios), slices.Min(c.ratios), slices.Max(c.ratios),
			micros(perRequest([]*contestant{c}, func(r result) time.Duration { return r.serverCPU })), database)
	}
}

// conditions are what a figure depends on.
func (b *bench) conditions(t *strings.Builder, all []*contestant) {
	fmt.Fprintf(t, "- %s, %d cores, shared by server, database and load (which takes %s µs/request itself); %s\n",
		processor(), runtime.NumCPU(), micros(perRequest(all, func(r result) time.Duration { return r.loadCPU })), clock().Format(time.DateOnly))
	fmt.Fprintf(t, "- %s; %s\n", runtime.Version(), b.databases.about)
	fmt.Fprintf(t, "- access tokens: %s, %d distinct ones, their sessions' users and administrators drawn at random\n", algorithm, b.issuer.minted)
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
