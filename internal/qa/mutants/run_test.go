package mutants

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name) //nolint:gosec // a source file of the module
	require.NoError(t, err)
	return text
}

// module writes a module with a package whose tests miss something, and another package that tests it too.
func module(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/m\n\ngo 1.26\n",
		"bank/bank.go": `package bank

func Enough(have, want int) bool { return have >= want }

func Fee(sum int) int {
	if sum > 100 {
		return 0
	}
	return 2
}

func Wait(n int) {
	for n > 0 {
		n--
	}
}

func Forgotten(a int) bool { return a < 5 }
`,
		"bank/bank_test.go": `package bank

import (
	"os"
	"strings"
	"testing"
)

// What a property test leaves behind would be in the tree.
func TestPlaces(t *testing.T) {
	if os.Getenv("RAPID_NOFAILFILE") != "true" || !strings.Contains(os.TempDir(), "mutants-") {
		t.Fatal()
	}
}

func TestEnough(t *testing.T) {
	if !Enough(2, 1) || !Enough(1, 1) || Enough(1, 2) {
		t.Fatal()
	}
}

func TestFee(t *testing.T) {
	for _, sum := range []int{1, 99} {
		if Fee(sum) != 2 {
			t.Fatal()
		}
	}
	if Fee(102) != 0 {
		t.Fatal()
	}
}

func TestWait(t *testing.T) { Wait(3) }

func BenchmarkLong(b *testing.B) { Wait(3) }
`,
		"user/user_test.go": `package user

import (
	"testing"

	"example.com/m/bank"
)

func TestForgotten(t *testing.T) {
	if bank.Forgotten(5) || bank.Forgotten(6) || !bank.Forgotten(4) {
		t.Fatal()
	}
}
`,
		"user/user.go": "package user\n",
	} {
		write(t, dir, name, text)
	}
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

// run makes a run and returns its report.
func run(t *testing.T, o Options) (string, error) {
	t.Helper()
	var out, log bytes.Buffer
	o.Out, o.Log, o.Packages, o.Now = &out, &log, []string{"./bank"}, time.Now
	if o.Patience == 0 {
		o.Patience = time.Second
	}
	err := Run(t.Context(), o)
	t.Log(log.String())
	return out.String(), err
}

func TestRun(t *testing.T) {
	t.Parallel()
	o := Options{Dir: module(t), Operators: []string{"boundary"}, Cache: filepath.Join(t.TempDir(), "cache")}
	report, err := run(t, o)
	require.ErrorIs(t, err, ErrSurvivors)
	assert.Contains(t, report, "| bank | 4 | 1 | 0 | 3 | 0 | 0 | 0 |\n")
	assert.Contains(t, report, "survived: bank/bank.go:6:9: boundary in Fee\n- if sum > 100 {\n+ if sum >= 100 {\n", "no test asks for the fee of 100")
	assert.Contains(t, report, "survived: bank/bank.go:13:8: boundary in Wait\n", "one turn more makes no difference")
	assert.Contains(t, report, "survived, not reached by a test: bank/bank.go:18:39: boundary in Forgotten\n")
	assert.NotContains(t, report, "in Enough", "the tests notice this one")

	o.Tests = []string{"./user"}
	report, err = run(t, o)
	require.ErrorIs(t, err, ErrSurvivors)
	assert.NotContains(t, report, "in Forgotten", "another package's test notices it")
	assert.Contains(t, report, "| bank | 4 | 2 | 0 | 2 | 0 | 0 | 0 |\n", "and what was kept of the first run says the same of the others")

	o.Run = "TestEnough"
	report, err = run(t, o)
	require.ErrorIs(t, err, ErrSurvivors)
	assert.Contains(t, report, "| bank | 4 | 1 | 0 | 3 | 0 | 0 | 0 |\n", "only this test is run")
}

