package validation

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"
)

// Middleware checks each request of an operation of the document after Echo has routed it, and passes other routes on
// untouched. It never writes a response. An invalid request is an error: *Error (422), ErrUndecodable (400), or
// one that wraps *http.MaxBytesError (413). A valid one is passed on with its parameters and body in a canonical form
// that the generated binding always accepts: only what the contract declares, typed, each once.
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

// inputs are the values of a request for the parameters of one kind (path, query, header, cookie or form), index by index.
type inputs struct {
	declared []parameter
	// texts are what the client sent, and canonical once they are checked; nil for a parameter that is absent.
	texts [][]string
}

// apply checks a request and, if it is valid, rewrites it. The order is the reference's: a body that is not text or not JSON is the
// only error; otherwise the violations of path, query, header, cookie and body are reported together.
func (op *operation) apply(c echo.Context) error {
	strict := op.strict(c)
	in, err := op.readBody(c, strict)
	if err != nil {
		return err
	}
	path, query, header, cookie := op.inputs(c)
	var violations []Violation
	violations = op.check.parameters(violations, path)
	violations = op.check.parameters(violations, query)
	if strict {
		violations = unknown(violations, c.Request().URL.RawQuery, "query", op.query)
	}
	violations = op.check.parameters(violations, header)
	violations = op.check.parameters(violations, cookie)
	violations = op.checkBody(violations, in)
	switch {
	case strict && in == nil:
		if violations, err = unexpectedBody(violations, c); err != nil {
			return err
		}
	case in != nil && in.json == nil:
		violations = repeated(violations, in.text, op.body.form)
		if strict {
			violations = unknown(violations, in.text, "body", op.body.form)
		}
	}
	if len(violations) > 0 {
		return &Error{Violations: violations}
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

// inputs collects the texts of all parameters.
func (op *operation) inputs(c echo.Context) (path, query, header, cookie inputs) {
	r := c.Request()
	path = inputs{op.path, make([][]string, len(op.path))}
	for i, p := range op.path {
		path.texts[i] = []string{c.Param(p.name)}
	}
	if len(op.query) > 0 {
		query = inputs{op.query, splitForm(r.URL.RawQuery, op.query)}
	}
	header = inputs{op.header, make([][]string, len(op.header))}
	for i, p := range op.header {
		if values := r.Header.Values(p.name); len(values) > 0 {
			header.texts[i] = []string{values[0]} // The reference takes the first.
		}
	}
	cookie = inputs{op.cookie, make([][]string, len(op.cookie))}
	for i, p := range op.cookie {
		if found, err := r.Cookie(p.name); err == nil {
			cookie.texts[i] = []string{found.Value}
		}
	}
	return path, query, header, cookie
}

// parameters checks the inputs and replaces their texts by canonical ones.
func (c *checker) parameters(violations []Violation, in inputs) []Violation {
	for i, p := range in.declared {
		if in.texts[i] == nil {
			if p.required {
				violations = append(violations, missing().at([]any{p.in, p.name}))
			}
			continue
		}
		value := p.read(in.texts[i])
		if err := c.check(p.node, value); err != nil {
			violations = append(violations, violationsOf(p.node, value, err, nil, p.in, p.name)...)
		}
	}
	return violations
}

// read returns the typed value of a parameter and makes its texts canonical.
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
	default: // A body that is cut short, or is not framed as its headers say.
		return nil, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
}
