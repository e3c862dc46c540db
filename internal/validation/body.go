package validation

import "github.com/labstack/echo/v4"

// content is the body of one request.
type content struct {
	// present says that there is a body to check; unread that its media type is not the declared one, so that it was not parsed.
	present, unread bool
	doc             *document
	json            *node
	form            inputs
	// text is that of a form.
	text string
}

// readBody reads the body of an operation that has one. It fails on a body that cannot be parsed.
func (op *operation) readBody(c echo.Context, strict bool) (*content, error) {
	if op.body == nil {
		return nil, nil //nolint:nilnil // No body is no failure.
	}
	text, err := readAll(c)
	if err != nil {
		return nil, err
	}
	contentType := c.Request().Header.Get(echo.HeaderContentType)
	in, ordered := &content{json: op.body.json}, op.body.ordered
	if strict && in.json != nil {
		in.json, ordered = op.body.strict, true
	}
	switch {
	case op.body.json == nil:
		in.form = inputs{op.body.form, make([][]string, len(op.body.form))}
		if mediaType(contentType) == formType {
			in.form.texts, in.text = splitForm(string(text), op.body.form), string(text)
		}
		in.dropEmpty()
		in.present = op.body.required || len(text) > 0
	case len(text) == 0:
	case !isJSON(contentType):
		in.present, in.unread = true, true
	default:
		in.doc, err = decodeJSON(text, ordered)
		// Null is no body where one is required, as in the reference; where one may be left out it is a value like another.
		in.present = err == nil && (in.doc.value != nil || !op.body.required)
	}
	return in, asError(err)
}

// asError turns a syntax error into the one violation that the reference reports for it.
func asError(err error) error {
	if syntax, ok := err.(*syntaxError); ok { //nolint:errorlint // decodeJSON wraps nothing.
		return &Error{Violations: []Violation{jsonInvalid().at([]any{"body", syntax.offset})}}
	}
	return err
}

// dropEmpty removes the fields of a form that are empty: the reference takes them for absent.
func (in *content) dropEmpty() {
	for i, texts := range in.form.texts {
		if len(texts) == 1 && texts[0] == "" {
			in.form.texts[i] = nil
		}
	}
}

func (op *operation) checkBody(violations []Violation, in *content) []Violation {
	switch {
	case in == nil:
		return violations
	case in.json == nil && in.present:
		return op.check.parameters(violations, in.form)
	case !in.present && op.body.required:
		return append(violations, missing().at([]any{"body"}))
	case !in.present:
		return violations
	case in.unread:
		return append(violations, wrongType(in.json, unread{}, nil).at([]any{"body"}))
	}
	if err := op.check.check(in.json, in.doc.value); err != nil {
		return append(violations, violationsOf(in.json, in.doc.value, err, in.doc, "body")...)
	}
	return violations
}
