package batch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/rls"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// TestResults: rows of several results, one after the other and mixed, are delivered to each in their order.
func TestResults(t *testing.T) {
	integer, text := column{pgtype.Int8OID, pgx.BinaryFormatCode}, column{pgtype.TextOID, pgx.TextFormatCode}
	number := func(n byte) []byte { return []byte{0, 0, 0, 0, 0, 0, 0, n} }
	var r reading
	var a, b, none result
	r.add(&a, [][]byte{number(1), []byte("one")})
	r.add(&a, [][]byte{number(2), nil})
	r.add(&b, [][]byte{number(3), {}})
	r.add(&a, [][]byte{number(4), []byte("four")})
	r.deliver([]column{integer, text})
	read := func(res *result) (rows []string) {
		for res.Next() {
			var n int
			var s *string
			require.NoError(t, res.Scan(&n, &s))
			if s == nil {
				s = new("NULL")
			}
			rows = append(rows, fmt.Sprint(n, *s))
		}
		assert.False(t, res.Next())
		require.NoError(t, res.Err())
		return rows
	}
	assert.Equal(t, []string{"1one", "2NULL", "4four"}, read(&a))
	assert.Equal(t, []string{"3"}, read(&b))
	assert.Empty(t, read(&none))
	scan := func(res engine.Rows, into ...any) error { return res.Scan(into...) }
	require.ErrorContains(t, scan(&b, new(int)), "1 columns were asked for, 2 came")
	require.ErrorContains(t, scan(&a, new(int), new(time.Time)), "column 2: ")

	var after result
	r = reading{}
	r.add(&after, [][]byte{nil, []byte("after"), nil, []byte("NULL")})
	r.deliver([]column{text, text, text, text})
	require.True(t, after.Next())
	var none1, none2 *string
	var first, second string
	require.NoError(t, after.Scan(&none1, &first, &none2, &second))
	assert.Equal(t, []any{(*string)(nil), "after", (*string)(nil), "NULL"}, []any{none1, first, none2, second})

	r.free()
	assert.Empty(t, r.text)
	assert.Empty(t, r.lengths)
	assert.Empty(t, r.ends)
	assert.Empty(t, r.owners)
}

// TestPointersStay: a value that was pointed to stays as it is when later rows are read.
func TestPointersStay(t *testing.T) {
	var others []string
	var all []*string
	for i := range 1000 {
		var into *string
		assert.True(t, point(&into, false, fmt.Sprint(i), &others, 3))
		all = append(all, into)
	}
	for i, s := range all {
		require.Equal(t, fmt.Sprint(i), *s)
	}
	into := all[0]
	assert.True(t, point(&into, true, "", &others, 3))
	assert.Nil(t, into)
}

func TestIntegers(t *testing.T) {
	for _, c := range []struct {
		oid    uint32
		format int16
		value  string
		want   int64
		ok     bool
	}{
		{pgtype.Int8OID, pgx.BinaryFormatCode, "\x00\x00\x00\x00\x00\x00\x01\x02", 258, true},
		{pgtype.Int8OID, pgx.BinaryFormatCode, "\xff\xff\xff\xff\xff\xff\xff\xfe", -2, true},
		{pgtype.Int4OID, pgx.BinaryFormatCode, "\x00\x00\x01\x02", 258, true},
		{pgtype.Int4OID, pgx.BinaryFormatCode, "\xff\xff\xff\xfe", -2, true},
		{pgtype.Int8OID, pgx.TextFormatCode, "12345678", 0, false},
		{pgtype.Int8OID, pgx.BinaryFormatCode, "", 0, false},
		{pgtype.Int4OID, pgx.BinaryFormatCode, "", 0, false},
		{pgtype.Int2OID, pgx.BinaryFormatCode, "\x00\x01", 0, false},
	} {
		got, ok := column{c.oid, c.format}.decodeInteger(c.value)
		assert.Equal(t, c.want, got)
		assert.Equal(t, c.ok, ok)
	}
	assert.True(t, decodeBoolean("\x01"))
	assert.False(t, decodeBoolean("\x00"))
	assert.Equal(t, time.Date(2000, 1, 1, 0, 0, 0, 1000, time.UTC), decodeTime("\x00\x00\x00\x00\x00\x00\x00\x01"))
	assert.Equal(t, time.Time{}, decodeTime(""))
}

