package mutants

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// An edit replaces the bytes of a file from start to end with a text.
type edit struct {
	start, end int
	text       string
}

// Mutant is one change of one file.
type Mutant struct {
	Package  string // import path
	File     string // relative to the module, with slashes
	Function string // as in (*Keys).Get; empty outside functions
	Operator string
	Line     int
	Column   int
	Before   string // the changed lines
	After    string
	Follows  string // the line before them

	path     string // of the file on this machine
	edits    []edit
	first    int // the lines of the function, or 0
	last     int
	sequence int // among the mutants of its package, in the order of the source
}

// text is the file's text with the change made.
func (m Mutant) text(source []byte) []byte { return apply(source, m.edits) }

// apply makes edits, which must not overlap.
func apply(source []byte, edits []edit) []byte {
	sorted := slices.SortedFunc(slices.Values(edits), func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	var out []byte
	at := 0
	for _, e := range sorted {
		out = append(append(out, source[at:e.start]...), e.text...)
		at = e.end
	}
	return append(out, source[at:]...)
}

// changedLines returns the lines that edits change, before and after, without indentation.
func changedLines(source []byte, edits []edit) (before, after string) {
	start, end := len(source), 0
	for _, e := range edits {
		start, end = min(start, e.start), max(end, e.end)
	}
	start = strings.LastIndexByte(string(source[:start]), '\n') + 1
	if rest := strings.IndexByte(string(source[end:]), '\n'); rest >= 0 {
		end += rest
	} else {
		end = len(source)
	}
	moved := make([]edit, len(edits))
	for i, e := range edits {
		moved[i] = edit{e.start - start, e.end - start, e.text}
	}
	old := strings.Split(string(source[start:end]), "\n")
	changed := strings.Split(string(apply(source[start:end], moved)), "\n")
	return trimmed(old, changed), trimmed(changed, old)
}

// lineBefore returns the line before the one that a place is in, without indentation.
func lineBefore(source []byte, at int) string {
	lines := strings.Split(string(source[:at]), "\n")
	if len(lines) < 2 {
		return ""
	}
	return strings.TrimSpace(lines[len(lines)-2])
}

// trimmed joins the lines of one text that differ from the other's, if both have as many; otherwise all lines.
func trimmed(lines, others []string) string {
	var kept []string
	for i, line := range lines {
		if len(lines) != len(others) || line != others[i] {
			kept = append(kept, strings.TrimSpace(line))
		}
	}
	return strings.Join(kept, "\n")
}

// diff shows the mutant with its position.
func (m Mutant) diff() string {
	return fmt.Sprintf("%s:%d:%d: %s in %s\n- %s\n+ %s", m.File, m.Line, m.Column, m.Operator, m.place(),
		strings.ReplaceAll(m.Before, "\n", "\n- "), strings.ReplaceAll(m.After, "\n", "\n+ "))
}

func (m Mutant) place() string {
	if m.Function == "" {
		return "no function"
	}
	return m.Function
}

// choose takes a number of mutants, of all packages together. The choice depends on the seed and on what each mutant changes,
// not on its position: an edit elsewhere in the code leaves it as it is.
func choose(all []Mutant, o Options) []Mutant {
	var chosen []Mutant
	for _, m := range all {
		if o.wants(m.Operator) {
			chosen = append(chosen, m)
		}
	}
	if o.Number > 0 && o.Number < len(chosen) {
		slices.SortStableFunc(chosen, func(a, b Mutant) int { return cmp.Compare(a.rank(o.Seed), b.rank(o.Seed)) })
		chosen = chosen[:o.Number]
	}
	slices.SortFunc(chosen, func(a, b Mutant) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.sequence, b.sequence))
	})
	return chosen
}

// inFiles leaves the mutants of the files that are wanted.
func (o Options) inFiles(all []Mutant) ([]Mutant, error) {
	pattern, err := regexp.Compile(o.Files)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(m Mutant) bool { return !pattern.MatchString(m.File) }), nil
}

func (o Options) wants(operator string) bool {
	return len(o.Operators) == 0 ||
		slices.ContainsFunc(o.Operators, func(wanted string) bool { return strings.HasPrefix(operator, wanted) })
}

// rank is a number that looks random.
func (m Mutant) rank(seed uint64) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s\n%s\n%s\n%s\n%s", seed, m.File, m.Function, m.Operator, m.Before, m.After))
	return binary.BigEndian.Uint64(sum[:])
}
