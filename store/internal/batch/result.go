package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// result is the rows of a query as PostgreSQL sent them. They come by way of the caller who sent the batch, and are decoded by the
// query's own caller, once the transaction has been committed.
type result struct {
	columns []column
	rows    []encodedRow
	// at is the number of the row that is read, from 1 on.
	at int
	// The values of pointers are allocated side by side: to allocate each by itself takes longer than to decode it.
	texts    []string
	times    []time.Time
	booleans []bool
}

type column struct {
	oid    uint32
	format int16
}

// encodedRow is a row's values one after the other. A length of -1 stands for NULL.
type encodedRow struct {
	text    string
	lengths []int32
}

// reading is the rows of a merged statement on their way into the results that they belong to, which share their memory.
type reading struct {
	text    []byte
	lengths []int32
	ends    []int // of each row in the text
	owners  []*result
}

// readings are reused.
//
//nolint:gochecknoglobals // a pool
var readings = sync.Pool{New: func() any { return new(reading) }}

// mostKept bounds the bytes of a reading that is kept to be used again.
const mostKept = 1 << 20

// readRows keeps the rows that have been found, without so many of their first columns, each in the result that it belongs to.
func readRows(found pgx.Rows, without int, belongs func([]column, [][]byte) (*result, error)) error {
	r, _ := readings.Get().(*reading)
	defer r.free()
	var columns []column
	for found.Next() {
		if columns == nil {
			for _, field := range found.FieldDescriptions() {
				columns = append(columns, column{field.DataTypeOID, field.Format})
			}
		}
		values := found.RawValues()
		owner, err := belongs(columns, values)
		if err != nil {
			return err
		}
		r.add(owner, values[without:])
	}
	if columns != nil {
		r.deliver(columns[without:])
	}
	return found.Err()
}

func (r *reading) add(owner *result, values [][]byte) {
	for _, value := range values {
		length := int32(len(value)) //nolint:gosec // a message has 1 GiB at the most
		if value == nil {
			length = -1
		}
		r.lengths = append(r.lengths, length)
		r.text = append(r.text, value...)
	}
	r.ends = append(r.ends, len(r.text))
	r.owners = append(r.owners, owner)
}

// deliver gives each result its rows, which lie side by side.
func (r *reading) deliver(columns []column) {
	text, lengths, rows := string(r.text), slices.Clone(r.lengths), make([]encodedRow, len(r.ends))
	from, first := 0, 0
	for i, end := range r.ends {
		rows[i] = encodedRow{text[from:end], lengths[i*len(columns) : (i+1)*len(columns)]}
		from = end
		owner := r.owners[i]
		if i+1 < len(rows) && r.owners[i+1] == owner {
			continue
		}
		owner.columns = columns
		if its := rows[first : i+1 : i+1]; owner.rows == nil {
			owner.rows = its
		} else {
			owner.rows = append(owner.rows, its...)
		}
		first = i + 1
	}
}

func (r *reading) free() {
	if cap(r.text) > mostKept {
		return
	}
	clear(r.owners)
	r.text, r.lengths, r.ends, r.owners = r.text[:0], r.lengths[:0], r.ends[:0], r.owners[:0]
	readings.Put(r)
}

// Next goes to the next row.
func (a *result) Next() bool {
	if a.at == len(a.rows) {
		return false
	}
	a.at++
	return true
}

// Err implements engine.Rows: a result has no failures left.
func (a *result) Err() error { return nil }

