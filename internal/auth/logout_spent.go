package auth

import (
	"sync"
	"time"
)

// maxSpent bounds the memory to a few megabytes. Only tokens that the issuer has signed get in, so a stranger cannot fill
// it; where more logouts than that arrive within minutes, the oldest are forgotten before their time.
const maxSpent = 1 << 16

// spentLogouts knows the logout tokens of the last minutes that have had their effect. Each process has its own, and it
// is empty after a start: what a copy can do then is to end, within minutes of a logout, the same session again, or, of a
// token without sid, sessions that the user began since.
type spentLogouts struct {
	mu    sync.Mutex
	until map[logoutID]time.Time
	order []logoutID // in the order of their end
}

// has reports whether a token has had its effect.
func (s *spentLogouts) has(id logoutID, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, known := s.until[id]
	return known && now.Before(until)
}

// add records a token for as long as it could be accepted again.
func (s *spentLogouts) add(id logoutID, now time.Time, keep time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.until == nil {
		s.until = map[logoutID]time.Time{}
	}
	over := 0
	for over < len(s.order) && (len(s.order)-over >= maxSpent || !now.Before(s.until[s.order[over]])) {
		delete(s.until, s.order[over])
		over++
	}
	s.order = s.order[over:]
	if _, known := s.until[id]; known {
		return // two copies at the same time
	}
	s.until[id] = now.Add(keep)
	s.order = append(s.order, id)
}
