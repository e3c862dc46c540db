package store

import (
	"context"
	"strings"
)

// ExplainGet runs the statement of GetSession and tells how the database did it.
func (s *Store) ExplainGet(ctx context.Context, sel Selection, id string) (string, error) {
	q := querier{Store: s, ctx: ctx}
	get := q.getStatement(sel, id, "NULL")
	how := "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) "
	if s.engine.pool == nil {
		how = "EXPLAIN QUERY PLAN "
	}
	explain := s.engine.statement(how)
	explain.text.WriteString(get.text.String())
	explain.args = get.args
	var lines []string
	err := s.query(ctx, explain, func(row rows) error {
		var line string
		into := []any{&line}
		if s.engine.pool == nil {
			var skip any
			into = []any{&skip, &skip, &skip, &line}
		}
		err := row.Scan(into...)
		lines = append(lines, line)
		return err
	})
	return strings.Join(lines, "\n"), err
}
