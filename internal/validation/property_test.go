package validation

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/internal/qa/sequential"
)

// twin is one request schema twice: compiled for the fast checker, and as the document has it.
type twin struct {
	name     string
	fast     *node
	original *openapi3.Schema
	text     bool
}

// TestFastAndStandardAgree gives random values to every request schema of the contract and of the dialect: the fast
// checker and the JSON Schema 2020-12 validator must agree, and what they refuse must have well-formed violations.
func TestFastAndStandardAgree(t *testing.T) {
	sequential.Test(t)
	dialect, err := os.ReadFile("testdata/dialect.yaml")
	require.NoError(t, err)
	counts := map[string]int{}
	for document, text := range map[string][]byte{"contract": sessiond.OpenAPI, "dialect": dialect} {
		for _, s := range twins(t, text) {
			counts[document]++
			t.Run(document+" "+s.name, func(t *testing.T) {
				if s.text {
					rapid.Check(t, func(r *rapid.T) { agreeOnText(r, s) })
				} else {
					rapid.Check(t, func(r *rapid.T) { agreeOnJSON(r, s) })
				}
			})
		}
	}
	require.Equal(t, map[string]int{"contract": 93, "dialect": 24}, counts, "every parameter and body of both documents")
}

func agreeOnJSON(r *rapid.T, s twin) {
	text, err := json.Marshal(jsonOf(s.fast, rapid.Bool().Draw(r, "careful"), 3).Draw(r, "value"))
	require.NoError(r, err)
	doc, err := decodeJSON(text, true)
	require.NoError(r, err)
	checks := newChecker()
	fast := checks.check(s.fast, doc.value)
	standard := s.original.VisitJSON(doc.value, append(formatOptions(), openapi3.EnableJSONSchema2020())...)
	require.Equal(r, standard == nil, fast == nil, "%s\nfast: %v\nstandard: %v", text, fast, standard)
	if fast != nil {
		wellFormed(r, violationsOf(s.fast, doc.value, fast, doc, "body"))
		return
	}
	bound := conform(s.fast, doc.value)
	require.NoError(r, s.original.VisitJSON(bound, append(formatOptions(), openapi3.EnableJSONSchema2020())...), "what is bound is valid too")
}

func agreeOnText(r *rapid.T, s twin) {
	p := parameter{name: "p", in: "query", node: s.fast}
	texts := rapid.SliceOfN(textOf(s.fast), 1, 4).Draw(r, "texts")
	value := p.read(texts)
	checks := newChecker()
	if err := checks.check(s.fast, value); err != nil {
		wellFormed(r, violationsOf(s.fast, value, err, nil, "query", "p"))
		if !hasUnreadable(value) {
			require.Error(r, s.original.VisitJSON(value, append(formatOptions(), openapi3.EnableJSONSchema2020())...))
		}
		return
	}
	require.NoError(r, s.original.VisitJSON(value, append(formatOptions(), openapi3.EnableJSONSchema2020())...))
	require.Equal(r, value, p.read(texts), "the canonical text has the same value")
}

func hasUnreadable(value any) bool {
	if list, ok := value.([]any); ok && slices.ContainsFunc(list, hasUnreadable) {
		return true
	}
	_, is := value.(unreadable)
	return is
}

// wellFormed holds that violations are what the contract says of a 422.
func wellFormed(r *rapid.T, violations []Violation) {
	require.NotEmpty(r, violations)
	text, err := json.Marshal(&Error{Violations: violations})
	require.NoError(r, err)
	var value any
	require.NoError(r, json.Unmarshal(text, &value))
	loader := openapi3.NewLoader()
	spec, err := loader.LoadFromData(errorSchemas())
	require.NoError(r, err)
	require.NoError(r, spec.Components.Schemas["HTTPValidationError"].Value.VisitJSON(value, openapi3.EnableJSONSchema2020()))
}

// errorSchemas is the part of the contract about errors, so that it need not be loaded whole a thousand times.
func errorSchemas() []byte {
	whole := string(sessiond.OpenAPI)
	cut := func(name string) string {
		_, after, _ := strings.Cut(whole, "\n    "+name+":\n")
		lines := strings.SplitAfter(after, "\n")
		end := 0
		for end < len(lines) && strings.HasPrefix(lines[end], "      ") {
			end++
		}
		return "    " + name + ":\n" + strings.Join(lines[:end], "")
	}
	return []byte("openapi: 3.1.0\ninfo: {title: t, version: '1'}\npaths: {}\ncomponents:\n  schemas:\n" +
		cut("HTTPValidationError") + cut("ValidationError"))
}

