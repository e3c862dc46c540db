// Package engine opens the databases that the store runs on, and is what differs between them: connections, transactions, locks, and
// which errors mean what. It knows no table.
package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/fair"
	"github.com/sessiond/sessiond/store/internal/groupcommit"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// The engines.
const (
	Postgres = "postgres"
	SQLite   = "sqlite"
)

// Engine is an open database.
type Engine struct {
	// Name is Postgres or SQLite.
	Name string
	// DB is its GORM handle.
	DB *gorm.DB
	// Pool is PostgreSQL's connections, those that GORM uses too; nil on SQLite.
	Pool *pgxpool.Pool
	// Setup is columns of a SELECT that each transaction begins with behind a connection pooler, where connections keep no settings; empty
	// elsewhere.
	Setup string
	// Writers admits writing transactions: one at a time on SQLite, and on PostgreSQL so many that other requests find a connection.
	Writers *fair.Semaphore
	// Commits lets short writing transactions share commits; nil on PostgreSQL, which does that itself.
	Commits *groupcommit.Group
	// Distributed: tables are distributed over several nodes by tenant (Citus).
	Distributed bool
	// Retryable says whether the database refused a transaction that may succeed when it runs again.
	Retryable func(error) bool
}

// Options says how to open a database.
type Options struct {
	// MaxConns bounds the connections to PostgreSQL; 16 when zero.
	MaxConns int
	// MustExist refuses to create a SQLite file: the error wraps fs.ErrNotExist then.
	MustExist bool
}

// ErrConnect says that the database could not be opened at first, whatever the reason.
var ErrConnect = errors.New("cannot connect")

// Open opens the database that the URL names: sqlite://path for a file (created when missing, for its owner alone), postgres://... for a
// server. The error says in one sentence what to do.
func Open(ctx context.Context, url string, config *gorm.Config, options Options) (*Engine, error) {
	switch scheme, rest, _ := strings.Cut(url, "://"); scheme {
	case "sqlite":
		return openSQLite(rest, config, options.MustExist)
	case "postgres", "postgresql":
		return openPostgres(ctx, url, config, options.MaxConns)
	default:
		return nil, fmt.Errorf("database URL %q: use sqlite://FILE or postgres://USER@HOST/NAME", Redact(url))
	}
}

// IsPostgres reports whether it is PostgreSQL.
func (e *Engine) IsPostgres() bool { return e.Pool != nil }

// Statement begins a statement with the engine's placeholders.
func (e *Engine) Statement(text string, args ...any) *sqlbuild.Statement {
	return sqlbuild.New(e.IsPostgres(), text, args...)
}

// TransactionSetup begins the statement that a transaction begins with. It has the settings of the transaction, if there are any, and
// what has to come before the next column.
func (e *Engine) TransactionSetup() (st *sqlbuild.Statement, comma string) {
	st = e.Statement("SELECT ")
	if e.Setup != "" {
		st.Add(e.Setup)
		comma = ", "
	}
	return st, comma
}

// SQL is the database/sql handle.
func (e *Engine) SQL() (*sql.DB, error) {
	db, err := e.DB.DB()
	if err != nil {
		return nil, fmt.Errorf("database handle: %w", err)
	}
	return db, nil
}

// Close ends all connections.
func (e *Engine) Close() error {
	db, err := e.SQL()
	if err != nil {
		return err
	}
	err = db.Close()
	if e.Pool != nil {
		e.Pool.Close()
	}
	return err
}

// RepeatableRead are the options of a transaction all of whose statements see the same state of the database.
func (e *Engine) RepeatableRead(readOnly bool) *sql.TxOptions {
	if !e.IsPostgres() {
		return &sql.TxOptions{ReadOnly: readOnly} // a transaction of SQLite sees nothing of others
	}
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: readOnly}
}

// Redact leaves passwords out of a URL, or of a libpq connection string, that goes into an error.
func Redact(url string) string {
	return passwords.ReplaceAllString(userInfo.ReplaceAllString(url, "$1…@"), "$1…")
}

// userInfo is the user and the password of a URL.
var userInfo = regexp.MustCompile(`^(\w+:/+)[^@]*@`)

// passwords are those among the parameters of a connection; one with spaces is in quotes.
var passwords = regexp.MustCompile(`(?i)(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^&\s]*)`)
