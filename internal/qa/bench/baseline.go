package bench

import (
	"context"
	"errors"
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
		if err := b.startAll(ctx, slices.ContainsFunc(chosen, func(op operation) bool { return op.newTokens })); err != nil {
			return err
		}
		all, err := b.measure(ctx, chosen, b.contest)
		if err != nil {
			return err
		}
		var t strings.Builder
		b.conditions(&t, all)
		fmt.Fprintf(&t, "- PostgreSQL: %s; SQLite: %s\n", config.Shape, config.SQLite)
		t.WriteString(notes)
		ratios(&t, config.Concurrency, all)
		t.WriteString("\n")
		table(&t, "concurrency | tenant | server", all, "baseline")
		return errors.Join(write(out, &t), b.writeJSON(all))
	})
}

// measure measures operations on each class of tenants at each concurrency. set says who takes turns, and the index of the one that all are
// held against.
func (b *bench) measure(
	ctx context.Context, chosen []operation, set func(op operation, class, concurrency int) (contestants []*contestant, reference int),
) ([]*contestant, error) {
	var all []*contestant
	for _, op := range chosen {
		for class := range b.servers[0].classes {
			if op.newTokens && class > 0 {
				continue
			}
			for _, concurrency := range b.config.Concurrency {
				contestants, reference := set(op, class, concurrency)
				if err := b.compare(ctx, contestants, reference); err != nil {
					return nil, fmt.Errorf("%s: %w", op.name, err)
				}
				all = append(all, contestants...)
			}
		}
	}
	return all, nil
}

// notes explain the table.
const notes = `- the baseline's table has only the indexes that its statements need; the "baseline, all indexes" has those of sessiond's table
- the baseline has no statistics and no introspection: its get stands there; on SQLite too the baseline is PostgreSQL's
- a round of revocations, written activity or new tokens ends after so many requests that there are enough for all rounds
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

// startAll fills the databases and starts sessiond, the baselines and, unless it is left out, sessiond on SQLite.
func (b *bench) startAll(ctx context.Context, withNewTokens bool) error {
	baseline, err := build(ctx, b.dir, "baseline", "github.com/sessiond/sessiond/internal/qa/bench/baseline")
	if err != nil {
		return err
	}
	d := b.databases
	tenants := b.config.Shape.tenants()
	f := newFilling(tenants, classes(tenants))
	owned, err := d.make(ctx, d.sessiond)
	if err != nil {
		return err
	}
	if err := b.fill(ctx, f, owned, d.url(d.sessiond)); err != nil {
		return err
	}
	if withNewTokens {
		if err := b.mintNew(f.classes[0]); err != nil {
			return err
		}
	}
	if err := d.copyForBaselines(ctx); err != nil {
		return err
	}
	if err := b.serve(ctx, "sessiond", owned, f.classes, d.postmaster); err != nil {
		return err
	}
	for _, s := range []*server{{name: "baseline"}, {name: "baseline, all indexes", writesOnly: true}} {
		database := d.baseline
		if s.writesOnly {
			database = d.indexed
		}
		s.isBaseline, s.postmaster = true, d.postmaster
		s.process, err = start(ctx, filepath.Join(b.dir, database+".log"), baseline, "--database-url", d.url(database))
		if err != nil {
			return err
		}
		b.add(s, f.classes)
	}
	if b.config.SQLite.Sessions == 0 {
		return nil
	}
	url := "sqlite://" + filepath.Join(b.dir, "bench.db")
	tenants = b.config.SQLite.tenants()
	f = newFilling(tenants, classes(tenants))
	if err := b.fill(ctx, f, url, url); err != nil {
		return err
	}
	if withNewTokens {
		if err := b.mintNew(f.classes[0]); err != nil {
			return err
		}
	}
	return b.serve(ctx, "sessiond, SQLite", url, f.classes, 0)
}

// contest sets an operation up at every server, and says which is the baseline.
func (b *bench) contest(op operation, class, concurrency int) (contestants []*contestant, baseline int) {
	for _, s := range b.servers {
		if s.writesOnly && !op.writes {
			continue
		}
		c := b.contestant(op, s, class, concurrency)
		if s.isBaseline {
			c.load.make, c.load.expect = op.baseline, op.baselineExpect
			if op.against != "" {
				c.name += "'s " + op.against
			}
			if !s.writesOnly {
				baseline = len(contestants)
			}
		}
		contestants = append(contestants, c)
	}
	return contestants, baseline
}

// contestant is one of sessiond's servers with an operation.
func (b *bench) contestant(op operation, s *server, class, concurrency int) *contestant {
	return &contestant{
		operation: op.name, class: s.classes[class].name, concurrency: concurrency, name: s.name, server: s, most: op.most, once: op.most > 0 && !op.newTokens,
		load: load{workers: concurrency, class: s.classes[class], make: op.sessiond, expect: op.expect},
	}
}
