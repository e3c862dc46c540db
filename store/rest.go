package store

import (
	"slices"
	"strings"
	"time"
)

// A call with very much to do does it in pieces of less than a millisecond, and rests after each: who has little to do comes in
// between and waits no longer than otherwise. The processors' scheduler alone would have it wait some milliseconds.
const (
	piece       = 500    // sessions that are read
	comparisons = 20_000 // of a sort
	pause       = 2 * time.Millisecond
	// restless is from which piece on the rests become shorter, so that all together take some seconds at the most.
	restless = 500
)

// rest rests after so many pieces.
func rest(pieces int) {
	time.Sleep(pause * restless / time.Duration(max(pieces, restless)))
}

// sortGently sorts ids.
func sortGently(ids []string) {
	n := 0
	slices.SortFunc(ids, func(a, b string) int {
		if n++; n%comparisons == 0 {
			rest(n / comparisons)
		}
		return strings.Compare(a, b)
	})
}
