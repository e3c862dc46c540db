package demo_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/demo"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

func TestFill(t *testing.T) {
	clock := storetest.NewClock()
	s := storetest.SQLite(t, store.Options{Now: clock.Now})
	require.NoError(t, demo.Fill(t.Context(), s, 2500, clock.Now()))
	_, total, err := s.ListSessions(t.Context(), store.AllTenants(), store.Page{Limit: 1})
	require.NoError(t, err)
	assert.Equal(t, 2500, total)

	stats, err := s.TenantStats(t.Context(), store.InTenant("acme"))
	require.NoError(t, err)
	for name, n := range map[string]int{
		"active": stats.Active, "expired": stats.Expired, "revoked": stats.Revoked, "users": stats.UniqueUsers,
		"created lately": stats.CreatedLast24h, "applications": len(stats.TopApplications),
		"desktop": stats.ByDeviceType["desktop"], "mobile": stats.ByDeviceType["mobile"], "tablet": stats.ByDeviceType["tablet"],
	} {
		assert.Positive(t, n, name)
	}
	sessions, _, err := s.ListSessions(t.Context(), store.InTenant("acme"), store.Page{})
	require.NoError(t, err)
	withApps := 0
	for _, session := range sessions {
		assert.False(t, session.CreatedAt.After(clock.Now()))
		assert.True(t, session.ExpiresAt.After(session.CreatedAt))
		got, apps, err := s.GetSessionWithApps(t.Context(), store.CallerSession{}, store.InTenant("acme"), session.ID)
		require.NoError(t, err)
		assert.Len(t, apps, got.AppCount)
		withApps += min(1, len(apps))
	}
	assert.Positive(t, withApps)

	// A second server that starts on the same data must not fail on it.
	require.NoError(t, demo.Fill(t.Context(), s, 10, clock.Now().Add(time.Hour)))
}
