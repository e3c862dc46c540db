package store

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// value is one of a row that a statement is about: its name and type there, and what it is.
type value struct {
	name, kind string
	of         any
}

// asking begins a statement about a row of values, which it finds in a table called asked, together with its number, nr. It
// must not mind how many rows there are, nor touch what another row is about, and the number is the last column of its answer:
// statements of the same words that travel together become one, about all their rows. Most of what a short change costs
// PostgreSQL is to get ready for it.
func (e engine) asking(values ...value) *statement {
	names := make([]string, len(values))
	st, comma := e.statement("WITH asked AS (SELECT * FROM unnest("), ""
	for i, v := range values {
		st.add(comma+"?::"+v.kind+"[]", v.of)
		names[i], comma = v.name, ", "
	}
	st.rows = true
	return st.add(") WITH ORDINALITY AS asked (" + strings.Join(names, ", ") + ", nr)), ")
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

// take has a job come along, if it has the same words, and the same wall or, as all others, that of the tenant whose row it
// is about. Of two about the same row the second must see what the first has done.
func (p *parcel) take(j *job) bool {
	first, last := p.jobs[0], p.jobs[len(p.jobs)-1]
	switch {
	case j.words() == "" || j.row == last.row || j.words() != first.words():
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

// words are those that jobs of one parcel share.
func (j *job) words() string {
	if j.st.rows {
		return j.st.text.String()
	}
	return ""
}

// staysHome reports whether a job is behind the wall of the one tenant whose row it is about.
func (j *job) staysHome() bool { return j.tenantID != "" && j.wall == Behind(j.tenantID, "") }

// sharesWall reports whether the wall of another parcel is this one's as well.
func (p parcel) sharesWall(other parcel) bool {
	return !p.several && !other.several && p.jobs[0].wall == other.jobs[0].wall
}

// addParcelWall appends columns that put up the wall of a parcel. That of changes may be around several tenants (migration 10),
// and another one in the same transaction takes it away again.
func (st *statement) addParcelWall(p parcel) *statement {
	st.addWall(p.jobs[0].wall)
	if p.jobs[0].row == "" {
		return st
	}
	return st.add(", set_config('sessiond.tenants', ?::text[]::text, true)", p.tenants())
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

// args are the statement's: of rows, an array of each of their values.
func (p parcel) args() []any {
	first := p.jobs[0].st
	if !first.rows {
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
	return readRows(found, func(columns []column, values [][]byte) (*answer, error) {
		if !p.jobs[0].st.rows {
			return &p.jobs[0].got, nil
		}
		last := len(columns) - 1
		nr, ok := columns[last].decodeInteger(string(values[last]))
		if !ok || nr < 1 || int(nr) > len(p.jobs) {
			return nil, errors.New("a row of an answer does not say whose it is")
		}
		return &p.jobs[nr-1].got, nil
	})
}
