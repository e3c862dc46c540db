package chaos

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/qa/pgtest"
)

// answerWithin is what a test waits for an answer, many times sessiond's deadline.
const answerWithin = 15 * time.Second

// faulty is sessiond on a PostgreSQL that has faults, with one session that lives and one whose revocation was
// acknowledged.
type faulty struct {
	t            *testing.T
	postgres     *Postgres
	server       *Server
	client       *Client
	alive, ended string // tokens
	made         int
}

func newFaulty(t *testing.T, postgres *Postgres, url string, flags ...string) *faulty {
	t.Helper()
	f := &faulty{t: t, postgres: postgres}
	f.server = &Server{Binary: sessiond(t), Dir: directory(t), Database: url, Flags: append(flags, deadline(t)...)}
	require.NoError(t, f.server.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, f.server.Stop()) })
	var err error
	f.client, err = f.server.client()
	require.NoError(t, err)
	f.client.http.Timeout = answerWithin
	t.Cleanup(f.client.Close)
	f.alive, f.ended = f.register(), f.register()
	got, err := f.client.revoke(t.Context(), ownTenant, "f-2")
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, got.status, string(got.body))
	return f
}

// deadline is short, so that tests of a database that does not answer are.
func deadline(t *testing.T) []string {
	t.Helper()
	help, err := exec.CommandContext(t.Context(), sessiond(t), "serve", "--help").Output() //nolint:gosec // our own
	require.NoError(t, err)
	if !strings.Contains(string(help), "--request-timeout") {
		return nil
	}
	return []string{"--request-timeout", "1s"}
}

func startPostgres(t *testing.T, env ...string) *Postgres {
	t.Helper()
	server, err := pgtest.New(filepath.Join(directory(t), "postgres"))
	require.NoError(t, err)
	server.Env = env
	require.NoError(t, server.Init(t.Context()))
	p := &Postgres{server}
	require.NoError(t, p.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, p.Stop()) })
	require.NoError(t, p.MakeDatabase(t.Context()))
	return p
}

// register registers a session and returns a token of it.
func (f *faulty) register() string {
	f.t.Helper()
	f.made++
	id := fmt.Sprintf("f-%d", f.made)
	got, err := f.client.register(f.t.Context(), ownTenant, ownUser, id)
	require.NoError(f.t, err)
	require.Equal(f.t, http.StatusCreated, got.status, string(got.body))
	token, err := f.client.token(ownTenant, ownUser, id)
	require.NoError(f.t, err)
	return token
}

// neverWrong: whatever happens, the session that was revoked is not called active and not let through.
func (f *faulty) neverWrong() {
	f.t.Helper()
	active, err := f.client.active(f.t.Context(), f.ended)
	assert.False(f.t, err == nil && active, "an ended session is called active")
	admitted, err := f.client.admitted(f.t.Context(), f.ended)
	assert.False(f.t, err == nil && admitted, "an ended session is let through")
}

// away: every request gets 503 with Retry-After, reading or writing, and the process lives.
func (f *faulty) away() {
	f.t.Helper()
	f.neverWrong()
	f.made++
	for what, ask := range map[string]func() (answer, error){
		"a registration": func() (answer, error) {
			return f.client.register(f.t.Context(), ownTenant, ownUser, fmt.Sprintf("f-%d", f.made))
		},
		"a revocation": func() (answer, error) { return f.client.revoke(f.t.Context(), ownTenant, "f-2") },
		"authentication": func() (answer, error) {
			return f.client.do(f.t.Context(), http.MethodGet, "/api/v1/me/sessions", f.alive, nil)
		},
		"a list": func() (answer, error) {
			return f.client.do(f.t.Context(), http.MethodGet, "/api/v1/tenants/acme/sessions", f.client.operator, nil)
		},
		"readiness": func() (answer, error) { return f.ready(http.StatusServiceUnavailable) },
	} {
		got, err := ask()
		if assert.NoError(f.t, err, "%s is not answered inside the deadline", what) {
			f.unavailable(what, got)
		}
	}
	got, err := f.client.do(f.t.Context(), http.MethodGet, "/healthz", "", nil)
	require.NoError(f.t, err)
	assert.Equal(f.t, http.StatusOK, got.status)
}

// ready waits until that is what readiness is; the answer may be a second old.
func (f *faulty) ready(status int) (got answer, err error) {
	f.t.Helper()
	err = await(f.t.Context(), func() error {
		if got, err = f.client.do(f.t.Context(), http.MethodGet, "/readyz", "", nil); err == nil && got.status != status {
			err = fmt.Errorf("readiness is %d", got.status)
		}
		return err
	})
	return got, err
}

