package chaos

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/anishathalye/porcupine"
)

// History is a run in which clients register, check and revoke the same sessions over two instances on one PostgreSQL,
// while the instances are paused and killed. What they saw must be what one instance with one session at a time could
// have answered (linearizability).
type History struct {
	Binary, Dir string
	// In each of Rounds, Clients make Steps requests each, about Sessions sessions.
	Rounds, Clients, Steps, Sessions int
	Seed                             uint64
	// Calm leaves the instances alone. Cached puts a cache in front of the second one's introspection (a control).
	Calm, Cached bool
	// Progress is called for every round that is done. It may be nil.
	Progress func(rounds int)
}

// HistoryReport is what came of it.
type HistoryReport struct {
	Sessions, Operations, InDoubt, Pauses, Kills int
	// Illegal are histories that no order explains, Undecided those that took too long to judge.
	Illegal, Undecided []string
	Took               time.Duration
}

// Text is the report as a line.
func (r HistoryReport) Text() string {
	return fmt.Sprintf("%d operations on %d sessions, %d in doubt, over %d pauses and %d kills; %d not linearizable, %d undecided; %s",
		r.Operations, r.Sessions, r.InDoubt, r.Pauses, r.Kills, len(r.Illegal), len(r.Undecided), r.Took.Round(time.Second))
}

// history is a run under way.
type history struct {
	History
	report    HistoryReport
	postgres  *Postgres
	instances [2]*Server
	clients   [2]*Client
	cache     *cache
	began     time.Time
}

// Run does it. An error is a fault of the run itself.
func (h History) Run(ctx context.Context) (HistoryReport, error) {
	run := &history{History: h, began: clock()}
	err := run.start(ctx)
	if err == nil {
		err = run.rounds(ctx)
	}
	run.report.Took = clock().Sub(run.began)
	return run.report, errors.Join(err, run.stop())
}

func (h *history) start(ctx context.Context) error {
	var err error
	if h.postgres, err = NewPostgres(ctx, filepath.Join(h.Dir, "postgres"), "synchronous_commit=on"); err != nil {
		return err
	}
	if err := h.postgres.MakeDatabase(ctx); err != nil {
		return err
	}
	for i := range h.instances {
		// One directory: both trust the same tokens.
		h.instances[i] = &Server{Binary: h.Binary, Dir: filepath.Join(h.Dir, "server"), Database: h.postgres.URL("sessions")}
		if err := h.instances[i].Start(ctx); err != nil {
			return err
		}
		if h.clients[i], err = h.instances[i].client(); err != nil {
			return err
		}
	}
	if h.Cached {
		h.cache = newCache(h.instances[1].URL)
		h.clients[1].base = func() string { return h.cache.server.URL }
	}
	return nil
}

func (h *history) stop() error {
	var errs error
	for i, instance := range h.instances {
		if h.clients[i] != nil {
			h.clients[i].Close()
		}
		if instance != nil && instance.cmd != nil {
			errs = errors.Join(errs, instance.Stop())
		}
	}
	if h.cache != nil {
		h.cache.close()
	}
	if h.postgres != nil {
		errs = errors.Join(errs, h.postgres.Stop())
	}
	return errs
}

func (h *history) rounds(ctx context.Context) error {
	troubling, calm := context.WithCancel(ctx)
	var trouble sync.WaitGroup
	var failed, troubled error
	if !h.Calm {
		trouble.Go(func() { troubled = h.trouble(troubling) })
	}
	for round := 0; round < h.Rounds && ctx.Err() == nil; round++ {
		seen, err := h.round(ctx, round)
		if err != nil {
			failed = err
			break
		}
		h.judge(seen)
		if h.Progress != nil {
			h.Progress(round + 1)
		}
	}
	calm()
	trouble.Wait()
	return errors.Join(failed, troubled, ctx.Err())
}

// trouble pauses and kills the instances, one at a time.
func (h *history) trouble(ctx context.Context) error {
	random := rand.New(rand.NewPCG(h.Seed, math.MaxUint64)) //nolint:gosec // repeatable
	for ctx.Err() == nil {
		time.Sleep(time.Duration(20+random.IntN(60)) * time.Millisecond)
		instance := h.instances[random.IntN(2)]
		if random.IntN(3) == 0 {
			h.report.Kills++
			if err := errors.Join(instance.Kill(), instance.Start(context.WithoutCancel(ctx))); err != nil {
				return err
			}
			continue
		}
		h.report.Pauses++
		err := instance.cmd.Process.Signal(syscall.SIGSTOP)
		time.Sleep(time.Duration(20+random.IntN(200)) * time.Millisecond)
		if err := errors.Join(err, instance.cmd.Process.Signal(syscall.SIGCONT)); err != nil {
			return err
		}
	}
	return nil
}

