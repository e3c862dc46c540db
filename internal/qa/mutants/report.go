package mutants

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// counts are numbers of trials of a package or operator.
type counts struct {
	name string
	of   map[outcome]int
	all  int
}

// countBy counts trials by a name, in the order of the names.
func countBy(tried []trial, name func(trial) string) []counts {
	counted := map[string]counts{}
	for _, t := range tried {
		c, ok := counted[name(t)]
		if !ok {
			c = counts{name: name(t), of: map[outcome]int{}}
		}
		c.of[t.outcome]++
		c.all++
		counted[name(t)] = c
	}
	return slices.SortedFunc(maps.Values(counted), func(a, b counts) int { return cmp.Compare(a.name, b.name) })
}

// report prints the tables, each survivor as a diff with its position, and the entries that are not true any more.
func report(out io.Writer, tried []trial, stale []string) {
	short := func(t trial) string { return t.File[:max(0, strings.LastIndexByte(t.File, '/'))] }
	table(out, "package", append(countBy(tried, short), countBy(tried, func(trial) string { return "all" })...))
	table(out, "operator", countBy(tried, func(t trial) string { return t.Operator }))
	for _, t := range tried {
		if t.outcome.fails() {
			fmt.Fprintf(out, "\n%s: %s\n", t.outcome, t.diff())
		}
	}
	for _, s := range stale {
		fmt.Fprintf(out, "\n%s\n", s)
	}
}

// table prints counts as Markdown.
func table(out io.Writer, heading string, rows []counts) {
	fmt.Fprintf(out, "\n| %s | mutants | killed | of these by time | survived | listed | equivalent | not compiled |\n", heading)
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		fmt.Fprintf(out, "| %s | %d | %d | %d | %d | %d | %d | %d |\n", r.name, r.all, r.of[killed]+r.of[timedOut]+r.of[unlisted],
			r.of[timedOut], r.of[survived]+r.of[notReached], r.of[accepted], r.of[equivalent], r.of[notCompiled])
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
