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

// TestBulkRevocationsReportEachSessionOnce: several callers revoke all sessions of a tenant at the same time, while others log in, revoke
// single sessions and apply the bulk revocations, which changes the rows whose ids are being read.
func TestBulkRevocationsReportEachSessionOnce(t *testing.T) {
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
			sessions := revokedTenant{Store: s, t: t, reported: map[string]int{}}
			sessions.fill(1700)
			sessions.storm()
			sessions.check()
		})
	}
}

// revokedTenant is a tenant whose sessions are revoked, and how often each id was returned by a call that revoked it.
type revokedTenant struct {
	*store.Store
	t        *testing.T
	mu       sync.Mutex
	made     []string
	reported map[string]int
}

func (r *revokedTenant) fill(n int) {
	now := time.Now()
	var rows store.Import
	for i := range n {
		r.made = append(r.made, fmt.Sprintf("s%d", i))
		at := now.Add(-time.Duration(i/3) * time.Second) // three of each creation time
		if i%100 == 7 {
			at = now.Add(time.Minute) // by an instance whose clock is ahead
		}
		rows.Sessions = append(rows.Sessions, store.Session{
			TenantID: "acme", ID: r.made[i], UserID: fmt.Sprintf("u%d", i%90), CreatedAt: at, ExpiresAt: now.Add(time.Hour), EndsAt: now.Add(time.Hour),
		})
	}
	require.NoError(r.t, r.ImportSessions(r.t.Context(), rows))
}

func (r *revokedTenant) storm() {
	var calls, beside sync.WaitGroup
	var over atomic.Bool
	beside.Go(func() {
		for i := 0; !over.Load(); i++ {
			if _, err := r.ApplyBulkRevocations(r.t.Context(), 100); !assert.NoError(r.t, err) {
				return
			}
			session := store.Session{TenantID: "acme", ID: fmt.Sprintf("new%d", i), UserID: "ada", ExpiresAt: time.Now().Add(time.Hour)}
			_, _, err := r.RegisterSession(r.t.Context(), store.AllTenants(), session, store.Actor{})
			if errors.Is(err, store.ErrTooOld) {
				continue // a bulk revocation was committed meanwhile
			}
			if assert.NoError(r.t, err) {
				r.mu.Lock()
				r.made = append(r.made, session.ID)
				r.mu.Unlock()
			}
		}
	})
	for range 6 {
		calls.Go(func() {
			ids, err := r.RevokeAllSessions(r.t.Context(), store.InTenant("acme"), "", store.Actor{})
			if assert.NoError(r.t, err) {
				assert.True(r.t, slices.IsSorted(ids))
				r.report(ids...)
			}
		})
	}
	calls.Go(func() {
		for _, id := range []string{"s0", "s1", "s700", "s1200", "s1699"} {
			ended, err := r.RevokeSession(r.t.Context(), store.InTenant("acme"), id, store.Actor{})
			if assert.NoError(r.t, err) && ended {
				r.report(id)
			}
		}
	})
	calls.Wait()
	over.Store(true)
	beside.Wait()
}

func (r *revokedTenant) report(ids ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		r.reported[id]++
	}
}

// check expects that the sessions that were reported, each once, are those that have ended.
func (r *revokedTenant) check() {
	for more := true; more; {
		var err error
		more, err = r.ApplyBulkRevocations(r.t.Context(), 1000)
		require.NoError(r.t, err)
	}
	for _, id := range r.made {
		session, err := r.GetSession(r.t.Context(), store.InTenant("acme"), id)
		require.NoError(r.t, err)
		if session.Active(time.Now()) {
			assert.Zero(r.t, r.reported[id], "%s is active", id)
		} else {
			assert.Equal(r.t, 1, r.reported[id], "%s has ended", id)
		}
	}
	assert.GreaterOrEqual(r.t, len(r.reported), 1700)
	_, err := r.VerifyCounters(r.t.Context(), false, func(d store.Drift) { assert.Fail(r.t, "drift", "%+v", d) })
	require.NoError(r.t, err)
}
