package store_test

import (
	"os"
	"testing"

	"github.com/sessiond/sessiond/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func TestSQLite(t *testing.T) { storetest.Run(t, storetest.SQLite) }

func TestPostgres(t *testing.T) { storetest.Run(t, storetest.Postgres) }

// TestPooled: a store behind PgBouncer, in transaction mode, keeps to the same rules. The random walks of the model are left out:
// they take as long as all others together, and send what the others send.
func TestPooled(t *testing.T) { storetest.Run(t, storetest.Pooled, "model") }
