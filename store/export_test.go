package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"gorm.io/gorm"
)

// ExplainGet runs the statement of GetSession and tells how the database did it, with the plan that it makes for whatever
// values come. Several ids are asked for together.
func (s *Store) ExplainGet(ctx context.Context, sel Selection, ids ...string) (string, error) {
	var asked []*statement
	for _, id := range ids {
		asked = append(asked, querier{Store: s, ctx: ctx}.getStatement(sel, id, "NULL"))
	}
	return s.explain(ctx, asked...)
}

// ExplainList does the same for ListSessions.
func (s *Store) ExplainList(ctx context.Context, page Page, selections ...Selection) (string, error) {
	var asked []*statement
	for _, sel := range selections {
		asked = append(asked, listing{store: s, sel: sel, page: page, now: s.clock(), wall: wallIn(ctx)}.statement())
	}
	return s.explain(ctx, asked...)
}

// ExplainNewest does the same for NewestActive, and for the long one of its statements.
func (s *Store) ExplainNewest(ctx context.Context, long bool, selections ...Selection) (string, error) {
	var asked []*statement
	for _, sel := range selections {
		l := listing{store: s, sel: sel, page: Page{ActiveOnly: true, Limit: fewSessions + 1}, now: s.clock(), wall: wallIn(ctx), uncounted: true}
		if l.long = long; long {
			l.page.Limit = MostListed + 1
		}
		asked = append(asked, l.statement())
	}
	return s.explain(ctx, asked...)
}

// ExplainStats does the same for TenantStats.
func (s *Store) ExplainStats(ctx context.Context, tenantID string) (string, error) {
	return s.explain(ctx, s.engine.statsStatement(tenantID, s.clock()))
}

