package store

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// revokeTenant reads the ids of the covered sessions after the transaction of the bulk revocation, in throttled batches, from a snapshot that
// was taken in the transaction. Logins of the tenant wait for the transaction only, not for the reading.
func (f fast) revokeTenant(ctx context.Context, scope Scope, call idempotentCall, by Actor) ([]string, error) {
	conn, release, err := f.takeConnection(ctx)
	if err != nil {
		return nil, mapError("revoke sessions", err)
	}
	if conn == nil {
		return f.plain.revokeTenant(ctx, scope, call, by)
	}
	defer release()
	covered := &coveredSessions{engine: f.engine, scope: scope}
	defer covered.close(ctx)
	ended, err := f.revoke(ctx, call, by, func(r *revocation) error {
		covered.close(ctx) // an attempt before this one was rolled back
		return r.endTenant(func() error { return covered.takeSnapshot(ctx, conn, r.audit.at) })
	})
	if err != nil {
		return nil, err
	}
	err = mapError("revoke sessions", covered.read(ctx))
	f.onEnded(Revoked, len(covered.ids))
	return append(ended, covered.ids...), err
}

// takeConnection takes a second connection, for the snapshot, before the transaction begins. A transaction that holds locks must not wait for
// a connection: those that hold the connections may be waiting for its locks. It returns nil when there is no connection to spare, and always
// behind a connection pooler, which may have fewer connections than clients.
func (f fast) takeConnection(ctx context.Context) (*pgxpool.Conn, func(), error) {
	if f.engine.Setup != "" {
		return nil, nil, nil
	}
	select {
	case f.snapshots <- struct{}{}:
	default:
		return nil, nil, nil
	}
	conn, err := f.engine.Pool.Acquire(ctx)
	if err != nil {
		<-f.snapshots
		return nil, nil, err
	}
	return conn, func() {
		conn.Release()
		<-f.snapshots
	}, nil
}

// coveredSessions are the sessions that a bulk revocation covers, in a snapshot in which they are active.
type coveredSessions struct {
	engine *engine.Engine
	scope  Scope
	at     time.Time
	// tx is the snapshot's, nil when there is none.
	tx   pgx.Tx
	ids  []string
	last time.Time
}

// takeSnapshot takes a state of the database that stays as it is, whatever others change, under the restriction of the context.
func (c *coveredSessions) takeSnapshot(ctx context.Context, conn *pgxpool.Conn, at time.Time) error {
	restricted, err := restriction(ctx)
	if err != nil {
		return err
	}
	c.at = at
	if c.tx, err = conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}); err != nil {
		return err
	}
	// The first statement takes it.
	st := restricted.Set(c.engine.Statement("SELECT "))
	_, err = c.tx.Exec(ctx, st.String(), st.Args()...)
	return err
}

// read reads the ids, throttled.
func (c *coveredSessions) read(ctx context.Context) error {
	for n := readBatch; c.tx != nil && n == readBatch; {
		st := c.statement()
		if n = len(c.ids); n > 0 {
			st.Add(" AND (created_at, id) < (?, ?)", c.last, c.ids[n-1])
			throttle(n / readBatch)
		}
		st.Add(newestFirst + " LIMIT " + strconv.Itoa(readBatch))
		found, err := c.tx.Query(ctx, st.String(), st.Args()...)
		if err != nil {
			return err
		}
		err = engine.Each(found, c.scan)
		if found.Close(); err != nil {
			return err
		}
		n = len(c.ids) - n
	}
	return nil
}

func (c *coveredSessions) statement() *sqlbuild.Statement {
	st := c.scope.add(c.engine.Statement("SELECT id, created_at FROM sessions WHERE "))
	return addActive(st, c.scope, c.at, true).Add(" AND created_at <= ?", c.at)
}

func (c *coveredSessions) scan(row engine.Rows) error {
	var id string
	err := row.Scan(&id, &c.last)
	c.ids = append(c.ids, id)
	return err
}

func (c *coveredSessions) close(ctx context.Context) {
	if c.tx != nil {
		_ = c.tx.Rollback(context.WithoutCancel(ctx)) // it has nothing to keep, and a broken connection does not come back
	}
	c.tx, c.ids = nil, nil
}
