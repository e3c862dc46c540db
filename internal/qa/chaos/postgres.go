package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// socketName is the name of PostgreSQL's socket for the port that is its default.
const socketName = ".s.PGSQL.5432"

// Postgres is a server of our own that takes everything to disk, on a socket in a directory of its own.
type Postgres struct {
	bin, dir   string
	settings   []string
	attributes *syscall.SysProcAttr
	// env is added to the environment of the server.
	env []string
	cmd *exec.Cmd
}

// NewPostgres makes and starts a server in a directory that does not exist yet. Settings are NAME=VALUE.
func NewPostgres(ctx context.Context, dir string, settings ...string) (*Postgres, error) {
	p, err := preparePostgres(dir, settings)
	if err != nil {
		return nil, err
	}
	if err := p.initialize(ctx); err != nil {
		return nil, err
	}
	return p, p.Start(ctx)
}

func (p *Postgres) initialize(ctx context.Context) error {
	return p.run(ctx, "initdb", "-D", p.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
}

// NewStandby makes and starts a server that streams from another one.
func NewStandby(ctx context.Context, dir string, primary *Postgres) (*Postgres, error) {
	p, err := preparePostgres(dir, primary.settings)
	if err != nil {
		return nil, err
	}
	err = p.run(ctx, "pg_basebackup", "-D", p.data(), "-R", "-c", "fast", "-X", "stream", "-h", primary.dir, "-U", "postgres", "--no-sync")
	if err != nil {
		return nil, err
	}
	return p, p.Start(ctx)
}

func preparePostgres(dir string, settings []string) (*Postgres, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		return nil, errors.Join(errors.New("PostgreSQL's binaries are missing: apt-get install postgresql"), err)
	}
	p := &Postgres{bin: slices.Max(found), dir: dir, settings: settings, attributes: &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}}
	if err := os.MkdirAll(dir, 0o700); err != nil || os.Geteuid() != 0 {
		return p, err
	}
	// PostgreSQL refuses to run as root, so root runs it as the user of Debian's package, who has to reach the directory.
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("as root the user postgres is needed to run PostgreSQL: %w", err)
	}
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	p.attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return p, errors.Join(uidErr, gidErr, os.Chown(dir, int(uid), int(gid)))
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// run runs one of PostgreSQL's programs to its end.
func (p *Postgres) run(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, program), args...) //nolint:gosec // the machine's own binaries
	cmd.SysProcAttr, cmd.Dir = p.attributes, p.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
}

// Start starts a server that is down, and waits until it answers. It recovers first, when it was killed.
func (p *Postgres) Start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"-D", p.data(), "-k", p.dir, "-c", "listen_addresses=", "-c", "max_connections=200"}
	for _, setting := range p.settings {
		args = append(args, "-c", setting)
	}
	p.cmd = exec.Command(filepath.Join(p.bin, "postgres"), args...) //nolint:gosec,noctx // as above; it outlives the call
	p.cmd.SysProcAttr, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.attributes, p.dir, log, log
	p.cmd.Env = append(os.Environ(), p.env...)
	if err := p.cmd.Start(); err != nil {
		return err
	}
	return await(ctx, func() error { return p.Do(ctx, "postgres", "SELECT 1") })
}

// Do runs statements in one of the databases.
func (p *Postgres) Do(ctx context.Context, database string, statements ...string) error {
	db, err := pgx.Connect(ctx, p.URL(database))
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

// MakeDatabase makes the database that sessiond gets, and its role: one that row-level security holds.
func (p *Postgres) MakeDatabase(ctx context.Context) error {
	return p.Do(ctx, "postgres", "CREATE ROLE sessiond LOGIN", "CREATE DATABASE sessions OWNER sessiond")
}

// URL names one of the databases.
func (p *Postgres) URL(database string) string { return urlOf(database, p.dir) }

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
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	family, err := p.signal(syscall.SIGKILL)
	_ = p.cmd.Wait() // a program that is killed does not end well
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
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
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

// Stop shuts the server down, ending the connections that are left.
func (p *Postgres) Stop() error {
	if p.cmd.ProcessState != nil {
		return nil // it was killed
	}
	err := p.cmd.Process.Signal(syscall.SIGINT)
	_, thaw := p.signal(syscall.SIGCONT)
	_ = p.cmd.Wait() // with whatever code
	return errors.Join(err, thaw)
}

// Promote makes a standby the primary.
func (p *Postgres) Promote(ctx context.Context) error {
	return p.Do(ctx, "postgres", "SELECT pg_promote()")
}

// signal sends a signal to all processes of the server. Each has a session of its own, so that no process group holds
// them together.
func (p *Postgres) signal(sig syscall.Signal) ([]int, error) {
	family, err := childrenOf(p.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	family = append(family, p.cmd.Process.Pid)
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
