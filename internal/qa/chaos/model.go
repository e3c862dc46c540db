package chaos

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// action is what a client does with a session.
type action int

const (
	registering action = iota
	introspecting
	using
	revoking
)

func (a action) String() string {
	return [...]string{"register", "introspect", "use", "revoke"}[a]
}

// result is what comes of it.
type result int

const (
	// inDoubt: no answer or an error; it may have been carried out at any time since, or never.
	inDoubt result = iota
	done
	// refusedAbsent: the session is not known; refusedEnded: it has ended.
	refusedAbsent
	refusedEnded
	// good and bad are the answers about a token.
	good
	bad
)

func (r result) String() string {
	return [...]string{"in doubt", "done", "absent", "ended", "good", "bad"}[r]
}

// life is the state of a session.
type life int

const (
	absent life = iota
	active
	ended
)

// sessionModel is a session as the contract has it: registered once, active until it is revoked, and then never again. A
// session that was never registered is bad to introspection, and its token is let through.
func sessionModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return absent },
		Step: func(state, input, output any) (bool, any) {
			return step(state.(life), input.(action), output.(result))
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%v → %v", input, output) },
	}
}

func step(now life, a action, r result) (bool, life) {
	switch a {
	case registering:
		return stepRegister(now, r)
	case revoking:
		return stepRevoke(now, r)
	case introspecting:
		return (now == active) == (r == good), now
	default:
		return (now != ended) == (r == good), now
	}
}

func stepRegister(now life, r result) (bool, life) {
	if r == refusedEnded {
		return now == ended, now
	}
	if now == absent {
		return true, active
	}
	return r == inDoubt || now == active, now
}

func stepRevoke(now life, r result) (bool, life) {
	switch {
	case r == refusedAbsent:
		return now == absent, now
	case now == absent:
		return r == inDoubt, now
	default:
		return true, ended
	}
}
