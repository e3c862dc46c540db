package store_test

import (
	"os"
	"testing"

	"github.com/sessiond/sessiond/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func TestSQLite(t *testing.T) { storetest.Run(t, storetest.SQLite) }

func TestPostgres(t *testing.T) { storetest.Run(t, storetest.Postgres) }

// TestPooled runs the suite behind PgBouncer in transaction mode, without groups that take long and send the same statements as others
// with other values; TestManyAtOnceBehindAPooler has many callers at once.
func TestPooled(t *testing.T) {
	storetest.Run(t, storetest.Pooled, "model", "pairs", "storable times", "search", "who assigns partners")
}

// TestPlain runs the suite on PostgreSQL without fast paths.
func TestPlain(t *testing.T) { storetest.Run(t, storetest.Plain, "search", "revocation jobs") }
