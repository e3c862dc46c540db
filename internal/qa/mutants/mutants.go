// Package mutants measures whether the tests notice a change of the code. It makes mutants of Go packages, small changes such
// as a turned comparison, a call left out or two columns of an SQL text swapped, and runs the quickest tests that reach the
// changed place against each. A mutant that a test fails on, or that takes far longer than the original, is killed. One that
// every test passes on has survived: either a test is missing, or the change makes no difference, and then it is listed with
// a reason in known.yaml.
//
// The working tree is never edited: a mutant is compiled with the overlay of the go command.
//
// A maintained tool was looked for first. Gremlins (v0.6.0 of 2025-12) changes operators only: it leaves string literals,
// arguments, statements and composite literals alone, copies the module for its runs, and has no list of known survivors.
package mutants

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrSurvivors says that a mutant has survived that is not listed, or that a listed one is not as listed any more.
var ErrSurvivors = errors.New("the tests do not notice every mutant")

// Options says what a run does.
type Options struct {
	Dir       string   // the module's directory
	Packages  []string // the packages to change, as patterns of the go command
	Files     string   // change only files whose names, from the module's directory on, match this regular expression
	Tests     []string // further packages whose tests are run, after the changed package's own
	Run       string   // run only tests that match this pattern, as in go test -run
	Skip      string   // leave out tests that match this one, as in go test -skip
	Operators []string // how to change: names of operators, or their beginnings; none means all
	Number    int      // how many mutants to choose; 0 means all
	Seed      uint64   // which ones
	Known     string   // the file that lists known survivors; may be empty
	Listed    bool     // run the listed ones too, and fail when one is killed
	List      bool     // only list the chosen mutants
	Cache     string   // a directory that keeps which test reaches what; may be empty
	Now       func() time.Time
	Patience  time.Duration // what a run of tests may take beyond four times what it took without a mutation
	Out, Log  io.Writer     // the result; one line for each mutant
}

// Run makes mutants and runs the tests against them. It returns ErrSurvivors when one survives that is not listed.
func Run(ctx context.Context, o Options) error {
	known, err := readKnown(o.Known)
	if err != nil {
		return err
	}
	all, err := load(ctx, o.Dir, o.Packages)
	if err != nil {
		return err
	}
	stale, err := known.stale(ctx, o.Dir)
	if err != nil {
		return err
	}
	if all, err = o.inFiles(all); err != nil {
		return err
	}
	chosen := choose(all, o)
	if o.List {
		return printAll(o.Out, chosen)
	}
	tried, err := try(ctx, o, known, chosen)
	report(o.Out, tried, stale)
	if err == nil && (len(stale) > 0 || survivors(tried) > 0) {
		err = ErrSurvivors
	}
	return err
}

// printAll prints mutants and does not run them.
func printAll(out io.Writer, chosen []Mutant) error {
	for _, m := range chosen {
		if _, err := fmt.Fprintln(out, m.diff()); err != nil {
			return err
		}
	}
	return nil
}
