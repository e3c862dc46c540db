package storetest

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/internal/tuning"
)

// SQLite makes a fresh store in a file of the test's own.
func SQLite(t *testing.T, options store.Options, bucketSize ...int) *store.Store {
	t.Helper()
	return Open(t, SQLiteURL(t), options, bucketSize...)
}

// SQLiteURL names a file of the test's own that does not exist yet.
func SQLiteURL(tb testing.TB) string {
	tb.Helper()
	return "sqlite://" + filepath.Join(tb.TempDir(), "sessiond.db")
}

// Postgres makes a fresh store in a database of the test's own; see Main.
func Postgres(t *testing.T, options store.Options, bucketSize ...int) *store.Store {
	t.Helper()
	return Open(t, migratedURL(t), options, bucketSize...)
}

// Plain is Postgres without fast paths.
func Plain(t *testing.T, options store.Options, bucketSize ...int) *store.Store {
	t.Helper()
	options.NoFastPaths = true
	return Postgres(t, options, bucketSize...)
}

// Open opens a database, brings its schema up to date, and closes it after the test.
func Open(t *testing.T, url string, options store.Options, bucketSize ...int) *store.Store {
	t.Helper()
	ctx := t.Context()
	if len(bucketSize) > 0 {
		ctx = tuning.WithBucketSize(ctx, bucketSize[0])
	}
	s, err := store.Open(ctx, url, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	return s
}
