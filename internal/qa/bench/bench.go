// Package bench measures how fast sessiond is, against a baseline: a program that runs the one SQL statement of a request and
// writes the bytes (see internal/qa/bench/baseline), under the same load, on the same PostgreSQL server, on the same rows.
//
// Speeds on a shared machine drift within minutes, so a single figure says little. Short rounds of sessiond and of the
// baseline alternate, each pair gives a ratio, and the median of the ratios is what to go by. PostgreSQL's processor time is
// that of all its processes, so what one round leaves to do in the background may count for the next.
//
// It reads /proc, so it runs on Linux.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sessiond/sessiond/store"
)

// Config is what to measure.
type Config struct {
	// Shape is of PostgreSQL's databases, SQLite of SQLite's; no sessions leave SQLite out.
	Shape, SQLite Shape
	Flat          Flat
	Fairness      Fairness
	// Concurrency is how many requests are under way at a time; each is measured.
	Concurrency []int
	// A round takes Round or, when it is not 0, Requests requests; each server has Rounds of them for each operation.
	Round    time.Duration
	Requests int
	Rounds   int
	// Only names the operations to measure, all when it is empty.
	Only []string
	// PostgresURL is a server on which databases may be made; one is started when it is empty.
	PostgresURL string
	// PostgresSettings are added to those of a server that is started, NAME=VALUE.
	PostgresSettings []string
	// Sessiond is the program to measure; it is built from this module when it is empty.
	Sessiond string
	// JSON is the file for what was measured; there is none when it is empty.
	JSON string
	// Progress receives a line for each step.
	Progress io.Writer
}

// Smoke is a configuration that runs everything once and measures nothing of worth.
func Smoke() Config {
	return Config{
		Shape: Shape{3000, 10, 900}, SQLite: Shape{800, 6, 300}, Concurrency: []int{1, 4}, Requests: 20, Rounds: 1,
		Flat: Flat{Sizes: []int{300, 600, 1200}, Smallest: 2, RevokeAll: 500}, Fairness: Fairness{Tenant: 60, User: 300, Revoked: 60},
		Progress: io.Discard,
	}
}

// server is a program under load.
type server struct {
	name       string
	process    *process
	classes    []*class
	isBaseline bool
	// writesOnly: it is asked only for what writes.
	writesOnly bool
	// postmaster is of the PostgreSQL that it uses, 0 when it uses none.
	postmaster int
}

// bench is one run.
type bench struct {
	config    Config
	dir       string
	sessiond  string
	issuer    *issuer
	wire      *wire
	databases *databases
	servers   []*server
	seed      uint64
}

// with prepares a run, does it, and removes what it made, also when the context ends.
func with(ctx context.Context, config Config, do func(*bench) error) (err error) {
	dir, err := os.MkdirTemp("", "sessiond-bench-")
	if err != nil {
		return err
	}
	b := &bench{config: config, dir: dir}
	defer func() {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		err = errors.Join(err, b.close(ctx))
	}()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	return do(b)
}

// prepare builds the program and starts PostgreSQL.
func (b *bench) prepare(ctx context.Context) (err error) {
	if b.sessiond = b.config.Sessiond; b.sessiond == "" {
		b.progress("building sessiond")
		if b.sessiond, err = Build(ctx, b.dir); err != nil {
			return err
		}
	}
	if b.issuer, err = newIssuer(b.dir, clock()); err != nil {
		return err
	}
	if b.wire, err = newWire(b.issuer); err != nil {
		return err
	}
	b.databases, err = openPostgres(ctx, b.config.PostgresURL, b.config.PostgresSettings)
	return err
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

func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(b.config.Progress, format+"\n", args...)
}

// fill brings a database's schema up to date, fills it through the URL of a superuser, and makes tokens for what is in it.
func (b *bench) fill(ctx context.Context, f filling, url, super string) error {
	b.progress("filling %s", store.Redact(url))
	began := clock()
	s, err := store.Open(ctx, url, store.Options{Now: clock})
	if err != nil {
		return err
	}
	if err := errors.Join(f.into(ctx, s, super), s.Close()); err != nil {
		return err
	}
	b.progress("filled in %s", clock().Sub(began).Round(time.Second/10))
	return b.mint(f)
}

// mint makes the tokens of administrators, without sid, and of people, with one.
func (b *bench) mint(f filling) error {
	b.progress("signing tokens")
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

// mintNew makes tokens of a class's administrators that are used once each, as many as the rounds need.
func (b *bench) mintNew(c *class) error {
	c.newTokens = map[string]*newTokens{}
	rounds := len(b.config.Concurrency) * (b.config.Rounds + 1)
	for _, algorithm := range algorithms() {
		those := &newTokens{}
		for n := range rounds * b.most(mostTokens) {
			t := c.tenants[n%len(c.tenants)]
			if len(t.some) == 0 {
				continue
			}
			token, err := b.issuer.mintBy(algorithm, "boss", "sessions:read", "tenant_id", t.id)
			if err != nil {
				return err
			}
			those.tokens = append(those.tokens, tenantToken{t, token})
		}
		c.newTokens[algorithm] = those
	}
	return nil
}

// most is how many requests a round has at the most, where that is bounded.
func (b *bench) most(bound int) int {
	if b.config.Requests > 0 {
		return min(b.config.Requests, bound)
	}
	return bound
}

// serve starts sessiond as in production: a real issuer, access log, maintenance jobs.
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
