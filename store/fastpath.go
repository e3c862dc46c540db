package store

import (
	"context"

	"github.com/sessiond/sessiond/store/internal/batch"
	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// fast is the implementation with fast paths. Where plain runs a transaction of several statements, fast sends one hand-written statement,
// batched with those of other requests (package batch). Methods that it does not override are plain's. All of it is in the files
// fastpath_*.go, and only chooseOperations refers to it.
type fast struct {
	plain
	reads, writes *batch.Batcher
	// snapshots bounds the connections that hold a snapshot beside a transaction.
	snapshots chan struct{}
}

var _ operations = fast{}

func newFast(s *Store) fast {
	return fast{
		plain: plain{s}, reads: batch.ForReads(s.engine), writes: batch.ForWrites(s.engine),
		// Each of them waits for one more connection.
		snapshots: make(chan struct{}, s.engine.Pool.Config().MaxConns/4),
	}
}

// newQuery returns a statement as it is sent for the request of a context. It names the one tenant that it is about, or "".
func newQuery(ctx context.Context, st *sqlbuild.Statement, tenantID string) (*batch.Query, error) {
	restricted, err := restriction(ctx)
	return &batch.Query{Statement: st, Restriction: restricted, TenantID: tenantID}, err
}

// query runs a short statement that only reads; it is batched.
func (f fast) query(ctx context.Context, st *sqlbuild.Statement, tenantID string, scan func(engine.Rows) error) error {
	q, err := newQuery(ctx, st, tenantID)
	if err != nil {
		return err
	}
	return f.reads.Run(ctx, q, scan)
}

// queryLong runs a statement that only reads and takes long. It is not batched; few of them run at a time, and fewer of one tenant.
func (f fast) queryLong(ctx context.Context, st *sqlbuild.Statement, tenantID string, scan func(engine.Rows) error) error {
	q, err := newQuery(ctx, st, tenantID)
	if err != nil {
		return err
	}
	of := owner(ctx, tenantID)
	if err := f.longReads.Acquire(ctx, of); err != nil {
		return err
	}
	defer f.longReads.Release(of)
	return f.reads.RunUnbatched(ctx, q, scan)
}

// write runs a statement that writes one session, under shared locks with these names, and repeats it after a serialization failure or a
// deadlock. begin is called before each attempt.
func (f fast) write(
	ctx context.Context, operation string, key sessionKey, st *sqlbuild.Statement, locks []string, begin func(), scan func(engine.Rows) error,
) error {
	q, err := newQuery(ctx, st, key.tenantID)
	if err != nil {
		return mapError(operation, err)
	}
	q.Row = key.tenantID + "\x00" + key.id
	for _, name := range locks {
		q.SharedLocks = append(q.SharedLocks, engine.LockKey(name))
	}
	for range 1 + retries {
		begin()
		attempt := *q
		err = f.writes.Run(ctx, &attempt, scan)
		if err == nil || !f.engine.Retryable(err) {
			break
		}
	}
	return f.written(mapError(operation, err))
}
