package bench

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fairness is the shape of the databases that tell what one tenant's load costs the others.
type Fairness struct {
	// Tenant is how many sessions each of the tenants has, User how many one user of the misbehaving tenant has besides, and
	// Revoked how many a tenant has that ends all of them.
	Tenant, User, Revoked int
}

const (
	// wellBehaved is how many tenants are measured.
	wellBehaved = 7
	// Each of them sends a request of every kind that often.
	pace = 50 * time.Millisecond
	// So many clients misbehave, each of which sends its next request so long after the last answer.
	misbehaving = 6
	thinking    = 2 * time.Millisecond
	// perPage is the largest page.
	perPage = 100
)

// tenants are the well-behaved ones, the one that misbehaves, and one for each round, all of whose sessions are ended in it.
func (f Fairness) tenants(rounds int) (tenants []*tenant, all []*class) {
	add := func(name string, count, size, ofOneUser int) {
		from := len(tenants)
		for range count {
			t := newTenant(len(tenants), 0, size)
			t.size, t.ofOneUser = size+ofOneUser, ofOneUser
			tenants = append(tenants, t)
		}
		all = append(all, newClass(name, tenants[from:]))
	}
	add("well-behaved", wellBehaved, f.Tenant, 0)
	add("misbehaving", 1, f.Tenant, f.User)
	for range rounds {
		add("revoked", 1, f.Revoked, 0)
	}
	return tenants, all
}

// misdeed is one way to misbehave.
type misdeed struct {
	name   string
	make   request
	status int
}

// misdeeds are what the misbehaving tenant does, in turn.
func (b *bench) misdeeds() []misdeed {
	return []misdeed{
		{"far pages of one user's sessions", b.wire.listUserDeep, 200},
		{"statistics", b.wire.stats, 200},
		{"registrations", b.wire.register, 201},
		{"revoke-all and registrations", b.wire.revokeAllOrRegister, 0},
	}
}

// listUserDeep asks for a random page of the user with many sessions.
func (w *wire) listUserDeep(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	t := c.tenants[0]
	path := fmt.Sprintf("%s%s/sessions/users/%s?per_page=%d&page=%d", perTenant, t.id, t.oneUser(), perPage, 1+random.IntN(t.ofOneUser/perPage))
	return call(b, "GET", path, pick(random, t.admins)), nil
}

// revokeAllOrRegister ends all of the tenant's sessions, and once in a while makes new ones.
func (w *wire) revokeAllOrRegister(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	if random.IntN(3) > 0 {
		return w.register(c, random, b)
	}
	t := c.tenants[0]
	return post(b, perTenant+t.id+"/sessions/revoke-all", pick(random, t.admins), "application/json", "{}"), nil
}

// fairnessRow is what the well-behaved tenants measured of an operation.
type fairnessRow struct {
	server, misdeed, operation string
	alone, meanwhile           []time.Duration
	// done is how many requests a second were answered to those that misbehaved.
	done []float64
}

// RunFairness measures seven tenants that send few requests, alone and while another one misbehaves in each of several ways.
func RunFairness(ctx context.Context, config Config, out io.Writer) error {
	return with(ctx, config, func(b *bench) error {
		if err := b.startFair(ctx); err != nil {
			return err
		}
		var all []*fairnessRow
		for _, s := range b.servers {
			for _, m := range b.misdeeds() {
				rows, err := b.misbehave(ctx, s, m)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", s.name, m.name, err)
				}
				all = append(all, rows...)
			}
		}
		var t strings.Builder
		b.conditions(&t, nil)
		f := config.Fairness
		fmt.Fprintf(&t, "- %d tenants of %s sessions, each with one request of each operation every %v; another, one user of which has %s more: "+
			"%d clients, each of which sends its next request %v after an answer; all sessions ended: %s, another tenant's in each round\n\n",
			wellBehaved, thousands(f.Tenant), pace, thousands(f.User), misbehaving, thinking, thousands(f.Revoked))
		fairnessTable(&t, all)
		return write(out, &t)
	})
}

