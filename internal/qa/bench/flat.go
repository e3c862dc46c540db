package bench

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Flat is the shape of the database that tells how speed depends on the size of a tenant.
type Flat struct {
	// Sizes are the tenants' sessions, 85 in 100 of them active, smallest first. Smallest is how many tenants there are of the
	// first size, so that there is enough to revoke.
	Sizes    []int
	Smallest int
	// RevokeAll is the size of the tenant whose sessions are revoked all at once.
	RevokeAll int
}

// classes makes the tenants: of each size, and last the one to revoke.
func (f Flat) classes() (tenants []*tenant, all []*class) {
	for i, size := range f.Sizes {
		count := 1
		if i == 0 {
			count = f.Smallest
		}
		from := len(tenants)
		for range count {
			tenants = append(tenants, newTenant(len(tenants), 0, size))
		}
		all = append(all, newClass(thousands(size), tenants[from:]))
	}
	victim := newTenant(len(tenants), 0, f.RevokeAll)
	return append(tenants, victim), append(all, newClass("revoke all", []*tenant{victim}))
}

// RunFlat measures sessiond on tenants of different sizes in one database, each against the smallest, one request at a
// time and many; and then what revoking all of a large tenant costs, and costs others.
func RunFlat(ctx context.Context, config Config, out io.Writer) error {
	return with(ctx, config, func(b *bench) error {
		d := b.databases
		f := newFilling(config.Flat.classes())
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
		all, err := b.bySize(ctx)
		if err != nil {
			return err
		}
		revoked, err := b.revokeAll(ctx)
		if err != nil {
			return err
		}
		total := 0
		for _, t := range f.tenants {
			total += t.size
		}
		var t strings.Builder
		b.conditions(&t, all)
		fmt.Fprintf(&t, "- %s sessions in the database, 85 %% of them active; page 1,000 is the last full page where there are not so many\n\n",
			thousands(total))
		table(&t, "concurrency | sessions of the tenant | server", all, "the smallest")
		t.WriteString("\n" + revoked)
		return write(out, &t)
	})
}

// bySize compares the tenants.
func (b *bench) bySize(ctx context.Context) ([]*contestant, error) {
	page, s := expectation{200, `"user_id"`, 20}, b.servers[0]
	sizes := s.classes[:len(s.classes)-1]
	var all []*contestant
	for _, op := range []operation{
		{name: "list page 1", expect: page, sessiond: b.wire.listTenant},
		{name: "list page 1,000", expect: page, sessiond: b.wire.listDeep},
		{name: "stats", expect: expectation{200, `"unique_users"`, 1}, sessiond: b.wire.stats},
		{name: "get", expect: expectation{200, `"user_id"`, 1}, sessiond: b.wire.get},
		{name: "revoke one", expect: expectation{status: 204}, sessiond: b.wire.revoke},
	} {
		for _, concurrency := range b.config.Concurrency {
			var contestants []*contestant
			for _, c := range sizes {
				contestants = append(contestants, &contestant{
					operation: op.name, concurrency: concurrency, class: c.name, name: s.name, server: s,
					load: load{workers: concurrency, class: c, make: op.sessiond, expect: op.expect},
				})
			}
			if op.name == "list page 1" {
				contestants = append(contestants, &contestant{
					operation: "admin list page 1", concurrency: concurrency, class: "all tenants", name: s.name, server: s,
					load: load{workers: concurrency, class: sizes[0], make: b.wire.listAll, expect: page},
				})
			}
			if err := b.compare(ctx, contestants, 0); err != nil {
				return nil, fmt.Errorf("%s: %w", op.name, err)
			}
			all = append(all, contestants...)
		}
	}
	return all, nil
}

// revokeAll ends all sessions of a tenant while others are served, and says what it cost.
func (b *bench) revokeAll(ctx context.Context) (string, error) {
	s := b.servers[0]
	others, victim := s.classes[0], s.classes[len(s.classes)-1].tenants[0]
	gets := load{
		addr: s.process.addr, workers: 4, length: b.config.Round, requests: b.config.Requests, class: others,
		make: b.wire.get, expect: expectation{200, `"user_id"`, 1},
	}
	before, err := gets.run(ctx)
	if err != nil {
		return "", err
	}
	if err := s.process.resetPeak(); err != nil {
		return "", err
	}
	resident, _ := s.process.memory()
	c, err := dial(ctx, s.process.addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	done := make(chan struct{})
	var answer string
	var took time.Duration
	go func() {
		defer close(done)
		began := clock()
		c.out = post(nil, perTenant+victim.id+"/sessions/revoke-all", victim.admins[0], "application/json", "{}")
		status, body, err := c.do()
		took = clock().Sub(began)
		if answer = fmt.Sprintf("answered %d with %d KiB", status, len(body)>>10); err != nil {
			answer = fmt.Sprintf("had no answer (%v)", err)
		}
	}()
	gets.until = done
	during, err := gets.run(ctx)
	<-done
	_, peak := s.process.memory()
	return fmt.Sprintf("Revoking all of a tenant with %s sessions %s after %s. sessiond's memory: %d MiB before, %d MiB at its peak. "+
		"Another tenant's get, 4 at a time: p50 %s ms and p99 %s ms before, %s and %s ms meanwhile.\n",
		thousands(victim.size), answer, took.Round(time.Millisecond), resident, peak,
		millis(quantile(before.latencies, 0.5)), millis(quantile(before.latencies, 0.99)),
		millis(quantile(during.latencies, 0.5)), millis(quantile(during.latencies, 0.99))), err
}

// thousands writes a number with commas.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
