package store

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// value is one of a row that a statement is about: its name and type there, and what it is.
type value struct {
	name, kind string
	of         any
}

// Most of what a short statement costs PostgreSQL is to get ready for it. So statements of the same words that travel together
// become one, about a table with a row for each of them; a column of its answer says which row has asked. One that only asks is
// made so by itself (repeated), one that changes something is written for it (asking).

// asking begins a statement about a row of values, which it finds in a table called asked, together with its number, nr. It
// must not mind how many rows there are, nor touch what another row is about, and gives the number with what it returns.
func (e engine) asking(values ...value) *statement {
	names := make([]string, len(values))
	st, comma := e.statement("WITH asked AS (SELECT * FROM unnest("), ""
	for i, v := range values {
		st.add(comma + "$" + strconv.Itoa(i+1) + "::" + v.kind + "[]")
		names[i], comma = v.name, ", "
		st.args = append(st.args, v.of)
	}
	st.rows = true
	return st.add(") WITH ORDINALITY AS asked (" + strings.Join(names, ", ") + ", nr)), ")
}

// repeatable reports whether a statement that only asks can be asked for a table of its arguments: not without any, nor with
// lists of values.
func (st *statement) repeatable() bool {
	return len(st.args) > 0 && !slices.ContainsFunc(st.args, func(arg any) bool { return kindOf(arg) == "" })
}

// kindOf is the type of an argument in PostgreSQL, if it is a single value.
func kindOf(arg any) string {
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

// repeated is the statement asked for each row of a table of its arguments, with the row's number before what it gives. OFFSET 0
// keeps the planner from making one join of it all: for each row it does what it would do for one alone, in the same order.
func (st *statement) repeated() string {
	var arrays, names strings.Builder
	comma := ""
	for i, arg := range st.args {
		number := strconv.Itoa(i + 1)
		arrays.WriteString(comma + "$" + number + "::" + kindOf(arg) + "[]")
		names.WriteString("a" + number + ", ")
		comma = ", "
	}
	return "SELECT nr, found.* FROM unnest(" + arrays.String() + ") WITH ORDINALITY AS asked (" + names.String() + "nr) " +
		"CROSS JOIN LATERAL (SELECT * FROM (" + strings.ReplaceAll(st.text.String(), "$", "asked.a") + ") AS found OFFSET 0) AS found"
}

// parcel is jobs that become one statement.
type parcel struct {
	jobs []*job
	// several: the jobs are behind walls of several tenants.
	several bool
}

// pack makes parcels of jobs, which keep their order.
func pack(jobs []*job) []parcel {
	var all []parcel
	for _, j := range jobs {
		if last := len(all) - 1; last < 0 || !all[last].take(j) {
			all = append(all, parcel{jobs: []*job{j}})
		}
	}
	return all
}

// take has a job come along, if it has the same words, and the same wall or, as all others, that of the tenant that it is
// about. Of two that change the same row the second must see what the first has done.
func (p *parcel) take(j *job) bool {
	first, last := p.jobs[0], p.jobs[len(p.jobs)-1]
	switch {
	case j.words == "" || j.words != first.words || j.row != "" && j.row == last.row:
		return false
	case j.wall == first.wall && !p.several:
	case j.staysHome() && first.staysHome():
		p.several = true
	default:
		return false
	}
	p.jobs = append(p.jobs, j)
	return true
}

// staysHome reports whether a job is behind the wall of the one tenant that it is about.
func (j *job) staysHome() bool { return j.tenantID != "" && j.wall == Behind(j.tenantID, "") }

// sharesWall reports whether the wall of another parcel is this one's as well.
func (p parcel) sharesWall(other parcel) bool {
	return !p.several && !other.several && p.jobs[0].wall == other.jobs[0].wall
}

// addParcelWall appends columns that put up the wall of a parcel, which may be around several tenants (migration 10), and takes
// away another one of the same transaction.
func (st *statement) addParcelWall(p parcel) *statement {
	return st.addWall(p.jobs[0].wall).add(", set_config('sessiond.tenants', ?::text[]::text, true)", p.tenants())
}

// tenants are those that a wall around several is around.
func (p parcel) tenants() []string {
	all := []string{}
	if p.several {
		for _, j := range p.jobs {
			all = append(all, j.tenantID)
		}
	}
	return all
}

// inRows reports whether its statement is about a table of rows, one for each job.
func (p parcel) inRows() bool { return p.jobs[0].st.rows || len(p.jobs) > 1 }

func (p parcel) text() string {
	if st := p.jobs[0].st; !st.rows && p.inRows() {
		return st.repeated()
	}
	return p.jobs[0].st.text.String()
}

// args are the statement's: of rows, an array of each of their values.
func (p parcel) args() []any {
	first := p.jobs[0].st
	if !p.inRows() {
		return first.args
	}
	arrays := make([]any, len(first.args))
	for i := range arrays {
		array := make(pgtype.FlatArray[any], len(p.jobs))
		for k, j := range p.jobs {
			array[k] = j.st.args[i]
		}
		arrays[i] = array
	}
	return arrays
}

// read gives each job its rows.
func (p parcel) read(found pgx.Rows) error {
	if !p.inRows() {
		return readRows(found, 0, func([]column, [][]byte) (*answer, error) { return &p.jobs[0].got, nil })
	}
	return readRows(found, 1, func(columns []column, values [][]byte) (*answer, error) {
		nr, ok := columns[0].decodeInteger(string(values[0]))
		if !ok || nr < 1 || int(nr) > len(p.jobs) {
			return nil, errors.New("a row of an answer does not say whose it is")
		}
		return &p.jobs[nr-1].got, nil
	})
}
