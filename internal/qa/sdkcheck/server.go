package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// server is a sessiond with demo data, and tokens for it.
type server struct {
	cmd                        *exec.Cmd
	url, tenant                string
	tenantToken, platformToken string
}

// startServer builds sessiond and serves on a free port.
func startServer(ctx context.Context, work string) (*server, error) {
	binary, data := filepath.Join(work, "sessiond"), filepath.Join(work, "data")
	build := []string{"go", "build", "-o", binary, "./cmd/sessiond"}
	if err := execute(ctx, ".", build); err != nil {
		return nil, err
	}
	s := &server{tenant: "acme"}
	s.cmd = exec.CommandContext(ctx, binary, "serve", "--dev", "--demo-sessions", "200", "--addr", "127.0.0.1:0", //nolint:gosec // just built
		"--data-dir", data, "--database-url", "sqlite://"+filepath.Join(data, "sessiond.db"))
	output, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.url = announced(bufio.NewScanner(output))
	if s.url == "" {
		s.stop()
		return nil, errors.New("sessiond does not serve: " + strings.Join(s.cmd.Args, " "))
	}
	token := func(flags ...string) (string, error) {
		text, err := exec.CommandContext(ctx, binary, append([]string{"token", "--data-dir", data}, flags...)...).Output() //nolint:gosec // as above
		return strings.TrimSpace(string(text)), err
	}
	var tenantErr, platformErr error
	s.tenantToken, tenantErr = token("--sub", "boss", "--tenant", s.tenant, "--scope", "sessions:read sessions:write")
	s.platformToken, platformErr = token("--sub", "operator", "--scope", "admin:sessions:read admin:sessions:write")
	if err := errors.Join(tenantErr, platformErr); err != nil {
		s.stop()
		return nil, fmt.Errorf("mint a token: %w", err)
	}
	return s, nil
}

// announced is the address in the log line that says where sessiond serves, "" when it ends without one. What follows is
// read too, for nobody else does.
func announced(lines *bufio.Scanner) string {
	for lines.Scan() {
		var entry struct{ Msg, Addr string }
		if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "serving" {
			go func() {
				for lines.Scan() { // to the end
				}
			}()
			return "http://" + entry.Addr
		}
	}
	return ""
}

// stop ends it and waits.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	_ = s.cmd.Wait()
}
