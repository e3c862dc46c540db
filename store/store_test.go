package store_test

import (
	"os"
	"testing"

	"github.com/sessiond/sessiond/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func TestSQLite(t *testing.T) { storetest.Run(t, storetest.SQLite) }

func TestPostgres(t *testing.T) { storetest.Run(t, storetest.Postgres) }

// TestPooled: a store behind PgBouncer, in transaction mode, keeps to the same rules.
func TestPooled(t *testing.T) { storetest.Run(t, storetest.Pooled) }
