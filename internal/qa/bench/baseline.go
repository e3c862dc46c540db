package bench

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// Run measures each operation against the baseline, on tenants about the median and on the largest, and writes a table.
func Run(ctx context.Context, config Config, out io.Writer) error {
	return with(ctx, config, func(b *bench) error {
		chosen, err := selected(operations(b.wire), config.Only)
		if err != nil {
			return err
		}
		if err := b.startAll(ctx); err != nil {
			return err
		}
		var all []*contestant
		for _, op := range chosen {
			for class := range b.servers[0].classes {
				contestants, baseline := b.contest(op, class)
				if err := b.compare(ctx, contestants, baseline); err != nil {
					return fmt.Errorf("%s: %w", op.name, err)
				}
				all = append(all, contestants...)
			}
		}
		var t strings.Builder
		b.conditions(&t, all)
		fmt.Fprintf(&t, "- concurrency %d; PostgreSQL: %s; SQLite: %s\n", config.Concurrency, config.Shape, config.SQLite)
		t.WriteString(notes)
		table(&t, "tenant | server", all, "baseline")
		return write(out, &t)
	})
}

// notes explain the table.
const notes = `- the baseline has no statistics and no introspection: its get stands there; on SQLite too the baseline is PostgreSQL's
- "get with sid": the token's own session is looked up as well; "activity": sessions that were not used lately, so each use
  is written; "activity again": the same 200 over and over, which sessiond writes once in --activity-interval

`

// selected are the operations with those names, in their own order; all without any.
func selected(all []operation, only []string) ([]operation, error) {
	if len(only) == 0 {
		return all, nil
	}
	var known []string
	for _, op := range all {
		known = append(known, op.name)
	}
	for _, name := range only {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("no operation %q: use some of %s", name, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(all, func(op operation) bool { return !slices.Contains(only, op.name) }), nil
}

// startAll fills the databases and starts sessiond, the baseline and, unless it is left out, sessiond on SQLite.
func (b *bench) startAll(ctx context.Context) error {
	baseline, err := build(ctx, b.dir, "baseline", "github.com/sessiond/sessiond/internal/qa/bench/baseline")
	if err != nil {
		return err
	}
	d := b.databases
	tenants := b.config.Shape.tenants()
	f := newFilling(tenants, classes(tenants))
	if err := b.fill(ctx, f, d.owned(), d.url(d.sessiond)); err != nil {
		return err
	}
	if err := d.copyForBaseline(ctx); err != nil {
		return err
	}
	if err := b.serve(ctx, "sessiond", d.owned(), f.classes, d.postmaster); err != nil {
		return err
	}
	p, err := start(ctx, filepath.Join(b.dir, "baseline.log"), baseline, "--database-url", d.url(d.baseline))
	if err != nil {
		return err
	}
	b.add(&server{name: "baseline", process: p, isBaseline: true, postmaster: d.postmaster}, f.classes)
	if b.config.SQLite.Sessions == 0 {
		return nil
	}
	url := "sqlite://" + filepath.Join(b.dir, "bench.db")
	tenants = b.config.SQLite.tenants()
	f = newFilling(tenants, classes(tenants))
	if err := b.fill(ctx, f, url, url); err != nil {
		return err
	}
	return b.serve(ctx, "sessiond, SQLite", url, f.classes, 0)
}

// contest sets an operation up at every server, and says which is the baseline.
func (b *bench) contest(op operation, class int) (contestants []*contestant, baseline int) {
	for i, s := range b.servers {
		c := &contestant{
			operation: op.name, class: s.classes[class].name, name: s.name, server: s,
			load: load{workers: b.config.Concurrency, class: s.classes[class], make: op.sessiond, expect: op.expect},
		}
		if s.isBaseline {
			baseline, c.load.make, c.load.expect = i, op.baseline, op.baselineExpect
			if op.against != "" {
				c.name += "'s " + op.against
			}
		}
		contestants = append(contestants, c)
	}
	return contestants, baseline
}
