package batch

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// send sends queries in one round trip. Writes of one kind are in the order of their rows, so that two batches do not wait for each
// other; in a hurry they wait for nobody.
func (b *Batcher) send(ctx context.Context, hurry bool, queries ...*Query) error {
	return b.sendTo(ctx, new(bool), hurry, queries...)
}

// sendTo is send, and says when the queries have been sent, so that they may have been committed.
func (b *Batcher) sendTo(ctx context.Context, sent *bool, hurry bool, queries ...*Query) error {
	all := groups(ordered(queries))
	var batch pgx.Batch
	if st := b.setup(all[0], sharedLocks(queries), hurry); st != nil {
		batch.Queue(st.String(), st.Args()...)
	}
	for i, g := range all {
		if i > 0 && !g.sameRestriction(all[i-1]) {
			st := g.setRestriction(b.engine.Statement("SELECT "))
			batch.Queue(st.String(), st.Args()...)
		}
		batch.Queue(g.text(), g.args()...).Query(g.read)
	}
	conn, err := b.engine.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	returned := false
	defer func() {
		if !returned { // by a panic, in the middle of something
			_ = conn.Conn().Close(context.WithoutCancel(ctx)) // the pool makes another
		}
		conn.Release()
	}()
	results := conn.SendBatch(ctx, &batch)
	*sent = true
	err = results.Close()
	returned = true
	return err
}

// ordered are queries with those that can be merged side by side, and writes in the order of their rows.
func ordered(queries []*Query) []*Query {
	if len(queries) == 1 {
		return queries
	}
	queries = slices.Clone(queries)
	for _, q := range queries {
		q.key = q.mergeKey()
	}
	slices.SortStableFunc(queries, func(a, b *Query) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Restriction.Tenant, b.Restriction.Tenant),
			cmp.Compare(a.Restriction.Partner, b.Restriction.Partner))
	})
	return queries
}

// sharedLocks are the locks that queries need, in one order, so that nobody waits in a circle.
func sharedLocks(queries []*Query) []int64 {
	var all []int64
	for _, q := range queries {
		all = append(all, q.SharedLocks...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// setup is what comes before the queries of a batch: the settings of the transaction, the restriction of the first group, and the locks
// of all, taken before anything is written. It is a statement of its own because queries must see what was committed until the locks were
// taken, and takes the locks from an array, so that it is the same statement for any number of them. It is nil when nothing is needed.
func (b *Batcher) setup(first group, locks []int64, hurry bool) *sqlbuild.Statement {
	st, comma := b.engine.TransactionSetup()
	if first.queries[0].Row != "" && hurry {
		st.Add(comma + "set_config('lock_timeout', '" + lockTimeout + "', true)")
		comma = ", "
	}
	if first.queries[0].Restriction.Restricts() {
		first.setRestriction(st.Add(comma))
		comma = ", "
	}
	if len(locks) > 0 {
		st.Add(comma+"(SELECT count(pg_advisory_xact_lock_shared(lock)) FROM unnest(?::bigint[]) AS lock)", locks)
		comma = ", "
	}
	if comma == "" {
		return nil
	}
	return st
}