func TestMutantsThatNeverEnd(t *testing.T) {
	t.Parallel()
	report, err := run(t, Options{Dir: module(t), Operators: []string{"remove"}, Patience: time.Second})
	require.NoError(t, err)
	assert.Contains(t, report, "| bank | 1 | 1 | 1 | 0 | 0 | 0 | 0 |\n")
}

// knownIn writes a list of known survivors.
func knownIn(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "known.yaml")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

const theKnown = `
- file: bank/bank.go
  function: Wait
  before: for n > 0 {
  after: for n >= 0 {
  equivalent: true
  reason: One turn more makes no difference.
- file: bank/bank.go
  function: Fee
  before: if sum > 100 {
  after: if sum >= 100 {
  reason: Nobody pays 100.
- file: bank/bank.go
  function: Forgotten
  before: func Forgotten(a int) bool { return a < 5 }
  after: func Forgotten(a int) bool { return a <= 5 }
  reason: It is to be removed.
`

func TestKnownSurvivors(t *testing.T) {
	t.Parallel()
	o := Options{Dir: module(t), Operators: []string{"boundary"}, Known: knownIn(t, theKnown)}
	report, err := run(t, o)
	require.NoError(t, err)
	assert.Contains(t, report, "| bank | 4 | 1 | 0 | 0 | 2 | 1 | 0 |\n")

	o.Known = knownIn(t, theKnown+`
- file: bank/bank.go
  function: Fee
  before: if sum > 50 {
  after: if sum >= 50 {
  reason: This line was changed since.
- file: bank/gone.go
  function: Fee
  before: "1"
  after: "2"
  reason: This file was removed.
`)
	report, err = run(t, o)
	require.ErrorIs(t, err, ErrSurvivors)
	assert.Contains(t, report, "listed, but 0 mutants: bank/bank.go, Fee\n- if sum > 50 {\n+ if sum >= 50 {\n")
	assert.Contains(t, report, "listed, but 0 mutants: bank/gone.go, Fee\n")

	o.Known, o.Listed, o.Tests = knownIn(t, theKnown), true, []string{"./user"}
	report, err = run(t, o)
	require.ErrorIs(t, err, ErrSurvivors)
	assert.Contains(t, report, "killed although listed: bank/bank.go:18:39: boundary in Forgotten\n")
	assert.Contains(t, report, "| bank | 4 | 2 | 0 | 0 | 1 | 1 | 0 |\n")
}

func TestKnownSurvivorsOfLinesThatAreThereTwice(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "go.mod", "module example.com/m\n\ngo 1.26\n")
	write(t, dir, "p/p.go", "package p\n\nfunc F(a, b bool) bool {\n\tif a {\n\t\treturn true\n\t}\n\tif b {\n\t\treturn true\n\t}\n\treturn false\n}\n")
	entry := survivor{File: "p/p.go", Function: "F", Before: "return true", After: "return false", Reason: "one"}
	stale, err := register{entry}.stale(t.Context(), dir)
	require.NoError(t, err)
	assert.Equal(t, []string{"listed, but 2 mutants: p/p.go, F\n- return true\n+ return false"}, stale)
	entry.Follows = "if b {"
	stale, err = register{entry}.stale(t.Context(), dir)
	require.NoError(t, err)
	assert.Empty(t, stale)
	all, err := load(t.Context(), dir, []string{"./p"})
	require.NoError(t, err)
	var lines []int
	for _, m := range all {
		if _, known := (register{entry}).find(m); known {
			lines = append(lines, m.Line)
		}
	}
	assert.Equal(t, []int{8}, lines)
}