func fairnessTable(t *strings.Builder, all []*fairnessRow) {
	t.WriteString("| server | meanwhile, another tenant's | operation | alone: p50 ms | p99 ms | meanwhile: p50 ms | p99 ms | ratio of p99 | its requests/s |\n")
	t.WriteString("|---|---|---|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range all {
		slices.Sort(r.alone)
		slices.Sort(r.meanwhile)
		alone, meanwhile := quantile(r.alone, 0.99), quantile(r.meanwhile, 0.99)
		fmt.Fprintf(t, "| %s | %s | %s | %s | %s | %s | %s | %.2f | %.4g |\n", r.server, r.misdeed, r.operation,
			millis(quantile(r.alone, 0.5)), millis(alone), millis(quantile(r.meanwhile, 0.5)), millis(meanwhile),
			meanwhile.Seconds()/alone.Seconds(), median(r.done))
	}
}

// startFair fills both databases and starts sessiond on each.
func (b *bench) startFair(ctx context.Context) error {
	d := b.databases
	f := newFilling(b.config.Fairness.tenants(b.config.Rounds))
	owned, err := d.make(ctx, d.sessiond)
	if err != nil {
		return err
	}
	if err := b.fill(ctx, f, owned, d.url(d.sessiond)); err != nil {
		return err
	}
	if err := b.serve(ctx, "PostgreSQL", owned, f.classes, d.postmaster); err != nil {
		return err
	}
	if b.config.SQLite.Sessions == 0 {
		return nil
	}
	url := "sqlite://" + filepath.Join(b.dir, "fairness.db")
	f = newFilling(b.config.Fairness.tenants(b.config.Rounds))
	if err := b.fill(ctx, f, url, url); err != nil {
		return err
	}
	return b.serve(ctx, "SQLite", url, f.classes, 0)
}

// misbehave measures the well-behaved tenants alone and meanwhile, in turn.
func (b *bench) misbehave(ctx context.Context, s *server, m misdeed) ([]*fairnessRow, error) {
	var rows []*fairnessRow
	for _, op := range b.everyday() {
		rows = append(rows, &fairnessRow{server: s.name, misdeed: m.name, operation: op.name})
	}
	for round := range b.config.Rounds {
		alone, err := b.behave(ctx, s)
		if err != nil {
			return nil, err
		}
		by := s.classes[1]
		if m.status == 0 {
			by = s.classes[2+round]
		}
		until, done := make(chan struct{}), make(chan error, 1)
		b.seed++
		l := load{
			addr: s.process.addr, workers: misbehaving, until: until, thinking: thinking, seed: b.seed,
			class: by, make: m.make, expect: expectation{status: m.status},
		}
		var flood result
		go func() {
			var err error
			flood, err = l.run(ctx)
			done <- err
		}()
		meanwhile, err := b.behave(ctx, s)
		close(until)
		if floodErr := <-done; err == nil {
			err = floodErr
		}
		if err != nil {
			return nil, err
		}
		for i, row := range rows {
			row.alone, row.meanwhile = append(row.alone, alone[i]...), append(row.meanwhile, meanwhile[i]...)
			row.done = append(row.done, flood.rate())
		}
	}
	for _, r := range rows {
		b.progress("%-12s %-36s %-12s %6d requests", r.server, r.misdeed, r.operation, len(r.alone)+len(r.meanwhile))
	}
	return rows, nil
}

// everyday is what well-behaved tenants ask for.
func (b *bench) everyday() []operation {
	return slices.DeleteFunc(operations(b.wire), func(op operation) bool {
		return !slices.Contains([]string{"introspect", "get", "tenant list"}, op.name)
	})
}

// behave sends the well-behaved tenants' requests for a round, and returns the latencies of each operation.
func (b *bench) behave(ctx context.Context, s *server) ([][]time.Duration, error) {
	everyday := b.everyday()
	results, errs := make([]result, len(everyday)), make([]error, len(everyday))
	var group sync.WaitGroup
	for i, op := range everyday {
		b.seed++
		l := load{
			addr: s.process.addr, workers: wellBehaved, length: b.config.Round, requests: b.config.Requests, pace: pace, seed: b.seed,
			class: s.classes[0], make: op.sessiond, expect: op.expect,
		}
		group.Go(func() { results[i], errs[i] = l.run(ctx) })
	}
	group.Wait()
	latencies := make([][]time.Duration, len(results))
	for i, r := range results {
		latencies[i] = r.latencies
	}
	return latencies, firstOf(errs)
}
