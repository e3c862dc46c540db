package store_test

import (
	"os"
	"testing"

	"github.com/sessiond/sessiond/internal/qa/sequential"
	"github.com/sessiond/sessiond/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func TestSQLite(t *testing.T) {
	storetest.Run(t, storetest.SQLite)
}

func TestPostgres(t *testing.T) { storetest.Run(t, storetest.Postgres) }

// TestPooled runs the suite behind PgBouncer in transaction mode, without groups that take long and send statements in no other way than the
// rest; TestManyAtOnceBehindAPooler has many callers at once.
func TestPooled(t *testing.T) {
	sequential.Test(t)
	storetest.Run(t, storetest.Pooled, "model", "pairs", "totals", "storable times", "search", "who assigns partners", "moving partners", "retention",
		"ended", "erasure", "idempotency", "history")
}

// TestPlain runs the suite on PostgreSQL without fast paths, but for groups about what has none, and for the model:
// TestPlainAndFastAreTheSame holds the two against each other.
func TestPlain(t *testing.T) {
	sequential.Test(t)
	storetest.Run(t, storetest.Plain, "model", "totals", "devices", "search", "revocation jobs", "moving partners", "who assigns partners", "erasure",
		"retention", "idempotency", "history", "schema")
}