// TestTexts: an array is the number of its dimensions, two numbers, two for each dimension, and its elements with their lengths.
func TestTexts(t *testing.T) {
	number := func(n int32) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) } //nolint:gosec // as PostgreSQL sends it
	head := func(dimensions int32) string {
		return number(dimensions) + number(0) + number(pgtype.TextOID) + strings.Repeat(number(2)+number(1), int(dimensions))
	}
	for name, c := range map[string]struct {
		value string
		want  []string
		ok    bool
	}{
		"two dimensions": {head(2) + number(1) + "a" + number(2) + "bc" + number(0) + number(1) + "d", []string{"a", "bc", "", "d"}, true},
		"one dimension":  {head(1) + number(3) + "abc", []string{"abc"}, true},
		"none":           {head(0), nil, true},
		"last is empty":  {head(1) + number(1) + "a" + number(0), []string{"a", ""}, true},
		"NULL":           {head(1) + number(-1), nil, false},
		"cut off":        {head(1) + number(2) + "a", nil, false},
		"no length":      {head(1) + "\x00\x00\x00", nil, false},
		"no dimensions":  {"\x00\x00\x00", nil, false},
		"no elements":    {number(2) + number(0) + number(pgtype.TextOID), nil, false},
		"negative":       {number(-1) + number(0) + number(pgtype.TextOID), nil, false},
	} {
		var texts []string
		ok := decodeTexts(c.value, &texts)
		assert.Equal(t, c.ok, ok, name)
		if c.ok {
			assert.Equal(t, c.want, texts, name)
		}
	}
	texts := []string{"before"}
	array := column{pgtype.TextArrayOID, pgx.BinaryFormatCode}
	require.NoError(t, new(result).decode(array, "", true, &texts))
	assert.Nil(t, texts)
	require.NoError(t, new(result).decode(array, head(1)+number(1)+"a", false, &texts))
	assert.Equal(t, []string{"a"}, texts)
	require.NoError(t, new(result).decode(column{pgtype.TextArrayOID, pgx.TextFormatCode}, "{b,c}", false, &texts), "by pgx")
	assert.Equal(t, []string{"b", "c"}, texts)
	require.Error(t, new(result).decode(column{pgtype.TextOID, pgx.BinaryFormatCode}, head(1), false, &texts))
}

// TestWhatIsSentAgain tells a batch that was rolled back because of one of its queries from one that may have been committed.
func TestWhatIsSentAgain(t *testing.T) {
	refused := &pgconn.PgError{Code: "23505", SeverityUnlocalized: "ERROR"}
	fatal := &pgconn.PgError{Code: "57P01", SeverityUnlocalized: "FATAL"}
	locked := &pgconn.PgError{Code: engine.LockNotAvailable, SeverityUnlocalized: "ERROR"}
	for name, c := range map[string]struct {
		err            error
		alone, several bool
	}{
		"nothing":            {nil, false, false},
		"a refused one":      {refused, false, true},
		"the end of all":     {fatal, false, false},
		"a lock":             {locked, true, true},
		"a lost connection":  {&net.OpError{Op: "read", Err: errors.New("reset")}, false, false},
		"an argument":        {fmt.Errorf("send: %w", pgx.ErrPreprocessingBatch{}), false, true},
		"before a loss":      {errors.Join(pgx.ErrPreprocessingBatch{}, &net.OpError{Op: "write", Err: errors.New("reset")}), false, false},
		"before the end":     {errors.Join(pgx.ErrPreprocessingBatch{}, context.Canceled), false, false},
		"before a deadline":  {errors.Join(pgx.ErrPreprocessingBatch{}, context.DeadlineExceeded), false, false},
		"nobody waits":       {context.Canceled, false, false},
		"nobody waits again": {context.DeadlineExceeded, false, false},
	} {
		assert.Equal(t, c.alone, rolledBack(c.err, false), name)
		assert.Equal(t, c.several, rolledBack(c.err, true), name)
	}
}

