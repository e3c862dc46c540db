package engine

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/fair"
)

// Bounds of the connections.
const (
	// defaultMaxConns is how many there are when nothing else is asked for.
	defaultMaxConns = 16
	// MaxStatements bounds the statements that each connection keeps prepared, each of which takes some 100 KB of the server's
	// memory with its plan. All that there are fit.
	MaxStatements = 300
)

// openPostgres prepares a pool. It connects once, to find out whether there is a connection pooler in between.
func openPostgres(ctx context.Context, url string, gormConfig *gorm.Config, maxConns int) (*Engine, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// pgx hides the password in its own message, but not the rest of what may be secret.
		return nil, fmt.Errorf("database URL %q cannot be read: use postgres://USER:PASSWORD@HOST:PORT/NAME", Redact(url))
	}
	params := config.ConnConfig.RuntimeParams
	params["timezone"] = "UTC"
	if params["application_name"] == "" {
		params["application_name"] = "sessiond"
	}
	if maxConns <= 0 {
		maxConns = defaultMaxConns
	}
	config.MaxConns = int32(min(maxConns, math.MaxInt32))
	e := &Engine{Name: Postgres, Retryable: retryable}
	pooled, err := behindPooler(ctx, config.ConnConfig)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrConnect, Classify("connect", err))
	case pooled:
		e.Setup = plannerSettings(true)
		config.ConnConfig.DefaultQueryExecMode = pooledMode(config.ConnConfig.DefaultQueryExecMode, url)
	default:
		config.AfterConnect = setUp
	}
	if config.ConnConfig.StatementCacheCapacity > MaxStatements {
		config.ConnConfig.StatementCacheCapacity = MaxStatements
	}
	// The pool's own context must not end it.
	e.Pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config)
	if err != nil {
		return nil, fmt.Errorf("database URL %q: %w", Redact(url), err)
	}
	// The readers among the transactions, and statements outside of transactions, find the other half of the connections.
	e.Writers = fair.NewSemaphore(max(1, maxConns/2), max(1, maxConns/4))
	// GORM and hand-written statements share the connections.
	if e.DB, err = gorm.Open(postgres.New(postgres.Config{Conn: stdlib.OpenDBFromPool(e.Pool)}), gormConfig); err != nil {
		e.Pool.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	return e, nil
}

// behindPooler reports whether there is a connection pooler, such as PgBouncer, between sessiond and PostgreSQL. A pooler gives
// each client a cancellation key of its own, so that the process in it is not the one that runs the client's statements.
//
// In transaction mode each transaction may be on another connection to PostgreSQL: nothing may outlive a transaction there, no
// setting, no prepared statement and no lock. Where pgx is told not to use prepared statements there is taken to be a pooler.
func behindPooler(ctx context.Context, config *pgx.ConnConfig) (bool, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, err
	}
	var process uint32
	err = conn.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&process)
	pooled := process != conn.PgConn().PID() || config.DefaultQueryExecMode != pgx.QueryExecModeCacheStatement
	return pooled, errors.Join(err, conn.Close(ctx))
}

// pooledMode is how statements are sent behind a pooler: described once for each connection, and then parsed again each time they
// run, unless the URL asks for what works as well. Named statements do with a pooler that knows them. The modes without a
// description cannot encode an array of any values, and are asked for to avoid named statements.
func pooledMode(configured pgx.QueryExecMode, url string) pgx.QueryExecMode {
	named := configured == pgx.QueryExecModeCacheStatement && strings.Contains(url, "default_query_exec_mode=")
	if named || configured == pgx.QueryExecModeDescribeExec {
		return configured
	}
	return pgx.QueryExecModeCacheDescribe
}

// plannerSettings are columns that set up the planner for short statements, for the transaction only or for the connection.
// Each statement has one good plan, which an index gives: to plan it again for its values costs more than to run it, and so do
// other processes and compiling. A table that was empty when a plan was made, or is full of what was deleted since, must not be
// read as a whole; and only a plain scan of an index forgets what was deleted. Without them the statements are right, and slower.
//
// These are no parameters of the connection because connection poolers refuse those that they do not know.
func plannerSettings(transaction bool) string {
	var columns []string
	for _, setting := range [][2]string{
		{"plan_cache_mode", "force_generic_plan"},
		{"max_parallel_workers_per_gather", "0"},
		{"jit", "off"},
		{"enable_seqscan", "off"},
		{"enable_bitmapscan", "off"},
	} {
		columns = append(columns, fmt.Sprintf("set_config('%s', '%s', %t)", setting[0], setting[1], transaction))
	}
	return strings.Join(columns, ", ")
}

// setUp makes the settings of a connection that no pooler gives to others.
func setUp(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SELECT "+plannerSettings(false))
	return err
}

// retryable: serialization_failure and deadlock_detected undo the transaction and say nothing against it.
func retryable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// PostgresUnavailable reports whether PostgreSQL was not there, or could not do at the time what it was asked: SQLSTATE classes 08
// (connection), 53 (resources), 57 (operator intervention, a cancelled statement too), 58 (system), a lock that was not available in time, a
// transaction that was idle for too long, a read-only server (a standby), and what ran again in vain.
func PostgresUnavailable(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return retryable(err) || slices.Contains([]string{"08", "53", "57", "58"}, pg.Code[:min(2, len(pg.Code))]) ||
			slices.Contains([]string{LockNotAvailable, "25006", "25P03", "25P04"}, pg.Code)
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err)
}

// pgUnwritable reports whether the disk is full or broken, or the server read-only.
func pgUnwritable(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains([]string{"53100", "58030", "25006"}, pg.Code)
}

// HasExtension reports whether an extension of PostgreSQL is installed in the database.
func (e *Engine) HasExtension(ctx context.Context, name string) (bool, error) {
	var found int64
	err := e.DB.WithContext(ctx).Raw("SELECT count(*) FROM pg_extension WHERE extname = ?", name).Scan(&found).Error
	return found > 0, Classify("look for the extension "+name, err)
}
