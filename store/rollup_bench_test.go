package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// imports are sessions of one tenant as they come from elsewhere, all at once.
func imports() map[string]func(i int) store.Session {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	of := func(user int, created time.Time, i int) store.Session {
		return store.Session{
			TenantID: "acme", ID: fmt.Sprintf("s%07d", i), UserID: fmt.Sprintf("u%d", user),
			CreatedAt: created, ExpiresAt: start.AddDate(100, 0, 0),
		}
	}
	return map[string]func(i int) store.Session{
		"of many users": func(i int) store.Session { return of(i/10, start.Add(time.Duration(i)*time.Second), i) },
		"of one user":   func(i int) store.Session { return of(0, start.Add(time.Duration(i)*time.Second), i) },
		"of one time":   func(i int) store.Session { return of(i/10, start, i) },
	}
}

// importSessions imports the sessions from one number to another.
func importSessions(tb testing.TB, s *store.Store, session func(i int) store.Session, from, to int) {
	tb.Helper()
	for from < to {
		var rows store.Import
		for range min(5000, to-from) {
			rows.Sessions = append(rows.Sessions, session(from))
			from++
		}
		require.NoError(tb, s.ImportSessions(tb.Context(), rows))
	}
}

// BenchmarkRollUp rolls up so many pending deltas: ten times as many should take about ten times as long.
func BenchmarkRollUp(b *testing.B) {
	for engine, newURL := range map[string]func(testing.TB) string{"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		for shape, session := range imports() {
			for _, changes := range []int{10_000, 100_000} {
				b.Run(fmt.Sprintf("%s/%s/%d", engine, shape, changes), func(b *testing.B) {
					for b.Loop() {
						b.StopTimer()
						s, err := store.Open(b.Context(), newURL(b), store.Options{})
						require.NoError(b, err)
						_, err = s.Migrate(b.Context())
						require.NoError(b, err)
						importSessions(b, s, session, 0, changes)
						b.StartTimer()
						for n := 2000; n == 2000; {
							n, err = s.RollUp(b.Context(), 2000)
							require.NoError(b, err)
						}
						b.StopTimer()
						require.NoError(b, s.Close())
						b.StartTimer()
					}
				})
			}
		}
	}
}
