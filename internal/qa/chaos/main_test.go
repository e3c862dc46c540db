package chaos

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// program is sessiond, built once for all tests.
var program struct {
	once      sync.Once
	dir, path string
	err       error
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sessiond-chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// PostgreSQL runs as a user of its own and has to reach what it keeps here.
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // as said
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	program.dir = dir
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// sessiond is the path of sessiond.
func sessiond(t *testing.T) string {
	t.Helper()
	program.once.Do(func() { program.path, program.err = Build(t.Context(), program.dir) })
	require.NoError(t, program.err)
	return program.path
}

// directory is one that PostgreSQL can reach, unlike the test's own.
func directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(program.dir, "run-") //nolint:usetesting // as said
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711)) //nolint:gosec // as said above
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}
