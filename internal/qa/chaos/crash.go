package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Crash is a run in which programs are killed while writers write.
type Crash struct {
	// Binary is sessiond, Dir a directory for everything.
	Binary, Dir string
	// SQLite writes to a file, and kills the server only; otherwise the server or all of PostgreSQL, at random.
	SQLite bool
	// Settings are PostgreSQL's, as in synchronous_commit=off.
	Settings []string
	// Kills come after about Writes acknowledged writes each, from Writers at once.
	Kills, Writes, Writers int
	Seed                   uint64
	// Progress is called for every kill. It may be nil.
	Progress func(kills, acknowledged int)
}

// CrashReport is what came of it.
type CrashReport struct {
	// Kills of the server and of PostgreSQL, acknowledged writes, and those of which no answer or an error came back.
	ServerKills, PostgresKills, Acknowledged, Unknown int
	// Answers counts the answers by status, 0 for none.
	Answers map[int]int
	// Introspected is how many sessions revoked just before a kill were introspected after it.
	Introspected int
	// Lost are acknowledged writes that are not there, Torn what is there by halves, Revived sessions that were called active
	// after their revocation was acknowledged.
	Lost, Torn, Revived []string
	// Faults are the log's lines about errors that the server did not expect.
	Faults []string
	Took   time.Duration
}

// Broken has every promise that was not kept.
func (r CrashReport) Broken() []string {
	return slices.Concat(r.Lost, r.Torn, r.Revived)
}

// crash is a run under way.
type crash struct {
	Crash
	report   CrashReport
	random   *rand.Rand
	postgres *Postgres
	server   *Server
	// target is the server that is introspected at.
	target   atomic.Pointer[Server]
	client   *Client
	journals []*journal
	acks     chan struct{}
	// serverFirst is the order of the next two kills.
	serverFirst bool
	// strike is what is done between writes.
	strike func(ctx context.Context, n int) error
}

// Run does it. An error is a fault of the run itself; what the report says of broken promises is none.
func (c Crash) Run(ctx context.Context) (CrashReport, error) {
	run := &crash{Crash: c, random: rand.New(rand.NewPCG(c.Seed, 0)), acks: make(chan struct{}, 1024)} //nolint:gosec // repeatable
	run.strike = run.kill
	return run.run(ctx)
}

func (c *crash) run(ctx context.Context) (CrashReport, error) {
	c.report.Answers = map[int]int{}
	start := clock()
	err := errors.Join(c.start(ctx), ctx.Err())
	if err == nil {
		err = c.rounds(ctx)
	}
	if err == nil {
		err = c.verify(ctx)
	}
	c.report.Took = clock().Sub(start)
	return c.report, errors.Join(err, c.stop())
}

func (c *crash) start(ctx context.Context) error {
	c.server = &Server{Binary: c.Binary, Dir: filepath.Join(c.Dir, "server"), Database: "sqlite://" + filepath.Join(c.Dir, "sessiond.db")}
	if !c.SQLite {
		var err error
		if c.postgres, err = NewPostgres(ctx, filepath.Join(c.Dir, "postgres"), c.Settings...); err != nil {
			return err
		}
		if err := c.postgres.MakeDatabase(ctx); err != nil {
			return err
		}
		c.server.Database = c.postgres.URL("sessions")
	}
	if err := c.server.Start(ctx); err != nil {
		return err
	}
	var err error
	c.target.Store(c.server)
	if c.client, err = c.server.client(); err != nil {
		return err
	}
	c.client.base = func() string { return c.target.Load().URL() }
	for i := range c.Writers {
		c.journals = append(c.journals, newJournal(i))
	}
	return nil
}

func (c *crash) stop() error {
	var errs error
	if c.client != nil {
		c.client.Close()
	}
	if c.server != nil && c.server.cmd != nil {
		errs = c.server.Stop()
	}
	if c.postgres != nil {
		errs = errors.Join(errs, c.postgres.Stop())
	}
	return errs
}

// rounds lets the writers write, and kills.
func (c *crash) rounds(ctx context.Context) error {
	writing, halt := context.WithCancel(ctx)
	var writers sync.WaitGroup
	for i, j := range c.journals {
		w := writer{client: c.client, journal: j, random: rand.New(rand.NewPCG(c.Seed, uint64(i+1)))} //nolint:gosec // repeatable
		w.onAck = func() { c.acks <- struct{}{} }
		writers.Go(func() { w.run(writing) })
	}
	err := c.kills(ctx)
	halt()
	ended := make(chan struct{})
	go func() { writers.Wait(); close(ended) }()
	for {
		select {
		case <-c.acks: // those that are under way
		case <-ended:
			return err
		}
	}
}

func (c *crash) kills(ctx context.Context) error {
	total := 0
	for kill := range c.Kills {
		for range c.Writes/2 + c.random.IntN(c.Writes+1) {
			select {
			case <-c.acks:
				total++
			case <-time.After(patience):
				return fmt.Errorf("nothing is acknowledged any more after %d kills: %w", kill, errPatience)
			}
		}
		if err := c.strike(ctx, kill); err != nil {
			return fmt.Errorf("kill %d: %w", kill+1, err)
		}
		if c.Progress != nil {
			c.Progress(kill+1, total)
		}
	}
	return nil
}

// kill ends the server or PostgreSQL and starts it again. The server must find back by itself when PostgreSQL was away.
func (c *crash) kill(ctx context.Context, kill int) error {
	if kill%2 == 0 {
		c.serverFirst = c.random.IntN(2) == 0 // of each two kills one is of either, in random order
	}
	if c.SQLite || c.serverFirst == (kill%2 == 0) {
		c.report.ServerKills++
		return errors.Join(c.server.Kill(), c.server.Start(ctx))
	}
	c.report.PostgresKills++
	return errors.Join(c.postgres.Kill(ctx), c.postgres.Start(ctx))
}

// Text is the report as a line.
func (r CrashReport) Text() string {
	return fmt.Sprintf("%d kills of the server, %d of PostgreSQL; %d writes acknowledged, %d in doubt; %d lost, %d torn, %d revived; %d introspected; answers %v; %s",
		r.ServerKills, r.PostgresKills, r.Acknowledged, r.Unknown, len(r.Lost), len(r.Torn), len(r.Revived), r.Introspected, r.Answers, r.Took.Round(time.Second))
}

// Head is the beginning of a long list.
func Head(lines []string) string {
	if len(lines) > 10 {
		lines = append(append([]string{}, lines[:10]...), fmt.Sprintf("… %d more", len(lines)-10))
	}
	return strings.Join(lines, "\n")
}
