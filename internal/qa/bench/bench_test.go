package bench_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/qa/bench"
	"github.com/sessiond/sessiond/store/storetest"
)

// program is sessiond.
var program struct {
	once      sync.Once
	dir, path string
	err       error
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sessiond-bench-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program.dir = dir
	return storetest.Main(m)
}

// smoke is the small configuration, on a server of the tests and with sessiond built once for all of them.
func smoke(t *testing.T) bench.Config {
	t.Helper()
	config := bench.Smoke()
	config.PostgresURL = storetest.PostgresServer(t).String()
	program.once.Do(func() { program.path, program.err = bench.Build(t.Context(), program.dir) })
	require.NoError(t, program.err)
	config.Sessiond = program.path
	return config
}

// TestSmoke sends every request of the benchmark to sessiond, on both engines, and to the baseline; a wrong answer is an
// error. No time is looked at.
func TestSmoke(t *testing.T) {
	config := smoke(t)
	var table strings.Builder
	require.NoError(t, bench.Run(t.Context(), config, &table))
	for _, operation := range []string{
		"get", "get with sid", "tenant list", "user list", "me list", "admin list by partner", "stats", "revoke one", "register",
		"activity", "activity again", "introspect",
	} {
		for _, tenant := range []string{"median", "largest"} {
			for _, server := range []string{"sessiond", "baseline", "sessiond, SQLite"} {
				require.Contains(t, table.String(), "\n| "+operation+" | "+tenant+" | "+server)
			}
		}
	}
}

func TestSmokeFlat(t *testing.T) {
	config := smoke(t)
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

// TestSmokeFairness has a tenant misbehave in every way, on both engines.
func TestSmokeFairness(t *testing.T) {
	config := smoke(t)
	var table strings.Builder
	require.NoError(t, bench.RunFairness(t.Context(), config, &table))
	for _, server := range []string{"PostgreSQL", "SQLite"} {
		for _, misdeed := range []string{"far pages of one user's sessions", "statistics", "registrations", "revoke-all and registrations"} {
			for _, operation := range []string{"introspect", "get", "tenant list"} {
				require.Regexp(t, `(?m)^\| `+server+` \| `+misdeed+` \| `+operation+` (\| [0-9]+\.[0-9]+ ){5}\| [0-9.e+]+ \|$`, table.String())
			}
		}
	}
}

func TestOnlyNamesAnUnknownOperation(t *testing.T) {
	config := smoke(t)
	config.Only = []string{"fly"}
	require.ErrorContains(t, bench.Run(t.Context(), config, io.Discard), `no operation "fly": use some of get,`)
}
