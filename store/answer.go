package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// answer is the rows that a statement gave, as PostgreSQL sent them: they come by way of whoever sent the statement, and
// are read where they were asked for, if the transaction has been committed.
type answer struct {
	columns []column
	rows    []encodedRow
	// at is the number of the row that is read, from 1 on.
	at int
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

// readRows keeps the rows that have been found, without so many of their first columns, each in the answer that it belongs to.
func readRows(found pgx.Rows, without int, belongs func([]column, [][]byte) (*answer, error)) error {
	var columns []column
	var buffer []byte
	for found.Next() {
		if columns == nil {
			for _, field := range found.FieldDescriptions() {
				columns = append(columns, column{field.DataTypeOID, field.Format})
			}
		}
		values := found.RawValues()
		a, err := belongs(columns, values)
		if err != nil {
			return err
		}
		buffer = buffer[:0]
		lengths := make([]int32, len(columns)-without)
		for i, value := range values[without:] {
			if lengths[i] = int32(len(value)); value == nil { //nolint:gosec // a message has 1 GiB at the most
				lengths[i] = -1
			}
			buffer = append(buffer, value...)
		}
		a.columns, a.rows = columns[without:], append(a.rows, encodedRow{string(buffer), lengths})
	}
	return found.Err()
}

// Next goes to the next row.
func (a *answer) Next() bool {
	if a.at == len(a.rows) {
		return false
	}
	a.at++
	return true
}

// Err is there for the other kinds of rows: an answer has no failures left.
func (a *answer) Err() error { return nil }

// Scan decodes the row.
func (a *answer) Scan(into ...any) error {
	row := a.rows[a.at-1]
	if len(into) != len(row.lengths) {
		return fmt.Errorf("%d columns were asked for, %d came", len(into), len(row.lengths))
	}
	from := int32(0)
	for i, length := range row.lengths {
		value := row.text[from : from+max(length, 0)]
		from += max(length, 0)
		err := a.columns[i].decode(value, length < 0, into[i])
		if err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return nil
}

// decode reads the commonest types of columns itself, which saves a list a tenth of its time, and leaves the others to pgx.
func (c column) decode(value string, null bool, into any) error {
	switch into := into.(type) {
	case *string:
		if c.oid == pgtype.TextOID && !null {
			*into = value
			return nil
		}
	case **string:
		if c.oid == pgtype.TextOID {
			*into = orNil(value, null)
			return nil
		}
	case *time.Time:
		if c.isTime() && !null {
			*into = decodeTime(value)
			return nil
		}
	case **time.Time:
		if c.isTime() {
			*into = orNil(decodeTime(value), null)
			return nil
		}
	case *bool:
		if c.isBoolean(value) {
			*into = value[0] != 0
			return nil
		}
	case **bool:
		if null || c.isBoolean(value) {
			*into = orNil(value == "\x01", null)
			return nil
		}
	case *int:
		if number, ok := c.decodeInteger(value); ok {
			*into = int(number)
			return nil
		}
	}
	return c.decodeOther(value, null, into)
}

func (c column) isTime() bool {
	return c.oid == pgtype.TimestamptzOID && c.format == pgx.BinaryFormatCode
}

// isBoolean reports false for NULL, too.
func (c column) isBoolean(value string) bool {
	return c.oid == pgtype.BoolOID && c.format == pgx.BinaryFormatCode && len(value) == 1
}

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

func orNil[T any](value T, null bool) *T {
	if null {
		return nil
	}
	return &value
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
