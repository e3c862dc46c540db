package openapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/internal/openapi"
)

func TestJSONKeepsTheOrder(t *testing.T) {
	got, err := openapi.JSON([]byte(`
zebra: {b: 1, a: [x, 1.5, true, null, -3, {d: 0, c: ''}]}
apple: |
  "quoted" <b> &
  é
quoted: '200'
date: 2026-01-15
empty: {}
none: []
`))
	require.NoError(t, err)
	//nolint:testifylint // The order of the members counts.
	assert.Equal(t, `{"zebra":{"b":1,"a":["x",1.5,true,null,-3,{"d":0,"c":""}]},"apple":"\"quoted\" <b> &\né\n","quoted":"200",`+
		`"date":"2026-01-15","empty":{},"none":[]}`, string(got))

	for _, bad := range []string{"", "a: [", "a: &x 1\nb: *x", "a: .nan"} {
		_, err := openapi.JSON([]byte(bad))
		require.Error(t, err, bad)
	}
}

// TestJSONOfTheContract: JSON is YAML, so the two texts must be the same document, node by node and in order.
func TestJSONOfTheContract(t *testing.T) {
	text, err := openapi.JSON(sessiond.OpenAPI)
	require.NoError(t, err)
	require.True(t, json.Valid(text))
	assert.Equal(t, nodes(t, sessiond.OpenAPI), nodes(t, text))
}

// nodes lists the nodes of a document as they come in the text.
func nodes(t *testing.T, document []byte) []string {
	t.Helper()
	var root yaml.Node
	require.NoError(t, yaml.Unmarshal(document, &root))
	var list []string
	var walk func(node *yaml.Node)
	walk = func(node *yaml.Node) {
		list = append(list, node.ShortTag()+" "+node.Value)
		for _, child := range node.Content {
			walk(child)
		}
	}
	walk(&root)
	return list
}

func TestWithOrder(t *testing.T) {
	got, err := openapi.WithOrder([]byte(`
schemas:
  A:
    properties:
      zebra: {$ref: '#/schemas/B'}
      properties:
        type: object
        properties:
          inner: {type: string}
    example:
      properties: {a: {b: 1}}
`))
	require.NoError(t, err)
	assert.YAMLEq(t, `
schemas:
  A:
    properties:
      zebra: {$ref: '#/schemas/B', x-order: 0}
      properties:
        type: object
        properties:
          inner: {type: string, x-order: 0}
        x-order: 1
    example:
      properties: {a: {b: 1}}
`, string(got))
	_, err = openapi.WithOrder([]byte("a: ["))
	require.Error(t, err)

	contract, err := openapi.WithOrder(sessiond.OpenAPI)
	require.NoError(t, err)
	assert.Greater(t, strings.Count(string(contract), "x-order: 0\n"), 15, "one for each schema with properties")
}
