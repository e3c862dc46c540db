package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestARegistrationWaitsForItsTenantToMove: one that names no partner takes the tenant's, which must not change meanwhile.
func TestARegistrationWaitsForItsTenantToMove(t *testing.T) {
	for _, noFastPaths := range []bool{false, true} {
		clock := storetest.NewClock()
		s := storetest.Postgres(t, store.Options{Now: clock.Now, NoFastPaths: noFastPaths})
		register := func(id string) error {
			_, _, err := s.RegisterSession(t.Context(), store.AllTenants(), store.Session{
				TenantID: "acme", UserID: "ada", ID: id, ExpiresAt: clock.Now().Add(time.Hour),
			}, store.Actor{})
			return err
		}
		require.NoError(t, register("s1"))
		release, err := s.HoldPartnerOf(t.Context(), "acme")
		require.NoError(t, err)
		defer release()
		registered := make(chan error, 1)
		go func() { registered <- register("s2") }()
		require.Eventually(t, func() bool {
			n, err := s.WaitForLocks(t.Context())
			return err == nil && n == 1 && len(registered) == 0
		}, 20*time.Second, time.Millisecond)
		release()
		require.NoError(t, <-registered)
	}
}