func (f *faulty) unavailable(what string, got answer) {
	f.t.Helper()
	assert.Equal(f.t, http.StatusServiceUnavailable, got.status, "%s: %s", what, got.body)
	assert.NotEmpty(f.t, got.header.Get("Retry-After"), what)
}

// recovered: sessiond finds back by itself, and knows what it knew.
func (f *faulty) recovered() {
	f.t.Helper()
	require.NoError(f.t, await(f.t.Context(), func() error {
		f.neverWrong()
		_, err := f.client.active(f.t.Context(), f.alive)
		return err
	}))
	active, err := f.client.active(f.t.Context(), f.alive)
	require.NoError(f.t, err)
	assert.True(f.t, active, "the session that lives is still active")
	f.register()
	_, err = f.ready(http.StatusOK)
	require.NoError(f.t, err)
}

func TestPostgresGoesAway(t *testing.T) {
	postgres := startPostgres(t)
	f := newFaulty(t, postgres, postgres.URL("sessions"))
	for _, c := range []struct {
		name       string
		fail, mend func(ctx context.Context) error
	}{
		{"stopped", func(context.Context) error { return postgres.Stop() }, postgres.Start},
		{"killed", postgres.Kill, postgres.Start},
		{"frozen", func(context.Context) error { return postgres.Freeze() }, func(context.Context) error { return postgres.Thaw() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.t = t
			require.NoError(t, c.fail(t.Context()))
			f.away()
			require.NoError(t, c.mend(t.Context()))
			f.recovered()
		})
	}
	t.Run("restarted", func(t *testing.T) {
		f.t = t
		require.NoError(t, postgres.Stop())
		require.NoError(t, postgres.Start(t.Context()))
		f.recovered()
	})
	faults, err := f.server.faults()
	require.NoError(t, err)
	assert.Empty(t, Head(faults))
}

