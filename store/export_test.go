package store

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"
)

// ExplainGet runs the statement of GetSession and tells how the database did it, with the plan that it makes for whatever
// values come.
func (s *Store) ExplainGet(ctx context.Context, sel Selection, id string) (string, error) {
	get := querier{Store: s, ctx: ctx}.getStatement(sel, id, "NULL")
	if s.engine.pool == nil {
		st := s.engine.statement("EXPLAIN QUERY PLAN "+get.text.String(), get.args...)
		return lines(3, func(scan func(rows) error) error { return s.query(ctx, st, scan) })
	}
	var values []string
	for _, arg := range get.args {
		values = append(values, fmt.Sprintf("'%s'", arg))
	}
	var how string
	err := s.write(ctx, "explain", func(tx *gorm.DB) error {
		if err := execIn(tx, s.engine.statement("PREPARE get AS "+get.text.String())); err != nil {
			return err
		}
		st := s.engine.statement("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE get(" + strings.Join(values, ", ") + ")")
		var err error
		how, err = lines(0, func(scan func(rows) error) error { return queryIn(tx, st, scan) })
		if err == nil {
			err = execIn(tx, s.engine.statement("DEALLOCATE get"))
		}
		return err
	})
	return how, err
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
