package mutants

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPassed(t *testing.T) {
	out := []byte(`=== RUN   TestA
--- PASS: TestA (0.25s)
--- PASS: TestB (1.50s)
    --- PASS: TestB/first_one (1.00s)
        --- PASS: TestB/first_one/deeper (1.00s)
    --- SKIP: TestB/left_out (0.00s)
    --- PASS: TestB/a/b (0.50s)
--- SKIP: TestC (0.00s)
`)
	assert.Equal(t, []ranTest{
		{name: "TestA", time: 250 * time.Millisecond},
		{"TestB", 1500 * time.Millisecond, []string{"TestB/first_one", "TestB/a/b"}},
	}, passed(out))
}

func TestOnly(t *testing.T) {
	assert.Equal(t, `^TestA$|^TestB$/^of_1\+1$`, only([]unit{{Name: "TestA"}, {Name: "TestB/of_1+1"}}))
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
		Units: []unit{{Name: "A", Reaches: []int{0}}, {Name: "B", Reaches: []int{0, 1}}, {Name: "C", Reaches: []int{2}}},
	}
	names := func(m Mutant) []string {
		m.Package, m.File = "m/p", "p/a.go"
		var names []string
		for _, u := range s.reaching(m) {
			names = append(names, u.Name)
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
	s, err := newSuite(t.Context(), Options{Dir: dir, Run: "Long"}, "example.com/m/bank", dir, []string{"./bank"})
	require.NoError(t, err)
	var names []string
	for _, u := range s.Units {
		names = append(names, u.Name)
	}
	assert.ElementsMatch(t, []string{"TestLong/one", "TestLong/two", "TestLongAndOneByOne"}, names)
}
