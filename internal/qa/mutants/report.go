package mutants

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// tally counts the trials of a package or operator.
type tally struct {
	name   string
	counts map[outcome]int
	all    int
}

// tallies counts trials by a name, in the order of the names.
func tallies(tried []trial, name func(trial) string) []tally {
	counted := map[string]tally{}
	for _, t := range tried {
		c, ok := counted[name(t)]
		if !ok {
			c = tally{name: name(t), counts: map[outcome]int{}}
		}
		c.counts[t.outcome]++
		c.all++
		counted[name(t)] = c
	}
	return slices.SortedFunc(maps.Values(counted), func(a, b tally) int { return cmp.Compare(a.name, b.name) })
}

// report prints the tables, each survivor as a diff with its position, and the entries that are not true any more.
func report(out io.Writer, tried []trial, stale []string) {
	short := func(t trial) string { return t.File[:max(0, strings.LastIndexByte(t.File, '/'))] }
	table(out, "package", append(tallies(tried, short), tallies(tried, func(trial) string { return "all" })...))
	table(out, "operator", tallies(tried, func(t trial) string { return t.Operator }))
	for _, t := range tried {
		if t.outcome.fails() {
			fmt.Fprintf(out, "\n%s: %s\n", t.outcome, t.diff())
		}
	}
	for _, s := range stale {
		fmt.Fprintf(out, "\n%s\n", s)
	}
}

// table prints tallies as Markdown.
func table(out io.Writer, heading string, rows []tally) {
	fmt.Fprintf(out, "\n| %s | mutants | killed | of these by time | survived | listed | equivalent | not compiled |\n", heading)
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		fmt.Fprintf(out, "| %s | %d | %d | %d | %d | %d | %d | %d |\n", r.name, r.all, r.counts[killed]+r.counts[timedOut]+r.counts[unlisted],
			r.counts[timedOut], r.counts[survived]+r.counts[notReached], r.counts[accepted], r.counts[equivalent], r.counts[notCompiled])
	}
}

// survivors counts the trials that make a run fail.
func survivors(tried []trial) int {
	n := 0
	for _, t := range tried {
		if t.outcome.fails() {
			n++
		}
	}
	return n
}
