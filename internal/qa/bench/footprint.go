package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sessiond/sessiond/store"
)

// RunFootprint measures what sessions take on disk, freshly filled and after a day of use, and what a change writes: the write-ahead log
// and PostgreSQL's processor time, beside both baselines. Full pages, which the log has once after each checkpoint, are left out on a
// server of its own.
func RunFootprint(ctx context.Context, config Config, out io.Writer) error {
	config.SQLite.Sessions = 0
	config.PostgresSettings = []string{"full_page_writes=off", "autovacuum_naptime=1s"}
	return with(ctx, config, func(b *bench) error {
		if err := b.startAll(ctx, false); err != nil {
			return err
		}
		var t strings.Builder
		fmt.Fprintf(&t, "- PostgreSQL: %s; %s\n%s", config.Shape, b.databases.about, footprintNotes)
		fresh, err := b.sizes(ctx)
		if err != nil {
			return err
		}
		if err := b.changes(ctx, &t); err != nil {
			return err
		}
		used, err := b.day(ctx)
		if err != nil {
			return err
		}
		writeSizes(&t, fresh, used)
		return write(out, &t)
	})
}

// footprintNotes explain the tables.
const footprintNotes = `- a change: the mean of 5,000 requests of the median tenants, 16 at a time, with what sessiond does afterwards; a server that was started
  for this has full_page_writes=off, because full pages depend on checkpoints only, and autovacuum_naptime=1s
- a day of use: of every 100 sessions there are, 33 are registered, 17 revoked and 100 used, and the jobs of maintenance run each hour

`

// size is what a table or an index takes of a session, in bytes.
type size struct {
	Relation string
	Bytes    float64
}

// sizes are those of the sessions table and its indexes, in sessiond's database, the largest first.
func (b *bench) sizes(ctx context.Context) (sizes []size, err error) {
	return sizes, b.inDatabase(ctx, b.databases.sessiond, func(db *pgx.Conn) error {
		rows, err := db.Query(ctx, `WITH relations AS (
				SELECT 'sessions'::regclass::oid AS oid UNION ALL SELECT indexrelid FROM pg_index WHERE indrelid = 'sessions'::regclass)
			SELECT relname AS relation, pg_relation_size(relations.oid)::float8 / (SELECT count(*) FROM sessions) AS bytes
			FROM relations JOIN pg_class ON pg_class.oid = relations.oid ORDER BY 2 DESC`)
		if err != nil {
			return err
		}
		sizes, err = pgx.CollectRows(rows, pgx.RowToStructByName[size])
		return err
	})
}

func (b *bench) inDatabase(ctx context.Context, name string, do func(*pgx.Conn) error) error {
	db, err := pgx.Connect(ctx, b.databases.url(name))
	if err != nil {
		return err
	}
	return errors.Join(do(db), db.Close(context.WithoutCancel(ctx)))
}

func writeSizes(t *strings.Builder, fresh, used []size) {
	t.WriteString("\n| bytes a session | freshly filled | after a day |\n|---|--:|--:|\n")
	var before, after float64
	for _, s := range fresh {
		i := slices.IndexFunc(used, func(u size) bool { return u.Relation == s.Relation })
		fmt.Fprintf(t, "| %s | %.0f | %.0f |\n", s.Relation, s.Bytes, used[i].Bytes)
		before, after = before+s.Bytes, after+used[i].Bytes
	}
	fmt.Fprintf(t, "| all | %.0f | %.0f |\n", before, after)
}

// changed is how many requests of each kind are made to learn what one writes.
const changed = 5000

// changes writes a table of what a change costs PostgreSQL.
func (b *bench) changes(ctx context.Context, t *strings.Builder) error {
	t.WriteString("| operation | server | WAL bytes a change | PostgreSQL CPU µs |\n|---|---|--:|--:|\n")
	all := operations(b.wire)
	for _, name := range []string{"register", "activity", "revoke one"} {
		op := all[slices.IndexFunc(all, func(op operation) bool { return op.name == name })]
		for _, s := range b.servers {
			contestants, _ := b.contest(op, 0, 16)
			c := contestants[slices.IndexFunc(contestants, func(c *contestant) bool { return c.server == s })]
			bytes, cpu, err := b.cost(ctx, c)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			fmt.Fprintf(t, "| %s | %s | %.0f | %.0f |\n", name, s.name, bytes, cpu)
		}
	}
	return nil
}

// cost sends requests to a server, waits for what the server does afterwards, and says what one of them cost.
func (b *bench) cost(ctx context.Context, c *contestant) (bytes, micros float64, err error) {
	l := c.load
	l.addr, l.requests, l.length, l.seed = c.server.process.addr, b.most(changed), 0, 1
	position := func() (at int64, err error) {
		return at, b.databases.do(ctx, func(db *pgx.Conn) error {
			return db.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").Scan(&at)
		})
	}
	before, err := position()
	if err != nil {
		return 0, 0, err
	}
	cpu := familyCPU(c.server.postmaster)
	measured, err := l.run(ctx)
	if err != nil {
		return 0, 0, err
	}
	if err := b.rolledUp(ctx); err != nil {
		return 0, 0, err
	}
	after, err := position()
	n := float64(len(measured.latencies))
	return float64(after-before) / n, inMicros(familyCPU(c.server.postmaster)-cpu) / n, err
}

// rolledUp waits until sessiond has counted everything.
func (b *bench) rolledUp(ctx context.Context) error {
	return b.inDatabase(ctx, b.databases.sessiond, func(db *pgx.Conn) error {
		for waiting := 1; waiting > 0; wait(ctx, 100*time.Millisecond) {
			if err := db.QueryRow(ctx, "SELECT count(*) FROM counter_deltas").Scan(&waiting); err != nil {
				return err
			}
		}
		return nil
	})
}

// day stops the server and lets a day pass for its database, hour by hour: of every hundred sessions there are, 33 are registered, 17
// revoked, 100 used, those that expire are recorded, and those that ended a week ago are purged. Then it measures again.
func (b *bench) day(ctx context.Context) ([]size, error) {
	b.progress("a day of use")
	if err := b.servers[0].process.stop(); err != nil {
		return nil, err
	}
	classes := b.servers[0].classes
	b.servers = b.servers[1:]
	now := clock()
	owned := *b.databases.server
	owned.User, owned.Path = b.databases.owner, "/"+b.databases.sessiond
	s, err := store.Open(ctx, owned.String(), store.Options{Now: func() time.Time { return now }})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	u := use{store: s, classes: classes, sessions: b.config.Shape.Sessions}
	for range 24 {
		now = now.Add(time.Hour)
		if err := u.hour(ctx, now); err != nil {
			return nil, err
		}
	}
	if err := b.vacuumed(ctx); err != nil {
		return nil, err
	}
	return b.sizes(ctx)
}

// vacuumed waits until autovacuum has had its turn and is done.
func (b *bench) vacuumed(ctx context.Context) error {
	return b.inDatabase(ctx, b.databases.sessiond, func(db *pgx.Conn) error {
		for quiet := 0; quiet < 5 && ctx.Err() == nil; quiet++ {
			wait(ctx, time.Second)
			workers := 0
			err := db.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'").Scan(&workers)
			if err != nil {
				return err
			}
			if workers > 0 {
				quiet = 0
			}
		}
		return ctx.Err()
	})
}
