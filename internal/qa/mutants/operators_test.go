package mutants

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sourceOf parses a file.
func sourceOf(t *testing.T, text string) (source, *ast.File) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "a.go", text, parser.SkipObjectResolution)
	require.NoError(t, err)
	info := &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
	}
	_, err = (&types.Config{Importer: importer.Default()}).Check("a", files, []*ast.File{file}, info)
	require.NoError(t, err)
	return source{file: files.File(file.Pos()), text: []byte(text), info: info}, file
}

// changes are what one operator makes of the lines of a text.
func changes(t *testing.T, operator, text string) []string {
	t.Helper()
	s, file := sourceOf(t, text)
	var found []string
	for _, m := range s.mutants(file) {
		if m.Operator == operator {
			found = append(found, m.After)
		}
	}
	return found
}

// declarations are what the lines under test use.
const declarations = `package a

type DB struct{}

func (d *DB) Where(string, ...any) *DB { return d }
func (d *DB) Find() error              { return nil }

type person struct{ Email, Name string; Age int }

func call(string, string, int) {}
func oneOf(string, ...string)   {}
func f() error                 { return nil }
func fresh() bool              { return <-make(chan bool) }

func test(db *DB, a, b string, n int, err error) (x int, _ error) {
`

func TestOperators(t *testing.T) {
	for _, c := range []struct {
		operator, line string
		want           []string
	}{
		{"negate", "if fresh() { n = 1 }", []string{"if !fresh() { n = 1 }"}},
		{"negate", "if !fresh() { n = 1 }", []string{"if fresh() { n = 1 }"}},
		{"negate", "if n < 3 { n = 1 }", []string{"if n >= 3 { n = 1 }"}},
		{"negate", "_ = a == b", []string{"_ = a != b"}},
		{"negate", "_ = fresh() && n > 2", []string{"_ = !fresh() && n > 2", "_ = fresh() && n <= 2"}},
		{"negate", "if err != nil { return 0, err }", nil}, // swallow-error does it
		{"boundary", "_ = n < 3", []string{"_ = n <= 3"}},
		{"boundary", "_ = n >= 3", []string{"_ = n > 3"}},
		{"boundary", "_ = n == 3", nil},
		{"logic", "_ = fresh() && n > 2 || a == b", []string{"_ = fresh() && n > 2 && a == b", "_ = fresh() || n > 2 || a == b"}},
		{"boolean", "_ = true", []string{"_ = false"}},
		{"boolean", "true := n; _ = true", nil},
		{"constant", "n = 7", []string{"n = 8", "n = 6"}},
		{"constant", "_ = make([]int, 3, 9)", []string{"_ = make([]int, 4, 9)", "_ = make([]int, 2, 9)"}},
		{"constant", "_ = make(map[int]int, 9)", nil},
		{"constant", "_ = [2]int{}", nil},
		{"constant", "_ = a[0]", []string{"_ = a[1]"}},
		{"constant", "_ = a[0:]", []string{"_ = a[1:]"}},
		{"constant", "_ = a[n] == 0", []string{"_ = a[n] == 1"}},
		{"constant", "_ = a[n] == 255", []string{"_ = a[n] == 254"}},
		{"constant", "_ = uint(0)", []string{"_ = uint(1)"}},
		{"constant", "if err != nil { return 0, err }", nil},
		{"constant", "if err != nil || n > x { return 0, err }", []string{"if err != nil || n > x { return 1, err }", "if err != nil || n > x { return -1, err }"}},
		{"constant", "return 0, err", []string{"return 1, err", "return -1, err"}},
		{"remove", "call(a, b, 1)", []string{"if false { call(a, b, 1) }"}},
		{"remove", "n = 2", []string{"if false { n = 2 }"}},
		{"remove", "n++", []string{"if false { n++ }"}},
		{"remove", "m := 2; _ = m", nil},
		{"remove", "panic(n)", nil},
		{"remove", "defer call(a, b, 1)", nil},
		{"swallow-error", "if err != nil { return 0, err }", []string{"if false && (err != nil) { return 0, err }"}},
		{"swallow-error", "if err := f(); err != nil { return 0, err }", []string{"if err := f(); false && (err != nil) { return 0, err }"}},
		{"swallow-error", "if err != nil { return 0, nil }", nil},
		{"swap-arguments", "call(a, b, n)", []string{"call(b, a, n)"}},
		{"swap-arguments", `call(a, "b", 2)`, []string{`call("b", a, 2)`}},
		{"swap-arguments", "call(a, a, n)", nil},
		{"swap-arguments", `oneOf(a, "x", "y", b)`, []string{`oneOf("x", a, "y", b)`, `oneOf(a, "x", b, "y")`}},
		{"swap-arguments", "_ = max(n, x)", nil},
		{"swap-arguments", `_ = db.Where("a = ?", a)`, nil},
		{"swap-arguments", `_ = db.Where(a+" = ?", a)`, nil},
		{"swap-arguments", `_ = db.Where("a = ? AND b = ?", a, b)`, []string{`_ = db.Where("a = ? AND b = ?", b, a)`}},
		{"swap-arguments", `oneOf("%s", a)`, nil},
		{"swap-fields", "_ = person{Email: a, Name: b, Age: n}", []string{"_ = person{Email: b, Name: a, Age: n}"}},
		{"swap-fields", "_ = person{a, b, n}", []string{"_ = person{b, a, n}"}},
		{"swap-fields", "_ = []string{a, b}", nil},
		{"swap-fields", `_ = map[string]int{a: n, b: x}`, []string{`_ = map[string]int{a: x, b: n}`}},
		{"drop-condition", `_ = db.Where("a = ?", a).Where("b", b).Find()`, []string{`_ = db.Where("a = ?", a).Find()`, `_ = db.Where("b", b).Find()`}},
		{"sql-comparison", `_ = db.Where("a = ?", a)`, []string{`_ = db.Where("a <> ?", a)`}},
		{"sql-comparison", `_ = db.Where("t.a = u.b")`, []string{`_ = db.Where("t.a <> u.b")`}}, // SQL by its place
		{"sql-comparison", `call("t.a = u.b", a, n)`, nil},
		{"sql-columns", "_ = \"no, list_of, columns here\"", nil},
		{"sql-order", "_ = `SELECT a\n\t\tORDER BY a DESC`", []string{"ORDER BY a ASC`"}},
	} {
		t.Run(c.operator+" "+c.line, func(t *testing.T) {
			before := changes(t, c.operator, declarations+"\nreturn\n}")
			found := changes(t, c.operator, declarations+c.line+"\nreturn\n}")
			for _, other := range before {
				found = slices.Delete(found, slices.Index(found, other), slices.Index(found, other)+1)
			}
			assert.ElementsMatch(t, c.want, found)
		})
	}
}

// Every mutant of this package's own files is a file that can be parsed, and says where it is.
func TestMutantsCanBeParsed(t *testing.T) {
	all, err := load(t.Context(), ".", []string{"."})
	require.NoError(t, err)
	assert.NotEmpty(t, all)
	for _, m := range all {
		text := m.text(readFile(t, m.path))
		_, err := parser.ParseFile(token.NewFileSet(), m.File, text, parser.SkipObjectResolution)
		require.NoErrorf(t, err, "%s", m.diff())
		assert.NotEqual(t, m.Before, m.After)
		assert.Equal(t, "internal/qa/mutants", m.File[:len("internal/qa/mutants")])
	}
}

func TestPlaceOfAMutant(t *testing.T) {
	s, file := sourceOf(t, `package a

var limit = 3

type T[K any] struct{ n int }

func (t *T[K]) set(n int) {
	func() { t.n = n }()
}

func (t T[K]) get() int { return t.n + 1 }

func plain() int { return 1 }
`)
	var places []string
	for _, m := range s.mutants(file) {
		if !slices.Contains(places, m.Function) {
			places = append(places, m.Function)
		}
	}
	assert.Equal(t, []string{"", "(*T[K]).set", "T[K].get", "plain"}, places)
}
