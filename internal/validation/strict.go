package validation

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
)

// A request is handled leniently, as the reference does: unknown query parameters and members are ignored. It is handled strictly, and they
// are violations, when it says Prefer: handling=strict (RFC 7240, section 4.4), and by operations that the contract marks with x-strict.

const (
	// PreferHeader has the caller's preferences (RFC 7240).
	PreferHeader = "Prefer"
	// PreferenceAppliedHeader has those that were honoured.
	PreferenceAppliedHeader = "Preference-Applied"
	// StrictHandling is the preference.
	StrictHandling = "handling=strict"

	strictExtension = "x-strict"
	// membersExtension names the members of an object whose schema leaves them open.
	membersExtension = "x-members"
)

// strict reports whether a request is handled strictly, and tells the caller when it is because of a preference.
func (op *operation) strict(c echo.Context) bool {
	preferred := prefersStrict(c.Request().Header)
	if preferred {
		c.Response().Header().Set(PreferenceAppliedHeader, StrictHandling)
	}
	return preferred || op.alwaysStrict
}

// prefersStrict reads the preference for handling. Of several the first counts (RFC 7240, section 2).
func prefersStrict(header http.Header) bool {
	for _, line := range header.Values(PreferHeader) {
		for preference := range strings.SplitSeq(line, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, value, _ := strings.Cut(preference, "=")
			if strings.EqualFold(strings.TrimSpace(name), "handling") {
				return strings.EqualFold(strings.Trim(strings.TrimSpace(value), `"`), "strict")
			}
		}
	}
	return false
}

// unknown appends a violation for each name of a query string or form that is not declared.
func unknown(violations []Violation, raw, in string, declared []parameter) []Violation {
	var reported []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(pair, "=")
		name = unescape(name)
		if pair == "" || find(declared, name) >= 0 || slices.Contains(reported, name) {
			continue
		}
		reported = append(reported, name)
		violations = append(violations, extraForbidden().at([]any{in, name}))
	}
	return violations
}

// unexpectedBody appends a violation for a body of an operation that has none. An empty object says nothing.
func unexpectedBody(violations []Violation, c echo.Context) ([]Violation, error) {
	text, err := readAll(c)
	if text = bytes.TrimSpace(text); err != nil || len(text) == 0 || string(text) == "{}" {
		return violations, err
	}
	return append(violations, extraForbidden().at([]any{"body"})), nil
}

// closed returns a schema, which has been downgraded, with no other members in its objects than those that it names.
func closed(ref *openapi3.SchemaRef, done map[*openapi3.Schema]*openapi3.SchemaRef) *openapi3.SchemaRef {
	if ref == nil || ref.Value == nil {
		return ref
	}
	if known := done[ref.Value]; known != nil {
		return known
	}
	s := *ref.Value
	result := &openapi3.SchemaRef{Ref: ref.Ref, Value: &s, Origin: ref.Origin}
	done[ref.Value] = result
	s.Properties = maps.Clone(s.Properties)
	names, _ := s.Extensions[membersExtension].([]any)
	for _, name := range names {
		if name, ok := name.(string); ok {
			if s.Properties == nil {
				s.Properties = openapi3.Schemas{}
			}
			s.Properties[name] = openapi3.NewSchemaRef("", openapi3.NewSchema().WithNullable())
		}
	}
	for name, property := range s.Properties {
		s.Properties[name] = closed(property, done)
	}
	if len(s.Properties) > 0 && s.AdditionalProperties.Schema == nil {
		s.AdditionalProperties = openapi3.AdditionalProperties{Has: new(false)}
	}
	s.Items, s.AdditionalProperties.Schema = closed(s.Items, done), closed(s.AdditionalProperties.Schema, done)
	return result
}
