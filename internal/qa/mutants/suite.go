package mutants

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/tools/cover"
)

// A test that takes longer than a second is divided into its subtests, unless it has so many that running each by itself would
// take longer than it saves.
const (
	divideAbove  = time.Second
	mostSubtests = 50
)

// A suite is the tests of one package and what they reach.
type suite struct {
	Package string
	Dir     string
	Blocks  []block
	Units   []unit // quickest first
}

// A block is a part of a file without branches.
type block struct {
	File                   string // import path and name
	Line, Column           int
	LastLine, BeyondColumn int
}

// A unit is a test or subtest that can be run by itself.
type unit struct {
	Pattern string // as for go test -run
	Time    time.Duration
	Reaches []int // indexes of blocks
}

// newSuite runs the tests of a package one by one and notes what they reach of the packages that are to be changed.
func newSuite(ctx context.Context, o Options, pkg, dir string, changed []string) (*suite, error) {
	work, err := newWork()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	binary := filepath.Join(work, "covered.test")
	args := []string{"test", "-c", "-o", binary, "-covermode=set", "-coverpkg=" + strings.Join(changed, ","), pkg}
	if out, err := goCommand(ctx, o.Dir, args...); err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	cached, err := o.cached(binary)
	if err != nil {
		return nil, err
	}
	if s := readSuite(cached); s != nil {
		return s, nil
	}
	s := &suite{Package: pkg, Dir: dir}
	p := prober{suite: s, now: o.Now, binary: binary, work: work, skip: o.Skip}
	if err := p.probe(ctx, o.Run); err != nil {
		return nil, fmt.Errorf("%s: %w", pkg, err)
	}
	slices.SortStableFunc(s.Units, func(a, b unit) int { return int(a.Time - b.Time) })
	return s, s.write(cached)
}

// cached is the file that keeps what the tests of a binary reach, or nothing if none is kept.
func (o Options) cached(binary string) (string, error) {
	if o.Cache == "" {
		return "", nil
	}
	text, err := os.ReadFile(binary) //nolint:gosec // made here
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(text, "%q %q", o.Run, o.Skip))
	return filepath.Join(o.Cache, hex.EncodeToString(sum[:16])+".json"), os.MkdirAll(o.Cache, 0o750)
}

// readSuite reads what is kept, or returns nil.
func readSuite(name string) *suite {
	text, err := os.ReadFile(name) //nolint:gosec // the name is a digest
	if name == "" || err != nil {
		return nil
	}
	s := &suite{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil
	}
	return s
}

func (s *suite) write(name string) error {
	if name == "" {
		return nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o600)
}

// prober fills a suite.
type prober struct {
	suite              *suite
	now                func() time.Time
	binary, work, skip string
}

// probe runs every test by itself whose name matches, and notes what it reaches. Behind a slash the pattern chooses subtests.
func (p prober) probe(ctx context.Context, pattern string) error {
	top, below, divided := strings.Cut(pattern, "/")
	out, err := p.run(ctx, "-test.list="+cmp.Or(top, "."))
	if err != nil {
		return fmt.Errorf("list the tests: %w\n%s", err, tail(out))
	}
	for name := range strings.Lines(string(out)) {
		test := exactly(strings.TrimSpace(name))
		if divided {
			test += "/" + below
		}
		if err := p.probeTest(ctx, test); err != nil {
			return err
		}
	}
	return nil
}

// probeTest runs a test, and if it takes long each of its subtests, when these pass by themselves.
func (p prober) probeTest(ctx context.Context, pattern string) error {
	whole, subtests, err := p.unit(ctx, pattern)
	switch {
	case errors.Is(err, errNoTests):
		return nil
	case err != nil:
		return fmt.Errorf("the tests fail without a mutation: %w", err)
	}
	units := []unit{whole}
	if whole.Time > divideAbove && len(subtests) > 1 && len(subtests) <= mostSubtests {
		if parts, ok := p.subtests(ctx, subtests); ok {
			units = parts
		}
	}
	p.suite.Units = append(p.suite.Units, units...)
	return nil
}

func (p prober) subtests(ctx context.Context, names []string) ([]unit, bool) {
	var units []unit
	for _, name := range names {
		u, _, err := p.unit(ctx, exactly(name))
		if err != nil {
			return nil, false // it needs the others
		}
		units = append(units, u)
	}
	return units, true
}

// errNoTests says that a name is that of a benchmark, or of a test that is left out.
var errNoTests = errors.New("no tests to run")

