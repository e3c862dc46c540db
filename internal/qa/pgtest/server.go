// Package pgtest starts PostgreSQL servers for tests and measurements, from the binaries of this machine. A server keeps
// everything in one directory and listens on a Unix socket there, so that any number of them run beside each other.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// SocketName is the name of a server's socket in its directory.
const SocketName = ".s.PGSQL.5432"

// superuser is the role that a server is made with.
const superuser = "postgres"

// Server is a PostgreSQL server. It can be stopped, or killed, and started again.
type Server struct {
	// Dir has the data, the socket and the log of the server.
	Dir string
	// Settings are NAME=VALUE.
	Settings []string
	// Env is added to the environment of the server.
	Env []string

	bin        string
	credential *syscall.Credential
	run        *run
}

// run is the life of the server's process from a start to its end.
type run struct {
	process *os.Process
	ended   chan struct{}
	err     error // how it ended, once ended is closed
}

// errEnded is why nobody waits any longer for a server to answer.
var errEnded = errors.New("the server has ended")

// New prepares a server in a directory, which is made if need be. Call Init or CopyFrom next, once, and then Start.
func New(dir string, settings ...string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	credential, err := Credential(dir)
	return &Server{Dir: dir, Settings: settings, bin: bin, credential: credential}, err
}

// Temporary makes and starts a server in a temporary directory. Nothing is flushed to disk unless the settings say fsync=on:
// the data does not outlive the server. Remove ends it.
func Temporary(ctx context.Context, settings ...string) (*Server, error) {
	dir, err := os.MkdirTemp("", "sessiond-pg-")
	if err != nil {
		return nil, err
	}
	s, err := New(dir, append([]string{"fsync=off"}, settings...)...)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.Init(ctx); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

// Init makes an empty cluster.
func (s *Server) Init(ctx context.Context) error {
	return s.command(ctx, "initdb", "-D", s.data(), "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
}

// CopyFrom makes a copy of another server's cluster, which streams from that one when it starts.
func (s *Server) CopyFrom(ctx context.Context, primary *Server) error {
	return s.command(ctx, "pg_basebackup", "-D", s.data(), "-R", "-c", "fast", "-X", "stream", "-h", primary.Dir, "-U", superuser, "--no-sync")
}

// Start starts the server and waits until it answers. After a kill it recovers first.
func (s *Server) Start(ctx context.Context) error {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"-D", s.data(), "-k", s.Dir, "-c", "listen_addresses=", "-c", "max_connections=200"}
	for _, setting := range s.Settings {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...) //nolint:gosec,noctx // the machine's own; it outlives the call
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = s.Dir, log, log, append(os.Environ(), s.Env...)
	// When this program dies its connections and what it wants with the data are gone: the server need not wait or flush.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential, Pdeathsig: syscall.SIGQUIT}
	if err := cmd.Start(); err != nil {
		return err
	}
	waiting, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	r := &run{process: cmd.Process, ended: make(chan struct{})}
	s.run = r
	go func() {
		r.err = cmd.Wait()
		close(r.ended)
		giveUp(errEnded)
	}()
	if err := WaitFor(waiting, s.URL(superuser).String()); err != nil {
		text, _ := os.ReadFile(s.logFile()) // without it the error is still one
		return fmt.Errorf("start PostgreSQL: %w: %s", err, text)
	}
	return nil
}

// Stop shuts the server down, ending the connections that are left. A server that ended by itself returns how.
func (s *Server) Stop() error {
	if s.run == nil {
		return nil
	}
	err := s.run.process.Signal(syscall.SIGINT)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return errors.Join(err, s.Wait())
}

// Remove stops the server and removes its directory.
func (s *Server) Remove() error { return errors.Join(s.Stop(), os.RemoveAll(s.Dir)) }

// Wait waits for the end of the server's process.
func (s *Server) Wait() error {
	<-s.run.ended
	return s.run.err
}

// Running reports whether the server's process was started and has not ended.
func (s *Server) Running() bool {
	if s.run == nil {
		return false
	}
	select {
	case <-s.run.ended:
		return false
	default:
		return true
	}
}

// PID is the process id of the server, which is the parent of its other processes.
func (s *Server) PID() int { return s.run.process.Pid }

// URL names one of the databases, for the superuser.
func (s *Server) URL(database string) *url.URL {
	return &url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database, RawQuery: url.Values{"host": {s.Dir}}.Encode()}
}

// Do runs statements in one of the databases, as the superuser.
func (s *Server) Do(ctx context.Context, database string, statements ...string) error {
	return Do(ctx, s.URL(database).String(), statements...)
}

func (s *Server) data() string    { return filepath.Join(s.Dir, "data") }
func (s *Server) logFile() string { return filepath.Join(s.Dir, "log") }

// command runs one of PostgreSQL's programs to its end.
func (s *Server) command(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...) //nolint:gosec // the machine's own
	cmd.Dir, cmd.SysProcAttr = s.Dir, &syscall.SysProcAttr{Credential: s.credential, Pdeathsig: syscall.SIGTERM}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
}

// binaries finds the directory of PostgreSQL's programs: of the newest of Debian's packages or, without one, of the initdb
// in the PATH.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(slices.Max(found)), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("PostgreSQL's binaries are missing: run `make test`, or `apt-get install postgresql`, " +
			"or set TEST_POSTGRES_URL to a server on which databases may be made")
	}
	path, err = filepath.EvalSymlinks(path) // the other programs are where it is, which need not be in the PATH
	return filepath.Dir(path), err
}

// Do runs statements on a database, one after the other.
func Do(ctx context.Context, databaseURL string, statements ...string) error {
	db, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err = db.Exec(ctx, statement); err != nil {
			break
		}
	}
	return errors.Join(err, db.Close(context.WithoutCancel(ctx)))
}
