package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/sessiond/sessiond/internal/auth"
)

// Build compiles sessiond into a directory, and returns the program's path.
func Build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "sessiond")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/sessiond/sessiond/cmd/sessiond") //nolint:gosec // our own
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sessiond: %w: %s", err, out)
	}
	return binary, nil
}

// Server is the built program, to be killed and started again.
type Server struct {
	// Binary is the program, Dir the directory of its key and log, Database its database's URL, Flags what serve is told
	// besides.
	Binary, Dir, Database string
	Flags                 []string

	// wrap is a program that runs it, with its arguments.
	wrap []string
	// log is the log's name, where it is not the usual one.
	log string
	cmd *exec.Cmd
	url atomic.Value
}

// Start serves, on another port each time, and waits until it does.
func (s *Server) Start(ctx context.Context) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	before, err := log.Seek(0, 2)
	if err != nil {
		return err
	}
	args := append(slices.Clone(s.wrap), s.Binary, "serve", "--dev", "--data-dir", s.Dir, "--addr", "127.0.0.1:0", "--database-url", s.Database)
	args = append(args, s.Flags...)
	s.cmd = exec.Command(args[0], args[1:]...) //nolint:gosec,noctx // our own; it outlives the call
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.cmd.Stderr = log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	announced := regexp.MustCompile(`"msg":"serving","addr":"([^"]+)"`)
	return await(ctx, func() error {
		text, err := os.ReadFile(s.LogFile())
		if err != nil {
			return err
		}
		found := announced.FindSubmatch(text[before:])
		if found == nil {
			return fmt.Errorf("sessiond does not serve: %s", text[before:])
		}
		s.url.Store("http://" + string(found[1]))
		return nil
	})
}

// URL is where it serves now, or did last.
func (s *Server) URL() string { return s.url.Load().(string) }

// LogFile has what it logged, of all starts.
func (s *Server) LogFile() string { return filepath.Join(s.Dir, cmp.Or(s.log, "sessiond.log")) }

// Kill ends it at once.
func (s *Server) Kill() error {
	err := s.cmd.Process.Kill()
	_ = s.cmd.Wait() // a program that is killed does not end well
	return err
}

// Stop shuts it down.
func (s *Server) Stop() error {
	if s.cmd.ProcessState != nil {
		return nil // it was killed
	}
	err := s.cmd.Process.Signal(syscall.SIGTERM)
	return errors.Join(err, s.cmd.Wait())
}

// Check counts all sessions and compares with the numbers that are kept: `sessiond check`.
func (s *Server) Check(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.Binary, "check", "--database-url", s.Database) //nolint:gosec // our own
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sessiond check: %w: %s", err, out)
	}
	return nil
}

// faults are the log's lines about errors that it did not expect.
func (s *Server) faults() ([]string, error) {
	text, err := os.ReadFile(s.LogFile())
	var found []string
	for line := range strings.Lines(string(text)) {
		// A statement that fails is logged by itself too, whether or not that was expected.
		if strings.Contains(line, `"level":"ERROR"`) && !strings.Contains(line, `"msg":"SQL executed"`) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found, err
}

// issuer makes the tokens that the server trusts.
func (s *Server) issuer() (*auth.DevIssuer, error) { return auth.OpenDevIssuer(s.Dir) }
