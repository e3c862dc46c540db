package store_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

// modes are the permissions of the files of a database with a session in it.
func modes(t *testing.T, path string) map[string]fs.FileMode {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite://"+path, store.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	_, _, err = s.RegisterSession(t.Context(), store.AllTenants(), store.Session{
		ID: "s1", TenantID: "acme", UserID: "ada", ExpiresAt: time.Now().Add(time.Hour),
	}, store.Actor{})
	require.NoError(t, err)
	found := map[string]fs.FileMode{}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		require.NoError(t, err)
		found[suffix] = info.Mode()
	}
	return found
}

// TestSQLiteFilesAreTheOwnersAlone: only the owner may read the files, which contain addresses, agents and e-mails.
func TestSQLiteFilesAreTheOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new.db")
	assert.Equal(t, map[string]fs.FileMode{"": 0o600, "-wal": 0o600, "-shm": 0o600}, modes(t, path))
	require.NoError(t, os.Chmod(path, 0o640)) //nolint:gosec // G302: an operator's choice
	assert.Equal(t, map[string]fs.FileMode{"": 0o640, "-wal": 0o640, "-shm": 0o640}, modes(t, path), "a file that is there keeps its mode")
}

func TestSQLiteFileThatMustExist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "x.db")
	_, err := store.Open(t.Context(), "sqlite://"+path, store.Options{MustExist: true})
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.NoDirExists(t, filepath.Dir(path))
	modes(t, path)
	s, err := store.Open(t.Context(), "sqlite://"+path, store.Options{MustExist: true})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}
