// Package sequential marks tests that take long and do one thing after the other. `make test` runs every test, and then again, with the race
// detector and -short, those that are not marked: a race needs two goroutines, and the detector makes a test several times as slow.
package sequential

import "testing"

// Test marks a test, which -short leaves out.
func Test(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("it does one thing after the other: run it without -short")
	}
}
