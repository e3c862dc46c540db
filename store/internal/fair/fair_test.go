package fair

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func anyone(string) bool { return true }

func TestQueueGivesOwnersTurns(t *testing.T) {
	var q Queue[string]
	for _, item := range []string{"a1", "a2", "a3", "a4", "b1", "c1", "c2"} {
		q.Push(item[:1], item)
	}
	require.True(t, q.Remove("a", "a3"))
	require.False(t, q.Remove("a", "a3"))
	require.False(t, q.Remove("x", "a1"))
	var order []string
	next := func(may func(string) bool) {
		item, owner, found := q.Pop(may)
		if found {
			assert.Equal(t, item[:1], owner)
			order = append(order, item)
		}
	}
	next(anyone)
	next(func(owner string) bool { return owner != "b" }) // who may not keeps the turn
	q.Push("d", "d1")
	for range 10 {
		next(anyone)
	}
	assert.Equal(t, []string{"a1", "c1", "b1", "a2", "c2", "d1", "a4"}, order)
	assert.Zero(t, q.size)
	assert.Empty(t, q.items)
	assert.Empty(t, q.turns)
	q.Push("e", "e1")
	require.True(t, q.Remove("e", "e1"))
	assert.Empty(t, q.turns)
}

// enterAsync acquires a slot in the background and closes the channel when it has; it returns when the caller is queued or admitted.
func enterAsync(t *testing.T, g *Semaphore, owner string) <-chan struct{} {
	t.Helper()
	g.mu.Lock()
	before := g.used + g.waiting.size
	g.mu.Unlock()
	entered := make(chan struct{})
	go func() {
		if assert.NoError(t, g.Acquire(context.WithoutCancel(t.Context()), owner)) {
			close(entered)
		}
	}()
	require.Eventually(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.used+g.waiting.size == before+1
	}, 10*time.Second, 100*time.Microsecond)
	return entered
}

func isOpen(entered <-chan struct{}) bool {
	select {
	case <-entered:
		return true
	default:
		return false
	}
}

func TestSemaphoreLeavesOthersRoom(t *testing.T) {
	g := NewSemaphore(3, 2)
	var of []<-chan struct{}
	for range 5 {
		of = append(of, enterAsync(t, g, "a"))
	}
	<-of[0]
	<-of[1]
	<-enterAsync(t, g, "b") // the third slot is kept for others
	b, c := enterAsync(t, g, "b"), enterAsync(t, g, "c")
	assert.False(t, isOpen(of[2]) || isOpen(b) || isOpen(c))
	g.Release("b") // a has its share
	<-b
	g.Release("a") // and comes before c, who came later
	<-of[2]
	g.Release("a") // but not twice
	<-c
	g.Release("b")
	<-of[3]
	g.Release("c")
	assert.False(t, isOpen(of[4]))
	g.Release("a")
	<-of[4]
}

func TestSemaphoreLetsThoseGoWhoDoNotWait(t *testing.T) {
	g := NewSemaphore(1, 1)
	require.NoError(t, g.Acquire(t.Context(), "a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, g.Acquire(ctx, "b"), context.Canceled)
	assert.Zero(t, g.waiting.size)
	assert.Equal(t, map[string]int{"a": 1}, g.held, "it gives back what it has, and no more")
	assert.Equal(t, 1, g.used)
	g.Release("a")
	// Whether it is admitted or sent away when both happen at once, the slot is not lost.
	for range 1000 {
		if g.Acquire(ctx, "b") == nil {
			g.Release("b")
		}
	}
	require.NoError(t, g.Acquire(t.Context(), "c"))
	assert.Equal(t, map[string]int{"c": 1}, g.held)
	assert.Equal(t, 1, g.used)
}

// TestSemaphoreIsResized: more slots admit who waits, and fewer take none away.
func TestSemaphoreIsResized(t *testing.T) {
	g := NewSemaphore(1, 4)
	<-enterAsync(t, g, "a")
	b, c := enterAsync(t, g, "b"), enterAsync(t, g, "c")
	used, waiting := g.Len()
	assert.Equal(t, [2]int{1, 2}, [2]int{used, waiting})
	g.Resize(2)
	<-b
	g.Resize(0)
	used, waiting = g.Len()
	assert.Equal(t, [2]int{2, 1}, [2]int{used, waiting})
	g.Release("a")
	g.Release("b")
	assert.False(t, isOpen(c))
	g.Resize(1)
	<-c
	g.Release("c")
	used, waiting = g.Len()
	assert.Equal(t, [2]int{}, [2]int{used, waiting})
}

func TestSemaphoreUnderLoad(t *testing.T) {
	g := NewSemaphore(4, 2)
	var inside atomic.Int64
	var of [3]atomic.Int64
	var group sync.WaitGroup
	for i := range 30 {
		group.Go(func() {
			owner := i % 3
			for n := range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				if (n+i)%3 == 0 {
					go cancel()
				}
				if g.Acquire(ctx, fmt.Sprint(owner)) == nil {
					assert.LessOrEqual(t, inside.Add(1), int64(4))
					assert.LessOrEqual(t, of[owner].Add(1), int64(2))
					of[owner].Add(-1)
					inside.Add(-1)
					g.Release(fmt.Sprint(owner))
				}
				cancel()
			}
		})
	}
	group.Wait()
	assert.Zero(t, g.used)
	assert.Empty(t, g.held)
	assert.Zero(t, g.waiting.size)
}
