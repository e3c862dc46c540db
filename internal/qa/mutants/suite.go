package mutants

import (
	"bytes"
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
	"strconv"
	"strings"
	"time"

	"golang.org/x/tools/cover"
)

// divideAbove is the time of a test from which its subtests are looked at one by one.
const divideAbove = time.Second

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
	Name    string
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
	p := prober{suite: s, binary: binary, work: work}
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
	sum := sha256.Sum256(append(text, o.Run...))
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
	suite        *suite
	binary, work string
}

// probe runs every test of a pattern by itself. A long test is divided into its subtests, when these pass by themselves.
func (p prober) probe(ctx context.Context, pattern string) error {
	out, err := p.run(ctx, pattern, "-test.v")
	if err != nil {
		return fmt.Errorf("the tests fail without a mutation: %w\n%s", err, tail(out))
	}
	for _, t := range passed(out) {
		if t.time > divideAbove && len(t.subtests) > 1 {
			if units, ok := p.subtests(ctx, t.subtests); ok {
				p.suite.Units = append(p.suite.Units, units...)
				continue
			}
		}
		u, err := p.unit(ctx, t.name)
		if err != nil {
			return err
		}
		p.suite.Units = append(p.suite.Units, u)
	}
	return nil
}

func (p prober) subtests(ctx context.Context, names []string) ([]unit, bool) {
	var units []unit
	for _, name := range names {
		u, err := p.unit(ctx, name)
		if err != nil {
			return nil, false // it needs the others
		}
		units = append(units, u)
	}
	return units, true
}

// unit runs one test and notes its time and what it reaches.
func (p prober) unit(ctx context.Context, name string) (unit, error) {
	profile := filepath.Join(p.work, "profile")
	start := time.Now()
	if out, err := p.run(ctx, only([]unit{{Name: name}}), "-test.coverprofile="+profile); err != nil {
		return unit{}, fmt.Errorf("%s fails by itself: %w\n%s", name, err, tail(out))
	}
	u := unit{Name: name, Time: time.Since(start)}
	files, err := cover.ParseProfiles(profile)
	if err != nil {
		return unit{}, err
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
	return u, nil
}

func (p prober) run(ctx context.Context, pattern string, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, p.binary, append(args, "-test.run="+pattern)...) //nolint:gosec // made here
	command.Dir = p.suite.Dir
	command.Env = append(os.Environ(), "TMPDIR="+p.work)
	return command.CombinedOutput()
}

// ranTest is a test that has passed, with its subtests.
type ranTest struct {
	name     string
	time     time.Duration
	subtests []string
}

// passed reads the output of go test -v.
func passed(out []byte) []ranTest {
	lines := regexp.MustCompile(`(?m)^( *)--- PASS: (.+) \(([0-9.]+)s\)$`).FindAllSubmatch(out, -1)
	var tests []ranTest
	for _, line := range lines {
		name := string(line[2])
		switch depth := len(line[1]) / 4; {
		case depth == 0:
			seconds, err := strconv.ParseFloat(string(line[3]), 64)
			if err == nil {
				tests = append(tests, ranTest{name: name, time: time.Duration(seconds * float64(time.Second))})
			}
		case depth == 1 && len(tests) > 0:
			last := &tests[len(tests)-1]
			last.subtests = append(last.subtests, name)
		}
	}
	return tests
}

// only is the pattern that runs these units and no others.
func only(units []unit) string {
	patterns := make([]string, len(units))
	for i, u := range units {
		parts := strings.Split(u.Name, "/")
		for j, part := range parts {
			parts[j] = "^" + regexp.QuoteMeta(part) + "$"
		}
		patterns[i] = strings.Join(parts, "/")
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
