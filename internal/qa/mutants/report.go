package mutants

import (
	"fmt"
	"io"
	"strings"
)

// tally counts the trials of a package or operator.
type tally struct {
	name   string
	counts map[outcome]int
	all    int
}

// tallies counts trials by a name, in the order of their first.
func tallies(tried []trial, name func(trial) string) []tally {
	at := map[string]int{}
	var counted []tally
	for _, t := range tried {
		i, ok := at[name(t)]
		if !ok {
			i = len(counted)
			at[name(t)] = i
			counted = append(counted, tally{name: name(t), counts: map[outcome]int{}})
		}
		counted[i].counts[t.outcome]++
		counted[i].all++
	}
	return counted
}

// report prints the tables, each survivor as a diff with its position, and the entries that are not true any more.
func report(out io.Writer, tried []trial, stale []survivor) {
	short := func(t trial) string { return t.File[:max(0, strings.LastIndexByte(t.File, '/'))] }
	table(out, "package", append(tallies(tried, short), tallies(tried, func(trial) string { return "all" })...))
	table(out, "operator", tallies(tried, func(t trial) string { return t.Operator }))
	for _, t := range tried {
		switch t.outcome {
		case survived, notReached, unlisted:
			fmt.Fprintf(out, "\n%s: %s\n", t.outcome, t.diff())
		}
	}
	for _, s := range stale {
		fmt.Fprintf(out, "\nlisted, but no mutant any more: %s, %s\n- %s\n+ %s\n", s.File, s.Function, s.Before, s.After)
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
		if t.outcome == survived || t.outcome == notReached || t.outcome == unlisted {
			n++
		}
	}
	return n
}
