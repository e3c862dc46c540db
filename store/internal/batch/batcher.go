// Package batch sends short statements of concurrent requests to PostgreSQL together: in one round trip, in one transaction, and so with
// one commit, and merges those that have the same text into one statement. That is what makes many requests at a time cheaper than one
// by one.
//
// A statement that comes while fewer batches than the limit are under way is sent at once. Otherwise it is queued, and the queue is sent
// as one batch when an earlier batch is back, in turn by owner, so that no owner's statements keep another's waiting.
//
// No goroutine runs beside the callers: they carry the batches. Run enters its query: it either may send at once, then with what has been
// queued by then, or waits for its turn. When a batch is back, its carrier takes the next ones from the queue and gives them to the caller
// of the first, which carries them; the callers of the others wait on until their results are there.
//
// Statements of a batch do not affect each other. Each is under its own row-level security restriction and sees what was committed when
// the batch began. When one of them fails, or has to wait for a lock, all are rolled back, and each is sent again unbatched, by its own
// caller.
package batch

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/fair"
)

const (
	// MaxQueries bounds the queries of a batch.
	MaxQueries = 32
	// maxWait is for a query whose caller would wait for ever.
	maxWait = time.Minute
	// lockTimeout is how long a batch that writes waits for a lock: all that were sent with it wait as well.
	lockTimeout = "5ms"
)

// Batcher sends queries to one database. It is safe for concurrent use.
type Batcher struct {
	engine *engine.Engine
	// unbatched bounds the writes that are sent again unbatched: most have to wait for a lock.
	unbatched *fair.Semaphore

	mu sync.Mutex
	// maxBatches is how many batches may be under way, and one more while each has a single query: where there are so few, to wait for
	// another costs more than to share it saves.
	maxBatches int
	// batches are under way, with so many queries.
	batches, queries int
	waiting          fair.Queue[*Query]
}

// ForReads returns a batcher for queries that only read, of which each processor can be kept busy by one batch.
func ForReads(e *engine.Engine) *Batcher {
	return &Batcher{engine: e, maxBatches: runtime.GOMAXPROCS(0)}
}

// ForWrites returns a batcher for queries that write, apart from those that read, which must not wait for the disk. A write costs the
// less the more of them share a batch, so that one batch at a time makes the most of two processors.
func ForWrites(e *engine.Engine) *Batcher {
	return &Batcher{engine: e, maxBatches: max(1, runtime.GOMAXPROCS(0)/2), unbatched: e.Writers}
}

// errRolledBack: the query was rolled back because of another one in its batch, and has to be sent unbatched.
var errRolledBack = errors.New("rolled back with its batch")

// Run sends a query, with others perhaps, and gives scan each row of its result once it has been committed.
func (b *Batcher) Run(ctx context.Context, q *Query, scan func(engine.Rows) error) error {
	if err := b.do(ctx, q); err != nil {
		return err
	}
	return engine.Each(&q.result, scan)
}

// RunUnbatched sends a query by itself, for one that takes long.
func (b *Batcher) RunUnbatched(ctx context.Context, q *Query, scan func(engine.Rows) error) error {
	if err := b.send(ctx, false, q); err != nil {
		return err
	}
	return engine.Each(&q.result, scan)
}

func (b *Batcher) do(ctx context.Context, q *Query) error {
	batch := b.enter(ctx, q)
	if batch == nil {
		select {
		case batch = <-q.turn:
		case <-ctx.Done():
			if b.leave(q) {
				return ctx.Err()
			}
			batch = <-q.turn
		}
	} else {
		runtime.Gosched() // requests that have just come in may join
		batch = append(batch, b.join(MaxQueries-1)...)
	}
	if batch != nil {
		b.carry(ctx, batch)
	}
	if errors.Is(q.err, errRolledBack) {
		return b.again(ctx, q)
	}
	return q.err
}

// again sends a query unbatched that was rolled back with its batch.
func (b *Batcher) again(ctx context.Context, q *Query) error {
	if q.result = (result{}); b.unbatched != nil {
		owner := q.owner()
		if err := b.unbatched.Acquire(ctx, owner); err != nil {
			return err
		}
		defer b.unbatched.Release(owner)
	}
	return b.send(ctx, false, q)
}

