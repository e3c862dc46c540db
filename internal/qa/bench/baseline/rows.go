package main

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// appendRows writes rows as a JSON array of objects straight from the wire's bytes, which is cheaper than scanning them
// into a struct and marshalling that.
func appendRows(b []byte, rows pgx.Rows) ([]byte, error) {
	defer rows.Close()
	b = append(b, '[')
	for n := 0; rows.Next(); n++ {
		if n > 0 {
			b = append(b, ',')
		}
		fields := rows.FieldDescriptions()
		for i, value := range rows.RawValues() {
			b = append(b, "{,"[min(i, 1)], '"')
			b = append(b, fields[i].Name...)
			b = append(b, '"', ':')
			switch {
			case value == nil:
				b = append(b, "null"...)
			case fields[i].DataTypeOID == pgtype.TextOID:
				b = appendText(b, value)
			case fields[i].DataTypeOID == pgtype.TimestamptzOID && fields[i].Format == pgtype.BinaryFormatCode:
				b = appendTime(b, value)
			case fields[i].DataTypeOID == pgtype.Int4OID && fields[i].Format == pgtype.BinaryFormatCode:
				b = strconv.AppendUint(b, uint64(binary.BigEndian.Uint32(value)), 10)
			default:
				return nil, fmt.Errorf("column %s has a type that the baseline does not write", fields[i].Name)
			}
		}
		b = append(b, '}')
	}
	return append(b, ']'), rows.Err()
}

func appendText(b, text []byte) []byte {
	b = append(b, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// appendTime: on the wire a timestamp is the number of microseconds since 2000.
func appendTime(b, value []byte) []byte {
	const epoch = 946684800 * 1_000_000
	b = append(b, '"')
	b = time.UnixMicro(epoch+int64(binary.BigEndian.Uint64(value))).UTC().AppendFormat(b, time.RFC3339Nano) //nolint:gosec // as PostgreSQL sends it
	return append(b, '"')
}
