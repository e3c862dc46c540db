package sqlbuild

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestPlaceholders(t *testing.T) {
	name, at := "ada", time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	build := func(numbered bool) *Statement {
		return New(numbered, "SELECT ? WHERE", at).Add(" a = ? AND b = ?", name, strings.Clone(name)).Add(" AND c = ? AND d > ?", name, at)
	}
	assert.Equal(t, "SELECT ? WHERE a = ? AND b = ? AND c = ? AND d > ?", build(false).String())
	assert.Equal(t, []any{at, "ada", "ada", "ada", at}, build(false).Args())
	// The same text and the same time are one argument; a text that is equal by chance is not, or it would change the statement's text.
	assert.Equal(t, "SELECT $1 WHERE a = $2 AND b = $3 AND c = $2 AND d > $1", build(true).String())
	assert.Equal(t, []any{at, "ada", "ada"}, build(true).Args())
}

func TestListsAreOneArgument(t *testing.T) {
	ids := []string{"a", "b", "c"}
	assert.Equal(t, "id IN (?, ?, ?)", New(false, "").In("id", ids).String())
	assert.Equal(t, "id = ANY($1)", New(true, "").In("id", ids).String())
	assert.Equal(t, []any{ids}, New(true, "").In("id", ids).Args())
	assert.Equal(t, []any{"a", "b", "c"}, New(false, "").In("id", ids).Args())
	at := []time.Time{time.Unix(1, 0), time.Unix(2, 0)}
	assert.Equal(t, "SELECT * FROM unnest($1::timestamptz[]) AS input (at)", New(true, "").Rows(2, Times("at", at)).String())
	assert.Equal(t, []any{at[0], at[1]}, New(false, "").Rows(2, Times("at", at)).Args())
	assert.Equal(t, "'-infinity'::timestamptz", New(true, "").EarliestTime())
	assert.Equal(t, "-9000000000000000000", New(false, "").EarliestTime())
	columns := []Column{Texts("name", []string{"a", "b"}), Integers("n", []int64{1, 2})}
	assert.Equal(t, "SELECT * FROM unnest($1::text[], $2::bigint[]) AS input (name, n)", New(true, "").Rows(2, columns...).String())
	plain := New(false, "").Rows(2, columns...)
	assert.Equal(t, "SELECT column1 AS name, column2 AS n FROM (VALUES (?, ?), (?, ?))", plain.String())
	assert.Equal(t, []any{"a", int64(1), "b", int64(2)}, plain.Args())
}

func TestBulk(t *testing.T) {
	st := Bulk(Value{"id", "text", "s1"}, Value{"at", "timestamptz", time.Time{}}).Add("done AS (UPDATE t SET x = at FROM input) SELECT nr FROM done")
	assert.True(t, st.IsBulk())
	assert.True(t, st.Numbered())
	assert.Equal(t, "WITH input AS (SELECT * FROM unnest($1::text[], $2::timestamptz[]) WITH ORDINALITY AS input (id, at, nr)), "+
		"done AS (UPDATE t SET x = at FROM input) SELECT nr FROM done", st.String())
	assert.Len(t, st.Args(), 2)
}

func TestLateral(t *testing.T) {
	st := New(true, "SELECT a FROM t WHERE id = ? AND n < ?", "s1", 3)
	assert.True(t, st.Mergeable())
	assert.Equal(t, "SELECT nr, found.* FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS input (a1, a2, nr) CROSS JOIN LATERAL "+
		"(SELECT * FROM (SELECT a FROM t WHERE id = input.a1 AND n < input.a2) AS found OFFSET 0) AS found", st.Lateral())
	assert.True(t, New(true, "SELECT ?", "a").Mergeable())
	for _, other := range []*Statement{New(true, "SELECT 1"), New(true, "SELECT ?", []string{"a"}), New(true, "SELECT ?, ?", "a", true)} {
		assert.False(t, other.Mergeable(), other.String())
	}
}
