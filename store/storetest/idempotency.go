package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

// login registers a session that lives for an hour.
func (f fixture) login(tenantID, userID, id string) string {
	f.t.Helper()
	s := session(tenantID, userID, id)
	s.ExpiresAt = f.clock.Now().Add(time.Hour)
	return f.register(s).ID
}

// testIdempotency repeats calls that end sessions, as a client does that did not get the answer.
func testIdempotency(t *testing.T, newStore Factory) {
	t.Helper()
	keyed := func(key string) store.Actor {
		return store.Actor{Subject: "boss", ClientID: "console", IdempotencyKey: key}
	}
	type call func(by store.Actor) ([]string, error)
	for _, sessions := range []int{2, 9} { // few, and enough for a bulk revocation
		f := newFixture(t, newStore)
		run := 0
		for name, scope := range map[string]func(tenantID, userID string) store.Scope{
			"tenant":         func(tenantID, _ string) store.Scope { return store.InTenant(tenantID) },
			"user in tenant": func(tenantID, userID string) store.Scope { return store.InTenant(tenantID).OfUser(userID) },
			"user":           func(_, userID string) store.Scope { return store.AllTenants().OfUser(userID) },
			"named":          nil,
		} {
			t.Run(fmt.Sprintf("%d, %s", sessions, name), func(t *testing.T) {
				run++
				f := f
				f.t = t
				tenantID, userID := fmt.Sprint("t", run), fmt.Sprint("u", run)
				var made []string
				for i := range sessions {
					made = append(made, f.login(tenantID, userID, fmt.Sprintf("s%d-%d", run, i)))
				}
				end := call(func(by store.Actor) ([]string, error) {
					if scope == nil {
						return f.RevokeSessions(f.ctx, store.InTenant(tenantID), made, by)
					}
					return f.RevokeAllSessions(f.ctx, scope(tenantID, userID), "", by)
				})
				answers := concurrently(4, func(int) []string {
					ids, err := end(keyed("k1"))
					assert.NoError(t, err)
					return ids
				})
				for _, ids := range answers {
					assert.Equal(t, made, ids, "a repeated call returns what the first one did")
				}
				f.clock.Advance(time.Second)
				later := f.login(tenantID, userID, fmt.Sprintf("s%d-later", run))
				for range 2 { // before and after the bulk revocation is applied
					ids, err := end(keyed("k1"))
					require.NoError(t, err)
					assert.Equal(t, made, ids)
					_, err = f.ApplyBulkRevocations(f.ctx, 4)
					require.NoError(t, err)
				}
				assert.False(t, f.ended(tenantID, later), "the repeated call ends nothing")
				for _, by := range []store.Actor{keyed("k2"), {Subject: "other", ClientID: "console", IdempotencyKey: "k1"}, {Subject: "boss", ClientID: "x", IdempotencyKey: "k1"}, tester()} {
					ids, err := end(by)
					require.NoError(t, err)
					want := []string{}
					if scope != nil && by == keyed("k2") {
						want = []string{later}
					}
					assert.Equal(t, want, ids, "another call: %+v", by)
				}
				f.clock.Advance(24*time.Hour - 2*time.Second)
				ids, err := end(keyed("k1"))
				require.NoError(t, err)
				assert.Equal(t, made, ids, "known for a day")
				f.clock.Advance(2 * time.Second)
				f.login(tenantID, userID, made[0]+"-again")
				if ids, err = end(keyed("k1")); scope == nil {
					assert.Empty(t, ids, "forgotten")
				} else {
					assert.Equal(t, []string{made[0] + "-again"}, ids, "forgotten")
				}
				require.NoError(t, err)
			})
		}
	}
	t.Run("a partner is not told of a tenant that has left it", func(t *testing.T) {
		f := newFixture(t, newStore)
		for _, tenantID := range []string{"left", "stayed"} {
			s := session(tenantID, "ada", "in-"+tenantID)
			s.PartnerID = new("north")
			f.register(s)
		}
		for _, want := range [][]string{{"in-left", "in-stayed"}, {"in-stayed"}} {
			ctx := store.WithScope(f.ctx, store.AllTenants().OfPartner("north"))
			ids, err := f.RevokeAllSessions(ctx, store.AllTenants().OfPartner("north").OfUser("ada"), "", keyed("k"))
			require.NoError(t, err)
			assert.Equal(t, want, ids)
			require.NoError(t, f.SetTenantPartner(f.ctx, "left", "south", tester()))
		}
	})
	t.Run("a call of a partner that ends nothing can be repeated", func(t *testing.T) {
		f := newFixture(t, newStore)
		for range 2 {
			ids, err := f.RevokeAllSessions(f.ctx, store.AllTenants().OfPartner("north").OfUser("nobody"), "", keyed("k"))
			require.NoError(t, err)
			assert.Empty(t, ids)
		}
	})
	t.Run("the number that ended is counted once", func(t *testing.T) {
		ended := 0
		s := newStore(t, store.Options{Now: NewClock().Now, OnEnded: func(_ string, n int) { ended += n }})
		_, _, err := s.RegisterSession(t.Context(), store.AllTenants(), session("acme", "u1", "s1"), tester())
		require.NoError(t, err)
		for range 3 {
			_, err := s.RevokeAllSessions(t.Context(), store.InTenant("acme"), "", keyed("k"))
			require.NoError(t, err)
		}
		assert.Equal(t, 1, ended)
	})
}
