package sessiond_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond"
)

// TestGeneratedFieldsAreInTheOrderOfTheContract: encoding/json writes the fields of a struct as they are declared, so each
// generated struct must declare them as the schema lists its properties.
func TestGeneratedFieldsAreInTheOrderOfTheContract(t *testing.T) {
	structs := structsOf(t, "gen/api.gen.go")
	schemas := member(member(parse(t, sessiond.OpenAPI), "components"), "schemas")
	compared := 0
	for _, name := range keysOf(schemas) {
		properties := member(member(schemas, name), "properties")
		if properties == nil {
			continue
		}
		fields, ok := structs[plainName(name)]
		require.True(t, ok, "no struct is generated for %s", name)
		assert.Equal(t, keysOf(properties), fields, name)
		compared++
	}
	assert.Greater(t, compared, 15)
}

// structsOf are the JSON names of the fields of a file's structs.
func structsOf(t *testing.T, file string) map[string][]string {
	t.Helper()
	syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	structs := map[string][]string{}
	ast.Inspect(syntax, func(node ast.Node) bool {
		spec, ok := node.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if declared, ok := spec.Type.(*ast.StructType); ok {
			structs[plainName(spec.Name.Name)] = jsonNames(t, declared)
		}
		return false
	})
	return structs
}

func jsonNames(t *testing.T, declared *ast.StructType) []string {
	t.Helper()
	var names []string
	for _, field := range declared.Fields.List {
		if field.Tag == nil {
			continue
		}
		tag, err := strconv.Unquote(field.Tag.Value)
		require.NoError(t, err)
		name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// plainName is what the name of a schema and that of its struct have in common.
func plainName(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, "_", ""))
}
