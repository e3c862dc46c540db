package store

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// spare is a connection beside that of a transaction. It is taken before the transaction begins: who has locks already and
// waits for a connection may wait for those who have all connections and wait for the locks.
type spare struct {
	conn    *pgxpool.Conn
	release func()
}

// sparesOf is how many there are, of so many connections. Each of them waits for one more.
func sparesOf(conns int32) int { return int(conns / 4) }

// takeSpare returns nil when there is none to spare, and where the state of a single connection is not that of all nodes. A
// connection pooler may have fewer connections than clients: behind it there are none to spare.
func (s *Store) takeSpare(ctx context.Context) (*spare, error) {
	if !s.onOneServer() || s.engine.setup != "" {
		return nil, nil //nolint:nilnil // none, and nothing is wrong
	}
	select {
	case s.spares <- struct{}{}:
	default:
		return nil, nil //nolint:nilnil // as above
	}
	conn, err := s.engine.pool.Acquire(ctx)
	if err != nil {
		<-s.spares
		return nil, err
	}
	return &spare{conn, func() {
		conn.Release()
		<-s.spares
	}}, nil
}

// snapshot is a state of the database that stays as it is, whatever others change.
type snapshot struct{ tx pgx.Tx }

// takeSnapshot takes one of now, behind the wall of a context.
func (s *Store) takeSnapshot(ctx context.Context, on *spare) (*snapshot, error) {
	tx, err := on.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	taken := &snapshot{tx}
	// The first statement takes it.
	st := s.engine.statement("SELECT ").addWall(wallIn(ctx))
	if _, err := tx.Exec(ctx, st.text.String(), st.args...); err != nil {
		taken.close(ctx)
		return nil, err
	}
	return taken, nil
}

func (s *snapshot) close(ctx context.Context) {
	_ = s.tx.Rollback(context.WithoutCancel(ctx)) // it has nothing to keep, and a broken connection does not come back
}

// read runs a statement in the snapshot.
func (s *snapshot) read(ctx context.Context, st *statement, scan func(rows) error) error {
	found, err := s.tx.Query(ctx, st.text.String(), st.args...)
	if err != nil {
		return err
	}
	defer found.Close()
	return each(found, scan)
}
