package bench_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/bench"
	"github.com/sessiond/sessiond/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// TestSmoke sends every request of the benchmark to sessiond, on both engines, and to the floor; a wrong answer is an
// error. No time is looked at.
func TestSmoke(t *testing.T) {
	config := bench.Smoke()
	config.PostgresURL = storetest.PostgresURL(t)
	var table strings.Builder
	require.NoError(t, bench.Run(t.Context(), config, &table))
	for _, operation := range []string{
		"get", "get with sid", "tenant list", "user list", "me list", "admin list by partner", "stats", "revoke one", "register",
		"activity", "activity again", "introspect",
	} {
		for _, tenant := range []string{"median", "largest"} {
			for _, server := range []string{"sessiond", "floor", "sessiond, SQLite"} {
				require.Contains(t, table.String(), "\n| "+operation+" | "+tenant+" | "+server)
			}
		}
	}
}

func TestSmokeFlat(t *testing.T) {
	config := bench.Smoke()
	config.PostgresURL = storetest.PostgresURL(t)
	var table strings.Builder
	require.NoError(t, bench.RunFlat(t.Context(), config, &table))
	for _, operation := range []string{"list page 1", "list page 1,000", "stats", "get", "revoke one"} {
		for _, tenant := range []string{"300", "600", "1,200"} {
			require.Contains(t, table.String(), "\n| "+operation+" | 4 | "+tenant)
		}
	}
	require.Contains(t, table.String(), "\n| admin list page 1 | 1 | all tenants |")
	require.Contains(t, table.String(), "sessions answered 200 with")
}

func TestOnlyNamesAnUnknownOperation(t *testing.T) {
	config := bench.Smoke()
	config.PostgresURL, config.Only, config.Sessiond = storetest.PostgresURL(t), []string{"fly"}, "unused"
	require.ErrorContains(t, bench.Run(t.Context(), config, os.Stderr), `no operation "fly": use some of get,`)
}
