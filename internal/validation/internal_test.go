package validation

import (
	"encoding/json"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
)

// TestRepr has what Python's repr writes.
func TestRepr(t *testing.T) {
	for want, value := range map[string]any{
		"None": nil, "True": true, "False": false, "0.5": 0.5, "42": 42.0,
		`'plain'`: "plain", `"it's"`: "it's", `'say "so"'`: `say "so"`, `'it\'s "so"'`: `it's "so"`, `'a\\b'`: `a\b`, `'a\nb\rc\td'`: "a\nb\rc\td",
	} {
		assert.Equal(t, want, repr(value))
	}
}

func TestCount(t *testing.T) {
	assert.Equal(t, []string{"0 items", "1 item", "2 items"}, []string{count(0, "item"), count(1, "item"), count(2, "item")})
}

// TestConformNumber: what the generated types cannot hold is bound as the nearest that they can.
func TestConformNumber(t *testing.T) {
	for _, c := range []struct {
		kind         kind
		format       string
		number, want json.Number
	}{
		{integerKind, "", "007", "7"},
		{integerKind, "", "1e3", "1000"},
		{integerKind, "", "9223372036854775807", "9223372036854775807"},
		{integerKind, "", "1e30", "9223372036854775807"},
		{integerKind, "", "-1e30", "-9223372036854775808"},
		{numberKind, "", "1.50", "1.50"},
		{numberKind, "", "1e39", "3.4028234663852886e+38"},
		{numberKind, "", "-1e39", "-3.4028234663852886e+38"},
		{numberKind, "double", "1e39", "1e39"},
		{stringKind, "", "1e39", "1e39"},
	} {
		n := &node{kind: c.kind, schema: &openapi3.Schema{Format: c.format}}
		assert.Equal(t, c.want, conformNumber(n, c.number), "%v %s %s", c.kind, c.format, c.number)
	}
}

// TestOnlyBranch: a schema that is X or null is read as X; any other composition is left to the standard validator.
func TestOnlyBranch(t *testing.T) {
	some := openapi3.NewSchemaRef("", openapi3.NewStringSchema())
	other := openapi3.NewSchemaRef("", openapi3.NewIntegerSchema())
	null := openapi3.NewSchemaRef("", &openapi3.Schema{Type: &openapi3.Types{openapi3.TypeNull}})
	list := func(branches ...*openapi3.SchemaRef) openapi3.SchemaRefs { return branches }
	for name, c := range map[string]struct {
		schema   openapi3.Schema
		branch   *openapi3.SchemaRef
		nullable bool
	}{
		"any of X and null":           {openapi3.Schema{AnyOf: list(some, null)}, some, true},
		"one of null and X":           {openapi3.Schema{OneOf: list(null, some)}, some, true},
		"all of X":                    {openapi3.Schema{AllOf: list(some)}, some, false},
		"all of X and null":           {openapi3.Schema{AllOf: list(some, null)}, nil, false},
		"any of X, all of null":       {openapi3.Schema{AnyOf: list(some), AllOf: list(null)}, nil, false},
		"one of X, all of null":       {openapi3.Schema{OneOf: list(some), AllOf: list(null)}, nil, false},
		"any of X and one of null":    {openapi3.Schema{AnyOf: list(some), OneOf: list(null)}, nil, false},
		"any of X":                    {openapi3.Schema{AnyOf: list(some)}, some, false},
		"any of X and Y":              {openapi3.Schema{AnyOf: list(some, other)}, nil, false},
		"any of X, Y and null":        {openapi3.Schema{AnyOf: list(some, other, null)}, nil, false},
		"any of X and null, and more": {openapi3.Schema{AnyOf: list(some, null), MinLength: 1}, nil, false},
	} {
		branch, nullable := onlyBranch(&c.schema)
		assert.Same(t, c.branch, branch, name)
		assert.Equal(t, c.nullable, nullable, name)
	}
}

// TestPlace: a schema that was not read from a document comes first, wherever the others are.
func TestPlace(t *testing.T) {
	at := func(line, column int) *openapi3.Origin {
		return &openapi3.Origin{Key: &openapi3.Location{Line: line, Column: column}}
	}
	for name, c := range map[string]struct {
		ref  openapi3.SchemaRef
		want [2]int
	}{
		"no place":                    {openapi3.SchemaRef{Value: &openapi3.Schema{}}, [2]int{}},
		"no key":                      {openapi3.SchemaRef{Value: &openapi3.Schema{}, Origin: &openapi3.Origin{}}, [2]int{}},
		"a schema in place":           {openapi3.SchemaRef{Value: &openapi3.Schema{Origin: at(3, 5)}}, [2]int{3, 5}},
		"a reference, and its target": {openapi3.SchemaRef{Value: &openapi3.Schema{Origin: at(3, 5)}, Origin: at(7, 9)}, [2]int{7, 9}},
	} {
		line, column := place(&c.ref)
		assert.Equal(t, c.want, [2]int{line, column}, name)
	}
}
