package store

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"gorm.io/gorm"
)

// statement is SQL written by hand, for what is asked so often that building it anew with GORM would cost more than to
// run it, and for what GORM has no words for. A question mark stands for the next argument, on both engines.
type statement struct {
	text    strings.Builder
	args    []any
	numbers bool
	// tenantID is whose sessions it selects, when it is one tenant's.
	tenantID string
	// rows: it is about a row of values, and others of the same words may be about more of them (asking).
	rows bool
}

// statement begins one in the engine's words.
func (e engine) statement(text string, args ...any) *statement {
	st := &statement{numbers: e.pool != nil, args: make([]any, 0, 16)}
	st.text.Grow(512)
	return st.add(text, args...)
}

// add appends text with its arguments.
func (st *statement) add(text string, args ...any) *statement {
	if !st.numbers {
		st.text.WriteString(text)
		st.args = append(st.args, args...)
		return st
	}
	for _, arg := range args {
		before, after, _ := strings.Cut(text, "?")
		st.text.WriteString(before)
		st.text.WriteByte('$')
		st.text.WriteString(strconv.Itoa(st.place(arg)))
		text = after
	}
	st.text.WriteString(text)
	return st
}

// place is the number of an argument, which is that of an earlier one where both are the same text or time.
func (st *statement) place(arg any) int {
	i := -1
	switch arg := arg.(type) {
	case string:
		i = slices.IndexFunc(st.args, func(other any) bool { return sameText(other, arg) })
	case time.Time:
		i = slices.Index(st.args, any(arg))
	}
	if i >= 0 {
		return i + 1
	}
	st.args = append(st.args, arg)
	return len(st.args)
}

// sameText reports whether an argument is a text, and the same one, not one that happens to say the same: then ids that are
// equal by chance, or by somebody's choice, would make statements of other words.
func sameText(arg any, text string) bool {
	other, ok := arg.(string)
	return ok && len(other) == len(text) && (text == "" || unsafe.StringData(other) == unsafe.StringData(text)) //nolint:gosec // compared only
}

// selected appends the conditions of a selection, which must not be empty.
func (st *statement) selected(sel Selection) *statement {
	if sel.tenant != nil {
		st.tenantID = *sel.tenant
	}
	and := ""
	for column, value := range sel.named() {
		st.add(and+column+" = ?", value)
		and = " AND "
	}
	if and == "" {
		st.add("1 = 1")
	}
	return st
}

// in appends a condition that a column has one of the values.
func (st *statement) in(column string, values []string) *statement {
	if st.numbers {
		return st.add(column+" = ANY(?)", values)
	}
	args := make([]any, len(values))
	for i, value := range values {
		args[i] = value
	}
	return st.add(column+" IN ("+strings.TrimSuffix(strings.Repeat("?, ", len(values)), ", ")+")", args...)
}

// addTexts appends a SELECT of rows whose columns have these names and values. PostgreSQL gets the values as arrays, and finds
// what is looked for by the index: a list of values in the text it would hold against every row of a table.
func (st *statement) addTexts(names []string, columns ...[]string) *statement {
	if st.numbers {
		arrays := make([]any, len(columns))
		for i, column := range columns {
			arrays[i] = column
		}
		places := strings.TrimSuffix(strings.Repeat("?::text[], ", len(columns)), ", ")
		return st.add("SELECT * FROM unnest("+places+") AS texts ("+strings.Join(names, ", ")+")", arrays...)
	}
	comma := "SELECT "
	for i, name := range names {
		st.add(comma + "column" + strconv.Itoa(i+1) + " AS " + name)
		comma = ", "
	}
	comma = " FROM (VALUES "
	places := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ") + ")"
	for row := range columns[0] {
		values := make([]any, len(columns))
		for i, column := range columns {
			values[i] = column[row]
		}
		st.add(comma+places, values...)
		comma = ", "
	}
	return st.add(")")
}

