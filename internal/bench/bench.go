// Package bench measures how fast sessiond is: against the floor, a program that runs the one SQL statement and writes the
// bytes (see floor), under the same load, on the same PostgreSQL server, on the same rows.
//
// Speeds on a shared machine drift within minutes, so a figure alone says little. Short rounds of sessiond and of the
// floor alternate, each pair gives a ratio, and the median of the ratios is what to go by.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/sessiond/sessiond/store"
)

// Config is what to measure.
type Config struct {
	// Shape is of PostgreSQL's databases, SQLite of SQLite's; no sessions leave SQLite out.
	Shape, SQLite Shape
	// Concurrency is how many requests are under way at a time.
	Concurrency int
	// A round takes Round or, when it is not 0, Requests requests; each server has Rounds of them for each operation.
	Round    time.Duration
	Requests int
	Rounds   int
	// Only names the operations to measure, all when it is empty.
	Only []string
	// PostgresURL is a server on which databases may be made; one is started when it is empty.
	PostgresURL string
	// Sessiond is the program to measure; it is built from this module when it is empty.
	Sessiond string
	// Progress is told what is being done.
	Progress io.Writer
}

// server is one of those that take turns.
type server struct {
	name    string
	process *process
	classes []*class
	isFloor bool
	// postmaster is of the PostgreSQL that it uses, 0 when it uses none.
	postmaster int
}

// bench is one run.
type bench struct {
	config    Config
	dir       string
	issuer    *issuer
	databases *databases
	servers   []*server
	sessiond  string
	seed      uint64
}

// Run measures and writes a Markdown table. It leaves nothing behind, also when the context ends.
func Run(ctx context.Context, config Config, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "sessiond-bench-")
	if err != nil {
		return err
	}
	b := &bench{config: config, dir: dir}
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	wire, err := newWire(b.issuer)
	if err != nil {
		return err
	}
	all, err := selected(operations(wire), config.Only)
	if err != nil {
		return err
	}
	rows := []row{}
	for _, op := range all {
		for class := range b.servers[0].classes {
			measured, err := b.compare(ctx, op, class)
			if err != nil {
				return fmt.Errorf("%s: %w", op.name, err)
			}
			rows = append(rows, measured...)
		}
	}
	return b.report(out, rows)
}

func selected(all []operation, only []string) ([]operation, error) {
	if len(only) == 0 {
		return all, nil
	}
	var chosen []operation
	for _, name := range only {
		at := slices.IndexFunc(all, func(o operation) bool { return o.name == name })
		if at < 0 {
			return nil, fmt.Errorf("no operation %q: %s", name, names(all))
		}
		chosen = append(chosen, all[at])
	}
	return chosen, nil
}

func names(all []operation) string {
	text := "there are"
	for _, op := range all {
		text += " " + strconv.Quote(op.name)
	}
	return text
}

func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(b.config.Progress, format+"\n", args...)
}

func (b *bench) close(ctx context.Context) error {
	var errs error
	for _, s := range b.servers {
		errs = errors.Join(errs, s.process.stop())
	}
	if b.databases != nil {
		errs = errors.Join(errs, b.databases.close(ctx))
	}
	return errors.Join(errs, os.RemoveAll(b.dir))
}

// prepare builds the programs, fills the databases and starts the servers.
func (b *bench) prepare(ctx context.Context) error {
	b.progress("building sessiond and the floor")
	floor, err := build(ctx, b.dir, "floor", "github.com/sessiond/sessiond/internal/bench/floor")
	if err != nil {
		return err
	}
	if b.sessiond = b.config.Sessiond; b.sessiond == "" {
		if b.sessiond, err = build(ctx, b.dir, "sessiond", "github.com/sessiond/sessiond/cmd/sessiond"); err != nil {
			return err
		}
	}
	now := clock()
	if b.issuer, err = newIssuer(b.dir, now); err != nil {
		return err
	}
	if b.databases, err = openPostgres(ctx, b.config.PostgresURL); err != nil {
		return err
	}
	f, err := b.fill(ctx, b.config.Shape, b.databases.url(b.databases.sessiond))
	if err != nil {
		return err
	}
	if err := b.databases.copyForFloor(ctx); err != nil {
		return err
	}
	if err := b.serve(ctx, "sessiond", b.databases.url(b.databases.sessiond), f.classes, b.databases.postmaster); err != nil {
		return err
	}
	p, err := start(ctx, filepath.Join(b.dir, "floor.log"), floor, "--database-url", b.databases.url(b.databases.floor))
	if err != nil {
		return err
	}
	b.add(&server{name: "floor", process: p, isFloor: true, postmaster: b.databases.postmaster}, f.classes)
	if b.config.SQLite.Sessions == 0 {
		return nil
	}
	url := "sqlite://" + filepath.Join(b.dir, "bench.db")
	if f, err = b.fill(ctx, b.config.SQLite, url); err != nil {
		return err
	}
	return b.serve(ctx, "sessiond, SQLite", url, f.classes, 0)
}

// fill brings a database's schema up to date, fills it, and makes tokens for what is in it.
func (b *bench) fill(ctx context.Context, shape Shape, url string) (filling, error) {
	b.progress("filling %s with %d sessions of %d tenants", store.Redact(url), shape.Sessions, shape.Tenants)
	began := clock()
	f := filling{tenants: shape.tenants(), now: began}
	f.classes = classes(f.tenants)
	s, err := store.Open(ctx, url, store.Options{Now: clock})
	if err != nil {
		return f, err
	}
	fill := func() error {
		if _, err := s.Migrate(ctx); err != nil {
			return err
		}
		if s.Engine() == "sqlite" {
			return f.fillStore(ctx, s)
		}
		if err := f.fillPostgres(ctx, url); err != nil {
			return err
		}
		return afterFill(ctx, s)
	}
	if err := errors.Join(fill(), s.Close()); err != nil {
		return f, err
	}
	b.progress("filled in %s", clock().Sub(began).Round(time.Second/10))
	return f, b.mint(f)
}

// mint makes the tokens of administrators, without sid, and of people, with one.
func (b *bench) mint(f filling) error {
	for _, c := range f.classes {
		for _, t := range c.tenants {
			count := max(1, 20/len(c.tenants))
			var err error
			if t.admins, err = b.issuer.mintMany(count, "boss", "sessions:read sessions:write", "tenant_id", t.id); err != nil {
				return err
			}
		}
		for _, p := range c.people {
			var err error
			if p.token, err = b.issuer.mint(p.user, "sessions:read", "tenant_id", p.tenant.id, "sid", p.sid); err != nil {
				return err
			}
		}
	}
	return nil
}

// serve starts sessiond as in production: a real issuer, access log, upkeep.
func (b *bench) serve(ctx context.Context, name, url string, classes []*class, postmaster int) error {
	p, err := start(ctx, filepath.Join(b.dir, name+".log"), b.sessiond, "serve", "--addr", "127.0.0.1:0", "--database-url", url,
		"--issuer", issuerName, "--audience", audience, "--jwks-file", b.issuer.jwks)
	if err != nil {
		return err
	}
	b.add(&server{name: name, process: p, postmaster: postmaster}, classes)
	return nil
}

func (b *bench) add(s *server, classes []*class) {
	for _, c := range classes {
		s.classes = append(s.classes, c.fork())
	}
	b.servers = append(b.servers, s)
}
