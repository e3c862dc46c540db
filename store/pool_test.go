package store_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

func TestPool(t *testing.T) {
	for name, c := range map[string]struct {
		open storetest.Factory
		most int
	}{"sqlite": {storetest.SQLite, 0}, "postgres": {storetest.Postgres, 3}} {
		t.Run(name, func(t *testing.T) {
			s := c.open(t, store.Options{MaxConns: 3})
			require.NoError(t, s.Ping(t.Context()))
			pool := s.Pool()
			assert.Positive(t, pool.Open)
			assert.Equal(t, pool.Open, pool.InUse+pool.Idle)
			assert.Equal(t, c.most, pool.MaxOpen)
		})
	}
}
