package sqlbuild

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Most of what a short statement costs PostgreSQL is planning and starting it. Statements with the same text that are sent in one batch
// are therefore merged into one, with a row of input for each; a column of the result says which input a row belongs to. A statement
// that only reads is merged by a lateral join over the inputs (Lateral); one that writes is written for any number of rows (Bulk).

// Value is one column of the input row of a bulk statement.
type Value struct {
	// Name is the column's, Type PostgreSQL's.
	Name, Type string
	Value      any
}

// Bulk begins a statement for PostgreSQL whose input rows are in a table called input, with the column nr for the row's number. The
// statement must be correct for any number of rows, must not modify a row named by another input, because requests of several callers
// share it, and must return nr first.
func Bulk(values ...Value) *Statement {
	names := make([]string, len(values))
	st, comma := New(true, "WITH input AS (SELECT * FROM unnest("), ""
	for i, v := range values {
		st.Add(comma + "$" + strconv.Itoa(i+1) + "::" + v.Type + "[]")
		names[i], comma = v.Name, ", "
		st.args = append(st.args, v.Value)
	}
	st.bulk = true
	return st.Add(") WITH ORDINALITY AS input (" + strings.Join(names, ", ") + ", nr)), ")
}

// IsBulk reports whether the statement was begun with Bulk.
func (st *Statement) IsBulk() bool { return st.bulk }

// Mergeable reports whether a statement that only reads can be merged with others of its text: it has arguments, and each is a single
// value.
func (st *Statement) Mergeable() bool {
	return len(st.args) > 0 && !slices.ContainsFunc(st.args, func(arg any) bool { return typeOf(arg) == "" })
}

// typeOf is the type of an argument in PostgreSQL, "" if it is no single value.
func typeOf(arg any) string {
	switch arg.(type) {
	case string, *string:
		return "text"
	case time.Time:
		return "timestamptz"
	case int:
		return "bigint"
	default:
		return ""
	}
}

// Lateral is the text of the statement run for each row of a table of its arguments, with the row's number before its columns. OFFSET 0
// keeps the planner from flattening the join: for each row it does what it does for one statement alone, in the same order.
func (st *Statement) Lateral() string {
	var arrays, names strings.Builder
	comma := ""
	for i, arg := range st.args {
		number := strconv.Itoa(i + 1)
		arrays.WriteString(comma + "$" + number + "::" + typeOf(arg) + "[]")
		names.WriteString("a" + number + ", ")
		comma = ", "
	}
	return "SELECT nr, found.* FROM unnest(" + arrays.String() + ") WITH ORDINALITY AS input (" + names.String() + "nr) " +
		"CROSS JOIN LATERAL (SELECT * FROM (" + strings.ReplaceAll(st.text.String(), "$", "input.a") + ") AS found OFFSET 0) AS found"
}
