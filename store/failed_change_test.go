package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestNothingStaysOfAChangeThatFails: the last statement but one of a change fails, and the change with it.
func TestNothingStaysOfAChangeThatFails(t *testing.T) {
	clock := storetest.NewClock()
	s := storetest.SQLite(t, store.Options{Now: clock.Now})
	_, _, err := s.RegisterSession(t.Context(), store.AllTenants(), store.Session{
		TenantID: "acme", UserID: "ada", ID: "s1", ExpiresAt: clock.Now().Add(time.Hour),
	}, store.Actor{})
	require.NoError(t, err)
	require.NoError(t, s.Exec(t.Context(), `CREATE TRIGGER refuse BEFORE UPDATE OF app_count ON sessions
		BEGIN SELECT RAISE(FAIL, 'refused'); END`))
	app := store.App{SessionID: "s1", ApplicationID: "mail", ApplicationName: "Mail"}
	require.ErrorContains(t, s.RecordApp(t.Context(), store.AllTenants(), app, store.Actor{}), "refused")
	session, apps, err := s.GetSessionWithApps(t.Context(), store.CallerSession{}, store.AllTenants(), "s1")
	require.NoError(t, err)
	assert.Nil(t, session.LastActivityAt)
	assert.Empty(t, apps)
}

// TestCountersAreRepaired: a verification that repairs puts the counted numbers in the place of wrong ones, on both engines.
func TestCountersAreRepaired(t *testing.T) {
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			clock := storetest.NewClock()
			s := open(t, store.Options{Now: clock.Now})
			_, _, err := s.RegisterSession(t.Context(), store.AllTenants(), store.Session{
				TenantID: "acme", UserID: "ada", ID: "s1", ExpiresAt: clock.Now().Add(time.Hour),
			}, store.Actor{})
			require.NoError(t, err)
			_, err = s.RollUp(t.Context(), 100)
			require.NoError(t, err)
			require.NoError(t, s.Exec(t.Context(), "UPDATE counters SET open = 7 WHERE kind = 'sessions'"))
			for _, drifts := range []int{2, 0} { // the tenant's and that of all
				found := 0
				n, err := s.VerifyCounters(t.Context(), true, func(store.Drift) { found++ })
				require.NoError(t, err)
				assert.Equal(t, 1, n)
				assert.Equal(t, drifts, found)
			}
		})
	}
}