// enter gives the query to its caller to be sent, or queues it.
func (b *Batcher) enter(ctx context.Context, q *Query) []*Query {
	var bounded bool
	if q.deadline, bounded = ctx.Deadline(); !bounded {
		q.deadline = time.Now().Add(maxWait) //nolint:forbidigo // contexts know no other clock
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mayBegin() {
		return b.begin([]*Query{q})
	}
	q.turn = make(chan []*Query, 1)
	b.waiting.Push(q.owner(), q)
	return nil
}

// leave reports whether a caller may go away: not when it has been chosen to send a batch.
func (b *Batcher) leave(q *Query) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting.Remove(q.owner(), q)
	return !q.sends
}

// carry sends a batch, lets the next one begin, and tells the callers. The queries live as long as the longest of them may, whatever
// becomes of the caller who sends them.
func (b *Batcher) carry(ctx context.Context, batch []*Query) {
	if len(batch) > 1 {
		latest := slices.MaxFunc(batch, func(a, b *Query) int { return a.deadline.Compare(b.deadline) })
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(context.WithoutCancel(ctx), latest.deadline)
		defer cancel()
	}
	err := errRolledBack // should this panic
	sent := false
	defer func() {
		if len(batch) > 1 {
			if reason := recover(); reason != nil && sent && writes(batch) {
				err = fmt.Errorf("panic while results were read: %v", reason) // what was sent may have been committed
			}
		}
		b.end(len(batch))
		for i, q := range batch {
			if q.err = err; i > 0 {
				q.turn <- nil
			}
		}
	}()
	if err = b.sendTo(ctx, &sent, true, batch...); rolledBack(err, len(batch) > 1) {
		err = errRolledBack
	}
}

// writes reports whether not all queries only read.
func writes(batch []*Query) bool {
	return slices.ContainsFunc(batch, func(q *Query) bool { return q.Row != "" })
}

func (b *Batcher) mayBegin() bool {
	return b.batches < b.maxBatches || b.batches == b.maxBatches && b.queries == b.batches
}

func (b *Batcher) begin(batch []*Query) []*Query {
	b.batches++
	b.queries += len(batch)
	return batch
}

// join returns up to so many queued queries, to come along with a batch that has begun.
func (b *Batcher) join(most int) []*Query {
	b.mu.Lock()
	defer b.mu.Unlock()
	more := b.take(most)
	b.queries += len(more)
	return more
}

// end ends a batch of so many queries, and lets queued ones be sent, by the caller of the first of them.
func (b *Batcher) end(queries int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.batches--
	b.queries -= queries
	for b.waiting.Len() > 0 && b.mayBegin() {
		batch := b.begin(b.take(MaxQueries))
		batch[0].sends = true
		batch[0].turn <- batch
	}
}

// take removes up to so many queued queries, in turn by owner.
func (b *Batcher) take(most int) []*Query {
	batch := make([]*Query, 0, min(b.waiting.Len(), most))
	for len(batch) < most {
		q, _, found := b.waiting.Pop(func(string) bool { return true })
		if !found {
			break
		}
		batch = append(batch, q)
	}
	return batch
}

// rolledBack reports whether the batch was rolled back because of one of several queries, or because of a lock. An argument that cannot be
// encoded fails before anything is sent, so that nothing was done either, unless the connection was lost.
func rolledBack(err error, several bool) bool {
	if pg, refused := errors.AsType[*pgconn.PgError](err); refused {
		return several && pg.SeverityUnlocalized == "ERROR" || pg.Code == engine.LockNotAvailable
	}
	_, early := errors.AsType[pgx.ErrPreprocessingBatch](err)
	return early && several && !engine.PostgresUnavailable(err) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// Hold takes all but one of the places of batches, and that one too until letGo is called, so that queries are queued. It is for tests.
func (b *Batcher) Hold() (letGo func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.maxBatches, b.batches, b.queries = 1, 1, 2
	return func() { b.end(2) }
}

// Len is how many batches are under way, how many queries these have, and how many are queued.
func (b *Batcher) Len() (batches, queries, waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.batches, b.queries, b.waiting.Len()
}
