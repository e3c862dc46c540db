package mutants

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPassedSubtests(t *testing.T) {
	out := []byte(`=== RUN   TestB
--- PASS: TestB (1.50s)
    --- PASS: TestB/first_one (1.00s)
        --- PASS: TestB/first_one/deeper (1.00s)
    --- SKIP: TestB/left_out (0.00s)
    --- PASS: TestB/a/b (0.50s)
PASS
`)
	assert.Equal(t, []string{"TestB/first_one", "TestB/a/b"}, passedSubtests(out))
}

func TestFailed(t *testing.T) {
	assert.Equal(t, "by TestA/x y", failed([]byte("ok\n--- FAIL: TestA (0.10s)\n    --- FAIL: TestA/x y (0.10s)\n        a_test.go:1: no\nFAIL\n")))
	assert.Equal(t, "fatal error: deadlock", failed([]byte("# a\nfatal error: deadlock\n\ngoroutine 1\n")))
}

func TestPatterns(t *testing.T) {
	assert.Equal(t, `^TestB$/^of_1\+1$`, exactly("TestB/of_1+1"))
	assert.Equal(t, `^TestA$|^TestB$/^one$`, only([]unit{{Pattern: "^TestA$"}, {Pattern: "^TestB$/^one$"}}))
}

func TestBatch(t *testing.T) {
	at := func(times ...time.Duration) []unit {
		var units []unit
		for _, took := range times {
			units = append(units, unit{Time: took})
		}
		return units
	}
	assert.Equal(t, 2, batch(at(time.Second, time.Second, time.Second)))
	assert.Equal(t, 1, batch(at(time.Minute, time.Minute)), "one at least")
	assert.Equal(t, 3, batch(at(1, 2, 3)))
}

func TestReaching(t *testing.T) {
	s := &suite{
		Blocks: []block{
			{"m/p/a.go", 3, 20, 9, 2}, // a function
			{"m/p/a.go", 5, 10, 7, 3}, // a branch of it
			{"m/p/b.go", 5, 10, 7, 3},
		},
		Units: []unit{{Pattern: "A", Reaches: []int{0}}, {Pattern: "B", Reaches: []int{0, 1}}, {Pattern: "C", Reaches: []int{2}}},
	}
	names := func(m Mutant) []string {
		m.Package, m.File = "m/p", "p/a.go"
		var names []string
		for _, u := range s.reaching(m) {
			names = append(names, u.Pattern)
		}
		return names
	}
	assert.Equal(t, []string{"A", "B"}, names(Mutant{Function: "f", Line: 4, Column: 1, first: 3, last: 9}))
	assert.Equal(t, []string{"B"}, names(Mutant{Function: "f", Line: 5, Column: 10, first: 3, last: 9}))
	assert.Equal(t, []string{"B"}, names(Mutant{Function: "f", Line: 7, Column: 2, first: 3, last: 9}))
	assert.Equal(t, []string{"A", "B"}, names(Mutant{Function: "f", Line: 7, Column: 3, first: 3, last: 9}))
	assert.Equal(t, []string{"A", "B"}, names(Mutant{Function: "f", Line: 3, Column: 5, first: 3, last: 9}), "in no block: what reaches the function")
	assert.Equal(t, []string{"A", "B", "C"}, names(Mutant{Line: 1, Column: 1}), "in no function: all")
	assert.Empty(t, names(Mutant{Function: "g", Line: 20, Column: 1, first: 20, last: 22}))
}

func TestDividedTests(t *testing.T) {
	t.Parallel()
	dir := module(t)
	write(t, dir, "bank/long_test.go", `package bank

import (
	"testing"
	"time"
)

func TestLong(t *testing.T) {
	for _, name := range []string{"one", "two"} {
		t.Run(name, func(t *testing.T) { time.Sleep(600*time.Millisecond) })
	}
}

func TestLongAndOneByOne(t *testing.T) {
	before := false
	t.Run("first", func(*testing.T) { before = true })
	t.Run("second", func(t *testing.T) {
		time.Sleep(1100*time.Millisecond)
		if !before {
			t.Fatal()
		}
	})
}
`)
	patterns := func(o Options) []string {
		o.Dir, o.Now = dir, time.Now
		s, err := newSuite(t.Context(), o, "example.com/m/bank", dir, []string{"./bank"})
		require.NoError(t, err)
		var all []string
		for _, u := range s.Units {
			all = append(all, u.Pattern)
		}
		return all
	}
	assert.ElementsMatch(t, []string{"^TestLong$/^one$", "^TestLong$/^two$", "^TestLongAndOneByOne$"}, patterns(Options{Run: "Long"}))
	assert.Equal(t, []string{"^TestLong$/one"}, patterns(Options{Run: "Long$/one"}))
	assert.Equal(t, []string{"^TestLong$"}, patterns(Options{Run: "Long", Skip: "/two|One"}), "the rest of it is quick")
}