// round is what the clients of one round saw, by session.
func (h *history) round(ctx context.Context, round int) (map[string][]porcupine.Operation, error) {
	subjects := make([]subject, h.Sessions)
	for i := range subjects {
		id := fmt.Sprintf("h-%d-%d", round, i)
		token, err := h.clients[0].token(ownTenant, ownUser, id)
		if err != nil {
			return nil, err
		}
		subjects[i] = subject{id, token}
	}
	var mu sync.Mutex
	seen := map[string][]porcupine.Operation{}
	var clients sync.WaitGroup
	for client := range h.Clients {
		random := rand.New(rand.NewPCG(h.Seed, uint64(round*h.Clients+client))) //nolint:gosec // repeatable
		clients.Go(func() {
			for range h.Steps {
				about := subjects[random.IntN(h.Sessions)]
				operation, ok := h.operate(ctx, random, about)
				operation.ClientId = client
				mu.Lock()
				if ok {
					seen[about.id] = append(seen[about.id], operation)
				}
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	return seen, nil
}

// operate makes one request over either instance. A check without an answer says nothing, and is left out.
func (h *history) operate(ctx context.Context, random *rand.Rand, about subject) (porcupine.Operation, bool) {
	client := h.clients[random.IntN(2)]
	a := [...]action{registering, registering, introspecting, introspecting, introspecting, introspecting, using, using, using, revoking}[random.IntN(10)]
	began := clock().Sub(h.began).Nanoseconds()
	r := client.act(ctx, a, about)
	operation := porcupine.Operation{Input: a, Output: r, Call: began, Return: clock().Sub(h.began).Nanoseconds()}
	if r == inDoubt {
		operation.Return = math.MaxInt64 // it may still be carried out
		time.Sleep(5 * time.Millisecond) // the instance is being started again
	}
	return operation, r != inDoubt || a == registering || a == revoking
}

// Of whom all sessions of a history are.
const ownTenant, ownUser = "acme", "ada"

// subject is a session, and the one token of it.
type subject struct{ id, token string }

// act does something with a session.
func (c *Client) act(ctx context.Context, a action, about subject) result {
	ask := c.active
	switch a {
	case registering:
		got, err := c.register(ctx, ownTenant, ownUser, about.id)
		return written(got, err, http.StatusConflict, refusedEnded)
	case revoking:
		got, err := c.revoke(ctx, ownTenant, about.id)
		return written(got, err, http.StatusNotFound, refusedAbsent)
	case using:
		ask = c.admitted
	case introspecting:
	}
	alive, err := ask(ctx, about.token)
	switch {
	case err != nil:
		return inDoubt
	case alive:
		return good
	default:
		return bad
	}
}

func written(got answer, err error, refusal int, refused result) result {
	switch {
	case err != nil || got.status >= http.StatusInternalServerError:
		return inDoubt
	case got.status == refusal:
		return refused
	default:
		return done
	}
}

// judge looks for an order of each session's operations that explains all answers.
func (h *history) judge(seen map[string][]porcupine.Operation) {
	for id, operations := range seen {
		h.report.Sessions++
		h.report.Operations += len(operations)
		for _, o := range operations {
			if o.Output.(result) == inDoubt {
				h.report.InDoubt++
			}
		}
		switch porcupine.CheckOperationsTimeout(sessionModel(), operations, patience) {
		case porcupine.Illegal:
			h.report.Illegal = append(h.report.Illegal, id+": "+describe(operations))
		case porcupine.Unknown:
			h.report.Undecided = append(h.report.Undecided, id)
		case porcupine.Ok:
		}
	}
}

func describe(operations []porcupine.Operation) string {
	var text strings.Builder
	for _, o := range operations {
		fmt.Fprintf(&text, "\n  %d to %d µs, client %d: %v → %v", o.Call/1000, o.Return/1000, o.ClientId, o.Input, o.Output)
	}
	return text.String()
}