func TestPoolIsExhausted(t *testing.T) {
	postgres := startPostgres(t)
	f := newFaulty(t, postgres, postgres.URL("sessions"), "--database-max-conns", "2")
	db, err := pgx.Connect(t.Context(), postgres.URL("sessions"))
	require.NoError(t, err)
	for _, statement := range []string{"BEGIN", "LOCK TABLE sessions, tenants, not_before_cutoffs IN ACCESS EXCLUSIVE MODE"} {
		_, err = db.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	held := make(chan answer, 4)
	for range cap(held) { // twice what the pool has
		go func() {
			got, _ := f.client.register(context.WithoutCancel(t.Context()), ownTenant, ownUser, "held")
			held <- got
		}()
	}
	f.neverWrong()
	for range cap(held) {
		f.unavailable("a registration that waits", <-held)
	}
	got, err := f.client.do(t.Context(), http.MethodGet, "/healthz", "", nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, got.status)
	require.NoError(t, db.Close(t.Context()))
	f.recovered()
}

// TestDatabaseRefuses: errors after which a transaction may succeed when it runs again.
func TestDatabaseRefuses(t *testing.T) {
	postgres := startPostgres(t)
	f := newFaulty(t, postgres, postgres.URL("sessions"))
	for name, code := range map[string]string{"serialization failure": "40001", "deadlock": "40P01"} {
		t.Run(name, func(t *testing.T) {
			f.t = t
			// A sequence is not rolled back, so it counts the tries.
			refuse := func(tries int) {
				require.NoError(t, postgres.Do(t.Context(), "sessions",
					"DROP SEQUENCE IF EXISTS tries", "CREATE SEQUENCE tries",
					fmt.Sprintf(`CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
						IF nextval('tries') <= %d THEN RAISE EXCEPTION 'refused' USING ERRCODE = '%s'; END IF; RETURN NEW; END $$`, tries, code),
					"DROP TRIGGER IF EXISTS refuse ON sessions",
					"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION refuse()"))
			}
			refuse(2)
			f.register()
			refuse(1 << 30)
			f.made++
			got, err := f.client.register(t.Context(), ownTenant, ownUser, fmt.Sprintf("f-%d", f.made))
			require.NoError(t, err)
			f.unavailable("a registration", got)
			got, err = f.client.revoke(t.Context(), ownTenant, "f-1")
			require.NoError(t, err)
			f.unavailable("a revocation", got)
			f.neverWrong()
			require.NoError(t, postgres.Do(t.Context(), "sessions", "DROP TRIGGER refuse ON sessions"))
			f.recovered()
		})
	}
}

// TestDiskIsFull: tables cannot grow, and can again. The write-ahead log is spared: without it PostgreSQL itself ends.
func TestDiskIsFull(t *testing.T) {
	dir := directory(t)
	library, flag := filepath.Join(dir, "full.so"), filepath.Join(dir, "is-full")
	out, err := exec.CommandContext(t.Context(), "gcc", "-shared", "-fPIC", "-o", library, "testdata/full.c", "-ldl").CombinedOutput() //nolint:gosec // our own file
	require.NoError(t, err, string(out))
	postgres := startPostgres(t, "LD_PRELOAD="+library, "FULL="+flag)
	f := newFaulty(t, postgres, postgres.URL("sessions"))
	require.NoError(t, os.WriteFile(flag, nil, 0o644)) //nolint:gosec // another user has to see it
	refused := 0
	for range 3000 {
		f.made++
		got, err := f.client.register(t.Context(), ownTenant, ownUser, fmt.Sprintf("f-%d", f.made))
		require.NoError(t, err)
		if got.status != http.StatusCreated {
			f.unavailable("a registration", got)
			if refused++; refused == 5 {
				break
			}
		}
	}
	assert.Positive(t, refused, "the disk was full for nobody")
	f.neverWrong()
	got, err := f.client.do(t.Context(), http.MethodGet, "/readyz", "", nil)
	require.NoError(t, err)
	f.unavailable("readiness", got)
	require.NoError(t, os.Remove(flag))
	f.recovered()
	require.NoError(t, f.server.Check(t.Context()))
}

// TestCutAtCommit: the reply to a commit is lost, or the commit itself. The client gets an answer that is true, may ask
// again, and everything is there once.
func TestCutAtCommit(t *testing.T) {
	postgres := startPostgres(t)
	dir := directory(t)
	proxy, err := NewProxy(dir, postgres)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, proxy.Close()) })
	f := newFaulty(t, postgres, urlOf("sessions", dir))
	n := 0
	for name, write := range map[string]func(ctx context.Context, id string) (answer, error){
		"register": func(ctx context.Context, id string) (answer, error) {
			return f.client.register(ctx, ownTenant, ownUser, "new-"+id)
		},
		"application": func(ctx context.Context, id string) (answer, error) { return f.client.signOn(ctx, id, "wiki") },
		"revoke":      func(ctx context.Context, id string) (answer, error) { return f.client.revoke(ctx, ownTenant, id) },
		"revoke some": func(ctx context.Context, id string) (answer, error) {
			return f.client.revokeSome(ctx, ownTenant, ownUser, []string{id})
		},
	} {
		for where, at := range map[string]cut{"before": beforeCommit, "after": afterCommit} {
			t.Run(name+", "+where, func(t *testing.T) {
				f.t = t
				f.register()
				id := fmt.Sprintf("f-%d", f.made)
				proxy.arm(at)
				got, err := write(t.Context(), id)
				require.NoError(t, err)
				n++
				assert.Equal(t, n, proxy.fired(), "nothing was cut")
				if got.status >= 300 {
					f.unavailable(name, got)
				}
				f.neverWrong()
				got, err = write(t.Context(), id)
				require.NoError(t, err)
				assert.Less(t, got.status, 300, "asked again: %s", got.body)
			})
		}
	}
	f.t = t
	f.recovered()
	left, err := collect(t.Context(), postgres.URL("sessions"))
	require.NoError(t, err)
	for id, r := range left {
		assert.Empty(t, r.torn(), id)
	}
	require.NoError(t, f.server.Check(t.Context()))
	faults, err := f.server.faults()
	require.NoError(t, err)
	assert.Empty(t, Head(faults))
}

// TestFailover: the primary is lost, and a standby that has confirmed every commit takes its place.
func TestFailover(t *testing.T) {
	primary := startPostgres(t)
	standby, err := NewStandby(t.Context(), filepath.Join(directory(t), "standby"), primary)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, standby.Stop()) })
	require.NoError(t, primary.Do(t.Context(), "postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"))
	f := newFaulty(t, primary, urlOf("sessions", primary.Dir, standby.Dir))
	require.NoError(t, primary.Kill(t.Context()))
	f.away()
	require.NoError(t, standby.Do(t.Context(), "postgres", "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"))
	require.NoError(t, standby.Promote(t.Context()))
	f.recovered()
}
