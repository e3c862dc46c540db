package store

import (
	"context"
	"slices"
	"sync"
)

// fairQueue keeps items of several owners and gives them back round robin by owner, in order within one owner: an owner with
// very many items delays the others by one item a round. The zero value is empty. It is not safe for concurrent use.
type fairQueue[T comparable] struct {
	items map[string][]T
	// turns are the owners that have items, the next one first.
	turns []string
	size  int
}

func (q *fairQueue[T]) push(owner string, item T) {
	if q.items == nil {
		q.items = map[string][]T{}
	}
	if len(q.items[owner]) == 0 {
		q.turns = append(q.turns, owner)
	}
	q.items[owner] = append(q.items[owner], item)
	q.size++
}

// pop removes the next item of the first owner in turn that may have one.
func (q *fairQueue[T]) pop(may func(owner string) bool) (item T, owner string, found bool) {
	i := slices.IndexFunc(q.turns, may)
	if i < 0 {
		return item, "", false
	}
	owner = q.turns[i]
	q.turns = slices.Delete(q.turns, i, i+1)
	item = q.items[owner][0]
	q.keep(owner, q.items[owner][1:])
	if len(q.items[owner]) > 0 {
		q.turns = append(q.turns, owner)
	}
	return item, owner, true
}

// remove removes an item, and reports whether it was there.
func (q *fairQueue[T]) remove(owner string, item T) bool {
	i := slices.Index(q.items[owner], item)
	if i < 0 {
		return false
	}
	q.keep(owner, slices.Delete(q.items[owner], i, i+1))
	if len(q.items[owner]) == 0 {
		q.turns = slices.DeleteFunc(q.turns, func(o string) bool { return o == owner })
	}
	return true
}

// keep leaves an owner one item less.
func (q *fairQueue[T]) keep(owner string, items []T) {
	q.size--
	if len(items) == 0 {
		delete(q.items, owner)
	} else {
		q.items[owner] = items
	}
}

// gate is a semaphore of so many slots, of which one owner holds at most a share at a time. Those that wait are admitted round
// robin by owner.
type gate struct {
	slots, share int

	mu      sync.Mutex
	used    int
	held    map[string]int
	waiting fairQueue[chan struct{}]
}

func newGate(slots, share int) *gate {
	return &gate{slots: slots, share: share, held: map[string]int{}}
}

// enter takes a slot for an owner. It waits for one as long as the context lasts.
func (g *gate) enter(ctx context.Context, owner string) error {
	admitted := make(chan struct{})
	g.mu.Lock()
	g.waiting.push(owner, admitted)
	g.admit()
	g.mu.Unlock()
	select {
	case <-admitted:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	gone := g.waiting.remove(owner, admitted)
	g.mu.Unlock()
	if !gone {
		g.leave(owner) // it was admitted at the same time
	}
	return ctx.Err()
}

// leave gives a slot back.
func (g *gate) leave(owner string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used--
	if g.held[owner]--; g.held[owner] == 0 {
		delete(g.held, owner)
	}
	g.admit()
}

func (g *gate) admit() {
	for g.used < g.slots {
		admitted, owner, found := g.waiting.pop(func(owner string) bool { return g.held[owner] < g.share })
		if !found {
			return
		}
		g.used++
		g.held[owner]++
		close(admitted)
	}
}
