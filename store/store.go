// Package store keeps sessions, the applications reached through them and the tenants they belong to, in PostgreSQL or
// in a SQLite file, with the same rules on both.
//
// What a caller may touch is always an argument, a Selection, and never read from the context: the zero Selection
// selects nothing. Each exported method does one transaction, which on PostgreSQL it may share with others that are called
// at the same time (pipeline.go). Times are UTC with microseconds, what both engines keep.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// retries is how often a transaction that the database refused for reasons of its own (serialization, deadlock) runs
// again before its error is the answer.
const retries = 3

// DefaultMaxTokenLifetime is longer than access tokens live unless their issuer was told otherwise.
const DefaultMaxTokenLifetime = 24 * time.Hour

// Options says how to open a store. The zero value of each member is a working default.
type Options struct {
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Logger receives slow statements, without their values; nothing is logged when nil.
	Logger *slog.Logger
	// MaxConns bounds the connections to PostgreSQL; 16 when zero.
	MaxConns int
	// Distributed makes registration look for a taken session id itself, because no unique index over all tenants can
	// exist where tables are distributed by tenant (Citus). It is on by itself where the citus extension is found.
	Distributed bool
	// Limits returns those of a tenant; there are none when nil.
	Limits func(tenantID string) Limits
	// ChunkSize is how many sessions are passed over one by one, at the most about twice, to find a far page of a list; 1024
	// when zero.
	ChunkSize int
	// OnEnded is told, after the fact, how sessions ended that were ended here; nobody is when nil.
	OnEnded func(how string, n int)
	// MustExist refuses to make a SQLite file: the error wraps fs.ErrNotExist then.
	MustExist bool
	// ActivityInterval is how long a mere use of a session may wait to be written; each is written at once when zero.
	ActivityInterval time.Duration
	// MaxTokenLifetime is how long an access token may live after its session has ended; 24 hours when zero. So long it is known
	// that the session has ended, also when its row is deleted.
	MaxTokenLifetime time.Duration
}

// Store is a database with the sessions in it. It is safe for concurrent use.
type Store struct {
	db          *gorm.DB
	engine      engine
	time        clock
	digests     digester
	distributed bool
	limits      func(tenantID string) Limits
	interval    time.Duration
	chunkSize   int
	onEnded     func(how string, n int)
	// maxTokenLifetime is that of the options.
	maxTokenLifetime time.Duration
	// finished is the tenant whose turn it was last to have sessions brought up to date; a string.
	finished  atomic.Value
	pending   pendingUses
	untidy    untidy
	readiness readiness
	// What is sent to PostgreSQL and needs no transaction of its own.
	reads, writes *pipeline
	// longReads bounds the statements that take long, transactions the connections to PostgreSQL that changes hold each for itself,
	// waiting for a lock perhaps. Both are shared fairly by tenants.
	longReads, transactions *gate
	// spares are the connections to PostgreSQL that are in use beside those of transactions.
	spares chan struct{}
}

// engine is what differs between the databases, and nothing else.
type engine struct {
	name string
	// pool is PostgreSQL's connections, those that GORM uses too; nil on SQLite.
	pool *pgxpool.Pool
	// setup is columns that each transaction begins with behind a connection pooler, where connections keep no settings; empty
	// elsewhere.
	setup string
	// serial admits one writing transaction at a time; nil where the database orders writers itself.
	serial *gate
	// retryable says whether the database refused a transaction that may succeed when it runs again.
	retryable func(error) bool
}

// Open connects to the database that the URL names: sqlite://path for a file (made when missing, for its owner alone), postgres://... for a
// server. It does not touch the schema; see Migrate and CheckSchema. The error says in one sentence what to do.
func Open(ctx context.Context, url string, options Options) (*Store, error) {
	if options.Now == nil {
		options.Now = time.Now //nolint:forbidigo // the one default of the clock that is handed in everywhere else
	}
	if options.Limits == nil {
		options.Limits = func(string) Limits { return Limits{} }
	}
	if options.ChunkSize <= 0 {
		options.ChunkSize = defaultChunkSize
	}
	if options.MaxTokenLifetime <= 0 {
		options.MaxTokenLifetime = DefaultMaxTokenLifetime
	}
	if options.OnEnded == nil {
		options.OnEnded = func(string, int) {}
	}
	var dialect gorm.Dialector
	var eng engine
	var err error
	switch scheme, rest, _ := strings.Cut(url, "://"); scheme {
	case "sqlite":
		dialect, eng, err = openSQLite(rest, options.MustExist)
	case "postgres", "postgresql":
		dialect, eng, err = openPostgres(ctx, url, options.MaxConns)
	default:
		err = fmt.Errorf("database URL %q: use sqlite://FILE or postgres://USER@HOST/NAME", Redact(url))
	}
	if err != nil {
		return nil, err
	}
	return connect(ctx, dialect, eng, options)
}