func TestKnownSurvivorsNeedAReason(t *testing.T) {
	_, err := readKnown(knownIn(t, "- {file: a.go, function: F, before: a, after: b}"))
	require.ErrorContains(t, err, "b in a.go has no reason")
	_, err = readKnown(knownIn(t, "- {file: a.go, line: 3, reason: c}"))
	require.ErrorContains(t, err, "line")
	_, err = readKnown(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
	known, err := readKnown(knownIn(t, "# none\n"))
	require.NoError(t, err)
	assert.Empty(t, known)
}

// The entries of the list in the tree are mutants, and each is listed once.
func TestKnownSurvivorsOfThisTree(t *testing.T) {
	known, err := readKnown("known.yaml")
	require.NoError(t, err)
	stale, err := known.stale(t.Context(), "../../..")
	require.NoError(t, err)
	assert.Empty(t, stale)
	seen := map[survivor]bool{}
	for _, s := range known {
		s.Reason, s.Equivalent = "", false
		assert.False(t, seen[s], "%v is listed twice", s)
		seen[s] = true
	}
}

func TestTestsThatFailWithoutAMutation(t *testing.T) {
	t.Parallel()
	dir := module(t)
	write(t, dir, "bank/fails_test.go", "package bank\n\nimport \"testing\"\n\nfunc TestFails(t *testing.T) { t.Fatal(\"oh\") }\n")
	_, err := run(t, Options{Dir: dir})
	require.ErrorContains(t, err, "the tests fail without a mutation")
	assert.ErrorContains(t, err, "oh")
}

func TestChoice(t *testing.T) {
	all, err := load(t.Context(), ".", []string{"."})
	require.NoError(t, err)
	names := func(chosen []Mutant) []string {
		var names []string
		for _, m := range chosen {
			names = append(names, m.diff())
		}
		return names
	}
	some := choose(all, Options{Number: 20, Seed: 1})
	assert.Len(t, some, 20)
	assert.Equal(t, names(some), names(choose(all, Options{Number: 20, Seed: 1})), "the same seed, the same choice")
	assert.NotEqual(t, names(some), names(choose(all, Options{Number: 20, Seed: 2})))
	assert.Subset(t, names(choose(all, Options{Number: 40, Seed: 1})), names(some), "more are these and others")
	assert.Len(t, choose(all, Options{}), len(all))

	for _, m := range mutantsIn(t, all, "/s[qu]") {
		assert.Contains(t, []string{"internal/qa/mutants/sql.go", "internal/qa/mutants/suite.go"}, m.File)
	}
	assert.Len(t, mutantsIn(t, all, ""), len(all))
	_, err = Options{Files: "("}.inFiles(all)
	require.Error(t, err)

	moved := make([]Mutant, len(all))
	for i, m := range all {
		m.Line += 7
		moved[i] = m
	}
	for i, m := range choose(moved, Options{Number: 20, Seed: 1}) {
		assert.Equal(t, some[i].After, m.After, "lines that move do not change the choice")
	}
	for _, m := range choose(all, Options{Operators: []string{"swap", "logic"}}) {
		assert.Contains(t, []string{"swap-arguments", "swap-fields", "logic"}, m.Operator)
	}
}

// mutantsIn are those in files that match a pattern: some.
func mutantsIn(t *testing.T, all []Mutant, files string) []Mutant {
	t.Helper()
	found, err := Options{Files: files}.inFiles(slices.Clone(all))
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return found
}

func TestChangedLines(t *testing.T) {
	text := "one\n\tf(a,\n\t\tb,\n\t\tc)\nlast"
	start := len("one\n\t")
	end := len("one\n\tf(a,\n\t\tb,\n\t\tc)")
	before, after := changedLines([]byte(text), []edit{{start, start, "if false { "}, {end, end, " }"}})
	assert.Equal(t, "f(a,\nc)", before)
	assert.Equal(t, "if false { f(a,\nc) }", after)
	before, after = changedLines([]byte(text), []edit{{start, end, ""}})
	assert.Equal(t, "f(a,\nb,\nc)", before)
	assert.Empty(t, after)
	assert.Equal(t, "one", lineBefore([]byte(text), start))
	assert.Empty(t, lineBefore([]byte(text), 1))
}
