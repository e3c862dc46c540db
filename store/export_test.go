package store

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/batch"
	"github.com/sessiond/sessiond/store/internal/counters"
	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

func (s *Store) fast() fast {
	f, _ := s.operations.(fast)
	return f
}

// HasFastPaths reports whether fast paths were chosen.
func (s *Store) HasFastPaths() bool {
	_, chosen := s.operations.(fast)
	return chosen
}

// ExplainGet runs the statement of GetSession and tells how the database did it, with the plan that it makes for whatever values come.
// Several ids are looked up together.
func (s *Store) ExplainGet(ctx context.Context, scope Scope, ids ...string) (string, error) {
	if !s.engine.IsPostgres() {
		return s.explainPlain(ctx, func(tx *gorm.DB) *gorm.DB { return tx.Scopes(scope.byID(ids[0])).Take(&Session{}) })
	}
	var all []*batch.Query
	for _, id := range ids {
		all = append(all, &batch.Query{Statement: s.fast().getStatement(ctx, CallerSession{}, scope, id, true), TenantID: scope.tenantID()})
	}
	return s.explain(ctx, all...)
}

// JoinedCaller is what the statement of GetSession says of the caller's session by itself: whether it has ended, nil where it does not say.
func (s *Store) JoinedCaller(ctx context.Context, caller CallerSession, scope Scope, id string) (*bool, error) {
	var ended *bool
	st := s.fast().getStatement(ctx, caller, scope, id, true)
	return ended, s.fast().query(ctx, st, scope.tenantID(), func(row engine.Rows) error {
		return scanSession(row, new(Session), new(bool), new([]string), &ended)
	})
}

// ReadClock reads the store's clock, which does not go back.
func (s *Store) ReadClock() time.Time { return s.now() }

// HoldPartnerOf holds the lock under which a tenant's partner changes, until release is called.
func (s *Store) HoldPartnerOf(ctx context.Context, tenantID string) (release func(), err error) {
	tx, err := s.engine.Pool.Begin(ctx)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", engine.LockKey(tenantsPartner(tenantID)))
	return func() { _ = tx.Rollback(ctx) }, err
}

// WaitForLocks is how many sessions of the database server wait for an advisory lock of this database.
func (s *Store) WaitForLocks(ctx context.Context) (n int, err error) {
	err = s.engine.Pool.QueryRow(ctx, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n)
	return n, err
}

// ExplainList does the same for ListSessions.
func (s *Store) ExplainList(ctx context.Context, filter Filter, page Page, scopes ...Scope) (string, error) {
	return s.explainList(ctx, filter, page, false, false, scopes...)
}

// ExplainNewest does the same for NewestActive, and for the long one of its statements.
func (s *Store) ExplainNewest(ctx context.Context, long bool, scopes ...Scope) (string, error) {
	limit := maxShort + 1
	if long {
		limit = MaxListed + 1
	}
	return s.explainList(ctx, Filter{ActiveOnly: true}, Page{Limit: limit}, true, long, scopes...)
}

func (s *Store) explainList(ctx context.Context, filter Filter, page Page, uncounted, long bool, scopes ...Scope) (string, error) {
	if !s.engine.IsPostgres() {
		return s.explainPlain(ctx, func(tx *gorm.DB) *gorm.DB {
			which := filter.where(scopes[0], s.now())
			if filter.table(scopes[0]) == activeAndEnded {
				return bothInOrder(tx, which, listOrder, page.Offset+page.Limit).Limit(page.Limit).Offset(page.Offset).Find(&[]ListItem{})
			}
			return tx.Model(&Session{}).Scopes(which).Order(listOrder).Limit(page.Limit).Offset(page.Offset).Find(&[]ListItem{})
		})
	}
	var all []*batch.Query
	for _, scope := range scopes {
		l := s.fast().listing(ctx, CallerSession{}, listing{scope, filter, page, s.now()})
		l.uncounted, l.long = uncounted, l.long || long
		all = append(all, &batch.Query{Statement: l.statement(), TenantID: scope.tenantID()})
	}
	return s.explain(ctx, all...)
}

// beforeChrist is a time as PostgreSQL does not read it.
var beforeChrist = regexp.MustCompile(`'-(\d{4}-\d\d-\d\d [^']*)'`)

