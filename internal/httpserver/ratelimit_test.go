package httpserver

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// TestAMillionKeysAreBounded: who asks under ever new names costs no more memory than the buckets that are remembered.
func TestAMillionKeysAreBounded(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l, err := newLimiter[string](Rate{PerSecond: 1}, func() time.Time { return now })
	require.NoError(t, err)
	before := heap()
	for i := range 1_000_000 {
		if err := l.take(fmt.Sprint(i)); err != nil {
			t.Fatal(i, err)
		}
	}
	grown := int64(heap()) - int64(before) //nolint:gosec // a heap fits
	assert.Equal(t, maxBuckets, l.buckets.Len())
	assert.Less(t, grown, int64(64<<20))
	require.Error(t, l.take("999999"), "who asked last is remembered")
}

func TestTakingTogether(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l, err := newLimiter[string](Rate{PerSecond: 0.5, Burst: 40}, func() time.Time { return now })
	require.NoError(t, err)
	var mu sync.Mutex
	allowed := 0
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if l.take("ada") == nil {
				mu.Lock()
				defer mu.Unlock()
				allowed++
			}
		})
	}
	all.Wait()
	assert.Equal(t, 40, allowed)
}

func TestRates(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		rate    Rate
		allowed int
		seconds int
	}{
		{Rate{PerSecond: 5}, 5, 1},
		{Rate{PerSecond: 0.5}, 1, 2},
		{Rate{PerSecond: 0.001, Burst: 2}, 2, 1000},
		{Rate{PerSecond: 1e-12}, 1, math.MaxInt32},
	} {
		l, err := newLimiter[string](c.rate, func() time.Time { return now })
		require.NoError(t, err)
		for range c.allowed {
			require.NoError(t, l.take("x"))
		}
		tooOften, ok := errors.AsType[*RateLimitError](l.take("x"))
		require.True(t, ok)
		assert.Equal(t, c.seconds, tooOften.RetryAfter, "%v", c.rate)
	}
}

func TestNetworks(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8::1": "2001:db8::/64", "fe80::1%eth0": "fe80::/64",
	} {
		assert.Equal(t, netip.MustParsePrefix(want), network(address), address)
	}
	assert.Zero(t, network("nonsense"))
	assert.Zero(t, network(""))
}
