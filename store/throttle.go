package store

import (
	"slices"
	"strings"
	"time"
)

// A call with very much to do is throttled: after each batch of less than a millisecond it sleeps, so that requests with little to do come
// in between and wait no longer than otherwise. The processors' scheduler alone would have them wait some milliseconds.
const (
	readBatch   = 500    // sessions that are read
	comparisons = 20_000 // of a sort
	pause       = 2 * time.Millisecond
	// fullPauses is after how many batches the pauses become shorter, so that all together take some seconds at the most.
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
