package validation

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
)

// bindPath replaces path parameters whose canonical text is another one.
func bindPath(c echo.Context, in inputs) {
	for i, p := range in.declared {
		if at := slices.Index(c.ParamNames(), p.name); at >= 0 && c.ParamValues()[at] != in.texts[i][0] {
			values := slices.Clone(c.ParamValues())
			values[at] = in.texts[i][0]
			c.SetParamValues(values...)
		}
	}
}

// bindQuery keeps only the canonical parameters, both in the URL and in Echo's parsed copy of it: earlier middleware may
// have made Echo parse the original, and Echo never parses twice.
func bindQuery(c echo.Context, in inputs) {
	location := c.Request().URL
	location.RawQuery = ""
	values := c.QueryParams()
	clear(values)
	in.fill(values)
	location.RawQuery = values.Encode()
}

// fill puts the canonical texts into values, and the defaults of absent parameters.
func (in inputs) fill(values url.Values) {
	for i, p := range in.declared {
		if texts := in.texts[i]; texts != nil {
			values[p.name] = texts
		} else if p.defaultText != nil {
			values[p.name] = p.defaultText
		}
	}
}

// bindHeader keeps one canonical value of each declared header: the generated code refuses repeated ones.
func bindHeader(r *http.Request, in inputs) {
	for i, p := range in.declared {
		if texts := in.texts[i]; texts != nil {
			if values := r.Header.Values(p.name); len(values) > 1 || values[0] != texts[0] {
				r.Header.Set(p.name, texts[0])
			}
		}
	}
}

// bindCookie puts the canonical cookies before the client's: the generated code takes the first of a name.
func bindCookie(r *http.Request, in inputs) {
	original := r.Header.Get("Cookie")
	var first []string
	for i, p := range in.declared {
		if in.texts[i] != nil {
			first = append(first, (&http.Cookie{Name: p.name, Value: in.texts[i][0]}).String()) //nolint:gosec // It is a request's cookie.
		}
	}
	if first != nil {
		r.Header.Set("Cookie", strings.Join(append(first, original), "; "))
	}
}

// bind puts the checked body into the request: a JSON value for the generated code to take, or a parsed form.
func (in *content) bind(r *http.Request) {
	switch {
	case in.json == nil:
		in.bindForm(r)
	case !in.present:
		r.Body, r.ContentLength = http.NoBody, 0
	default:
		value := in.doc.value
		if in.doc.nonFinite {
			value = withoutNonFinite(value)
		}
		r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
		r.Body = &checkedBody{value: conform(in.json, value)}
		r.ContentLength = -1 // The text is encoded only if somebody reads it.
	}
}

func (in *content) bindForm(r *http.Request) {
	form := url.Values{}
	in.form.fill(form)
	text := form.Encode()
	r.Header.Set(echo.HeaderContentType, formType)
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	r.PostForm, r.Form = form, form
}

// checkedBody is a JSON body that has been checked. The generated code takes the value as it is, by exact names; whoever
// reads it gets the same value as text.
type checkedBody struct {
	value any
	text  *bytes.Reader
}

// ValidatedValue is the checked value. The generated code looks for a method of this name.
func (b *checkedBody) ValidatedValue() any { return b.value }

func (b *checkedBody) Read(p []byte) (int, error) {
	if b.text == nil {
		text, err := json.Marshal(b.value)
		if err != nil {
			return 0, err
		}
		b.text = bytes.NewReader(text)
	}
	return b.text.Read(p)
}

func (b *checkedBody) Close() error { return nil }

// withoutNonFinite replaces what JSON cannot express by null. Only members without a schema can hold it.
func withoutNonFinite(value any) any {
	switch value := value.(type) {
	case nonFinite:
		return nil
	case []any:
		for i, item := range value {
			value[i] = withoutNonFinite(item)
		}
	case map[string]any:
		for name, member := range value {
			value[name] = withoutNonFinite(member)
		}
	}
	return value
}

// conform converts a valid value to what its generated type takes: times in capital letters; numbers within its range and, for an integer, without a
// fraction; of an object with fields only these, because decoders ignore the case of names, and their defaults.
func conform(n *node, value any) any {
	switch value := value.(type) {
	case json.Number:
		return conformNumber(n, value)
	case string:
		if n.schema.Format == "date-time" {
			return capital(value)
		}
	case []any:
		if n.items != nil {
			for i, item := range value {
				value[i] = conform(n.items, item)
			}
		}
	case map[string]any:
		conformObject(n, value)
	}
	return value
}

func conformObject(n *node, object map[string]any) {
	for name, member := range object {
		if described := n.member(name); described != nil {
			object[name] = conform(described, member)
		} else if len(n.fields) > 0 && n.schema.AdditionalProperties.Has == nil {
			delete(object, name)
		}
	}
	for _, f := range n.fields {
		if _, present := object[f.name]; !present && f.defaultValue != nil {
			object[f.name] = f.defaultValue
		}
	}
}

func conformNumber(n *node, number json.Number) json.Number {
	switch n.kind {
	case integerKind:
		if whole, err := strconv.ParseInt(string(number), 10, 64); err == nil {
			return json.Number(strconv.FormatInt(whole, 10))
		}
		value, _ := number.Float64()
		return json.Number(strconv.FormatInt(saturate(value), 10))
	case numberKind:
		value, _ := number.Float64()
		if clamped := clamp(n, value); clamped != value {
			return json.Number(strconv.FormatFloat(clamped, 'g', -1, 64))
		}
	default:
	}
	return number
}

// saturate is the 64-bit integer nearest to a whole number.
func saturate(value float64) int64 {
	switch {
	case value >= math.MaxInt64:
		return math.MaxInt64
	case value <= math.MinInt64:
		return math.MinInt64
	default:
		return int64(value)
	}
}

// clamp keeps a number within float32, which is the generated type unless the format is double.
func clamp(n *node, value float64) float64 {
	if n.schema.Format == "double" {
		return value
	}
	return max(-math.MaxFloat32, min(math.MaxFloat32, value))
}
