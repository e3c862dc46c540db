// Package storetest is the suite that every engine must pass, and starts the throw-away databases it runs on. A
// difference between engines that anybody meets becomes a case here.
package storetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

// Epoch is where a suite's clock starts.
var Epoch = time.Date(2026, 1, 15, 12, 0, 0, 123456000, time.UTC) //nolint:gochecknoglobals // a constant but for Go's rules

// Clock is a clock that tests set.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at Epoch.
func NewClock() *Clock { return &Clock{now: Epoch} }

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Set moves the clock to a time, backwards too.
func (c *Clock) Set(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = to
}

// Advance moves the clock on.
func (c *Clock) Advance(by time.Duration) { c.Set(c.Now().Add(by)) }

// Factory makes a fresh, empty store with an up-to-date schema, and closes it after the test.
type Factory func(t *testing.T, options store.Options) *store.Store

// Run runs the suite but for some of its groups, each case on a store of its own.
func Run(t *testing.T, newStore Factory, except ...string) {
	t.Helper()
	for name, group := range map[string]func(*testing.T, Factory){
		"register": testRegister, "partners": testPartners, "get": testGet, "list": testList, "revoke": testRevoke,
		"activity": testActivity, "apps": testApps, "stats": testStats, "schema": testSchema,
		"limits": testLimits, "coalescing": testCoalescing, "watermarks": testWatermarks, "audit": testAudit,
		"retention": testRetention, "totals": testTotals, "tenant endings": testTenantEndings, "pending endings": testPendingEndings, "erasure": testErasure, "model": testModel,
		"wall": testWall, "ended": testEnded, "clock set back too early": testClockSetBackTooEarly, "storable times": testStorableTimes, "pairs": testPairs,
		"who assigns partners": testWhoAssignsPartners, "moving partners": testMovePartner, "idempotency": testIdempotency,
	} {
		if !slices.Contains(except, name) {
			t.Run(name, func(t *testing.T) { group(t, newStore) })
		}
	}
}

// fixture is a fresh store with its clock, and shorthands that stop the test on a failure.
type fixture struct {
	*store.Store
	t     *testing.T
	ctx   context.Context
	clock *Clock
}

func newFixture(t *testing.T, newStore Factory) fixture {
	t.Helper()
	return newLimitedFixture(t, newStore, store.Limits{}, 0)
}

// newLimitedFixture is newFixture with limits for the tenant "acme", and an interval for mere uses.
func newLimitedFixture(t *testing.T, newStore Factory, limits store.Limits, interval time.Duration) fixture {
	t.Helper()
	clock := NewClock()
	// Chunks as small as these make far pages of near ones.
	s := newStore(t, store.Options{Now: clock.Now, ActivityInterval: interval, ChunkSize: 3, Limits: func(tenantID string) store.Limits {
		if tenantID == "acme" {
			return limits
		}
		return store.Limits{}
	}})
	return fixture{Store: s, t: t, ctx: t.Context(), clock: clock}
}

// tester is who changes things in the suite.
func tester() store.Actor { return store.Actor{Subject: "tester", ClientID: "suite", RequestID: "r1"} }

// session is a registration that tests change as they need.
func session(tenantID, userID, id string) store.Session {
	return store.Session{TenantID: tenantID, UserID: userID, ID: id, ExpiresAt: Epoch.Add(time.Hour)}
}

func (f fixture) register(s store.Session) store.Session {
	f.t.Helper()
	registered, created, err := f.RegisterSession(f.ctx, store.Everywhere(), s, tester())
	require.NoError(f.t, err)
	require.True(f.t, created, "session %s is new", s.ID)
	return registered
}

func (f fixture) get(id string) store.Session {
	f.t.Helper()
	s, err := f.GetSession(f.ctx, store.Everywhere(), id)
	require.NoError(f.t, err)
	return s
}

func (f fixture) revoke(id string) {
	f.t.Helper()
	revoked, err := f.RevokeSession(f.ctx, store.Everywhere(), id, tester())
	require.NoError(f.t, err)
	require.True(f.t, revoked)
}

// ids lists a page and returns its ids and the total.
func (f fixture) ids(sel store.Selection, page store.Page) ([]string, int) {
	f.t.Helper()
	sessions, total, err := f.ListSessions(f.ctx, sel, page)
	require.NoError(f.t, err)
	require.NotNil(f.t, sessions)
	ids := make([]string, len(sessions))
	for i, s := range sessions {
		ids[i] = s.ID
	}
	return ids, total
}

// concurrently runs do n times at once and returns the results.
func concurrently[T any](n int, do func(i int) T) []T {
	results := make([]T, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			results[i] = do(i)
		})
	}
	close(start)
	group.Wait()
	return results
}

//go:fix inline
