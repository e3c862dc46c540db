package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// searches is how many first pages of each search are read in a round, one after the other.
	searches = 100
	// searching clients search at a time while other tenants are measured.
	searching = 2
)

// RunSearch measures the first page of searches, of the largest tenant and of the platform, and what they cost the gets of other tenants.
func RunSearch(ctx context.Context, config Config, out io.Writer) error {
	return with(ctx, config, func(b *bench) error {
		tenants := config.Shape.tenants()
		f := newFilling(tenants, classes(tenants))
		d := b.databases
		owned, err := d.make(ctx, d.sessiond)
		if err != nil {
			return err
		}
		if err := b.fill(ctx, f, owned, d.url(d.sessiond)); err != nil {
			return err
		}
		if err := b.serve(ctx, "sessiond", owned, f.classes, d.postmaster); err != nil {
			return err
		}
		var t strings.Builder
		b.conditions(&t, nil)
		fmt.Fprintf(&t, "- the first page of a search, by one client, %d times in each of %d rounds; of the others, the gets of the median tenants, every %v, "+
			"while %d clients do nothing but this search\n\n", searches, config.Rounds, pace, searching)
		t.WriteString("| search | largest tenant: p50 ms | p99 ms | platform: p50 ms | p99 ms | p99 of others' gets, alone | meanwhile | ratio |\n")
		t.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|\n")
		for _, name := range searchNames() {
			if err := b.searchRow(ctx, &t, b.servers[0], name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if err := b.exportAll(ctx, &t, b.servers[0]); err != nil {
			return err
		}
		if err := b.endAll(ctx, &t, b.servers[0]); err != nil {
			return err
		}
		return write(out, &t)
	})
}

// exportAll exports all sessions, and says how long it takes, and what memory, and what it costs the gets of other tenants.
func (b *bench) exportAll(ctx context.Context, t *strings.Builder, s *server) error {
	before, err := b.gets(ctx, s, s.classes[0])
	if err != nil {
		return err
	}
	if err := s.process.resetPeak(); err != nil {
		return err
	}
	resident, _ := s.process.memory()
	started, rows := clock(), 0
	done := make(chan error, 1)
	go func() {
		var err error
		rows, err = b.export(ctx, s)
		done <- err
	}()
	during, err := b.gets(ctx, s, s.classes[0])
	if exportErr := <-done; err == nil {
		err = exportErr
	}
	if err != nil {
		return err
	}
	_, peak := s.process.memory()
	fmt.Fprintf(t, "\nAn export of all %s sessions as NDJSON takes %.0f s. sessiond's memory: %d MiB before, %d MiB at its peak. p99 of others' gets: %s ms "+
		"alone, %s ms meanwhile.\n", thousands(rows), clock().Sub(started).Seconds(), resident, peak, millis(quantile(before, 0.99)), millis(quantile(during, 0.99)))
	b.progress("export of %d sessions", rows)
	return nil
}

// export reads an export, and returns how many lines it has.
func (b *bench) export(ctx context.Context, s *server) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.process.addr+"/api/v1/sessions", nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+b.wire.operators[0])
	request.Header.Set("Accept", "application/x-ndjson")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	rows := 0
	lines := bufio.NewScanner(response.Body)
	for lines.Buffer(nil, 1<<20); lines.Scan(); {
		rows++
	}
	return rows, lines.Err()
}

// endAll ends the sessions of the largest tenant that are on a desktop by a job, and says what it costs the gets of other tenants.
func (b *bench) endAll(ctx context.Context, t *strings.Builder, s *server) error {
	before, err := b.gets(ctx, s, s.classes[0])
	if err != nil {
		return err
	}
	largest := s.classes[len(s.classes)-1].tenants[0]
	filter := fmt.Sprintf(`"filter":{"tenant_id":%q,"device_type":"desktop"}`, largest.id)
	var preview struct {
		Data struct {
			Sessions     int
			Confirmation string
		}
	}
	if err := b.post(ctx, s, "{"+filter+"}", &preview); err != nil {
		return err
	}
	var job struct{ Data struct{ ID string } }
	if err := b.post(ctx, s, fmt.Sprintf(`{%s,"dry_run":false,"confirmation":%q}`, filter, preview.Data.Confirmation), &job); err != nil {
		return err
	}
	during, err := b.gets(ctx, s, s.classes[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(t, "\nWhile a job ends %s sessions of the largest tenant, p99 of others' gets is %s ms, %s ms alone.\n", thousands(preview.Data.Sessions),
		millis(quantile(during, 0.99)), millis(quantile(before, 0.99)))
	return nil
}

// post sends a revocation.
func (b *bench) post(ctx context.Context, s *server, body string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.process.addr+"/api/v1/revocation-jobs", strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+b.wire.operators[0])
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s: %w", response.Status, text, err)
	}
	return json.Unmarshal(text, into)
}

