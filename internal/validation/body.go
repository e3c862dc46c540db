package validation

import "github.com/labstack/echo/v4"

// content is the body of one request on its way through the checks.
type content struct {
	// present says that there is a body to check; foreign that it is not of the declared type and was not read.
	present, foreign bool
	doc              *document
	json             *node
	form             given
}

// readBody reads the body of an operation that has one. It fails on what no check can look at.
func (op *operation) readBody(c echo.Context) (*content, error) {
	if op.body == nil {
		return nil, nil //nolint:nilnil // No body is no failure.
	}
	text, err := readAll(c)
	if err != nil {
		return nil, err
	}
	contentType := c.Request().Header.Get(echo.HeaderContentType)
	in := &content{json: op.body.json}
	switch {
	case op.body.json == nil:
		in.form = given{op.body.form, make([][]string, len(op.body.form))}
		if mediaType(contentType) == formType {
			in.form.texts = splitForm(string(text), op.body.form)
		}
		in.dropEmpty()
		in.present = op.body.required || len(text) > 0
	case len(text) == 0:
	case !isJSON(contentType):
		in.present, in.foreign = true, true
	default:
		in.doc, err = decodeJSON(text, op.body.ordered)
		in.present = err == nil && in.doc.value != nil
	}
	return in, asEntry(err)
}

// asEntry makes a syntax error the one entry that the reference gives for it.
func asEntry(err error) error {
	if syntax, ok := err.(*syntaxError); ok { //nolint:errorlint // decodeJSON wraps nothing.
		return &Error{Entries: []Entry{jsonInvalid().at([]any{"body", syntax.offset})}}
	}
	return err
}

// dropEmpty leaves out the fields of a form that are empty: to the reference they are absent.
func (in *content) dropEmpty() {
	for i, texts := range in.form.texts {
		if len(texts) == 1 && texts[0] == "" {
			in.form.texts[i] = nil
		}
	}
}

func (op *operation) checkBody(entries []Entry, in *content) []Entry {
	switch {
	case in == nil:
		return entries
	case in.json == nil && in.present:
		return op.check.parameters(entries, in.form)
	case !in.present && op.body.required:
		return append(entries, missing().at([]any{"body"}))
	case !in.present:
		return entries
	case in.foreign:
		return append(entries, wrongType(in.json, foreign{}, nil).at([]any{"body"}))
	}
	if err := op.check.check(in.json, in.doc.value); err != nil {
		return append(entries, entriesFor(in.json, in.doc.value, err, in.doc, "body")...)
	}
	return entries
}
