package bench

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/sessiond/sessiond/internal/qa/pgtest"
)

// databases is a PostgreSQL server and the two databases of a benchmark on it.
type databases struct {
	server *url.URL
	// owner is the role of sessiond, which row-level security holds; everything else is done as the server's own.
	owner    *url.Userinfo
	sessiond string
	// baseline has the indexes that the baseline needs, indexed all that sessiond has.
	baseline, indexed string
	// stop is nil for a server that is not ours.
	stop func() error
	// postmaster is the server's process, 0 when it is on another machine.
	postmaster int
	// about is what a report says of the server.
	about string
}

// openPostgres starts a server that takes everything to disk, unless a URL names one.
func openPostgres(ctx context.Context, given string, settings []string) (*databases, error) {
	d, err := connect(ctx, given, settings)
	if err != nil {
		return nil, err
	}
	if d.owner, err = pgtest.MakeOwner(ctx, d.server); err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	d.sessiond, d.baseline = fmt.Sprintf("bench_sessiond_%d", os.Getpid()), fmt.Sprintf("bench_baseline_%d", os.Getpid())
	d.indexed = fmt.Sprintf("bench_indexed_%d", os.Getpid())
	err = d.do(ctx, func(db *pgx.Conn) error { return d.describe(ctx, db) })
	if err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	return d, nil
}

// make makes a database of sessiond's role, and returns the URL of that role.
func (d *databases) make(ctx context.Context, name string) (string, error) {
	owned := *d.server
	owned.User, owned.Path = d.owner, "/"+name
	return owned.String(), d.do(ctx, func(db *pgx.Conn) error {
		_, err := db.Exec(ctx, "CREATE DATABASE "+name+" OWNER "+d.owner.Username())
		return err
	})
}

// connect starts a server, unless a URL names one.
func connect(ctx context.Context, given string, settings []string) (*databases, error) {
	if given != "" {
		server, err := url.Parse(given)
		return &databases{server: server}, err
	}
	server, err := pgtest.Temporary(ctx, append([]string{
		"fsync=on", "shared_buffers=1GB", "max_wal_size=4GB", "checkpoint_timeout=15min", "effective_cache_size=4GB", "random_page_cost=1.1",
	}, settings...)...)
	if err != nil {
		return nil, err
	}
	return &databases{server: server.URL("postgres"), stop: server.Remove}, nil
}

// describe asks the server what a report says of it.
func (d *databases) describe(ctx context.Context, db *pgx.Conn) error {
	var version, fsync, buffers string
	var backend int
	var local bool
	err := db.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('fsync'),
		current_setting('shared_buffers'), pg_backend_pid(), inet_server_addr() IS NULL`).
		Scan(&version, &fsync, &buffers, &backend, &local)
	if backend, found := readStat(backend); err == nil && local && found {
		d.postmaster = backend.parent
	}
	d.about = fmt.Sprintf("PostgreSQL %s, fsync %s, shared_buffers %s", version, fsync, buffers)
	return err
}

// do runs statements on the server's own database.
func (d *databases) do(ctx context.Context, statements func(*pgx.Conn) error) error {
	db, err := pgx.Connect(ctx, d.server.String())
	if err != nil {
		return err
	}
	return errors.Join(statements(db), db.Close(context.WithoutCancel(ctx)))
}

// url names one of the databases, for the server's own role.
func (d *databases) url(name string) string {
	to := *d.server
	to.Path = "/" + name
	return to.String()
}

// copyForBaselines makes the databases of both baselines. Nobody may be connected to sessiond's.
func (d *databases) copyForBaselines(ctx context.Context) error {
	for _, name := range []string{d.baseline, d.indexed} {
		err := d.do(ctx, func(db *pgx.Conn) error {
			_, err := db.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+d.sessiond+" STRATEGY file_copy")
			return err
		})
		if err != nil {
			return err
		}
		if err := makeBaseline(ctx, d.url(name), name == d.indexed); err != nil {
			return err
		}
	}
	return nil
}

// close stops a server of our own, which takes its databases along, and drops the databases on another.
func (d *databases) close(ctx context.Context) error {
	if d.stop != nil {
		return d.stop()
	}
	ctx = context.WithoutCancel(ctx)
	return d.do(ctx, func(db *pgx.Conn) error {
		var errs error
		for _, name := range []string{d.sessiond, d.baseline, d.indexed} {
			_, err := db.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
			errs = errors.Join(errs, err)
		}
		return errs
	})
}