// rows is what both drivers' results can do.
type rows interface {
	Next() bool
	Scan(into ...any) error
	Err() error
}

// query runs a statement that gives rows, each of which goes to scan. It is for statements that take long: few of them run at a
// time, of each tenant fewer, and each is sent by itself.
func (s *Store) query(ctx context.Context, st *statement, scan func(rows) error) error {
	owner := ownerIn(ctx, st.tenantID)
	if err := s.longReads.enter(ctx, owner); err != nil {
		return err
	}
	defer s.longReads.leave(owner)
	return s.run(ctx, st, scan, func(j *job) error { return s.reads.send(ctx, false, j) })
}

// ask is query for a statement that takes hardly longer than to send it: it may be sent with others.
func (s *Store) ask(ctx context.Context, st *statement, scan func(rows) error) error {
	return s.run(ctx, st, scan, func(j *job) error { return s.reads.do(ctx, j) })
}

func (s *Store) run(ctx context.Context, st *statement, scan func(rows) error, send func(*job) error) error {
	wall := wallIn(ctx)
	if !wall.open {
		return errUndecided
	}
	if s.engine.pool == nil {
		found, err := s.db.Statement.ConnPool.QueryContext(ctx, st.text.String(), st.args...)
		return collect(found, err, scan)
	}
	j := newJob(wall, st)
	if err := send(j); err != nil {
		return err
	}
	return each(&j.got, scan)
}

// querier runs statements: in a transaction, or each alone when tx is nil.
type querier struct {
	*Store
	ctx context.Context //nolint:containedctx // it lives as long as the call that it is of
	tx  *gorm.DB
	// changing is what a statement changes that is sent alone, nil when it only asks.
	changing *changing
}

// changing is the one session that a statement changes, and the watermarks whose shared locks it needs.
type changing struct {
	tenantID, id string
	under        []watermark
}

func (q querier) run(st *statement, scan func(rows) error) error {
	switch {
	case q.tx != nil:
		return queryIn(q.tx, st, scan)
	case q.changing == nil:
		return q.ask(q.ctx, st, scan)
	}
	return q.Store.run(q.ctx, st, scan, func(j *job) error {
		j.changes(q.changing.tenantID, q.changing.id)
		for _, mark := range q.changing.under {
			j.locks = append(j.locks, mark.key())
		}
		return q.writes.do(q.ctx, j)
	})
}

// found runs a statement and reports whether it gave a row.
func (q querier) found(st *statement) (bool, error) {
	found := false
	err := q.run(st, func(rows) error {
		found = true
		return nil
	})
	return found, err
}

// change runs do, which sends one statement on PostgreSQL and there needs no transaction around it, all or nothing, and
// again when the database asks for it.
func (s *Store) change(ctx context.Context, operation string, what changing, do func(querier) error) error {
	if s.engine.pool == nil {
		return s.write(ownedBy(ctx, what.tenantID), operation, func(tx *gorm.DB) error { return do(querier{Store: s, ctx: ctx, tx: tx}) })
	}
	var err error
	for range 1 + retries {
		err = do(querier{Store: s, ctx: ctx, changing: &what})
		if err == nil || !s.engine.retryable(err) {
			break
		}
	}
	return s.written(mapError(operation, err))
}

// queryIn is query inside a transaction.
func queryIn(tx *gorm.DB, st *statement, scan func(rows) error) error {
	found, err := tx.Statement.ConnPool.QueryContext(tx.Statement.Context, st.text.String(), st.args...)
	return collect(found, err, scan)
}

// execIn runs a statement without rows inside a transaction.
func execIn(tx *gorm.DB, st *statement) error {
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, st.text.String(), st.args...)
	return err
}

func collect(found *sql.Rows, err error, scan func(rows) error) error {
	if err != nil {
		return err
	}
	defer found.Close()
	return each(found, scan)
}

func each(found rows, scan func(rows) error) error {
	for found.Next() {
		if err := scan(found); err != nil {
			return err
		}
	}
	return found.Err()
}