// Scan decodes the row.
func (a *result) Scan(into ...any) error {
	row := a.rows[a.at-1]
	if len(into) != len(row.lengths) {
		return fmt.Errorf("%d columns were asked for, %d came", len(into), len(row.lengths))
	}
	from := int32(0)
	for i, length := range row.lengths {
		value := row.text[from : from+max(length, 0)]
		from += max(length, 0)
		err := a.decode(a.columns[i], value, length < 0, into[i])
		if err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return nil
}

// decode reads the commonest types of columns itself, which saves a list a tenth of its time, and leaves the others to pgx.
func (a *result) decode(c column, value string, null bool, into any) error {
	if !null && c.decodeValue(value, into) || a.decodePointer(c, value, null, into) {
		return nil
	}
	return c.decodeOther(value, null, into)
}

// decodeValue reports whether it has decoded what is not NULL.
func (c column) decodeValue(value string, into any) (done bool) {
	switch into := into.(type) {
	case *string:
		if done = c.oid == pgtype.TextOID; done {
			*into = value
		}
	case *time.Time:
		if done = c.isTime(); done {
			*into = decodeTime(value)
		}
	case *bool:
		if done = c.isBoolean(); done {
			*into = decodeBoolean(value)
		}
	case *int:
		var number int64
		if number, done = c.decodeInteger(value); done {
			*into = int(number)
		}
	}
	return done
}

// decodePointer reports whether it has decoded what may be NULL.
func (a *result) decodePointer(c column, value string, null bool, into any) bool {
	switch into := into.(type) {
	case **string:
		return c.oid == pgtype.TextOID && point(into, null, value, &a.texts, len(a.rows))
	case **time.Time:
		return c.isTime() && point(into, null, decodeTime(value), &a.times, len(a.rows))
	case **bool:
		return c.isBoolean() && point(into, null, decodeBoolean(value), &a.booleans, len(a.rows))
	case *[]string:
		if *into = nil; null {
			return true
		}
		return c.oid == pgtype.TextArrayOID && c.format == pgx.BinaryFormatCode && decodeTexts(value, into)
	}
	return false
}

// decodeTexts reads an array of any dimensions, as it is stored: on the wire there are the number of dimensions, two numbers more, two for
// each dimension, and then the elements with their lengths. One that is NULL is left to pgx.
func decodeTexts(value string, into *[]string) (done bool) {
	number := func() (n int, ok bool) {
		if len(value) < 4 {
			return 0, false
		}
		n = int(int32(binary.BigEndian.Uint32([]byte(value[:4])))) //nolint:gosec // as PostgreSQL sends it
		value = value[4:]
		return n, true
	}
	dimensions, ok := number()
	if skipped := 8 + 8*dimensions; !ok || dimensions < 0 || len(value) < skipped {
		return false
	} else if value = value[skipped:]; len(value) > 0 {
		*into = make([]string, 0, 12)
	}
	for len(value) > 0 {
		length, ok := number()
		if !ok || length < 0 || length > len(value) {
			return false
		}
		*into = append(*into, value[:length])
		value = value[length:]
	}
	return true
}

// point has a pointer point to a value, which it puts among others of so many rows, or to nothing. It reports true.
func point[T any](into **T, null bool, value T, others *[]T, rows int) bool {
	if *into = nil; null {
		return true
	}
	if len(*others) == cap(*others) {
		*others = make([]T, 0, min(4*rows, 128)) // those before stay where they are
	}
	*others = append(*others, value)
	*into = &(*others)[len(*others)-1]
	return true
}

func (c column) isTime() bool {
	return c.oid == pgtype.TimestamptzOID && c.format == pgx.BinaryFormatCode
}

func (c column) isBoolean() bool {
	return c.oid == pgtype.BoolOID && c.format == pgx.BinaryFormatCode
}

func decodeBoolean(value string) bool { return value == "\x01" }

// decodeTime: on the wire a time is the number of microseconds since 2000. The store has no infinite ones.
func decodeTime(value string) time.Time {
	const epoch = 946_684_800 * 1_000_000
	if value == "" {
		return time.Time{}
	}
	return time.UnixMicro(epoch + int64(binary.BigEndian.Uint64([]byte(value)))).UTC() //nolint:gosec // as PostgreSQL sends it
}

// decodeInteger reports false for what is none, and for NULL.
func (c column) decodeInteger(value string) (int64, bool) {
	switch {
	case c.format != pgx.BinaryFormatCode:
	case c.oid == pgtype.Int4OID && len(value) == 4:
		return int64(int32(binary.BigEndian.Uint32([]byte(value)))), true //nolint:gosec // as PostgreSQL sends it
	case c.oid == pgtype.Int8OID && len(value) == 8:
		return int64(binary.BigEndian.Uint64([]byte(value))), true //nolint:gosec // as PostgreSQL sends it
	}
	return 0, false
}

// types are what pgx knows about types; one is for one goroutine at a time.
//
//nolint:gochecknoglobals // a pool
var types = sync.Pool{New: func() any { return pgtype.NewMap() }}

func (c column) decodeOther(value string, null bool, into any) error {
	known, ok := types.Get().(*pgtype.Map)
	if !ok {
		return errors.New("no types")
	}
	defer types.Put(known)
	if null {
		return known.Scan(c.oid, c.format, nil, into)
	}
	return known.Scan(c.oid, c.format, []byte(value), into)
}
