// Package sqlbuild writes SQL statements by hand, for what an ORM has no words for and for what is sent so often that building it
// with one would cost more than to run it. A question mark stands for the next argument, on every database.
package sqlbuild

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// Statement is the text of a statement and its arguments.
type Statement struct {
	text strings.Builder
	args []any
	// numbered: placeholders are $1, $2 and so on (PostgreSQL), not question marks (SQLite).
	numbered bool
	// bulk: the arguments are one row of input, and the statement is correct for any number of rows; see Bulk.
	bulk bool
}

// New begins a statement. Numbered placeholders are PostgreSQL's.
func New(numbered bool, text string, args ...any) *Statement {
	st := &Statement{numbered: numbered, args: make([]any, 0, 16)}
	st.text.Grow(512)
	return st.Add(text, args...)
}

// String is the text.
func (st *Statement) String() string { return st.text.String() }

// Args are the arguments, in the order of their placeholders.
func (st *Statement) Args() []any { return st.args }

// Numbered reports whether the placeholders are PostgreSQL's.
func (st *Statement) Numbered() bool { return st.numbered }

// Add appends text with its arguments.
func (st *Statement) Add(text string, args ...any) *Statement {
	if !st.numbered {
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
func (st *Statement) place(arg any) int {
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

// sameText reports whether an argument is this very text, not one that is equal by chance or by a caller's choice: statements would
// have different texts then, and each text is prepared on each connection.
func sameText(arg any, text string) bool {
	other, ok := arg.(string)
	return ok && len(other) == len(text) && (text == "" || unsafe.StringData(other) == unsafe.StringData(text)) //nolint:gosec // compared only
}

// In appends a condition that a column has one of the values. PostgreSQL gets them as one array.
func (st *Statement) In(column string, values []string) *Statement {
	if st.numbered {
		return st.Add(column+" = ANY(?)", values)
	}
	args := make([]any, len(values))
	for i, value := range values {
		args[i] = value
	}
	return st.Add(column+" IN ("+strings.TrimSuffix(strings.Repeat("?, ", len(values)), ", ")+")", args...)
}

// A Column is the values that one column of a table of input rows has: a slice of texts, times or numbers.
type Column struct {
	// Name is the column's, Type PostgreSQL's.
	Name, Type string
	// Values is the slice, At its element.
	Values any
	At     func(row int) any
}

// Texts is a column of texts.
func Texts(name string, values []string) Column {
	return Column{name, "text", values, func(row int) any { return values[row] }}
}

// Integers is a column of numbers.
func Integers(name string, values []int64) Column {
	return Column{name, "bigint", values, func(row int) any { return values[row] }}
}

// Times is a column of times.
func Times(name string, values []time.Time) Column {
	return Column{name, "timestamptz", values, func(row int) any { return values[row] }}
}

// Rows appends a SELECT that gives so many rows with these columns. PostgreSQL gets each column as one array: the statement's text is
// the same for any number of rows, and the planner finds what is looked for by an index; a list of values in the text it would compare
// with every row of a table.
func (st *Statement) Rows(rows int, columns ...Column) *Statement {
	if st.numbered {
		names, arrays, places := "", make([]any, len(columns)), ""
		for i, column := range columns {
			comma := ""
			if i > 0 {
				comma = ", "
			}
			names, arrays[i] = names+comma+column.Name, column.Values
			places += comma + "?::" + column.Type + "[]"
		}
		return st.Add("SELECT * FROM unnest("+places+") AS input ("+names+")", arrays...)
	}
	comma := "SELECT "
	for i, column := range columns {
		st.Add(comma + "column" + strconv.Itoa(i+1) + " AS " + column.Name)
		comma = ", "
	}
	comma = " FROM (VALUES "
	places := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ") + ")"
	for row := range rows {
		values := make([]any, len(columns))
		for i, column := range columns {
			values[i] = column.At(row)
		}
		st.Add(comma+places, values...)
		comma = ", "
	}
	return st.Add(")")
}

// EarliestTime is an expression for a time before every time that a row can have.
func (st *Statement) EarliestTime() string {
	if st.numbered {
		return "'-infinity'::timestamptz"
	}
	return "-9000000000000000000"
}
