package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// garbagePercent is how much garbage there may be, in percent of what is in use, before it is collected. Little is in use
	// here, so Go's own 100 collects all the time; this costs some 50 MiB.
	garbagePercent = 400
	// A server that allocates less than idleAllocation in giveBackEvery is idle: its maintenance jobs allocate a third of that.
	idleAllocation = 16 << 20
	giveBackEvery  = time.Minute
)

// setGCPercent collects garbage less often, unless the environment says how often (GOGC).
func setGCPercent() {
	if before := debug.SetGCPercent(garbagePercent); before != 100 {
		debug.SetGCPercent(before)
	}
}

// giveBackMemory gives memory back to the operating system: what starting has left, and what a load has left when the server is idle. It
// would stay for long otherwise, because an idle server hardly ever collects garbage.
func giveBackMemory(ctx context.Context, every time.Duration) error {
	debug.FreeOSMemory()
	for before := allocated(); sleep(ctx, every); {
		now := allocated()
		if idle(before, now) {
			debug.FreeOSMemory()
		}
		before = now
	}
	return nil
}

// idle reports whether that little was allocated from one tick to the next.
func idle(before, now uint64) bool { return now-before < idleAllocation }

// allocated is how many bytes have ever been allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