// searchRow measures one search.
func (b *bench) searchRow(ctx context.Context, t *strings.Builder, s *server, name string) error {
	var own, all, alone, meanwhile []time.Duration
	ofTenant := func(c *class, random *rand.Rand, request []byte) ([]byte, error) {
		of := pick(random, c.tenants)
		return call(request, "GET", "/api/v1/sessions?"+query(name, of, random), pick(random, of.admins)), nil
	}
	ofPlatform := func(c *class, random *rand.Rand, request []byte) ([]byte, error) {
		return call(request, "GET", "/api/v1/sessions?"+queryOfAll(name, pick(random, c.tenants), random), pick(random, b.wire.operators)), nil
	}
	largest, median := s.classes[len(s.classes)-1], s.classes[0]
	for range b.config.Rounds {
		for _, of := range []struct {
			class     *class
			make      request
			latencies *[]time.Duration
		}{{largest, ofTenant, &own}, {median, ofPlatform, &all}} {
			b.seed++
			requests := searches
			if b.config.Requests > 0 {
				requests = min(requests, b.config.Requests)
			}
			l := load{addr: s.process.addr, workers: 1, requests: requests, seed: b.seed, class: of.class, make: of.make, expect: expectation{status: 200}}
			measured, err := l.run(ctx)
			if err != nil {
				return err
			}
			*of.latencies = append(*of.latencies, measured.latencies...)
		}
		before, err := b.gets(ctx, s, median)
		if err != nil {
			return err
		}
		until, done := make(chan struct{}), make(chan error, 1)
		b.seed++
		l := load{
			addr: s.process.addr, workers: searching, until: until, seed: b.seed, class: largest, make: ofTenant, expect: expectation{status: 200},
		}
		go func() {
			_, err := l.run(ctx)
			done <- err
		}()
		during, err := b.gets(ctx, s, median)
		close(until)
		if searchErr := <-done; err == nil {
			err = searchErr
		}
		if err != nil {
			return err
		}
		alone, meanwhile = append(alone, before...), append(meanwhile, during...)
	}
	for _, latencies := range [][]time.Duration{own, all, alone, meanwhile} {
		slices.Sort(latencies)
	}
	before, during := quantile(alone, 0.99), quantile(meanwhile, 0.99)
	fmt.Fprintf(t, "| %s | %s | %s | %s | %s | %s | %s | %.2f |\n", name, millis(quantile(own, 0.5)), millis(quantile(own, 0.99)),
		millis(quantile(all, 0.5)), millis(quantile(all, 0.99)), millis(before), millis(during), during.Seconds()/before.Seconds())
	b.progress("%-40s %d requests", name, len(own)+len(all))
	return nil
}

// gets sends gets of other tenants for a round.
func (b *bench) gets(ctx context.Context, s *server, of *class) ([]time.Duration, error) {
	b.seed++
	l := load{
		addr: s.process.addr, workers: wellBehaved, length: b.config.Round, requests: b.config.Requests, pace: pace, seed: b.seed,
		class: of, make: b.wire.get, expect: expectation{status: 200},
	}
	measured, err := l.run(ctx)
	return measured.latencies, err
}

// filters are what a search may look for.
func filters() []string {
	return []string{
		"user_id", "q", "ip", "network", "application_id", "country", "rare country", "device_type", "browser", "os", "status", "created",
		"last_activity", "ended", "sort=last_activity_at", "sort=ended_at",
	}
}

// searchNames are all of these, none, and the likeliest pairs.
func searchNames() []string {
	return append(append([]string{"(none)"}, filters()...),
		"status user_id", "status q", "status ip", "network created", "network ended", "country status", "browser os", "device_type last_activity",
		"application_id status", "rare country status")
}

// query is a search about a tenant.
func query(name string, of *tenant, random *rand.Rand) string {
	values := url.Values{}
	now := clock()
	at := func(days float64) string {
		return now.Add(-time.Duration(days * float64(24*time.Hour))).UTC().Format(time.RFC3339)
	}
	ago := random.Float64() * 25
	somebody := fmt.Sprintf("%s-u%d", of.id, random.IntN(1+of.size/3))
	for _, filter := range append([]string{"rare country"}, strings.Fields(strings.ReplaceAll(name, "rare country", ""))...) {
		if filter == "rare country" && !strings.Contains(name, filter) {
			continue
		}
		switch filter {
		case "user_id":
			values.Set("user_id", somebody)
		case "q":
			values.Set("q", strings.ToUpper(somebody+"@"))
		case "ip":
			values.Set("ip", address(random))
		case "network":
			values.Set("ip", address(random)+"/20")
		case "application_id":
			values.Set("application_id", pick(random, applications()))
		case "country":
			values.Set("country", "GB")
		case "rare country":
			values.Set("country", "IS")
		case "device_type":
			values.Set("device_type", "mobile")
		case "browser":
			values.Set("browser", "firefox")
		case "os":
			values.Set("os", "linux")
		case "status":
			values.Set("status", "revoked")
		case "created", "last_activity", "ended":
			values.Set(filter+"_after", at(ago+0.1))
			values.Set(filter+"_before", at(ago))
		default:
			if sort, is := strings.CutPrefix(filter, "sort="); is {
				values.Set("sort", sort)
			}
		}
	}
	if values.Get("sort") == "last_activity_at" {
		values.Set("user_id", somebody) // of a whole tenant it is refused
	}
	return values.Encode()
}

// queryOfAll is a search of the platform's about a tenant. By their end the sessions of all tenants are in no order.
func queryOfAll(name string, of *tenant, random *rand.Rand) string {
	if name == "sort=ended_at" {
		return query(name, of, random) + "&tenant_id=" + of.id
	}
	return query(name, of, random)
}

// address is one of a million, in 16 networks.
func address(random *rand.Rand) string {
	return fmt.Sprintf("10.%d.%d.%d", random.IntN(16), random.IntN(256), random.IntN(256))
}