// ExplainSearch searches, and then tells for each statement of the search how PostgreSQL did it.
func (s *Store) ExplainSearch(ctx context.Context, scope Scope, filter SessionFilter, page SessionPage) (string, error) {
	const recording = "record for explain"
	type statement struct {
		ctx  context.Context //nolint:containedctx // it says for whom
		text string
	}
	var sent []statement
	queries := s.engine.DB.Callback().Query()
	if err := queries.After("gorm:query").Register(recording, func(tx *gorm.DB) {
		if tx.DryRun {
			return // a part of a statement
		}
		text := tx.Explain(tx.Statement.SQL.String(), tx.Statement.Vars...)
		sent = append(sent, statement{tx.Statement.Context, beforeChrist.ReplaceAllString(text, "'$1 BC'")})
	}); err != nil {
		return "", err
	}
	_, err := s.SearchSessions(ctx, scope, filter, page)
	if err := errors.Join(err, queries.Remove(recording)); err != nil {
		return "", err
	}
	var all []string
	for _, st := range sent {
		err := s.write(st.ctx, "explain", func(tx *gorm.DB) error { //nolint:contextcheck // for whom it was sent
			how, err := lines(0, func(scan func(engine.Rows) error) error {
				return engine.Query(tx, s.engine.Statement("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) "+st.text), scan)
			})
			all = append(all, st.text, how)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return strings.Join(all, "\n"), nil
}

// ExplainStatistics runs the statement of TenantStats and tells how PostgreSQL did it.
func (s *Store) ExplainStatistics(ctx context.Context, tenantID string) (string, error) {
	return s.explain(ctx, &batch.Query{Statement: statsStatement(s.engine, tenantID, s.now()), TenantID: tenantID})
}

// ExplainPurge tells how PostgreSQL finds the sessions of a tenant that have ended before a time.
func (s *Store) ExplainPurge(ctx context.Context, tenantID string, before time.Time) (string, error) {
	db := s.engine.DB.WithContext(ctx)
	text := db.ToSQL(func(tx *gorm.DB) *gorm.DB { return endedOf(tx, tenantID, before, 10).Find(&[]Session{}) })
	return lines(0, func(scan func(engine.Rows) error) error {
		return engine.Query(db, s.engine.Statement("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) "+text), scan)
	})
}

// ExplainExpiredApplications tells how the plain statistics find the applications of sessions that have expired.
func (s *Store) ExplainExpiredApplications(ctx context.Context, tenantID string) (string, error) {
	return s.explainPlain(ctx, func(tx *gorm.DB) *gorm.DB {
		c := statistics{plain: plain{s}, tx: tx, tenantID: tenantID, now: s.now()}
		return c.applicationsOf(isDue+" AND ends_at > ?", s.now(), earliestTime()).Find(&[]group{})
	})
}

// ExplainExpired explains how SQLite counts the sessions that totals leave out because they have expired.
func (s *Store) ExplainExpired(ctx context.Context, scope Scope) (string, error) {
	return s.explainPlain(ctx, func(tx *gorm.DB) *gorm.DB {
		n := int64(0)
		return due(tx.Model(&Session{}), scope, s.now()).Count(&n)
	})
}

// explainPlain explains a query of GORM's on SQLite.
func (s *Store) explainPlain(ctx context.Context, build func(tx *gorm.DB) *gorm.DB) (string, error) {
	st := build(s.engine.DB.WithContext(ctx).Session(&gorm.Session{DryRun: true})).Statement
	return lines(3, func(scan func(engine.Rows) error) error {
		rows, err := s.engine.DB.WithContext(ctx).Raw("EXPLAIN QUERY PLAN "+st.SQL.String(), st.Vars...).Rows()
		if err != nil {
			return err
		}
		defer rows.Close()
		return errors.Join(engine.Each(rows, scan), rows.Err())
	})
}

func (s *Store) explain(ctx context.Context, queries ...*batch.Query) (string, error) {
	text, args := batch.Merged(queries...)
	var values []string
	for _, arg := range args {
		values = append(values, "'"+literal(arg)+"'")
	}
	var how string
	err := s.write(ctx, "explain", func(tx *gorm.DB) error {
		if err := engine.Exec(tx, s.engine.Statement("PREPARE explained AS "+text)); err != nil {
			return err
		}
		st := s.engine.Statement("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE explained(" + strings.Join(values, ", ") + ")")
		var err error
		how, err = lines(0, func(scan func(engine.Rows) error) error { return engine.Query(tx, st, scan) })
		if err == nil {
			err = engine.Exec(tx, s.engine.Statement("DEALLOCATE explained"))
		}
		return err
	})
	return how, err
}

// literal is an argument as one writes it.
func literal(arg any) string {
	switch arg := arg.(type) {
	case time.Time:
		return arg.Format(time.RFC3339Nano)
	case pgtype.FlatArray[any]:
		var all []string
		for _, element := range arg {
			all = append(all, `"`+literal(element)+`"`)
		}
		return "{" + strings.Join(all, ",") + "}"
	default:
		return fmt.Sprint(arg)
	}
}

// lines are the texts in a column of what a query gives.
func lines(skip int, query func(scan func(engine.Rows) error) error) (string, error) {
	var all []string
	err := query(func(row engine.Rows) error {
		var line string
		into := make([]any, skip, skip+1)
		for i := range into {
			into[i] = new(any)
		}
		err := row.Scan(append(into, &line)...)
		all = append(all, line)
		return err
	})
	return strings.Join(all, "\n"), err
}

// Queue is where statements of a kind wait.
type Queue int

// What is sent to PostgreSQL.
const (
	Reads Queue = iota
	LongReads
	Writes
)

func (s *Store) batcher(of Queue) *batch.Batcher {
	return map[Queue]*batch.Batcher{Reads: s.fast().reads, Writes: s.fast().writes}[of]
}

// Hold leaves a queue a single batch, which is under way, and not with a single query, until letGo is called. Of the slots for long reads
// none is left until then, and then one.
func (s *Store) Hold(of Queue) (waiting func() int, letGo func()) {
	if of == LongReads {
		s.longReads.Resize(0)
		return func() int {
			_, waiting := s.longReads.Len()
			return waiting
		}, func() { s.longReads.Resize(1) }
	}
	b := s.batcher(of)
	letGo = b.Hold()
	return func() int {
		_, _, waiting := b.Len()
		return waiting
	}, letGo
}

// UnderWay is how many batches of a queue are under way, and how many queries they have.
func (s *Store) UnderWay(of Queue) (batches, queries int) {
	if of == LongReads {
		used, _ := s.longReads.Len()
		return used, used
	}
	batches, queries, _ = s.batcher(of).Len()
	return batches, queries
}

// Query sends a statement of a test's own with others, where there are fast paths, and returns the texts of its rows.
func (s *Store) Query(ctx context.Context, text string, args ...any) (string, error) {
	return lines(0, func(scan func(engine.Rows) error) error {
		st := s.engine.Statement(text, args...)
		if s.engine.IsPostgres() {
			return s.fast().query(ctx, st, "", scan)
		}
		return s.read(ctx, func(tx *gorm.DB) error { return engine.Query(tx, st, scan) })
	})
}

// QueryLong sends one that may take long.
func (s *Store) QueryLong(ctx context.Context, text string, args ...any) (string, error) {
	return lines(0, func(scan func(engine.Rows) error) error {
		st := s.engine.Statement(text, args...)
		if s.engine.IsPostgres() {
			return s.fast().queryLong(ctx, st, "", scan)
		}
		return s.readLong(ctx, "", func(tx *gorm.DB) error { return engine.Query(tx, st, scan) })
	})
}

// ScanBoth runs a query of one row and reads its columns as the fast paths do, and as pgx does.
func (s *Store) ScanBoth(ctx context.Context, text string, ours, theirs []any) error {
	err := s.fast().query(ctx, s.engine.Statement(text), "", func(row engine.Rows) error { return row.Scan(ours...) })
	return errors.Join(err, s.engine.Pool.QueryRow(ctx, text).Scan(theirs...))
}

// TenantLock is the key of a tenant's lock.
func TenantLock(tenantID string) int64 { return engine.LockKey(lockName(tenantID, "")) }

// MigrateTo brings the schema up or down to a version.
func (s *Store) MigrateTo(ctx context.Context, version int64) error {
	provider, err := s.provider()
	if err != nil {
		return err
	}
	now, err := provider.GetDBVersion(ctx)
	if err == nil && now > version {
		_, err = provider.DownTo(ctx, version)
	} else if err == nil {
		_, err = provider.UpTo(ctx, version)
	}
	return err
}

// Exec runs a statement as somebody at the prompt would.
func (s *Store) Exec(ctx context.Context, text string) error {
	return s.engine.DB.WithContext(ctx).Exec(text).Error
}

// Texts are the rows of a statement of one column.
func (s *Store) Texts(ctx context.Context, text string) ([]string, error) {
	var all []string
	err := s.engine.DB.WithContext(ctx).Raw(text).Scan(&all).Error
	return all, err
}

// TenantID is the one tenant of a scope, "" when it may be several.
func (s Scope) TenantID() string { return s.tenantID() }

// Write runs a statement in a transaction of its own, as a change does.
func (s *Store) Write(ctx context.Context, text string) error {
	return s.write(ctx, "test", func(tx *gorm.DB) error { return tx.Exec(text).Error })
}

// Failure is what becomes of an error of the database.
func Failure(err error) error { return mapError("test", err) }

// OnEveryConnection runs a statement on every connection, of which SQLite has two from then on.
func (s *Store) OnEveryConnection(ctx context.Context, text string) error {
	db, err := s.engine.SQL()
	if err != nil {
		return err
	}
	conns := 1
	if !s.engine.IsPostgres() {
		conns = 2
		db.SetMaxOpenConns(conns)
		db.SetMaxIdleConns(conns)
	}
	for range conns {
		conn, failed := db.Conn(ctx)
		if failed != nil {
			return errors.Join(err, failed)
		}
		defer func() { _ = conn.Close() }() // after the last, so that each is another one
		_, failed = conn.ExecContext(ctx, text)
		err = errors.Join(err, failed)
	}
	return err
}

// Trials counts how often the database is tried because somebody asks whether it is ready.
func (s *Store) Trials() (trials func() int64) {
	var n atomic.Int64
	_ = s.engine.DB.Callback().Create().Before("gorm:create").Register("count trials", func(tx *gorm.DB) {
		if tx.Statement.Table == (readinessRow{}).TableName() {
			n.Add(1)
		}
	})
	return n.Load
}

// TransactionsUnderWay is how many changes hold a connection for themselves.
func (s *Store) TransactionsUnderWay() int {
	used, _ := s.engine.Writers.Len()
	return used
}

// PreparedStatements are the texts of all that is prepared on any connection, which are as many connections as there may be.
func (s *Store) PreparedStatements(ctx context.Context) (map[string]bool, error) {
	texts := map[string]bool{}
	var held []*pgxpool.Conn
	defer func() {
		for _, conn := range held {
			conn.Release()
		}
	}()
	for range s.engine.Pool.Config().MaxConns {
		conn, err := s.engine.Pool.Acquire(ctx)
		if err != nil {
			return nil, err
		}
		held = append(held, conn)
		found, err := conn.Query(ctx, "SELECT statement FROM pg_prepared_statements", pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return nil, err
		}
		all, err := pgx.CollectRows(found, pgx.RowTo[string])
		if err != nil {
			return nil, err
		}
		for _, text := range all {
			texts[text] = true
		}
	}
	return texts, nil
}

// MaxStatements is how many a connection keeps prepared.
const MaxStatements = engine.MaxStatements

// WriteUnreadably stores a cutoff of a user's in a tenant by a statement whose result does not say whose it is.
func (s *Store) WriteUnreadably(ctx context.Context, tenantID, userID string) error {
	st := sqlbuild.Bulk(sqlbuild.Value{Name: "tenant", Type: "text", Value: tenantID}, sqlbuild.Value{Name: "name", Type: "text", Value: userID},
		sqlbuild.Value{Name: "at", Type: "timestamptz", Value: s.now()}).
		Add(`made AS (INSERT INTO not_before_cutoffs (tenant_id, partner_id, user_id, not_before, keep_until)
			SELECT tenant, '', name, at, at FROM input RETURNING 1) SELECT 'x' FROM made`)
	return s.fast().write(ctx, "test", sessionKey{tenantID, userID}, st, nil, func() {}, func(engine.Rows) error { return nil })
}

// MaintenanceLocks are those of the jobs that work on ended sessions.
func MaintenanceLocks() []int64 { return []int64{expiryJob, revokeJob} }

// Rows are all rows of a table but for columns that differ by chance, in one order.
func (s *Store) Rows(ctx context.Context, table string, without ...string) ([]map[string]any, error) {
	var rows []map[string]any
	err := s.engine.DB.WithContext(ctx).Table(table).Find(&rows).Error
	for _, row := range rows {
		for _, column := range without {
			delete(row, column)
		}
	}
	return rows, err
}

// Deltas sums up what waits to be rolled up.
func (s *Store) Deltas(ctx context.Context) (counters.Sums, error) {
	var deltas []counters.Delta
	err := s.engine.DB.WithContext(ctx).Order("seq").Find(&deltas).Error
	sums := counters.Sums{}
	for _, d := range deltas {
		sums.Add(d, time.Time{})
	}
	return sums, err
}
