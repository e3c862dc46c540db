package bench

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/sessiond/sessiond/store"
)

// errDry says that a benchmark has used up what it may use once. The round ends there.
var errDry = errors.New("no session or token is left that was not used or revoked: take fewer or shorter rounds, or more sessions")

// target is a session that requests are about.
type target struct {
	tenant   *tenant
	user, id string
}

// person is a user with exactly heavySessions active sessions, which nothing ends.
type person struct {
	tenant *tenant
	user   string
	sid    string // one of the sessions
	token  string // with that sid
}

// class is the tenants of one size, and what requests about them draw from. A nil class takes nothing.
type class struct {
	name     string
	tenants  []*tenant
	partners []string
	people   []*person
	known    map[string]*person
	active   []target
	// So many of the active ones were handed out to be revoked, and to be used.
	revoked, used *atomic.Int64
	// newTokens are used once each, by algorithm.
	newTokens map[string]*newTokens
}

// newTokens are tokens that no request has had yet.
type newTokens struct {
	tokens []tenantToken
	used   atomic.Int64
}

// tenantToken is an administrator's.
type tenantToken struct {
	tenant *tenant
	token  string
}

func newClass(name string, tenants []*tenant) *class {
	c := &class{name: name, known: map[string]*person{}}
	c.tenants = slices.DeleteFunc(slices.Clone(tenants), func(t *tenant) bool { return t.heavy == 0 })
	for _, t := range c.tenants {
		t.class = c
		if t.partner != "" {
			c.partners = append(c.partners, t.partner)
		}
	}
	slices.Sort(c.partners)
	c.partners = slices.Compact(c.partners)
	return c
}

// classes are the largest tenant, and those about the median: two fifths of all, so that revocations find enough.
func classes(tenants []*tenant) []*class {
	others := tenants[:len(tenants)-1]
	largest := tenants[len(tenants)-1]
	middle := others[len(others)*3/10 : max(len(others)*7/10, len(others)*3/10+1)]
	median := newClass("median", middle)
	median.partners = slices.DeleteFunc(median.partners, func(id string) bool { return id == largest.partner })
	return []*class{median, newClass("largest", []*tenant{largest})}
}

func (c *class) add(of *tenant, session store.Session) {
	if c != nil && session.EndCause == nil {
		c.active = append(c.active, target{of, session.UserID, session.ID})
		if len(of.some) < 16 {
			of.some = append(of.some, c.active[len(c.active)-1])
		}
	}
}

func (c *class) addHeavy(of *tenant, session store.Session) {
	if c != nil && c.known[session.UserID] == nil {
		p := &person{tenant: of, user: session.UserID, sid: session.ID}
		c.known[session.UserID] = p
		c.people, of.people = append(c.people, p), append(of.people, p)
	}
}

// mix ends the filling.
func (c *class) mix(random *rand.Rand) {
	random.Shuffle(len(c.active), func(i, j int) { c.active[i], c.active[j] = c.active[j], c.active[i] })
}

// fork returns the class of a database with the same rows.
func (c *class) fork() *class {
	same := *c
	same.revoked, same.used = new(atomic.Int64), new(atomic.Int64)
	same.newTokens = map[string]*newTokens{}
	for algorithm, those := range c.newTokens {
		same.newTokens[algorithm] = &newTokens{tokens: those.tokens}
	}
	return &same
}

// hot are the few sessions that are used again and again.
func (c *class) hot() []target { return c.active[:min(len(c.active), 200)] }

// toRevoke returns an active session that no call has returned before, toUse one that was not used lately. All uses must
// come before the first revocation.
func (c *class) toRevoke() (target, error) { return c.once(c.revoked) }
func (c *class) toUse() (target, error)    { return c.once(c.used) }

// newToken returns a token that no call has returned before, and its tenant.
func (c *class) newToken(algorithm string) (*tenant, string, error) {
	those := c.newTokens[algorithm]
	if those == nil {
		return nil, "", errDry
	}
	n := int(those.used.Add(1)) - 1
	if n >= len(those.tokens) {
		return nil, "", errDry
	}
	return those.tokens[n].tenant, those.tokens[n].token, nil
}

func (c *class) once(done *atomic.Int64) (target, error) {
	n := int(done.Add(1)) - 1
	if n >= len(c.active) {
		return target{}, errDry
	}
	return c.active[n], nil
}

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }
