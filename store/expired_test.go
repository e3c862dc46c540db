package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestTotalsReadOnlyExpiredSessions: SQLite finds what a total leaves out by the time of its end, and not among all active sessions of a
// tenant, of a partner or of all.
func TestTotalsReadOnlyExpiredSessions(t *testing.T) {
	clock := storetest.NewClock()
	s := storetest.SQLite(t, store.Options{Now: clock.Now})
	for scope, index := range map[store.Scope]string{
		store.InTenant("acme"):                "sessions_tenant_due (tenant_id=? AND ends_at>? AND ends_at<?)",
		store.AllTenants().OfPartner("north"): "sessions_due (ends_at>? AND ends_at<?)",
		store.AllTenants():                    "sessions_due (ends_at>? AND ends_at<?)",
	} {
		how, err := s.ExplainExpired(t.Context(), scope)
		require.NoError(t, err)
		assert.Contains(t, how, index, "%+v", scope)
	}
	for i, partner := range []string{"north", "north", "south"} {
		_, _, err := s.RegisterSession(t.Context(), store.AllTenants(), store.Session{
			TenantID: "t" + partner, PartnerID: &partner, UserID: "ada", ID: fmt.Sprint("s", i), ExpiresAt: clock.Now().Add(time.Duration(i+1) * time.Hour),
		}, store.Actor{})
		require.NoError(t, err)
	}
	clock.Advance(90 * time.Minute)
	for partner, want := range map[string]int{"north": 1, "south": 1} {
		_, total, err := s.ListSessions(t.Context(), store.CallerSession{}, store.AllTenants().OfPartner(partner), store.Filter{ActiveOnly: true},
			store.Page{Limit: 10})
		require.NoError(t, err)
		assert.Equal(t, want, total, partner)
	}
}
