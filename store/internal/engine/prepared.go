package engine

import (
	"context"
	"database/sql"
	"fmt"

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
	known *lru.Cache[string, *sql.Stmt]
}

// keepPrepared puts them in the place of SQLite's bare connections.
func keepPrepared(db *gorm.DB) error {
	bare, err := db.DB()
	if err != nil {
		return fmt.Errorf("database handle: %w", err)
	}
	known, err := lru.NewWithEvict(mostPrepared, func(_ string, stmt *sql.Stmt) { _ = stmt.Close() })
	if err != nil {
		return fmt.Errorf("prepared statements: %w", err)
	}
	pool := &prepared{bare, known}
	db.ConnPool, db.Statement.ConnPool = pool, pool
	return nil
}

// statement returns the prepared form of a text.
func (p *prepared) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	if stmt, ok := p.known.Get(text); ok {
		return stmt, nil
	}
	stmt, err := p.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if first, found, _ := p.known.PeekOrAdd(text, stmt); found { // somebody else prepared it meanwhile
		return first, stmt.Close() //nolint:sqlclosecheck // only here
	}
	return stmt, nil
}

// ExecContext runs a statement without rows.
func (p *prepared) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	stmt, err := p.statement(ctx, text) //nolint:sqlclosecheck // it is kept
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

// QueryContext runs a statement with rows.
func (p *prepared) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	stmt, err := p.statement(ctx, text) //nolint:sqlclosecheck // it is kept
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// GetDBConn is for GORM.
func (p *prepared) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// BeginTx begins a transaction whose statements are prepared as well.
func (p *prepared) BeginTx(ctx context.Context, options *sql.TxOptions) (gorm.ConnPool, error) {
	tx, err := p.DB.BeginTx(ctx, options)
	if err != nil {
		return nil, err
	}
	return &preparedTx{tx, p}, nil
}

// preparedTx is a transaction.
type preparedTx struct {
	*sql.Tx
	pool *prepared
}

// ExecContext runs a statement without rows.
func (t *preparedTx) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	stmt, err := t.pool.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	return t.StmtContext(ctx, stmt).ExecContext(ctx, args...) //nolint:sqlclosecheck // the transaction's end closes it
}

// QueryContext runs a statement with rows.
func (t *preparedTx) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	stmt, err := t.pool.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	return t.StmtContext(ctx, stmt).QueryContext(ctx, args...) //nolint:sqlclosecheck // the transaction's end closes it
}