// unit runs the tests of a pattern and notes their time, what they reach, and the names of subtests.
func (p prober) unit(ctx context.Context, pattern string) (unit, []string, error) {
	profile := filepath.Join(p.work, "profile")
	start := p.now()
	out, err := p.run(ctx, "-test.v", "-test.run="+pattern, "-test.skip="+p.skip, "-test.coverprofile="+profile)
	if err != nil {
		return unit{}, nil, fmt.Errorf("%s: %w\n%s", pattern, err, tail(out))
	}
	if bytes.Contains(out, []byte("testing: warning: no tests to run")) {
		return unit{}, nil, errNoTests
	}
	u := unit{Pattern: pattern, Time: p.now().Sub(start)}
	files, err := cover.ParseProfiles(profile)
	if err != nil {
		return unit{}, nil, err
	}
	first := len(p.suite.Blocks) == 0
	i := 0
	for _, file := range files {
		for _, b := range file.Blocks {
			if first {
				p.suite.Blocks = append(p.suite.Blocks, block{file.FileName, b.StartLine, b.StartCol, b.EndLine, b.EndCol})
			}
			if b.Count > 0 {
				u.Reaches = append(u.Reaches, i)
			}
			i++
		}
	}
	return u, passedSubtests(out), nil
}

func (p prober) run(ctx context.Context, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, p.binary, args...) //nolint:gosec // made here
	command.Dir = p.suite.Dir
	command.Env = environment(p.work)
	return command.CombinedOutput()
}

// environment lets tests leave nothing in the tree, and lets those with random input have the same one in every run.
func environment(work string) []string {
	return append(os.Environ(), "TMPDIR="+work, "RAPID_NOFAILFILE=true", "RAPID_SEED=1", "RAPID_SHRINKTIME=1s")
}

// passedSubtests reads the names of subtests, without those below them, from the output of go test -v.
func passedSubtests(out []byte) []string {
	var names []string
	for _, line := range regexp.MustCompile(`(?m)^ {4}--- PASS: (.+) \([0-9.]+s\)$`).FindAllSubmatch(out, -1) {
		names = append(names, string(line[1]))
	}
	return names
}

// exactly is the pattern of the one test or subtest with this name.
func exactly(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// only is the pattern that runs these units and no others.
func only(units []unit) string {
	patterns := make([]string, len(units))
	for i, u := range units {
		patterns[i] = u.Pattern
	}
	return strings.Join(patterns, "|")
}

// reaching returns the units that reach a mutant. What is in no block is reached by those that reach its function, and what is
// outside functions by all.
func (s *suite) reaching(m Mutant) []unit {
	file := path.Join(m.Package, path.Base(m.File))
	exact, within := -1, map[int]bool{}
	for i, b := range s.Blocks {
		if b.File != file {
			continue
		}
		if b.holds(m.Line, m.Column) && (exact < 0 || s.Blocks[exact].before(b)) {
			exact = i
		}
		if b.Line >= m.first && b.LastLine <= m.last {
			within[i] = true
		}
	}
	if exact >= 0 {
		within = map[int]bool{exact: true}
	}
	var found []unit
	for _, u := range s.Units {
		if m.Function == "" || slices.ContainsFunc(u.Reaches, func(i int) bool { return within[i] }) {
			found = append(found, u)
		}
	}
	return found
}

func (b block) holds(line, column int) bool {
	return (b.Line < line || b.Line == line && b.Column <= column) &&
		(line < b.LastLine || line == b.LastLine && column < b.BeyondColumn)
}

func (b block) before(other block) bool {
	return b.Line < other.Line || b.Line == other.Line && b.Column < other.Column
}

// newWork makes a directory for binaries and for what tests leave behind when they are killed.
func newWork() (string, error) {
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711) //nolint:gosec // PostgreSQL runs as a user of its own and has to reach what tests keep here
}

func goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the caller's arguments
	command.Dir = dir
	return command.CombinedOutput()
}

// tail is the end of a long output.
func tail(out []byte) []byte {
	const most = 4000
	return bytes.TrimSpace(out[max(0, len(out)-most):])
}

// where tells the import path and the directory of packages.
func where(ctx context.Context, dir string, patterns []string) (map[string]string, []string, error) {
	command := exec.CommandContext(ctx, "go", append([]string{"list", "-f", "{{.ImportPath}}\t{{.Dir}}"}, patterns...)...) //nolint:gosec // the caller's patterns
	command.Dir = dir
	out, err := command.Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return nil, nil, fmt.Errorf("go list: %w\n%s", err, failed.Stderr)
	}
	dirs, order := map[string]string{}, []string{}
	for line := range strings.Lines(string(out)) {
		if pkg, at, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			dirs[pkg] = at
			order = append(order, pkg)
		}
	}
	return dirs, order, err
}