func twins(t *testing.T, document []byte) []twin {
	t.Helper()
	load := func() *openapi3.T {
		loader := openapi3.NewLoader()
		loader.IncludeOrigin = true
		spec, err := loader.LoadFromData(document)
		require.NoError(t, err)
		return spec
	}
	ours, untouched := load(), load()
	schemas := newCompiler()
	var all []twin
	add := func(name string, ref, original *openapi3.SchemaRef, text bool) {
		n, err := schemas.compile(ref)
		require.NoError(t, err)
		all = append(all, twin{name: name, fast: n, original: original.Value, text: text})
	}
	for path, item := range ours.Paths.Map() {
		for method, operation := range item.Operations() {
			twinItem := untouched.Paths.Value(path)
			twinOperation := twinItem.GetOperation(method)
			for i, p := range operation.Parameters {
				add(method+path+" "+p.Value.Name, p.Value.Schema, twinOperation.Parameters[i].Value.Schema, true)
			}
			for i, p := range item.Parameters {
				add(method+path+" "+p.Value.Name, p.Value.Schema, twinItem.Parameters[i].Value.Schema, true)
			}
			if operation.RequestBody == nil {
				continue
			}
			for name, media := range operation.RequestBody.Value.Content {
				add(method+path+" body", media.Schema, twinOperation.RequestBody.Value.Content[name].Schema, false)
			}
		}
	}
	return all
}

// textOf makes texts that are often good for a schema.
func textOf(n *node) *rapid.Generator[string] {
	if n.items != nil {
		return textOf(n.items)
	}
	words := []string{"", "0", "1", " 7", "+10", "1_0", "01.0", "2.5", "-3", "100", "99999999999999999999", "true", "oFF", "ab", "red", "low", "2026-01-15", "2026-01-15T08:00:00Z", "nan", "\x00"}
	return rapid.OneOf(rapid.SampledFrom(words), rapid.SampledFrom(words), rapid.String())
}

// jsonOf makes values for a schema: careful ones are good at every place, others at most.
func jsonOf(n *node, careful bool, depth int) *rapid.Generator[any] {
	return rapid.Custom(func(r *rapid.T) any {
		luck := rapid.IntRange(2, 19).Draw(r, "luck")
		if !careful {
			luck = rapid.IntRange(0, 19).Draw(r, "luck")
		}
		switch {
		case luck == 0 || depth == 0 && !careful:
			return rapid.SampledFrom([]any{nil, true, "text", 1, -1.5, 1e300, []any{}, []any{1}, map[string]any{}, map[string]any{"a": 1}}).Draw(r, "any")
		case luck == 1 || luck == 2 && n.schema.Nullable || depth == 0 && n.schema.Nullable:
			return nil
		case len(n.schema.Enum) > 0 && (careful || luck < 12):
			return rapid.SampledFrom(n.schema.Enum).Draw(r, "enum")
		}
		return ofKind(r, n, careful, depth)
	})
}

func ofKind(r *rapid.T, n *node, careful bool, depth int) any {
	switch n.kind {
	case stringKind:
		samples := []any{
			"", "a", "ab", "abc", "é\x00", "ABC", "2026-01-15", "2026-02-30", "2026-01-15T08:00:00Z", "0000-01-01T00:00:00.123456789-23:59",
			"2026-01-15T08:00:60Z", "2026-01-15t08:00:00z", "0199b7c2-51f0-7a3b-8f6e-2b9d64c0a17e", "0199b7c251f07a3b8f6e2b9d64c0a17e",
			"203.0.113.7", "::1", "fe80::1%eth0", "a@example.com", "YQ==", "YQ", strings.Repeat("x", 256), rapid.String().Draw(r, "string"),
		}
		return sample(r, n, careful, samples)
	case integerKind, numberKind:
		return sample(r, n, careful, []any{
			rapid.IntRange(-3, 110).Draw(r, "integer"), rapid.Float64Range(-3, 110).Draw(r, "number"),
			json.Number("2.0"), json.Number("1e1"), 1 << 40, -1e300, 0, 1, 2,
		})
	case booleanKind:
		return rapid.Bool().Draw(r, "boolean")
	case arrayKind:
		low, high := 0, 4
		if careful && (n.schema.MinItems > 0 || n.schema.MaxItems != nil) {
			low, high = 2, 2 // Fits all bounds that the two documents have.
		}
		return rapid.SliceOfN(jsonOf(n.items, careful, depth-1), low, high).Draw(r, "list")
	default:
		return objectOf(r, n, careful, depth)
	}
}

// sample draws one of the samples; if careful, one that is good.
func sample(r *rapid.T, n *node, careful bool, samples []any) any {
	if careful {
		checks := newChecker()
		samples = slices.DeleteFunc(samples, func(value any) bool {
			return checks.check(n, value) != nil
		})
	}
	return rapid.SampledFrom(samples).Draw(r, "sample")
}

func objectOf(r *rapid.T, n *node, careful bool, depth int) any {
	object := map[string]any{}
	for _, f := range n.fields {
		needed := f.required && (careful || rapid.IntRange(0, 9).Draw(r, "lacking") > 0)
		if needed || depth > 0 && rapid.IntRange(0, 9).Draw(r, "given") == 0 {
			object[f.name] = jsonOf(f.node, careful, depth-1).Draw(r, f.name)
		}
	}
	if careful && (n.closed || n.extra != nil) {
		if n.extra != nil {
			object["a"] = jsonOf(n.extra, careful, depth-1).Draw(r, "a")
		}
		return object
	}
	for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "B/~", "REVOKE_ALL", "\x00"}), 0, 1).Draw(r, "others") {
		object[name] = rapid.SampledFrom([]any{nil, 1, "x", []any{}}).Draw(r, name)
		if n.extra != nil {
			object[name] = jsonOf(n.extra, careful, depth-1).Draw(r, name)
		}
	}
	return object
}
