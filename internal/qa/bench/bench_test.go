package bench_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
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

// TestSmoke sends every request of the benchmark to sessiond, on both engines, and to both baselines; a wrong answer is an error. No time is
// looked at.
func TestSmoke(t *testing.T) {
	config := smoke(t)
	config.JSON = filepath.Join(t.TempDir(), "bench.json")
	var table strings.Builder
	require.NoError(t, bench.Run(t.Context(), config, &table))
	for _, operation := range []string{
		"get", "get with sid", "tenant list", "user list", "me list", "admin list by partner", "stats", "revoke one", "register",
		"activity", "activity again", "introspect",
	} {
		for _, tenant := range []string{"median", "largest"} {
			for _, concurrency := range []string{"1", "4"} {
				for _, server := range []string{"sessiond", "baseline", "sessiond, SQLite"} {
					require.Contains(t, table.String(), "\n| "+operation+" | "+concurrency+" | "+tenant+" | "+server)
				}
			}
			require.Regexp(t, `\n\| `+operation+` \| `+tenant+` \| sessiond( \| [0-9.]+){2} \| [0-9.]+, [0-9.]+ \|`, table.String())
		}
	}
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
		require.Contains(t, table.String(), "\n| get with new "+algorithm+" token | 4 | median | sessiond | ")
	}
	for _, operation := range []string{"activity", "revoke one", "register"} {
		require.Contains(t, table.String(), "\n| "+operation+" | 4 | largest | baseline, all indexes | ")
	}
	require.NotContains(t, table.String(), "| get | 4 | largest | baseline, all indexes |")
	var report struct {
		Measurements []struct {
			Operation, Server string
			Concurrency       int
			Rate              float64 `json:"requests_per_second"`
			Ratios            []float64
		}
	}
	text, err := os.ReadFile(config.JSON)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &report))
	// 12 operations of both classes and 3 with new tokens of one, by 3 servers, and 4 that write by one more; each at 2 concurrencies.
	require.Len(t, report.Measurements, 2*((12*2+3)*3+4*2))
	for _, m := range report.Measurements {
		require.NotEmpty(t, m.Operation)
		require.Positive(t, m.Rate)
		require.Len(t, m.Ratios, 1)
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

// TestSmokeFootprint fills, changes, lets a day pass, and says what each took.
func TestSmokeFootprint(t *testing.T) {
	config := smoke(t)
	var table strings.Builder
	require.NoError(t, bench.RunFootprint(t.Context(), config, &table))
	for _, operation := range []string{"register", "activity", "revoke one"} {
		for _, server := range []string{"sessiond", "baseline", "baseline, all indexes"} {
			require.Regexp(t, `(?m)^\| `+operation+` \| `+server+` \| [1-9][0-9]* \| [0-9]+ \|$`, table.String())
		}
	}
	for _, relation := range []string{"sessions", "sessions_pkey", "sessions_user_active", "all"} {
		require.Regexp(t, `(?m)^\| `+relation+` \| [1-9][0-9]* \| [1-9][0-9]* \|$`, table.String())
	}
}

// TestSmokeSearch searches in every way, exports all, and ends some.
func TestSmokeSearch(t *testing.T) {
	config := smoke(t)
	var table strings.Builder
	require.NoError(t, bench.RunSearch(t.Context(), config, &table))
	for _, search := range []string{"(none)", "q", "rare country status", "sort=ended_at"} {
		require.Regexp(t, `(?m)^\| `+regexp.QuoteMeta(search)+` \|( [0-9.]+ \|){7}$`, table.String())
	}
	require.Regexp(t, `An export of all [0-9,]+ sessions as NDJSON takes`, table.String())
	require.Regexp(t, `While a job ends [1-9][0-9,]* sessions of the largest tenant`, table.String())
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

// TestSmokeBuilds measures a build against itself: a program, and one whose rounds are too few to tell.
func TestSmokeBuilds(t *testing.T) {
	config := smoke(t)
	config.Only = []string{"get", "revoke one"}
	var table strings.Builder
	require.NoError(t, bench.RunBuilds(t.Context(), config, config.Sessiond, config.Sessiond, &table))
	for _, operation := range config.Only {
		for _, tenant := range []string{"median", "largest"} {
			require.Regexp(t, `\n\| `+operation+` \| 4 \| `+tenant+` \| [0-9.e+]+ \| [0-9.e+]+ \| [0-9.]+ \| – \| too few rounds \|`, table.String())
		}
	}
	err := bench.RunBuilds(t.Context(), config, "no-such-revision", config.Sessiond, io.Discard)
	require.ErrorContains(t, err, `"no-such-revision" is neither a program nor a revision that can be built`)
}

func TestOnlyNamesAnUnknownOperation(t *testing.T) {
	config := smoke(t)
	config.Only = []string{"fly"}
	require.ErrorContains(t, bench.Run(t.Context(), config, io.Discard), `no operation "fly": use some of get,`)
}
