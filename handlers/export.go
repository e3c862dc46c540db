package handlers

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/munnerz/goautoneg"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/internal/validation"
)

// The formats of an export.
const (
	csvFormat    = "text/csv"
	ndjsonFormat = "application/x-ndjson"
)

const (
	// longestExport is how long an export may take, and longestPause how long its client may take to read what fills the buffers.
	longestExport = 15 * time.Minute
	longestPause  = 10 * time.Second
)

type exportKey struct{}

// exports puts the format of an export into the context of a request that prefers one to JSON (RFC 9110, section 12.5.1). Only lists look
// at it.
func exports(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		request := c.Request()
		if format := prefers(request.Header.Get(echo.HeaderAccept), csvFormat, ndjsonFormat); format != "" {
			c.SetRequest(request.WithContext(context.WithValue(request.Context(), exportKey{}, format)))
		}
		return next(c)
	}
}

// prefers is the one of some formats that an Accept header prefers to JSON, "" for none.
func prefers(accept string, formats ...string) string {
	if !slices.ContainsFunc(formats, func(format string) bool { return strings.Contains(accept, format) }) {
		return ""
	}
	for _, clause := range goautoneg.ParseAccept(accept) { // the one that is preferred comes first
		name := clause.Type + "/" + clause.SubType
		switch {
		case clause.Q <= 0:
		case name == echo.MIMEApplicationJSON:
			return ""
		case slices.Contains(formats, name):
			return name
		}
	}
	return ""
}

// exportFormat is the format in which the request asks for all pages at once, "" for one page as JSON.
func exportFormat(ctx context.Context) string {
	format, _ := ctx.Value(exportKey{}).(string)
	return format
}

// export is an answer that is written row by row, as long as it takes.
type export struct {
	ctx    context.Context //nolint:containedctx // the answer is written within the request
	format string
	name   string
	// columns are those of a row in CSV.
	columns []column
	each    func(ctx context.Context, write func(any) error) error
}

// export answers with all rows of a kind that each writes.
func (s *Server) export(
	ctx context.Context, format, name string, row any, cursor *string, each func(ctx context.Context, write func(any) error) error,
) (*export, error) {
	if cursor != nil {
		return nil, validation.ValueError("an export has no pages", "query", "cursor")
	}
	name += "-" + s.now().UTC().Format("20060102T150405Z")
	return &export{ctx: ctx, format: format, name: name, columns: columnsOf(reflect.TypeOf(row), nil, ""), each: each}, nil
}

// VisitSearchSessionsResponse implements gen.SearchSessionsResponseObject.
func (e *export) VisitSearchSessionsResponse(w http.ResponseWriter) error { return e.write(w) }

// VisitListAuditEventsResponse implements gen.ListAuditEventsResponseObject.
func (e *export) VisitListAuditEventsResponse(w http.ResponseWriter) error { return e.write(w) }

// write writes the answer. When it fails after the first row the connection is cut, so that nobody takes a part for the whole.
func (e *export) write(w http.ResponseWriter) error {
	ctx, cancel := context.WithTimeout(httpserver.Unbounded(e.ctx), longestExport)
	defer cancel()
	begun := false
	out := bufio.NewWriterSize(pausing{w, http.NewResponseController(w)}, 64<<10)
	rows := e.rows(out)
	begin := func() error {
		begun = true
		e.setHeaders(w.Header())
		w.WriteHeader(http.StatusOK)
		return rows.begin()
	}
	err := e.each(ctx, func(row any) error {
		if !begun {
			if err := begin(); err != nil {
				return err
			}
		}
		return rows.add(row)
	})
	if err == nil && !begun {
		err = begin()
	}
	if err == nil {
		err = errors.Join(rows.end(), out.Flush())
	}
	if err != nil && begun {
		panic(http.ErrAbortHandler)
	}
	return err
}

func (e *export) setHeaders(header http.Header) {
	extension := ".csv"
	header.Set(echo.HeaderContentType, csvFormat+"; charset=utf-8; header=present")
	if e.format == ndjsonFormat {
		extension = ".ndjson"
		header.Set(echo.HeaderContentType, ndjsonFormat)
	}
	header.Add(echo.HeaderVary, echo.HeaderAccept)
	header.Set(echo.HeaderContentDisposition, `attachment; filename="`+e.name+extension+`"`)
}

// pausing gives the client so long to read each part.
type pausing struct {
	to      http.ResponseWriter
	control *http.ResponseController
}

// Write implements io.Writer.
func (p pausing) Write(part []byte) (int, error) {
	// A server that cannot do it has no deadline either.
	_ = p.control.SetWriteDeadline(time.Now().Add(longestPause)) //nolint:forbidigo // a deadline of the connection, by the machine's clock
	return p.to.Write(part)
}

// rows writes an export's rows in its format.
type rows struct {
	begin func() error
	add   func(row any) error
	end   func() error
}

func (e *export) rows(out *bufio.Writer) rows {
	nothing := func() error { return nil }
	if e.format == ndjsonFormat {
		return rows{nothing, json.NewEncoder(out).Encode, nothing}
	}
	table := csv.NewWriter(out)
	cells := make([]string, len(e.columns))
	return rows{
		begin: func() error {
			for i, column := range e.columns {
				cells[i] = column.name
			}
			return table.Write(cells)
		},
		add: func(row any) error {
			of := reflect.ValueOf(row)
			for i, column := range e.columns {
				cells[i] = harmless(column.of(of))
			}
			return table.Write(cells)
		},
		end: func() error {
			table.Flush()
			return table.Error()
		},
	}
}

// harmless is a cell that no spreadsheet takes for a formula.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// column is a member of a row, by its name in JSON. A member of an object is a column of its own: "actor.sub".
type column struct {
	name string
	path []int
}

// columnsOf are those of a type of the contract.
func columnsOf(of reflect.Type, path []int, prefix string) []column {
	var columns []column
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		at := append(append([]int{}, path...), field.Index...)
		inner := field.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[gen.Timestamp]() {
			columns = append(columns, columnsOf(inner, at, prefix+name+".")...)
			continue
		}
		columns = append(columns, column{prefix + name, at})
	}
	return columns
}

// of is the cell of a row, "" for null.
func (c column) of(row reflect.Value) string {
	for _, i := range c.path {
		if row.Kind() == reflect.Pointer {
			if row.IsNil() {
				return ""
			}
			row = row.Elem()
		}
		row = row.Field(i)
	}
	if row.Kind() == reflect.Pointer {
		if row.IsNil() {
			return ""
		}
		row = row.Elem()
	}
	if at, is := reflect.TypeAssert[gen.Timestamp](row); is {
		text, _ := at.MarshalText()
		return string(text)
	}
	return fmt.Sprint(row.Interface())
}
