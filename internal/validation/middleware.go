package validation

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"
)

// Middleware checks each request of an operation of the document after Echo has routed it, and passes other routes on
// untouched. It never writes a response. A request that does not fit is an error: *Error (422), ErrUndecodable (400), or
// one that wraps *http.MaxBytesError (413). One that fits is passed on with its parameters and body in a canonical form
// that the generated binding is sure to take: only what the contract declares, typed, each once.
//
// It must come after authentication, which answers first, and expects path parameters to be percent-decoded already.
func (v *Validator) Middleware() echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if plan := v.operations[route{c.Request().Method, c.Path()}]; plan != nil {
				if err := plan.apply(c); err != nil {
					return err
				}
			}
			return next(c)
		}
	}
}

// given is what a request gives for the parameters of one kind, index by index.
type given struct {
	declared []parameter
	// texts are the texts as given, and canonical ones once they are checked; nil where there is none.
	texts [][]string
}

// apply checks a request and, if it fits, rewrites it. The order is the reference's: a body that is no text or no JSON
// ends it all; then path, query, header, cookie and body are told of together.
func (op *operation) apply(c echo.Context) error {
	in, err := op.readBody(c)
	if err != nil {
		return err
	}
	path, query, header, cookie := op.given(c)
	var entries []Entry
	for _, part := range [...]given{path, query, header, cookie} {
		entries = op.check.parameters(entries, part)
	}
	entries = op.checkBody(entries, in)
	if len(entries) > 0 {
		return &Error{Entries: entries}
	}
	bindPath(c, path)
	bindQuery(c, query)
	bindHeader(c.Request(), header)
	bindCookie(c.Request(), cookie)
	if op.body != nil {
		in.bind(c.Request())
	}
	return nil
}

// given collects the texts of all parameters.
func (op *operation) given(c echo.Context) (path, query, header, cookie given) {
	r := c.Request()
	path = given{op.path, make([][]string, len(op.path))}
	for i, p := range op.path {
		path.texts[i] = []string{c.Param(p.name)}
	}
	if len(op.query) > 0 {
		query = given{op.query, splitForm(r.URL.RawQuery, op.query)}
	}
	header = given{op.header, make([][]string, len(op.header))}
	for i, p := range op.header {
		if values := r.Header.Values(p.name); len(values) > 0 {
			header.texts[i] = []string{values[0]} // The reference takes the first.
		}
	}
	cookie = given{op.cookie, make([][]string, len(op.cookie))}
	for i, p := range op.cookie {
		if found, err := r.Cookie(p.name); err == nil {
			cookie.texts[i] = []string{found.Value}
		}
	}
	return path, query, header, cookie
}

// parameters checks what is given and puts the canonical texts in the place of the given ones.
func (c *checker) parameters(entries []Entry, in given) []Entry {
	for i, p := range in.declared {
		if in.texts[i] == nil {
			if p.required {
				entries = append(entries, missing().at([]any{p.in, p.name}))
			}
			continue
		}
		value := p.read(in.texts[i])
		if err := c.check(p.node, value); err != nil {
			entries = append(entries, entriesFor(p.node, value, err, nil, p.in, p.name)...)
		}
	}
	return entries
}

// read gives the typed value of a parameter and makes its texts canonical.
func (p parameter) read(texts []string) any {
	if p.node.kind != arrayKind || p.node.items == nil {
		value := readText(p.node, texts[0])
		texts[0] = canonical(p.node, value)
		return value
	}
	list := make([]any, len(texts))
	for i, text := range texts {
		list[i] = readText(p.node.items, text)
		texts[i] = canonical(p.node.items, list[i])
	}
	return list
}

// readAll reads a body of up to MaxBody bytes.
func readAll(c echo.Context) ([]byte, error) {
	r := c.Request()
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	limited := http.MaxBytesReader(c.Response().Writer, r.Body, MaxBody)
	text, err := io.ReadAll(limited)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return text, nil
	case errors.As(err, &tooLarge):
		return nil, fmt.Errorf("validation: read the body: %w", err)
	default: // A body that breaks off, or is not framed as it says.
		return nil, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
}
