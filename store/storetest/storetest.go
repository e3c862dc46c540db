// Package storetest is the suite that the store must pass on every engine, and starts the throw-away databases for it. A difference between
// engines that is found elsewhere becomes a case here.
package storetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/qa/sequential"
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

// Factory makes an empty store with an up-to-date schema, and closes it after the test. bucketSize is the size of the buckets of the page
// index: with small buckets, few sessions need several of them.
type Factory func(t *testing.T, options store.Options, bucketSize ...int) *store.Store

// Run runs the suite but for some of its groups, each case on a store of its own.
func Run(t *testing.T, newStore Factory, except ...string) {
	t.Helper()
	for name, group := range map[string]func(*testing.T, Factory){
		"register": testRegister, "partners": testPartners, "get": testGet, "list": testList, "revoke": testRevoke,
		"activity": testActivity, "apps": testApps, "stats": testStats, "schema": testSchema,
		"limits": testLimits, "coalescing": testCoalescing, "not_before_cutoffs": testCutoffs, "audit": testAudit,
		"retention": testRetention, "totals": testTotals, "bulk revocations": testBulkRevocations, "pending bulk revocations": testPendingBulkRevocations, "erasure": testErasure, "model": testModel,
		"row security": testRowSecurity, "ended": testEnded, "clock set back too early": testClockSetBackTooEarly, "storable times": testStorableTimes, "pairs": testPairs, "races": testRaces,
		"history": testHistory, "devices": testDevices, "search": testSearch, "search keys": testSearchKeys, "revocation jobs": testJobs, "who assigns partners": testWhoAssignsPartners, "moving partners": testMovePartner, "idempotency": testIdempotency,
	} {
		if slices.Contains(except, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if !slices.Contains(concurrent(), name) {
				sequential.Test(t)
			}
			group(t, newStore)
		})
	}
}

// concurrent are the groups with several callers at once, or that need the goroutines of the store.
func concurrent() []string {
	return []string{
		"races", "coalescing", "bulk revocations", "pending bulk revocations", "revocation jobs", "idempotency", "limits", "register", "revoke",
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

// newLimitedFixture is newFixture with limits for the tenant "acme", and the interval at which heartbeats are written.
func newLimitedFixture(t *testing.T, newStore Factory, limits store.Limits, interval time.Duration) fixture {
	t.Helper()
	clock := NewClock()
	s := newStore(t, store.Options{Now: clock.Now, ActivityInterval: interval, Limits: func(tenantID string) store.Limits {
		if tenantID == "acme" {
			return limits
		}
		return store.Limits{}
	}}, smallBuckets)
	return fixture{Store: s, t: t, ctx: t.Context(), clock: clock}
}

// smallBuckets is a bucket size with which a page of a few sessions is looked for in the page index.
const smallBuckets = 3

// tester is who changes things in the suite.
func tester() store.Actor { return store.Actor{Subject: "tester", ClientID: "suite", RequestID: "r1"} }

// session is a registration that tests change as they need.
func session(tenantID, userID, id string) store.Session {
	return store.Session{TenantID: tenantID, UserID: userID, ID: id, ExpiresAt: Epoch.Add(time.Hour)}
}

func (f fixture) register(s store.Session) store.Session {
	f.t.Helper()
	registered, created, err := f.RegisterSession(f.ctx, store.AllTenants(), s, tester())
	require.NoError(f.t, err)
	require.True(f.t, created, "session %s is new", s.ID)
	return registered
}

func (f fixture) get(id string) store.Session {
	f.t.Helper()
	s, err := f.GetSession(f.ctx, store.AllTenants(), id)
	require.NoError(f.t, err)
	return s
}

func (f fixture) revoke(id string) {
	f.t.Helper()
	revoked, err := f.RevokeSession(f.ctx, store.AllTenants(), id, tester())
	require.NoError(f.t, err)
	require.True(f.t, revoked)
}

// page is a page of a list with a filter.
type page struct {
	ActiveOnly    bool
	Offset, Limit int
}

// list lists a page.
func (f fixture) list(scope store.Scope, p page) ([]store.ListItem, int) {
	f.t.Helper()
	items, total, err := f.ListSessions(f.ctx, store.CallerSession{}, scope, store.Filter{ActiveOnly: p.ActiveOnly}, store.Page{Offset: p.Offset, Limit: p.Limit})
	require.NoError(f.t, err)
	require.NotNil(f.t, items)
	return items, total
}

// ids lists a page and returns its ids and the total.
func (f fixture) ids(scope store.Scope, p page) ([]string, int) {
	f.t.Helper()
	items, total := f.list(scope, p)
	ids := make([]string, len(items))
	for i, s := range items {
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