// TestHowManyBatches: up to the limit, and one more while each has a single query; the others wait, in turn by tenant, and are sent by
// the caller of the first of them.
func TestHowManyBatches(t *testing.T) {
	b := &Batcher{maxBatches: 2}
	ctx := t.Context()
	query := func(tenantID string) *Query { return read(tenantID, "x", rls.Restriction{}) }
	first, second, third := query("t1"), query("t1"), query("t1")
	for i, q := range []*Query{first, second, third} {
		assert.Equal(t, []*Query{q}, b.enter(ctx, q), "batch %d", i+1)
		assert.WithinDuration(t, time.Now().Add(maxWait), q.deadline, time.Second)
	}
	var waiting []*Query
	for _, tenantID := range []string{"t1", "t1", "t2", "t3"} {
		q := query(tenantID)
		waiting = append(waiting, q)
		assert.Nil(t, b.enter(ctx, q))
	}
	batches, queries, queued := b.Len()
	assert.Equal(t, [3]int{3, 3, 4}, [3]int{batches, queries, queued})
	joined := b.join(2)
	assert.Equal(t, []*Query{waiting[0], waiting[2]}, joined)
	batches, queries, queued = b.Len()
	assert.Equal(t, [3]int{3, 5, 2}, [3]int{batches, queries, queued})
	assert.True(t, b.leave(waiting[1]))
	assert.False(t, waiting[1].sends)
	b.end(1)
	assert.Empty(t, waiting[3].turn, "two batches are under way")
	b.end(3)
	require.Len(t, waiting[3].turn, 1)
	assert.Equal(t, []*Query{waiting[3]}, <-waiting[3].turn)
	assert.False(t, b.leave(waiting[3]), "it has to send")
	batches, queries, queued = b.Len()
	assert.Equal(t, [3]int{2, 2, 0}, [3]int{batches, queries, queued})

	letGo := b.Hold()
	held := query("t1")
	limited, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	assert.Nil(t, b.enter(limited, held))
	assert.Greater(t, held.deadline, time.Now().Add(maxWait))
	letGo()
	assert.Equal(t, []*Query{held}, <-held.turn)
	var many []*Query
	for range MaxQueries + 1 {
		many = append(many, query("t1"))
		b.waiting.Push("t1", many[len(many)-1])
	}
	assert.Equal(t, many[:MaxQueries], b.take(MaxQueries))
	assert.Equal(t, many[MaxQueries:], b.take(MaxQueries))
	assert.Empty(t, b.take(MaxQueries))
}

// TestBatchesOfEachProcessor is not parallel: it changes what the runtime says.
func TestBatchesOfEachProcessor(t *testing.T) {
	before := runtime.GOMAXPROCS(6)
	defer runtime.GOMAXPROCS(before)
	e := &engine.Engine{}
	assert.Equal(t, 6, ForReads(e).maxBatches)
	assert.Equal(t, 3, ForWrites(e).maxBatches)
	assert.Equal(t, 6, runtime.GOMAXPROCS(1))
	assert.Equal(t, 1, ForWrites(e).maxBatches)
}

// TestOrder: what can be merged is side by side, rows are in one order, and so are locks.
func TestOrder(t *testing.T) {
	t1, t2, p := rls.Restriction{Tenant: "t1"}, rls.Restriction{Tenant: "t2"}, rls.Restriction{Partner: "p"}
	var all []string
	for _, q := range ordered([]*Query{
		write("revoke", "t2", "a", t2), write("register", "t1", "b", t1), write("revoke", "t1", "b", p), write("revoke", "t1", "b", t1),
		write("revoke", "t1", "a", t1), write("revoke", "t1", "b", rls.Restriction{Partner: "o"}),
	}) {
		all = append(all, q.Statement.String()[len(q.Statement.String())-6:]+" "+q.Row+" "+q.Restriction.Tenant+q.Restriction.Partner)
	}
	assert.Equal(t, []string{
		"gister t1\x00b t1", "revoke t1\x00a t1", "revoke t1\x00b o", "revoke t1\x00b p", "revoke t1\x00b t1", "revoke t2\x00a t2",
	}, all)
	alone := []*Query{write("revoke", "t1", "a", t1)}
	assert.Equal(t, alone, ordered(alone))
	assert.Equal(t, []int64{1, 2, 3}, sharedLocks([]*Query{{SharedLocks: []int64{3, 1}}, {}, {SharedLocks: []int64{2, 3}}}))
}

