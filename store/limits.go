package store

import "time"

// Limits bound the sessions of a tenant. A zero member bounds nothing.
type Limits struct {
	// Absolute is the longest life, from login on, however the session is used (NIST SP 800-63B-4, section 5.2).
	Absolute time.Duration
	// Idle is how long a session lives without being used.
	Idle time.Duration
	// MaxSessions is how many active sessions a user may have.
	MaxSessions int
	// RefuseSurplus refuses a login beyond MaxSessions; otherwise it ends the oldest session.
	RefuseSurplus bool
}

// cap moves an end forward to the absolute limit.
func (l Limits) cap(created, expires time.Time) time.Time {
	if limit := created.Add(l.Absolute); l.Absolute > 0 && limit.Before(expires) {
		return limit
	}
	return expires
}

// end is when a session ends by itself that was used last at that time. One that should have ended before ends then: from then on
// it is known that it has ended, and it counts how long that has to be remembered.
func (l Limits) end(used, expires time.Time) time.Time {
	if expires.Before(used) {
		return used
	}
	if limit := used.Add(l.Idle); l.Idle > 0 && limit.Before(expires) {
		return limit
	}
	return expires
}

// interval is how long a use may wait in memory: so short that it is written long before the session would be idle.
func (l Limits) interval(configured time.Duration) time.Duration {
	if l.Idle > 0 {
		return min(configured, l.Idle/4)
	}
	return configured
}
