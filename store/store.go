// Package store keeps sessions, the applications reached through them and the tenants they belong to, in PostgreSQL or in a SQLite file,
// with the same rules on both.
//
// Whose sessions an operation may touch is always an argument, a Scope, and the zero Scope matches nothing. What the request as a whole is
// authorized for is in its context as well (WithScope), from which PostgreSQL's row-level security is set for each transaction. Times are
// UTC with microseconds, what both engines keep.
//
// Every operation is one file, with one implementation in GORM that runs on both engines. The most frequent operations have a second
// implementation for PostgreSQL (fastpath.go) with the same signature: one hand-written statement, which is batched with those of concurrent
// requests. Both implementations give the same answers and write the same rows; Options.NoFastPaths leaves the second ones out.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/sessiond/sessiond/store/internal/counters"
	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/fair"
	"github.com/sessiond/sessiond/store/internal/rls"
	"github.com/sessiond/sessiond/store/internal/tuning"
)

// retries is how often a transaction runs again after a serialization failure or a deadlock, before its error is returned.
const retries = 3

// DefaultMaxTokenLifetime is longer than the default lifetime of access tokens of common identity providers.
const DefaultMaxTokenLifetime = 24 * time.Hour

// Options says how to open a store. The zero value of each member is a working default.
type Options struct {
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Logger receives slow statements, without their values; nothing is logged when nil.
	Logger *slog.Logger
	// MaxConns bounds the connections to PostgreSQL; 16 when zero.
	MaxConns int
	// Distributed makes registration look for a taken session id itself, because no unique index over all tenants can exist where tables are
	// distributed by tenant (Citus). It is on by itself where the citus extension is found.
	Distributed bool
	// NoFastPaths leaves out the second implementations of operations. They are left out by themselves where they do not apply: on SQLite,
	// and where tables are distributed.
	NoFastPaths bool
	// Limits returns those of a tenant; there are none when nil.
	Limits func(tenantID string) Limits
	// OnEnded is called after sessions have been ended by this store, with the cause and their number. It may be nil.
	OnEnded func(cause string, n int)
	// MustExist refuses to create a SQLite file: the error wraps fs.ErrNotExist then.
	MustExist bool
	// ActivityInterval is how long a heartbeat may wait to be written; each is written at once when zero.
	ActivityInterval time.Duration
	// ChangeInterval is how long no second event tells of a change of a session's address, agent or country; each has one when zero.
	ChangeInterval time.Duration
	// MaxTokenLifetime is how long an access token may live after its session has ended; 24 hours when zero. So long it is known that the
	// session has ended, also when its row is deleted.
	MaxTokenLifetime time.Duration
}

// Store is a database with the sessions in it. It is safe for concurrent use.
type Store struct {
	engine   *engine.Engine
	counters *counters.Counters
	// operations are those that have a fast path: the plain implementations, or the fast ones.
	operations operations
	clock      clock
	digests    digester
	limits     func(tenantID string) Limits
	onEnded    func(cause string, n int)
	// activityInterval, changeInterval and maxTokenLifetime are those of the options.
	activityInterval, changeInterval, maxTokenLifetime time.Duration
	// revokedLast is the tenant (a string) of which a bulk revocation was applied last: the next turn is another tenant's.
	revokedLast atomic.Value
	pending     pendingActivity
	readiness   readiness
	// longReads bounds the reads that take long, shared fairly by tenants.
	longReads *fair.Semaphore
	// exports bounds the exports that are under way.
	exports *fair.Semaphore
}

