package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/sessiond/sessiond/internal/qa/pgtest"
)

// Postgres is a server of our own that takes everything to disk, with what can happen to it.
type Postgres struct{ *pgtest.Server }

// NewPostgres makes and starts a server in a directory that does not exist yet. Settings are NAME=VALUE.
func NewPostgres(ctx context.Context, dir string, settings ...string) (*Postgres, error) {
	server, err := pgtest.New(dir, settings...)
	if err != nil {
		return nil, err
	}
	if err := server.Init(ctx); err != nil {
		return nil, err
	}
	return &Postgres{server}, server.Start(ctx)
}

// NewStandby makes and starts a server that streams from another one.
func NewStandby(ctx context.Context, dir string, primary *Postgres) (*Postgres, error) {
	server, err := pgtest.New(dir, primary.Settings...)
	if err != nil {
		return nil, err
	}
	if err := server.CopyFrom(ctx, primary.Server); err != nil {
		return nil, err
	}
	return &Postgres{server}, server.Start(ctx)
}

// MakeDatabase makes the database that sessiond gets, and its role: one that row-level security holds.
func (p *Postgres) MakeDatabase(ctx context.Context) error {
	return p.Do(ctx, "postgres", "CREATE ROLE sessiond LOGIN", "CREATE DATABASE sessions OWNER sessiond")
}

// Do runs statements in one of the databases, as the role that URL names.
func (p *Postgres) Do(ctx context.Context, database string, statements ...string) error {
	return pgtest.Do(ctx, p.URL(database), statements...)
}

// URL names one of the databases, for the role that owns it.
func (p *Postgres) URL(database string) string { return urlOf(database, p.Dir) }

// urlOf names a database behind the first of some sockets that takes writes.
func urlOf(database string, dirs ...string) string {
	role := "sessiond"
	if database == "postgres" {
		role = "postgres"
	}
	query := url.Values{"host": {strings.Join(dirs, ",")}, "user": {role}, "sslmode": {"disable"}}
	if len(dirs) > 1 {
		query.Set("target_session_attrs", "read-write")
	}
	return (&url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: query.Encode()}).String()
}

// Kill ends all processes of the server at once, as a failure of its machine does.
func (p *Postgres) Kill(ctx context.Context) error {
	// The postmaster is stopped first, so that it starts no process that is then missed.
	if err := syscall.Kill(p.PID(), syscall.SIGSTOP); err != nil {
		return err
	}
	family, err := p.signal(syscall.SIGKILL)
	_ = p.Wait() // a program that is killed does not end well
	// The next start would find the shared memory in use.
	return errors.Join(err, await(ctx, func() error {
		for _, pid := range family {
			if syscall.Kill(pid, 0) == nil && !zombie(pid) {
				return fmt.Errorf("process %d is still there", pid)
			}
		}
		return nil
	}))
}

// Freeze stops all processes of the server without ending them: connections stay, and nothing answers.
func (p *Postgres) Freeze() error {
	if err := syscall.Kill(p.PID(), syscall.SIGSTOP); err != nil {
		return err
	}
	_, err := p.signal(syscall.SIGSTOP)
	return err
}

// Thaw lets a frozen server go on.
func (p *Postgres) Thaw() error {
	_, err := p.signal(syscall.SIGCONT)
	return err
}

// Stop shuts the server down, ending the connections that are left. It may be frozen, or have been killed.
func (p *Postgres) Stop() error {
	if !p.Running() {
		return nil
	}
	return errors.Join(p.Thaw(), p.Server.Stop())
}

// Promote makes a standby the primary.
func (p *Postgres) Promote(ctx context.Context) error {
	return p.Do(ctx, "postgres", "SELECT pg_promote()")
}

// signal sends a signal to all processes of the server. Each has a session of its own, so that no process group holds
// them together.
func (p *Postgres) signal(sig syscall.Signal) ([]int, error) {
	family, err := childrenOf(p.PID())
	if err != nil {
		return nil, err
	}
	family = append(family, p.PID())
	for _, pid := range family {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return nil, err
		}
	}
	return family, nil
}

// childrenOf are the processes that a process has started.
func childrenOf(parent int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	if err != nil {
		return nil, err
	}
	var children []int
	for field := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		children = append(children, pid)
	}
	return children, nil
}

func zombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(text), ") Z ")
}
