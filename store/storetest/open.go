package storetest

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

// SQLite makes a fresh store in a file of the test's own.
func SQLite(t *testing.T, options store.Options) *store.Store {
	t.Helper()
	return open(t, SQLiteURL(t), options)
}

// SQLiteURL names a file of the test's own that does not exist yet.
func SQLiteURL(tb testing.TB) string {
	tb.Helper()
	return "sqlite://" + filepath.Join(tb.TempDir(), "sessiond.db")
}

// Postgres makes a fresh store in a database of the test's own; see Main.
func Postgres(t *testing.T, options store.Options) *store.Store {
	t.Helper()
	return open(t, migratedURL(t), options)
}

func open(t *testing.T, url string, options store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	return s
}