// Open connects to the database that the URL names: sqlite://path for a file (created when missing, for its owner alone), postgres://...
// for a server. It does not touch the schema; see Migrate and CheckSchema. The error says in one sentence what to do.
func Open(ctx context.Context, url string, options Options) (*Store, error) {
	if options.Now == nil {
		options.Now = time.Now //nolint:forbidigo // the one default of the clock that is handed in everywhere else
	}
	if options.Limits == nil {
		options.Limits = func(string) Limits { return Limits{} }
	}
	if options.MaxTokenLifetime <= 0 {
		options.MaxTokenLifetime = DefaultMaxTokenLifetime
	}
	if options.OnEnded == nil {
		options.OnEnded = func(string, int) {}
	}
	config := &gorm.Config{
		TranslateError:         true,
		SkipDefaultTransaction: true,
		// The connection is tried below, with the caller's deadline.
		DisableAutomaticPing: true,
		Logger:               queryLogger(options.Logger),
	}
	e, err := engine.Open(ctx, url, config, engine.Options{MaxConns: options.MaxConns, MustExist: options.MustExist})
	if err != nil {
		return nil, err
	}
	// More long reads at a time would slow each other down. One tenant's long reads use half of the processors at the most.
	processors := runtime.GOMAXPROCS(0)
	s := &Store{
		engine: e, clock: clock{machine: options.Now}, limits: options.Limits, onEnded: options.OnEnded,
		activityInterval: options.ActivityInterval, changeInterval: options.ChangeInterval, maxTokenLifetime: options.MaxTokenLifetime,
		pending: pendingActivity{heartbeats: map[sessionKey]heartbeat{}}, longReads: fair.NewSemaphore(2*processors, max(1, processors/2)),
	}
	s.exports = fair.NewSemaphore(exportsAtOnce, exportsOfOne)
	s.counters = counters.New(e, counted{e}, tuning.BucketSize(ctx))
	if err := s.Ping(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConnect, errors.Join(err, s.Close()))
	}
	e.Distributed = options.Distributed
	if !e.Distributed && e.IsPostgres() {
		if e.Distributed, err = e.HasExtension(ctx, "citus"); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	s.operations = s.chooseOperations(!options.NoFastPaths)
	return s, nil
}

// slowLogger logs statements that take long. Those that fail are not logged: the error goes to the caller.
type slowLogger struct{ logger.Interface }

// maxLogged bounds how much of a statement's text is logged.
const maxLogged = 1000

// ParamsFilter implements gorm.ParamsFilter, which GORM does not find in an embedded interface: it leaves the values out.
func (slowLogger) ParamsFilter(_ context.Context, text string, _ ...any) (string, []any) {
	return text, nil
}

// Trace implements logger.Interface.
func (l slowLogger) Trace(ctx context.Context, begin time.Time, statement func() (string, int64), err error) {
	if err != nil {
		return
	}
	l.Interface.Trace(ctx, begin, func() (string, int64) {
		text, rows := statement()
		return text[:min(len(text), maxLogged)], rows
	}, nil)
}

// queryLogger keeps values, such as addresses, agents and e-mails, out of the log.
func queryLogger(l *slog.Logger) logger.Interface {
	if l == nil {
		return logger.Discard
	}
	return slowLogger{logger.NewSlogLogger(l, logger.Config{
		LogLevel: logger.Warn, SlowThreshold: time.Second, IgnoreRecordNotFoundError: true,
	})}
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	db, err := s.engine.SQL()
	if err != nil {
		return err
	}
	return mapError("ping", db.PingContext(ctx))
}

// Close ends all connections.
func (s *Store) Close() error { return s.engine.Close() }

// Engine names the database: "postgres" or "sqlite".
func (s *Store) Engine() string { return s.engine.Name }

// Redact leaves the password out of a URL that goes into an error.
func Redact(url string) string { return engine.Redact(url) }

// BypassesRowSecurity reports whether row-level security policies do not apply to the database's role, because it is a superuser or has
// BYPASSRLS. It is true on SQLite, which has no row-level security.
func (s *Store) BypassesRowSecurity(ctx context.Context) (bool, error) {
	if !s.engine.IsPostgres() {
		return true, nil
	}
	bypasses := true
	err := s.engine.DB.WithContext(ctx).Raw("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user").Scan(&bypasses).Error
	return bypasses, mapError("look up the database's role", err)
}

