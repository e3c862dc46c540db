package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/sessiond/sessiond/store"
)

const (
	// flushEvery is how often uses that have waited for their interval are written.
	flushEvery = time.Second
	// sweepEvery is how often the endings of sessions that ended by themselves are recorded.
	sweepEvery = 5 * time.Second
	// foldEvery is how often what sessions' changes add to the numbers is folded, and foldBatch how many changes in one transaction.
	// On SQLite there are fewer: nobody else writes meanwhile.
	foldEvery       = time.Second
	foldBatch       = 2000
	foldBatchSQLite = 500
	// analyzeEvery is how often it is looked whether the database plans for far fewer sessions than there are.
	analyzeEvery = 5 * time.Second
	// finishBatch sessions are brought up to date in one transaction after all of their tenant were ended. It takes few
	// milliseconds, so that nobody waits long behind it.
	finishBatch = 25
	// purgeBatch sessions are swept or deleted in one transaction. Then comes a pause of upkeepRest times what that took, and
	// of purgePause at least: the upkeep leaves nine tenths of the time to the requests, however busy the database is.
	purgeBatch = 50
	upkeepRest = 9
	purgePause = 20 * time.Millisecond
	// trailPasses is how often in its retention time the audit trail is purged. Its times have no index, which every change would
	// pay for, so the last batch of each pass reads all of it.
	trailPasses = 1000
)

// upkeep is what happens to sessions when nobody asks.
type upkeep struct {
	interval, retention, trailRetention, purgeEvery, maxTokenLifetime time.Duration
	// trailPurged is when the audit trail was purged last; zero is never.
	trailPurged time.Time
}

func (u *upkeep) flags(flags *pflag.FlagSet) {
	const day = 24 * time.Hour
	flags.DurationVar(&u.interval, "activity-interval", 15*time.Second, "how long a mere use of a session may wait to be written")
	flags.DurationVar(&u.retention, "retention", 90*day, "how long an ended session is kept")
	flags.DurationVar(&u.trailRetention, "audit-retention", 365*day, "how long an audit event is kept")
	maxTokenLifetimeFlag(flags, &u.maxTokenLifetime)
	flags.DurationVar(&u.purgeEvery, "purge-interval", time.Minute, "how often what is past its retention is looked for")
}

func maxTokenLifetimeFlag(flags *pflag.FlagSet, lifetime *time.Duration) {
	flags.DurationVar(lifetime, "max-token-lifetime", store.DefaultMaxTokenLifetime,
		"longest life of an access token after the end of its session, which is remembered for so long even if it is deleted")
}

// start runs the upkeep beside the server. The returned function ends it and writes what still waits.
func (u *upkeep) start(ctx context.Context, db *store.Store, logger *slog.Logger) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	run := func(every time.Duration, what string, do func(context.Context, *store.Store) error) {
		running.Go(func() {
			for going := true; going; going = sleep(ctx, every) {
				if err := do(ctx, db); err != nil && ctx.Err() == nil {
					logger.WarnContext(ctx, what+" failed and is tried again", "error", err)
				}
			}
		})
	}
	run(flushEvery, "writing activity", func(ctx context.Context, db *store.Store) error { return db.FlushActivity(ctx, false) })
	run(foldEvery, "folding numbers", fold)
	run(foldEvery, "finishing endings", finish)
	run(sweepEvery, "sweeping", sweep)
	run(analyzeEvery, "analyzing", func(ctx context.Context, db *store.Store) error {
		_, err := db.Analyze(ctx)
		return err
	})
	run(u.purgeEvery, "purging", u.purge)
	return func() error {
		cancel()
		running.Wait()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		return db.FlushActivity(last, true)
	}
}

// fold folds what waits.
func fold(ctx context.Context, db *store.Store) error {
	batch := foldBatch
	if db.Engine() == "sqlite" {
		batch = foldBatchSQLite
	}
	for {
		n, err := db.RollUp(ctx, batch)
		if err != nil || n < batch || ctx.Err() != nil {
			return err
		}
	}
}

// finish brings the sessions up to date that ended with all of their tenant, and rests in between.
func finish(ctx context.Context, db *store.Store) error {
	for {
		start := time.Now()
		more, err := db.ApplyBulkRevocations(ctx, finishBatch)
		if err != nil || !more || !sleep(ctx, upkeepRest*time.Since(start)) {
			return err
		}
	}
}

// sweep records the endings that are due.
func sweep(ctx context.Context, db *store.Store) error {
	return inBatches(ctx, func() (int, error) { return db.RecordExpired(ctx, purgeBatch) })
}

// purge deletes what is past its retention.
func (u *upkeep) purge(ctx context.Context, db *store.Store) error {
	now := time.Now()
	sessions := func() (int, error) { return db.PurgeEnded(ctx, now.Add(-u.retention), purgeBatch) }
	trail := func() (int, error) { return db.PurgeAuditLog(ctx, now.Add(-u.trailRetention), purgeBatch) }
	kept := func() (int, error) { return db.PurgeTombstones(ctx, now.Add(-u.trailRetention), purgeBatch) }
	batches := []func() (int, error){sessions, kept}
	trailDue := now.Sub(u.trailPurged) >= u.trailRetention/trailPasses
	if trailDue {
		batches = append(batches, trail)
	}
	for _, batch := range batches {
		if err := inBatches(ctx, batch); err != nil {
			return err
		}
	}
	if trailDue {
		u.trailPurged = now
	}
	return nil
}

// inBatches repeats a batch, with a rest after each, until one is not full.
func inBatches(ctx context.Context, batch func() (int, error)) error {
	for {
		start := time.Now()
		n, err := batch()
		if err != nil || n < purgeBatch || !sleep(ctx, max(purgePause, upkeepRest*time.Since(start))) {
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
