package store

import (
	"slices"
	"strings"
	"time"
)

// A call that does very much work is throttled: it sleeps after each batch of less than a millisecond, so that short requests run in between.
// Without it they would wait some milliseconds for a processor.
const (
	readBatch   = 500    // sessions that are read
	comparisons = 20_000 // of a sort
	pause       = 2 * time.Millisecond
	// fullPauses is the number of batches after which the pauses become shorter, so that their sum stays below some seconds.
	fullPauses = 500
)

// throttle sleeps after so many batches.
func throttle(batches int) {
	time.Sleep(pause * fullPauses / time.Duration(max(batches, fullPauses)))
}

// throttledSort sorts ids.
func throttledSort(ids []string) {
	n := 0
	slices.SortFunc(ids, func(a, b string) int {
		if n++; n%comparisons == 0 {
			throttle(n / comparisons)
		}
		return strings.Compare(a, b)
	})
}
