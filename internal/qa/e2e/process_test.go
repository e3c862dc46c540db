package e2e_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// startTimeout is ample for a program on a busy machine to say that it serves.
const startTimeout = 30 * time.Second

// output is what a program has written so far.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) add(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.WriteString(line + "\n")
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs a program until the test is over. It returns what announced finds in the first line of output in which it
// finds something.
func start(t *testing.T, cmd *exec.Cmd, announced func(line string) string) string {
	t.Helper()
	read, write, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = write, write
	require.NoError(t, cmd.Start())
	require.NoError(t, write.Close())

	var written output
	found, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(read); lines.Scan(); {
			written.add(lines.Text())
			if text := announced(lines.Text()); text != "" {
				select {
				case found <- text:
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		stop(t, cmd, ended)
		if t.Failed() {
			t.Logf("%s wrote:\n%s", cmd.Path, written.String())
		}
	})
	select {
	case text := <-found:
		return text
	case <-ended:
		require.Fail(t, "the program ended before it served", "%s wrote:\n%s", cmd.Path, written.String())
	case <-time.After(startTimeout):
		require.Fail(t, "the program does not serve", "%s", cmd.Path)
	}
	return ""
}

// stop asks a program to end, and ends it when it does not. ended is closed when nobody holds its output any more.
func stop(t *testing.T, cmd *exec.Cmd, ended <-chan struct{}) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err == nil {
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Errorf("%s does not end", cmd.Path)
			require.NoError(t, cmd.Process.Kill())
		}
	}
	_ = cmd.Wait() // a program that a signal ends does not end well
}
