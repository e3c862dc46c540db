package store

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
)

func TestMigrationsHaveTheSameNumbersOnBothEngines(t *testing.T) {
	names := func(engine string) []string {
		files, err := fs.Glob(migrations, "migrations/"+engine+"/*.sql")
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for i := range files {
			files[i] = files[i][len("migrations/"+engine+"/"):]
		}
		return files
	}
	assert.Equal(t, names(postgresName), names(sqliteName))
}

func TestTransactionsRunAgainWhenTheDatabaseAsksForIt(t *testing.T) {
	s, err := Open(t.Context(), "sqlite://"+t.TempDir()+"/x.db", Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	deadlock, fault := errors.New("deadlock"), errors.New("fault")
	s.engine.retryable = func(err error) bool { return errors.Is(err, deadlock) }
	for name, c := range map[string]struct {
		outcomes []error
		runs     int
		want     error
	}{
		"success":                  {[]error{nil}, 1, nil},
		"a deadlock, once":         {[]error{deadlock, nil}, 2, nil},
		"deadlocks, always":        {[]error{deadlock, deadlock, deadlock, deadlock, nil}, 4, deadlock},
		"a fault":                  {[]error{fault, nil}, 1, fault},
		"a deadlock, then a fault": {[]error{deadlock, fault, nil}, 2, fault},
	} {
		t.Run(name, func(t *testing.T) {
			runs := 0
			err := s.write(t.Context(), "test", func(*gorm.DB) error {
				runs++
				return c.outcomes[runs-1]
			})
			require.ErrorIs(t, err, c.want)
			assert.Equal(t, c.runs, runs)
		})
	}
}

func TestRedact(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://me:hidden@host/db": "postgres://…@host/db", "postgres://host/db": "postgres://host/db",
		"sqlite://data/x.db": "sqlite://data/x.db", "nonsense": "nonsense",
	} {
		assert.Equal(t, want, Redact(url))
	}
}
