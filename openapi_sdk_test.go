package sessiond_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/sessiond/sessiond"
)

// TestViewForSDKsContradictsNothing: what generators of clients read differs from the contract only in what the overlay says it does.
func TestViewForSDKsContradictsNothing(t *testing.T) {
	contract, view := parse(t, sessiond.OpenAPI), parse(t, sessiond.OpenAPIForSDKs)
	v := viewed{}
	v.compare("", contract, view)
	assert.Empty(t, v.differences)
	assert.Equal(t, map[string]int{"narrowed": 8, "authorization": 7, "headers": 12, "ApiError": 11, "streams": 5, "addresses": 2}, v.changes)

	schemas := func(document *yaml.Node) *yaml.Node { return member(member(document, "components"), "schemas") }
	renamed := member(schemas(view), "ApiError")
	member(renamed, "title").Value = "Error"
	v = viewed{}
	v.compare("", member(schemas(contract), "Error"), renamed)
	assert.Empty(t, v.differences)

	loader := openapi3.NewLoader()
	document, err := loader.LoadFromData(sessiond.OpenAPIForSDKs)
	require.NoError(t, err)
	require.NoError(t, document.Validate(loader.Context), "examples fit the narrowed schemas")
}

func TestViewComparisonFindsChanges(t *testing.T) {
	contract := `{paths: {/x: {get: {parameters: [{name: a, in: query}], responses: {"200": {schema: {type: object, title: X}}}}}}}`
	for name, change := range map[string][2]string{
		"a missing parameter":  {"[{name: a, in: query}]", "[]"},
		"a needed header":      {"in: query}]", "in: query}, {name: b, in: header, required: true}]"},
		"a query parameter":    {"in: query}]", "in: query}, {name: b, in: query}]"},
		"another parameter":    {"name: a", "name: b"},
		"a narrowed object":    {"type: object, title: X", "$ref: '#/components/schemas/X'"},
		"a status":             {`"200"`, `"201"`},
		"an unknown reference": {"type: object, title: X", "$ref: '#/components/schemas/ApiError'"},
		"a member":             {"title: X", "title: X, minProperties: 1"},
	} {
		v := viewed{}
		changed := strings.Replace(contract, change[0], change[1], 1)
		require.NotEqual(t, contract, changed, name)
		v.compare("", parse(t, []byte(contract)), parse(t, []byte(changed)))
		assert.NotEmpty(t, v.differences, name)
	}
}

// viewed walks the contract and its view and collects where they differ, and how often they do as they may.
type viewed struct {
	differences []string
	changes     map[string]int
}

func (v *viewed) change(kind string) {
	if v.changes == nil {
		v.changes = map[string]int{}
	}
	v.changes[kind]++
}

func (v *viewed) differs(path string, what any) {
	v.differences = append(v.differences, fmt.Sprintf("%s: %v", path, what))
}

func (v *viewed) compare(path string, contract, view *yaml.Node) {
	switch {
	case strings.HasSuffix(path, "/ip_address/anyOf") && len(contract.Content) == 3 && len(view.Content) == 2:
		v.change("addresses")
	case isAnything(contract) && member(view, "$ref") != nil:
		v.change("narrowed")
	case contract.Kind != view.Kind:
		v.differs(path, "is of another kind")
	case contract.Kind == yaml.MappingNode:
		v.compareMembers(path, contract, view)
	case strings.HasSuffix(path, "/parameters"):
		v.compareParameters(path, contract, view)
	case contract.Kind == yaml.SequenceNode && len(contract.Content) != len(view.Content):
		v.differs(path, "is of another length")
	case contract.Kind == yaml.SequenceNode:
		for i := range contract.Content {
			v.compare(fmt.Sprintf("%s/%d", path, i), contract.Content[i], view.Content[i])
		}
	case strings.HasSuffix(path, "/$ref") && contract.Value == "#/components/schemas/Error" && view.Value == "#/components/schemas/ApiError":
		v.change("ApiError")
	case contract.Value != view.Value || contract.ShortTag() != view.ShortTag():
		v.differs(path, view.Value)
	}
}

// isAnything reports whether a schema accepts every value, or every object.
func isAnything(schema *yaml.Node) bool {
	if schema.Kind != yaml.MappingNode {
		return false
	}
	open := member(schema, "additionalProperties")
	return len(schema.Content) == 0 || open != nil && open.Value == "true"
}

func (v *viewed) compareMembers(path string, contract, view *yaml.Node) {
	for _, key := range keysOf(contract) {
		if ours := member(view, key); ours != nil {
			v.compare(path+"/"+key, member(contract, key), ours)
		} else if slices.Contains([]string{"text/csv", "application/x-ndjson", "text/event-stream"}, key) {
			v.change("streams")
		} else if path+key != "/components/schemasError" {
			v.differs(path+"/"+key, "is missing")
		}
	}
	for _, key := range keysOf(view) {
		if member(contract, key) == nil && path != "/components/schemas" && path != "/components/parameters" {
			v.differs(path+"/"+key, "is an addition")
		}
	}
}

func (v *viewed) compareParameters(path string, contract, view *yaml.Node) {
	kept := slices.DeleteFunc(slices.Clone(contract.Content), func(parameter *yaml.Node) bool {
		name := member(parameter, "name")
		return name != nil && name.Value == "authorization"
	})
	for range len(contract.Content) - len(kept) {
		v.change("authorization")
	}
	for i, parameter := range view.Content {
		ref := member(parameter, "$ref")
		switch {
		case i < len(kept):
			v.compare(fmt.Sprintf("%s/%d", path, i), kept[i], parameter)
		case ref != nil && slices.Contains([]string{"#/components/parameters/RevokeReason", "#/components/parameters/IdempotencyKey"}, ref.Value):
			v.change("headers")
		default:
			v.differs(path, "has another parameter")
		}
	}
	if len(view.Content) < len(kept) {
		v.differs(path, "lacks a parameter")
	}
}
