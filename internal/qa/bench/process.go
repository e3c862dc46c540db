package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
	// tick is the unit of times in /proc; it is the same on every Linux (USER_HZ).
	tick = 10 * time.Millisecond
)

// process is a server under load.
type process struct {
	cmd  *exec.Cmd
	addr string
}

// Build compiles sessiond into a directory, and returns the program's path.
func Build(ctx context.Context, dir string) (string, error) {
	return build(ctx, dir, "sessiond", "github.com/sessiond/sessiond/cmd/sessiond")
}

// build compiles a command of this module.
func build(ctx context.Context, dir, name, pkg string) (string, error) {
	binary := filepath.Join(dir, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, pkg) //nolint:gosec // the callers' constants
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", pkg, err, out)
	}
	return binary, nil
}

// start runs a server whose log says where it listens. The log goes to a file, as in production.
func start(ctx context.Context, logFile, binary string, args ...string) (*process, error) {
	log, err := os.Create(logFile) //nolint:gosec // in our own directory
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, binary, args...) //nolint:gosec // built here
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(syscall.SIGTERM) }, stopTimeout
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd}
	announced := regexp.MustCompile(`"msg":"serving","addr":"([^"]+)"`)
	for deadline := clock().Add(startTimeout); clock().Before(deadline) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		written, err := os.ReadFile(logFile) //nolint:gosec // as above
		if err != nil {
			return nil, errors.Join(err, p.stop())
		}
		if found := announced.FindSubmatch(written); found != nil {
			p.addr = string(found[1])
			return p, nil
		}
	}
	written, _ := os.ReadFile(logFile) //nolint:gosec // as above
	return nil, errors.Join(fmt.Errorf("%s does not serve: %s", filepath.Base(binary), written), p.stop())
}

// stop ends a server gracefully.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	var ended *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &ended) && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// cpu is the processors' time that the server has taken.
func (p *process) cpu() time.Duration {
	stat, _ := readStat(p.cmd.Process.Pid)
	return stat.own
}

// resetPeak makes the peak of the server's memory count from now (proc(5), clear_refs).
func (p *process) resetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0o600)
}

// memory is the server's resident set, now and at its peak, in MiB.
func (p *process) memory() (now, peak int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range strings.Lines(string(text)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			now = kib >> 10
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			peak = kib >> 10
		}
	}
	return now, peak
}

// stat is what /proc says of a process. Children are those that have ended.
type stat struct {
	parent        int
	own, children time.Duration
}

func readStat(pid int) (stat, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, false // it has ended
	}
	// The name, in parentheses, may hold anything (proc(5)); the state follows as field 3.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	number := func(field int) int {
		n, _ := strconv.Atoi(fields[field-3])
		return n
	}
	return stat{
		parent: number(4), own: time.Duration(number(14)+number(15)) * tick,
		children: time.Duration(number(16)+number(17)) * tick,
	}, true
}

// familyCPU is what a process, its living children and those that have ended took: PostgreSQL's server and backends.
func familyCPU(parent int) time.Duration {
	if parent == 0 {
		return 0
	}
	root, _ := readStat(parent)
	sum := root.own + root.children
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, entry := range entries {
		pid, _ := strconv.Atoi(filepath.Base(entry))
		if child, found := readStat(pid); found && child.parent == parent {
			sum += child.own
		}
	}
	return sum
}
