package mutants

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"
)

// An outcome says what became of a mutant.
type outcome string

const (
	killed      outcome = "killed"
	timedOut    outcome = "killed by time"
	survived    outcome = "survived"
	notReached  outcome = "survived, not reached by a test"
	notCompiled outcome = "not compiled"
	accepted    outcome = "listed"     // known, with a reason
	equivalent  outcome = "equivalent" // known, and no test can notice it
	unlisted    outcome = "killed although listed"
)

// fails tells whether a run with this outcome fails.
func (o outcome) fails() bool { return o == survived || o == notReached || o == unlisted }

// trial is a mutant and what became of it.
type trial struct {
	Mutant
	outcome outcome
	by      string // the test that killed it
}

// firstBatch is how long the tests take, without a mutation, that are run first. Most mutants are killed by these.
const firstBatch = 2 * time.Second

// runner runs tests against mutants.
type runner struct {
	Options
	known  register
	own    map[string]*suite // by import path
	others []*suite
}

// try runs the tests against every mutant. When the context ends it returns those that were tried.
func try(ctx context.Context, o Options, known register, chosen []Mutant) ([]trial, error) {
	r := runner{Options: o, known: known, own: map[string]*suite{}}
	if err := r.findTests(ctx, chosen); err != nil {
		return nil, err
	}
	var tried []trial
	for i, m := range chosen {
		start := r.Now()
		t, err := r.try(ctx, m)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return tried, err
		}
		tried = append(tried, t)
		fmt.Fprintf(r.Log, "%d/%d %5.1fs %s:%d:%d %s: %s %s\n", i+1, len(chosen), r.Now().Sub(start).Seconds(), m.File, m.Line, m.Column,
			m.Operator, t.outcome, t.by)
	}
	return tried, nil
}

// findTests looks at the tests of the packages that are changed, and of the further ones.
func (r *runner) findTests(ctx context.Context, chosen []Mutant) error {
	changed := map[string]bool{}
	for _, m := range chosen {
		changed[m.Package] = true
	}
	packages := slices.Sorted(maps.Keys(changed))
	for _, pkg := range packages {
		s, err := r.suiteOf(ctx, pkg, packages)
		if err != nil {
			return err
		}
		r.own[pkg] = s
	}
	if len(r.Tests) == 0 {
		return nil
	}
	_, further, err := where(ctx, r.Dir, r.Tests)
	if err != nil {
		return err
	}
	for _, pkg := range further {
		s := r.own[pkg]
		if s == nil {
			if s, err = r.suiteOf(ctx, pkg, packages); err != nil {
				return err
			}
		}
		r.others = append(r.others, s)
	}
	return nil
}

func (r *runner) suiteOf(ctx context.Context, pkg string, changed []string) (*suite, error) {
	dirs, _, err := where(ctx, r.Dir, []string{pkg})
	if err != nil {
		return nil, err
	}
	start := r.Now()
	s, err := newSuite(ctx, r.Options, pkg, dirs[pkg], changed)
	if err == nil {
		fmt.Fprintf(r.Log, "%s: looked at %d tests in %.1fs\n", pkg, len(s.Units), r.Now().Sub(start).Seconds())
	}
	return s, err
}

// try compiles a mutant and runs the tests against it that reach it, unless it is known to survive.
func (r *runner) try(ctx context.Context, m Mutant) (trial, error) {
	entry, known := r.known.find(m)
	usual := accepted
	if entry.Equivalent {
		usual = equivalent
	}
	if known && !r.Listed {
		return trial{m, usual, ""}, nil
	}
	t, err := r.run(ctx, m)
	switch {
	case known && (t.outcome == killed || t.outcome == timedOut):
		t.outcome = unlisted
	case known && t.outcome != notCompiled:
		t.outcome = usual
	}
	return t, err
}

// run is try for a mutant of which nothing is known.
func (r *runner) run(ctx context.Context, m Mutant) (trial, error) {
	work, err := newWork()
	if err != nil {
		return trial{}, err
	}
	defer os.RemoveAll(work)
	overlay, err := m.overlay(work)
	if err != nil {
		return trial{}, err
	}
	result := trial{m, notReached, ""}
	for _, s := range r.suitesFor(m) {
		units := s.reaching(m)
		if len(units) == 0 {
			continue
		}
		binary := filepath.Join(work, "mutant.test")
		out, err := goCommand(ctx, r.Dir, "test", "-c", "-ldflags=-s -w", "-overlay="+overlay, "-o", binary, s.Package)
		if err != nil {
			return trial{m, notCompiled, firstLine(out)}, ctx.Err()
		}
		first := batch(units)
		for _, some := range [][]unit{units[:first], units[first:]} {
			result.outcome, result.by, err = r.test(ctx, s, binary, work, some)
			if err != nil || result.outcome != survived {
				return result, err
			}
		}
	}
	return result, nil
}

// suitesFor returns the suites in the order in which they are run.
func (r *runner) suitesFor(m Mutant) []*suite {
	suites := []*suite{r.own[m.Package]}
	for _, s := range r.others {
		if s.Package != m.Package {
			suites = append(suites, s)
		}
	}
	return suites
}

// batch is how many of the units, quickest first, are run at first: it is one at least.
func batch(units []unit) int {
	var sum time.Duration
	for i, u := range units {
		if sum += u.Time; i > 0 && sum > firstBatch {
			return i
		}
	}
	return len(units)
}

// overlay writes the changed file and tells the go command of it.
func (m Mutant) overlay(work string) (string, error) {
	source, err := os.ReadFile(m.path)
	if err != nil {
		return "", err
	}
	changed := filepath.Join(work, filepath.Base(m.path))
	if err := os.WriteFile(changed, m.text(source), 0o600); err != nil { //nolint:gosec // in a directory made here
		return "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{m.path: changed}})
	if err != nil {
		return "", err
	}
	name := filepath.Join(work, "overlay.json")
	return name, os.WriteFile(name, text, 0o600)
}

// test runs units against a mutant until one fails. One that takes far longer than without the mutation kills it too.
func (r *runner) test(ctx context.Context, s *suite, binary, work string, units []unit) (outcome, string, error) {
	if len(units) == 0 {
		return survived, "", nil
	}
	var usual time.Duration
	for _, u := range units {
		usual += u.Time
	}
	limited, stop := context.WithTimeout(ctx, r.Patience+4*usual)
	defer stop()
	command := exec.CommandContext(limited, binary, "-test.failfast", "-test.run="+only(units), "-test.skip="+r.Skip) //nolint:gosec // made here
	command.Dir = s.Dir
	command.Env = environment(work)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	out, err := command.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "", "", ctx.Err()
	case limited.Err() != nil:
		return timedOut, "", nil
	case err != nil:
		return killed, failed(out), nil
	}
	return survived, "", nil
}

// failed is the test that failed, if it can be told: the innermost one, which has the longest name.
func failed(out []byte) string {
	name := ""
	for _, found := range regexp.MustCompile(`(?m)^ *--- FAIL: (.+) \(`).FindAllSubmatch(out, -1) {
		if len(found[1]) > len(name) {
			name = string(found[1])
		}
	}
	if name == "" {
		return firstLine(out)
	}
	return "by " + name
}

// firstLine is the first line that is not a heading of the go command.
func firstLine(out []byte) string {
	found := regexp.MustCompile(`(?m)^[^#\s].*$`).Find(out)
	return string(found)
}