// restrict sends the first statement of a transaction: the settings that are needed behind a connection pooler, and the row-level security
// restriction of the context. It sends nothing when there is neither.
func (s *Store) restrict(tx *gorm.DB) error {
	restricted, err := restriction(tx.Statement.Context)
	switch {
	case err != nil:
		return err
	case !s.engine.IsPostgres() || restricted == (rls.Restriction{}) && s.engine.Setup == "":
		return nil
	}
	st, comma := s.engine.TransactionSetup()
	if restricted.Restricts() {
		restricted.Set(st.Add(comma))
	}
	return engine.Exec(tx, st)
}

// read runs do in a transaction that only reads, and sees one state of the database.
func (s *Store) read(ctx context.Context, do func(tx *gorm.DB) error) error {
	return s.engine.DB.WithContext(ctx).Transaction(s.restricted(do), s.engine.RepeatableRead(true))
}

// readLong is read for operations that take long: few of them run at a time, and fewer of one tenant.
func (s *Store) readLong(ctx context.Context, tenantID string, do func(tx *gorm.DB) error) error {
	of := owner(ctx, tenantID)
	if err := s.longReads.Acquire(ctx, of); err != nil {
		return err
	}
	defer s.longReads.Release(of)
	return s.read(ctx, do)
}

// transaction is one write transaction of a call.
type transaction struct {
	*Store
	tx    *gorm.DB
	audit auditContext
}

// write runs do in one transaction, all or nothing, and again when the database asks for it.
func (s *Store) write(ctx context.Context, operation string, do func(tx *gorm.DB) error, options ...*sql.TxOptions) error {
	var err error
	for range 1 + retries {
		err = s.writeOnce(ctx, do, options...)
		if err == nil || !s.engine.Retryable(err) {
			break
		}
	}
	return s.written(mapError(operation, err))
}

func (s *Store) writeOnce(ctx context.Context, do func(tx *gorm.DB) error, options ...*sql.TxOptions) error {
	of := owner(ctx, "")
	if err := s.engine.Writers.Acquire(ctx, of); err != nil {
		return err
	}
	defer s.engine.Writers.Release(of)
	return s.engine.DB.WithContext(ctx).Transaction(s.restricted(do), options...)
}

// restricted is do in a transaction that restrict begins.
func (s *Store) restricted(do func(tx *gorm.DB) error) func(tx *gorm.DB) error {
	return func(tx *gorm.DB) error {
		if err := s.restrict(tx); err != nil {
			return err
		}
		return do(tx)
	}
}

// writeOne is write for a change of one session, which is short: on SQLite it may share a commit with others.
func (s *Store) writeOne(ctx context.Context, operation string, do func(tx *gorm.DB) error) error {
	if s.engine.Commits == nil {
		return s.write(ctx, operation, do)
	}
	return s.written(mapError(operation, s.engine.Commits.Do(ctx, owner(ctx, ""), s.restricted(do))))
}

// transact is write for what is recorded in the audit log, by an actor.
func (s *Store) transact(ctx context.Context, operation string, by Actor, do func(t *transaction) error) error {
	recorded, err := s.recorded(by, do)
	if err != nil {
		return err
	}
	return s.write(ctx, operation, recorded)
}

// transactOne is writeOne for what is recorded in the audit log, by an actor.
func (s *Store) transactOne(ctx context.Context, operation string, by Actor, do func(t *transaction) error) error {
	recorded, err := s.recorded(by, do)
	if err != nil {
		return err
	}
	return s.writeOne(ctx, operation, recorded)
}

// recorded is do with the audit context of one call by an actor, in whatever transaction it runs.
func (s *Store) recorded(by Actor, do func(t *transaction) error) (func(tx *gorm.DB) error, error) {
	audit, err := s.auditContext(by)
	return func(tx *gorm.DB) error { return do(&transaction{Store: s, tx: tx, audit: audit}) }, err
}
