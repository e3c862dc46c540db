// Package maintenance runs the jobs that keep a store in order: it knows when each job runs, how much a transaction does, and
// how the jobs are throttled. What a job does is the store's.
package maintenance

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Store is the jobs. A method with a limit does that much at the most, in one transaction, and returns how much it did; it is
// called again while that is the limit.
type Store interface {
	// Engine names the database: "postgres" or "sqlite".
	Engine() string
	// FlushActivity writes the activity of sessions that has waited for its interval, or all that waits.
	FlushActivity(ctx context.Context, all bool) error
	// RollUp adds counter deltas to the counters.
	RollUp(ctx context.Context, limit int) (int, error)
	// ApplyBulkRevocations ends the rows of sessions that a bulk revocation has ended, and reports whether there are more.
	ApplyBulkRevocations(ctx context.Context, limit int) (more bool, err error)
	// RecordExpired records the ends of sessions that expired or were idle for too long.
	RecordExpired(ctx context.Context, limit int) (int, error)
	// RunRevocationJobs ends up to limit sessions of a revocation job, and reports whether there is more to do.
	RunRevocationJobs(ctx context.Context, limit int) (bool, error)
	// PurgeEnded deletes sessions that ended before a time.
	PurgeEnded(ctx context.Context, before time.Time, limit int) (int, error)
	// PurgeTombstones deletes what is kept of deleted sessions and is not needed any more; cutoffs from before a time only.
	PurgeTombstones(ctx context.Context, before time.Time, limit int) (int, error)
	// PurgeAuditLog deletes audit events from before a time.
	PurgeAuditLog(ctx context.Context, before time.Time, limit int) (int, error)
	// Analyze updates the database's statistics where the tables have grown much.
	Analyze(ctx context.Context) error
}

const (
	flushEvery   = time.Second
	rollUpEvery  = time.Second
	applyEvery   = time.Second
	expireEvery  = 5 * time.Second
	analyzeEvery = 5 * time.Second

	// A roll-up on SQLite is smaller: no other transaction can write meanwhile.
	rollUpBatch       = 10_000
	rollUpBatchSQLite = 500
	// A transaction of these takes few milliseconds, so that requests that wait for its locks do not wait long.
	applyBatch = 25
	jobBatch   = 100
	purgeBatch = 50

	// A throttled job pauses after each transaction for throttleFactor times what the transaction took, and for minPause at least:
	// nine tenths of the time are left to requests, however busy the database is.
	throttleFactor = 9
	minPause       = 20 * time.Millisecond
)

// Config is what an operator decides.
type Config struct {
	// Retention is how long ended sessions are kept, AuditRetention how long audit events are, and PurgeInterval how often it is
	// looked for what is older.
	Retention, AuditRetention, PurgeInterval time.Duration
}

// Scheduler runs the jobs of one store.
type Scheduler struct {
	store  Store
	config Config
	now    func() time.Time
	logger *slog.Logger
}

// New returns a scheduler that is not started.
func New(store Store, config Config, now func() time.Time, logger *slog.Logger) *Scheduler {
	return &Scheduler{store: store, config: config, now: now, logger: logger}
}

// job is run at once and then, each time it has ended, again after a while.
type job struct {
	name  string
	every time.Duration
	run   func(context.Context) error
}

func (s *Scheduler) jobs() []job {
	return []job{
		{"flush activity", flushEvery, func(ctx context.Context) error { return s.store.FlushActivity(ctx, false) }},
		{"roll up counters", rollUpEvery, func(ctx context.Context) error { return RollUp(ctx, s.store) }},
		{"apply bulk revocations", applyEvery, s.applyBulkRevocations},
		{"run revocation jobs", applyEvery, s.RunRevocationJobs},
		{"record expired sessions", expireEvery, s.recordExpired},
		{"analyze", analyzeEvery, s.store.Analyze},
		{"purge", s.config.PurgeInterval, s.Purge},
	}
}

// Start runs the jobs, each in a goroutine, until the returned function is called. It waits for the transactions under way and
// then writes the activity that still waits.
func (s *Scheduler) Start(ctx context.Context) (stop func(context.Context) error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, j := range s.jobs() {
		running.Go(func() { s.repeat(ctx, j) })
	}
	return func(ctx context.Context) error {
		cancel()
		running.Wait()
		return s.store.FlushActivity(ctx, true)
	}
}

// repeat runs a job until the context is done. A failure is logged, and the job runs again as it would otherwise.
func (s *Scheduler) repeat(ctx context.Context, j job) {
	for going := true; going; going = sleep(ctx, j.every) {
		if err := j.run(ctx); err != nil && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "maintenance failed and is tried again", "job", j.name, "error", err)
		}
	}
}

// RollUp adds all counter deltas to the counters.
func RollUp(ctx context.Context, store Store) error {
	batch := rollUpBatch
	if store.Engine() == "sqlite" {
		batch = rollUpBatchSQLite
	}
	for {
		n, err := store.RollUp(ctx, batch)
		if err != nil || n < batch || ctx.Err() != nil {
			return err
		}
	}
}

func (s *Scheduler) applyBulkRevocations(ctx context.Context) error {
	return s.throttled(ctx, func() (bool, error) { return s.store.ApplyBulkRevocations(ctx, applyBatch) })
}

// RunRevocationJobs works on revocation jobs until there is none to do.
func (s *Scheduler) RunRevocationJobs(ctx context.Context) error {
	return s.throttled(ctx, func() (bool, error) { return s.store.RunRevocationJobs(ctx, jobBatch) })
}

func (s *Scheduler) recordExpired(ctx context.Context) error {
	return s.throttled(ctx, whileFull(func(limit int) (int, error) { return s.store.RecordExpired(ctx, limit) }))
}

// Purge deletes what is past its retention.
func (s *Scheduler) Purge(ctx context.Context) error {
	now := s.now()
	oldest := now.Add(-s.config.AuditRetention)
	purges := []func(limit int) (int, error){
		func(limit int) (int, error) { return s.store.PurgeEnded(ctx, now.Add(-s.config.Retention), limit) },
		func(limit int) (int, error) { return s.store.PurgeTombstones(ctx, oldest, limit) },
		func(limit int) (int, error) { return s.store.PurgeAuditLog(ctx, oldest, limit) },
	}
	for _, purge := range purges {
		if err := s.throttled(ctx, whileFull(purge)); err != nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// whileFull makes a batch of up to purgeBatch rows a step that has more to do while the batch is full.
func whileFull(batch func(limit int) (int, error)) func() (bool, error) {
	return func() (bool, error) {
		n, err := batch(purgeBatch)
		return n >= purgeBatch, err
	}
}

// throttled repeats a step while it has more to do, with a pause after each.
func (s *Scheduler) throttled(ctx context.Context, step func() (more bool, err error)) error {
	for {
		start := s.now()
		more, err := step()
		if err != nil || !more || !sleep(ctx, max(minPause, throttleFactor*s.now().Sub(start))) {
			return err
		}
	}
}

// sleep waits, and reports whether it is time to go on rather than to end.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
