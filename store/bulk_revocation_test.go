package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestEndingATenantNamesEachSessionOnce: several end all sessions of a tenant at the same time, while others log in, end
// single ones, and bring up to date what has ended, which changes the rows whose ids are being read.
func TestEndingATenantNamesEachSessionOnce(t *testing.T) {
	for name, c := range map[string]struct {
		open  storetest.Factory
		conns int
	}{
		"sqlite":                            {storetest.SQLite, 0},
		"postgres":                          {storetest.Postgres, 0},
		"postgres, no connection to spare":  {storetest.Postgres, 3},
		"postgres, a connection for one":    {storetest.Postgres, 4},
		"postgres, as many as want to read": {storetest.Postgres, 12},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.open(t, store.Options{MaxConns: c.conns}, 50)
			sessions := ending{Store: s, t: t, named: map[string]int{}}
			sessions.fill(1700)
			sessions.storm()
			sessions.check()
		})
	}
}

// ending is a tenant whose sessions end, and how often each was named by who ended it.
type ending struct {
	*store.Store
	t     *testing.T
	mu    sync.Mutex
	made  []string
	named map[string]int
}

func (e *ending) fill(n int) {
	now := time.Now()
	var rows store.Import
	for i := range n {
		e.made = append(e.made, fmt.Sprintf("s%d", i))
		at := now.Add(-time.Duration(i/3) * time.Second) // some at the very same time
		if i%100 == 7 {
			at = now.Add(time.Minute) // by a clock that is ahead
		}
		rows.Sessions = append(rows.Sessions, store.Session{
			TenantID: "acme", ID: e.made[i], UserID: fmt.Sprintf("u%d", i%90), CreatedAt: at, ExpiresAt: now.Add(time.Hour), EndsAt: now.Add(time.Hour),
		})
	}
	require.NoError(e.t, e.ImportSessions(e.t.Context(), rows))
}

func (e *ending) storm() {
	var calls, beside sync.WaitGroup
	var over atomic.Bool
	beside.Go(func() {
		for i := 0; !over.Load(); i++ {
			if _, err := e.ApplyBulkRevocations(e.t.Context(), 100); !assert.NoError(e.t, err) {
				return
			}
			session := store.Session{TenantID: "acme", ID: fmt.Sprintf("new%d", i), UserID: "ada", ExpiresAt: time.Now().Add(time.Hour)}
			_, _, err := e.RegisterSession(e.t.Context(), store.AllTenants(), session, store.Actor{})
			if errors.Is(err, store.ErrTooOld) {
				continue // it came after an ending that it began before
			}
			if assert.NoError(e.t, err) {
				e.mu.Lock()
				e.made = append(e.made, session.ID)
				e.mu.Unlock()
			}
		}
	})
	for range 6 {
		calls.Go(func() {
			ids, err := e.RevokeAllSessions(e.t.Context(), store.InTenant("acme"), "", store.Actor{})
			if assert.NoError(e.t, err) {
				assert.True(e.t, slices.IsSorted(ids))
				e.name(ids...)
			}
		})
	}
	calls.Go(func() {
		for _, id := range []string{"s0", "s1", "s700", "s1200", "s1699"} {
			ended, err := e.RevokeSession(e.t.Context(), store.InTenant("acme"), id, store.Actor{})
			if assert.NoError(e.t, err) && ended {
				e.name(id)
			}
		}
	})
	calls.Wait()
	over.Store(true)
	beside.Wait()
}

func (e *ending) name(ids ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range ids {
		e.named[id]++
	}
}

// check: what was named has ended, once, and nothing else has.
func (e *ending) check() {
	for more := true; more; {
		var err error
		more, err = e.ApplyBulkRevocations(e.t.Context(), 1000)
		require.NoError(e.t, err)
	}
	for _, id := range e.made {
		session, err := e.GetSession(e.t.Context(), store.InTenant("acme"), id)
		require.NoError(e.t, err)
		if session.Active(time.Now()) {
			assert.Zero(e.t, e.named[id], "%s is active", id)
		} else {
			assert.Equal(e.t, 1, e.named[id], "%s has ended", id)
		}
	}
	assert.GreaterOrEqual(e.t, len(e.named), 1700)
	_, err := e.VerifyCounters(e.t.Context(), false, func(d store.Drift) { assert.Fail(e.t, "drift", "%+v", d) })
	require.NoError(e.t, err)
}
