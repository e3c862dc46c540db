package batch

import (
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sessiond/sessiond/store/internal/rls"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// group is queries that are merged into one statement, or a single query.
type group struct {
	queries []*Query
	// severalTenants: the queries are restricted to several tenants, each to its own.
	severalTenants bool
}

// groups merges neighbors, which keep their order.
func groups(queries []*Query) []group {
	var all []group
	for _, q := range queries {
		if last := len(all) - 1; last < 0 || !all[last].take(q) {
			all = append(all, group{queries: []*Query{q}})
		}
	}
	return all
}

// take adds a query that has the same merge key, and the same restriction or, as all others, that to the one tenant that it is about. Of
// two queries that write the same row the second must see what the first has done.
func (g *group) take(q *Query) bool {
	first, last := g.queries[0], g.queries[len(g.queries)-1]
	switch {
	case q.key == "" || q.key != first.key || q.Row != "" && q.Row == last.Row:
		return false
	case q.Restriction == first.Restriction && !g.severalTenants:
	case q.singleTenant() && first.singleTenant():
		g.severalTenants = true
	default:
		return false
	}
	g.queries = append(g.queries, q)
	return true
}

// sameRestriction reports whether the restriction of another group is this one's as well.
func (g group) sameRestriction(other group) bool {
	return !g.severalTenants && !other.severalTenants && g.queries[0].Restriction == other.queries[0].Restriction
}

// setRestriction appends columns that set the group's restriction, and take back another one of the same transaction.
func (g group) setRestriction(st *sqlbuild.Statement) *sqlbuild.Statement {
	return rls.SetTenants(g.queries[0].Restriction.Set(st), g.tenants())
}

// tenants are those that the restriction is extended to.
func (g group) tenants() []string {
	all := []string{}
	if g.severalTenants {
		for _, q := range g.queries {
			all = append(all, q.TenantID)
		}
	}
	return all
}

// hasInputs reports whether the statement has a table of input rows, one for each query.
func (g group) hasInputs() bool { return g.queries[0].Statement.IsBulk() || len(g.queries) > 1 }

func (g group) text() string {
	if st := g.queries[0].Statement; !st.IsBulk() && g.hasInputs() {
		return st.Lateral()
	}
	return g.queries[0].Statement.String()
}

// args are the statement's: of input rows, an array for each column.
func (g group) args() []any {
	first := g.queries[0].Statement.Args()
	if !g.hasInputs() {
		return first
	}
	arrays := make([]any, len(first))
	for i := range arrays {
		array := make(pgtype.FlatArray[any], len(g.queries))
		for k, q := range g.queries {
			array[k] = q.Statement.Args()[i]
		}
		arrays[i] = array
	}
	return arrays
}

// read gives each query its rows.
func (g group) read(found pgx.Rows) error {
	if !g.hasInputs() {
		return readRows(found, 0, func([]column, [][]byte) (*result, error) { return &g.queries[0].result, nil })
	}
	return readRows(found, 1, func(columns []column, values [][]byte) (*result, error) {
		nr, ok := columns[0].decodeInteger(string(values[0]))
		if !ok || nr < 1 || int(nr) > len(g.queries) {
			return nil, errors.New("a row of a result does not say whose it is")
		}
		return &g.queries[nr-1].result, nil
	})
}

// Merged is the statement that queries become that are sent together and can be merged, for EXPLAIN.
func Merged(queries ...*Query) (text string, args []any) {
	first := groups(ordered(queries))[0]
	return first.text(), first.args()
}