// TestSetup is what comes before the queries of a batch.
func TestSetup(t *testing.T) {
	timeout := "set_config('lock_timeout', '5ms', true)"
	restricted := func(q *Query) *Query {
		q.Restriction = rls.Restriction{Tenant: "t1"}
		return q
	}
	for _, c := range []struct {
		setup string
		query *Query
		locks []int64
		hurry bool
		want  string
	}{
		{"", read("t1", "a", rls.Restriction{}), nil, true, ""},
		{"", write("revoke", "t1", "a", rls.Restriction{}), nil, false, ""},
		{"", write("revoke", "t1", "a", rls.Restriction{}), nil, true, "SELECT " + timeout},
		{"x", read("t1", "a", rls.Restriction{}), nil, true, "SELECT x"},
		{"x", write("revoke", "t1", "a", rls.Restriction{}), nil, true, "SELECT x, " + timeout},
		{"", read("t1", "a", rls.Restriction{}), []int64{1}, true, "SELECT (SELECT count(pg_advisory_xact_lock_shared(lock)) FROM unnest(?::bigint[]) AS lock)"},
		{
			"x", restricted(write("revoke", "t1", "a", rls.Restriction{})), []int64{1}, true, "SELECT x, " + timeout + ", " +
				rls.SetTenants(rls.Restriction{Tenant: "t1"}.Set(sqlbuild.New(false, "")), nil).String() +
				", (SELECT count(pg_advisory_xact_lock_shared(lock)) FROM unnest(?::bigint[]) AS lock)",
		},
	} {
		b := &Batcher{engine: &engine.Engine{Setup: c.setup}}
		st := b.setup(groups([]*Query{c.query})[0], c.locks, c.hurry)
		if c.want == "" {
			assert.Nil(t, st)
			continue
		}
		require.NotNil(t, st)
		assert.Equal(t, c.want, st.String())
	}
}

// TestInputs: one query alone has its arguments as they are, several and bulk statements have arrays of them.
func TestInputs(t *testing.T) {
	open := rls.Restriction{}
	text, args := Merged(read("t1", "a", open))
	assert.Equal(t, "read $1", text)
	assert.Equal(t, []any{"a"}, args)
	a, b := read("t1", "a", open), read("t1", "b", open)
	text, args = Merged(a, b)
	assert.Equal(t, a.Statement.Lateral(), text)
	assert.Equal(t, []any{pgtype.FlatArray[any]{"a", "b"}}, args)
	bulk := write("revoke", "t1", "a", open)
	text, args = Merged(bulk)
	assert.Equal(t, bulk.Statement.String(), text)
	assert.Equal(t, []any{pgtype.FlatArray[any]{"a"}}, args)
	text, args = Merged(bulk, write("revoke", "t1", "b", open))
	assert.Equal(t, bulk.Statement.String(), text)
	assert.Equal(t, []any{pgtype.FlatArray[any]{"a", "b"}}, args)
}

// TestSameRestriction: a batch sets a restriction again only where it is another one.
func TestSameRestriction(t *testing.T) {
	t1, t2 := rls.Restriction{Tenant: "t1"}, rls.Restriction{Tenant: "t2"}
	of := func(several bool, r rls.Restriction) group { return group{[]*Query{{Restriction: r}}, several} }
	assert.True(t, of(false, t1).sameRestriction(of(false, t1)))
	assert.False(t, of(false, t1).sameRestriction(of(false, t2)))
	assert.False(t, of(true, t1).sameRestriction(of(false, t1)))
	assert.False(t, of(false, t1).sameRestriction(of(true, t1)))
}
