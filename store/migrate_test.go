package store_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestADatabaseFromBeforeTheFirstRelease has migrations of the same numbers, and tables of other names.
func TestADatabaseFromBeforeTheFirstRelease(t *testing.T) {
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := open(t, store.Options{})
			require.NoError(t, s.CheckSchema(t.Context()))
			for _, another := range []string{"UPDATE migration_digests SET digest = 'x'", "DROP TABLE migration_digests"} {
				require.NoError(t, s.Exec(t.Context(), another))
				require.ErrorIs(t, s.CheckSchema(t.Context()), store.ErrIncompatibleSchema)
				_, err := s.Migrate(t.Context())
				require.ErrorIs(t, err, store.ErrIncompatibleSchema)
				_, err = s.MigrationStatus(t.Context())
				require.ErrorIs(t, err, store.ErrIncompatibleSchema)
			}
		})
	}
}

// TestTheSchemaGoesDownAndUpAgain.
func TestTheSchemaGoesDownAndUpAgain(t *testing.T) {
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := open(t, store.Options{Now: storetest.NewClock().Now})
			require.NoError(t, s.MigrateTo(t.Context(), 0))
			require.ErrorIs(t, s.CheckSchema(t.Context()), store.ErrSchema)
			steps, err := s.Migrate(t.Context())
			require.NoError(t, err)
			require.NotEmpty(t, steps)
			for i, step := range steps {
				assert.Equal(t, int64(i+1), step.Version)
				assert.Regexp(t, `^0*`+strconv.Itoa(i+1)+`_\w+\.sql$`, step.Name)
				assert.Equal(t, storetest.Epoch, step.AppliedAt)
			}
			steps, err = s.Migrate(t.Context())
			require.NoError(t, err)
			require.Empty(t, steps)
			require.NoError(t, s.CheckSchema(t.Context()))
		})
	}
}