func connect(ctx context.Context, dialect gorm.Dialector, eng engine, options Options) (*Store, error) {
	db, err := gorm.Open(dialect, &gorm.Config{
		TranslateError:         true,
		SkipDefaultTransaction: true,
		// The connection is tried below, with the caller's deadline.
		DisableAutomaticPing: true,
		Logger:               queryLogger(options.Logger),
	})
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if eng.pool == nil {
		if err := keepPrepared(db); err != nil {
			return nil, err
		}
	}
	s := &Store{
		db: db, engine: eng, time: clock{now: options.Now}, distributed: options.Distributed, limits: options.Limits,
		interval: options.ActivityInterval, chunkSize: options.ChunkSize, onEnded: options.OnEnded, pending: pendingUses{uses: map[pendingKey]pendingUse{}},
		maxTokenLifetime: options.MaxTokenLifetime,
	}
	// More of them would slow each other down, and one tenant's keep half of the processors busy at the most.
	processors := runtime.GOMAXPROCS(0)
	s.longReads = newGate(2*processors, max(1, processors/2))
	if s.transactions = eng.serial; eng.pool != nil {
		conns := int(eng.pool.Config().MaxConns)
		s.transactions = newGate(max(1, conns/2), max(1, conns/4))
		s.spares = make(chan struct{}, sparesOf(eng.pool.Config().MaxConns))
	}
	if err := s.Ping(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConnect, errors.Join(err, s.Close()))
	}
	if !s.distributed && eng.name == postgresName {
		s.distributed, err = hasCitus(db.WithContext(ctx))
	}
	s.makePipelines()
	return s, err
}

// queryLogger logs statements that take long. Parameterized keeps addresses, agents and e-mails out of it.
func queryLogger(l *slog.Logger) logger.Interface {
	if l == nil {
		return logger.Discard
	}
	return logger.NewSlogLogger(l, logger.Config{
		LogLevel: logger.Warn, SlowThreshold: time.Second, IgnoreRecordNotFoundError: true, ParameterizedQueries: true,
	})
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	db, err := s.sqlDB()
	if err != nil {
		return err
	}
	return mapError("ping", db.PingContext(ctx))
}

// Close ends all connections.
func (s *Store) Close() error {
	db, err := s.sqlDB()
	if err != nil {
		return err
	}
	err = db.Close()
	if s.engine.pool != nil {
		s.engine.pool.Close()
	}
	return err
}

// Engine names the database: "postgres" or "sqlite".
func (s *Store) Engine() string { return s.engine.name }

// onOneServer reports whether one PostgreSQL has all tables, so that a statement may be about several tenants.
func (s *Store) onOneServer() bool { return s.engine.pool != nil && !s.distributed }

func (s *Store) sqlDB() (*sql.DB, error) {
	db, err := s.db.DB()
	if err != nil {
		return nil, fmt.Errorf("database handle: %w", err)
	}
	return db, nil
}

// write runs do in one transaction, all or nothing, and again when the database asks for it.
func (s *Store) write(ctx context.Context, operation string, do func(tx *gorm.DB) error, options ...*sql.TxOptions) error {
	var err error
	for range 1 + retries {
		err = s.writeOnce(ctx, do, options...)
		if err == nil || !s.engine.retryable(err) {
			break
		}
	}
	return s.written(mapError(operation, err))
}

func (s *Store) writeOnce(ctx context.Context, do func(tx *gorm.DB) error, options ...*sql.TxOptions) error {
	owner := ownerIn(ctx, "")
	if err := s.transactions.enter(ctx, owner); err != nil {
		return err
	}
	defer s.transactions.leave(owner)
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := s.raiseWall(tx); err != nil {
			return err
		}
		return do(tx)
	}, options...)
}

// Redact leaves the password out of a URL that goes into an error.
func Redact(url string) string {
	scheme, rest, found := strings.Cut(url, "://")
	if !found {
		return url
	}
	if _, host, found := strings.Cut(rest, "@"); found {
		rest = "…@" + host
	}
	return scheme + "://" + rest
}
