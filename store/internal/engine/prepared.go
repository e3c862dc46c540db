package engine

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"gorm.io/gorm"
)

// mostPrepared bounds the statements that are kept prepared; each connection keeps its own form of each.
const mostPrepared = 512

// prepared is SQLite's connections with statements that stay prepared, also in transactions: to read the text of one anew
// costs a third of a revocation. GORM's own cache prepares what it met in a transaction first for that transaction alone,
// and then again in each.
type prepared struct {
	*sql.DB
	known *lru.Cache[string, *keptStmt]
}

// keptStmt is a prepared statement that is not closed while somebody runs it.
type keptStmt struct {
	mu     sync.RWMutex
	stmt   *sql.Stmt
	closed bool
}

func (k *keptStmt) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	_ = k.stmt.Close()
}

// keepPrepared puts them in the place of SQLite's bare connections.
func keepPrepared(db *gorm.DB) error {
	bare, err := db.DB()
	if err != nil {
		return fmt.Errorf("database handle: %w", err)
	}
	// Who evicts a statement does not wait for those who run it: they may wait for his connection.
	known, err := lru.NewWithEvict(mostPrepared, func(_ string, k *keptStmt) { go k.close() })
	if err != nil {
		return fmt.Errorf("prepared statements: %w", err)
	}
	pool := &prepared{bare, known}
	db.ConnPool, db.Statement.ConnPool = pool, pool
	return nil
}

// statement returns the prepared form of a text.
func (p *prepared) statement(ctx context.Context, text string) (*keptStmt, error) {
	if kept, ok := p.known.Get(text); ok {
		return kept, nil
	}
	stmt, err := p.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	kept := &keptStmt{stmt: stmt}
	if first, found, _ := p.known.PeekOrAdd(text, kept); found { // somebody else prepared it meanwhile
		return first, stmt.Close() //nolint:sqlclosecheck // only here
	}
	return kept, nil
}

// withStmt calls do with the prepared form of a text, which stays open until do returns.
func withStmt[T any](ctx context.Context, p *prepared, text string, do func(*sql.Stmt) (T, error)) (T, error) {
	for {
		kept, err := p.statement(ctx, text)
		if err != nil {
			var none T
			return none, err
		}
		kept.mu.RLock()
		if kept.closed { // evicted between the two
			kept.mu.RUnlock()
			continue
		}
		defer kept.mu.RUnlock()
		return do(kept.stmt)
	}
}

// ExecContext runs a statement without rows.
func (p *prepared) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	return withStmt(ctx, p, text, func(stmt *sql.Stmt) (sql.Result, error) { return stmt.ExecContext(ctx, args...) })
}

// QueryContext runs a statement with rows.
func (p *prepared) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return withStmt(ctx, p, text, func(stmt *sql.Stmt) (*sql.Rows, error) { return stmt.QueryContext(ctx, args...) })
}

// GetDBConn is for GORM.
func (p *prepared) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// BeginTx begins a transaction whose statements are prepared as well.
func (p *prepared) BeginTx(ctx context.Context, options *sql.TxOptions) (gorm.ConnPool, error) {
	tx, err := p.DB.BeginTx(ctx, options)
	if err != nil {
		return nil, err
	}
	return &preparedTx{tx, ctx, p}, nil
}

// preparedTx is a transaction, with the context whose end rolls it back.
type preparedTx struct {
	*sql.Tx
	ctx  context.Context //nolint:containedctx // the transaction's own
	pool *prepared
}

// ExecContext runs a statement without rows.
func (t *preparedTx) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	return withStmt(ctx, t.pool, text, func(stmt *sql.Stmt) (sql.Result, error) {
		result, err := t.StmtContext(ctx, stmt).ExecContext(ctx, args...) //nolint:sqlclosecheck // the transaction's end closes it
		return result, t.ended(err)
	})
}

// QueryContext runs a statement with rows.
func (t *preparedTx) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return withStmt(ctx, t.pool, text, func(stmt *sql.Stmt) (*sql.Rows, error) {
		rows, err := t.StmtContext(ctx, stmt).QueryContext(ctx, args...) //nolint:sqlclosecheck // the transaction's end closes it
		return rows, t.ended(err)
	})
}

// ended gives a failure its cause when the transaction's context has ended: its rollback closes a statement that is about to run, which
// database/sql reports by an error without a type.
func (t *preparedTx) ended(err error) error {
	if cause := t.ctx.Err(); err != nil && cause != nil {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