func (s *Store) explain(ctx context.Context, asked ...*statement) (string, error) {
	if s.engine.pool == nil {
		st := s.engine.statement("EXPLAIN QUERY PLAN "+asked[0].text.String(), asked[0].args...)
		return lines(3, func(scan func(rows) error) error { return s.query(ctx, st, scan) })
	}
	var p parcel
	for _, st := range asked {
		p.jobs = append(p.jobs, newJob(wallIn(ctx), st))
	}
	var values []string
	for _, arg := range p.args() {
		values = append(values, "'"+literal(arg)+"'")
	}
	var how string
	err := s.write(ctx, "explain", func(tx *gorm.DB) error {
		if err := execIn(tx, s.engine.statement("PREPARE asked AS "+p.text())); err != nil {
			return err
		}
		st := s.engine.statement("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE asked(" + strings.Join(values, ", ") + ")")
		var err error
		how, err = lines(0, func(scan func(rows) error) error { return queryIn(tx, st, scan) })
		if err == nil {
			err = execIn(tx, s.engine.statement("DEALLOCATE asked"))
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
func lines(skip int, query func(scan func(rows) error) error) (string, error) {
	var all []string
	err := query(func(row rows) error {
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

// Pipeline is one of a store's.
type Pipeline int

// What is sent to PostgreSQL.
const (
	Reads Pipeline = iota
	LongReads
	Changes
)

func (s *Store) pipeline(of Pipeline) *pipeline {
	return map[Pipeline]*pipeline{Reads: s.reads, Changes: s.writes}[of]
}

// HoldExchanges leaves a pipeline a single exchange, which is under way, and not with a single job, until letGo is
// called.
func (s *Store) HoldExchanges(of Pipeline) (waiting func() int, letGo func()) {
	if of == LongReads {
		return s.holdLongReads()
	}
	p := s.pipeline(of)
	p.mu.Lock()
	p.most, p.exchanges, p.carried = 1, 1, 2
	p.mu.Unlock()
	return func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.waiting.size
	}, func() { p.end(2) }
}

// holdLongReads leaves no slot for long reads until letGo is called, and then one.
func (s *Store) holdLongReads() (waiting func() int, letGo func()) {
	g := s.longReads
	setSlots := func(n int) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.slots = n
		g.admit()
	}
	setSlots(0)
	return func() int {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.waiting.size
	}, func() { setSlots(1) }
}

// UnderWay is how many exchanges of a pipeline are under way, and how many jobs they carry.
func (s *Store) UnderWay(of Pipeline) (exchanges, jobs int) {
	if of == LongReads {
		g := s.longReads
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.used, g.used
	}
	p := s.pipeline(of)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exchanges, p.carried
}

// Ask sends a statement of a test's own with others, and returns the texts of its rows.
func (s *Store) Ask(ctx context.Context, text string, args ...any) (string, error) {
	return lines(0, func(scan func(rows) error) error { return s.ask(ctx, s.engine.statement(text, args...), scan) })
}

// AskLong sends one that may take long.
func (s *Store) AskLong(ctx context.Context, text string, args ...any) (string, error) {
	return lines(0, func(scan func(rows) error) error { return s.query(ctx, s.engine.statement(text, args...), scan) })
}

// ScanBoth runs a query of one row and reads its columns as the store does, and as pgx does.
func (s *Store) ScanBoth(ctx context.Context, text string, ours, theirs []any) error {
	err := s.ask(ctx, s.engine.statement(text), func(row rows) error { return row.Scan(ours...) })
	return errors.Join(err, s.engine.pool.QueryRow(ctx, text).Scan(theirs...))
}

// WatermarkKey is the number of the lock of a tenant's watermark.
func WatermarkKey(tenantID string) int64 { return watermark{TenantID: tenantID}.key() }

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
	return s.db.WithContext(ctx).Exec(text).Error
}

// Texts are the rows of a statement of one column.
func (s *Store) Texts(ctx context.Context, text string) ([]string, error) {
	var all []string
	err := s.db.WithContext(ctx).Raw(text).Scan(&all).Error
	return all, err
}

// Job is a job for Pack.
type Job = *job

// JobAbout is a change of a session, in words that are about rows unless they are empty.
func JobAbout(words, tenantID, id string, wall Wall) Job {
	st := engine{}.statement(words)
	st.rows = words != ""
	j := newJob(wall, st)
	j.changes(tenantID, id)
	return j
}

// JobReading is a read of a tenant's, with an argument.
func JobReading(tenantID string, arg any, wall Wall) Job {
	st := engine{}.statement("read ?", arg)
	st.tenantID = tenantID
	return newJob(wall, st)
}

// Tenant is whom the wall is around.
func (w Wall) Tenant() string { return w.tenant }

// Pack tells the parcels that become of jobs: their sessions or arguments, and what the wall is around, if it is around several tenants.
func Pack(jobs ...Job) string {
	var all []string
	for _, p := range pack(jobs) {
		var ids []string
		for _, j := range p.jobs {
			if j.row == "" {
				ids = append(ids, fmt.Sprint(j.st.args...))
			} else {
				ids = append(ids, j.row[len(j.tenantID)+1:])
			}
		}
		text := strings.Join(ids, "+")
		if tenants := p.tenants(); len(tenants) > 0 {
			text += ", around " + strings.Join(tenants, " ")
		}
		all = append(all, text)
	}
	return strings.Join(all, " | ")
}

// Write runs a statement in a transaction of its own, as a change does.
func (s *Store) Write(ctx context.Context, text string) error {
	return s.write(ctx, "test", func(tx *gorm.DB) error { return tx.Exec(text).Error })
}

// Failure is what becomes of an error of the database.
func Failure(err error) error { return mapError("test", err) }

// OnEveryConnection runs a statement on every connection, of which SQLite has two from then on.
func (s *Store) OnEveryConnection(ctx context.Context, text string) error {
	db, err := s.sqlDB()
	if err != nil {
		return err
	}
	conns := 1
	if s.engine.pool == nil {
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
	_ = s.db.Callback().Create().Before("gorm:create").Register("count trials", func(tx *gorm.DB) {
		if tx.Statement.Table == (readinessRow{}).TableName() {
			n.Add(1)
		}
	})
	return n.Load
}

// TransactionsUnderWay is how many changes hold a connection for themselves.
func (s *Store) TransactionsUnderWay() int {
	s.transactions.mu.Lock()
	defer s.transactions.mu.Unlock()
	return s.transactions.used
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
	for range s.engine.pool.Config().MaxConns {
		conn, err := s.engine.pool.Acquire(ctx)
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

// MostStatements is how many a connection keeps prepared.
const MostStatements = mostStatements

// ChangeUnreadably notes a cutoff of a user's in a tenant by a statement whose answer does not say whose it is.
func (s *Store) ChangeUnreadably(ctx context.Context, tenantID, userID string) error {
	what := changing{tenantID: tenantID, id: userID}
	return s.change(ctx, "test", what, func(q querier) error {
		st := s.engine.asking(value{"tenant", "text", tenantID}, value{"name", "text", userID}, value{"at", "timestamptz", s.clock()}).
			add(`made AS (INSERT INTO watermarks (tenant_id, user_id, not_before) SELECT tenant, name, at FROM asked RETURNING 1) SELECT 'x' FROM made`)
		return q.run(st, func(rows) error { return nil })
	})
}

// MaintenanceLocks are those of the jobs that work on ended sessions.
func MaintenanceLocks() []int64 { return []int64{endedLock, endingLock} }
