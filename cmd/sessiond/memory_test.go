package main

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAnIdleServerGivesMemoryBack: at first, and again and again; one that allocates much is not idle.
func TestAnIdleServerGivesMemoryBack(t *testing.T) {
	collections := func() uint32 {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.NumForcedGC
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	before := collections()
	go func() { done <- giveBackMemory(ctx, time.Millisecond) }()
	require.Eventually(t, func() bool { return collections() >= before+3 }, 10*time.Second, time.Millisecond, "at first, and again and again")
	stop()
	require.NoError(t, <-done)

	assert.True(t, idle(7, 7+idleAllocation-1))
	assert.False(t, idle(7, 7+idleAllocation))
	first := allocated()
	kept = make([]byte, 1<<20)
	assert.GreaterOrEqual(t, allocated(), first+1<<20)
}

var kept []byte
