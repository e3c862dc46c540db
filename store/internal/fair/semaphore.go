package fair

import (
	"context"
	"sync"
)

// Semaphore is one of so many slots, of which one owner holds at most a share at a time. Those that wait are admitted round
// robin by owner.
type Semaphore struct {
	slots, share int

	mu      sync.Mutex
	used    int
	held    map[string]int
	waiting Queue[chan struct{}]
}

// NewSemaphore returns a semaphore with so many slots, of which each owner gets at most a share.
func NewSemaphore(slots, share int) *Semaphore {
	return &Semaphore{slots: slots, share: share, held: map[string]int{}}
}

// Acquire takes a slot for an owner. It waits for one as long as the context lasts.
func (s *Semaphore) Acquire(ctx context.Context, owner string) error {
	admitted := make(chan struct{})
	s.mu.Lock()
	s.waiting.Push(owner, admitted)
	s.admit()
	s.mu.Unlock()
	select {
	case <-admitted:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	gone := s.waiting.Remove(owner, admitted)
	s.mu.Unlock()
	if !gone {
		s.Release(owner) // it was admitted at the same time
	}
	return ctx.Err()
}

// Release gives a slot back.
func (s *Semaphore) Release(owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used--
	if s.held[owner]--; s.held[owner] == 0 {
		delete(s.held, owner)
	}
	s.admit()
}

func (s *Semaphore) admit() {
	for s.used < s.slots {
		admitted, owner, found := s.waiting.Pop(func(owner string) bool { return s.held[owner] < s.share })
		if !found {
			return
		}
		s.used++
		s.held[owner]++
		close(admitted)
	}
}

// Len is how many slots are in use, and how many callers wait for one.
func (s *Semaphore) Len() (used, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.waiting.size
}

// Resize changes the number of slots. What is in use stays so.
func (s *Semaphore) Resize(slots int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots = slots
	s.admit()
}
