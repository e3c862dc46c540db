package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/maintenance"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

func TestTenantLimits(t *testing.T) {
	file := filepath.Join(t.TempDir(), "limits.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	load := func() (func(string) store.Limits, error) {
		return (&limits{
			file: file,
			defaults: tenantLimits{
				MaxLifetime: new(12 * time.Hour), IdleTimeout: new(time.Hour), MaxSessions: new(5), Surplus: new(endOldest),
			},
		}).load()
	}
	write("acme:\n  idle_timeout: 15m\n  surplus: refuse\nglobex:\n  max_lifetime: 0s\n  max_sessions: 0\n")
	of, err := load()
	require.NoError(t, err)
	assert.Equal(t, store.Limits{Absolute: 12 * time.Hour, Idle: 15 * time.Minute, MaxSessions: 5, RefuseSurplus: true}, of("acme"))
	assert.Equal(t, store.Limits{Idle: time.Hour}, of("globex"))
	assert.Equal(t, store.Limits{Absolute: 12 * time.Hour, Idle: time.Hour, MaxSessions: 5}, of("any other"))
	for text, want := range map[string]string{
		"acme: {idle: 15m}": "idle", "acme: {surplus: x}": `acme: surplus is "x"`, "acme: {max_sessions: -1}": "acme: a limit must not be negative",
		"- a": "limits.yaml", "acme: {idle_timeout: soon}": "limits.yaml",
	} {
		write(text)
		_, err := load()
		require.ErrorContains(t, err, want, text)
		assert.NotContains(t, err.Error(), "\n", "one sentence")
	}
	require.NoError(t, os.Remove(file))
	_, err = load()
	require.ErrorContains(t, err, "tenant limits cannot be read")
}

func TestMaintenance(t *testing.T) {
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := open(t, store.Options{ActivityInterval: time.Hour})
			session := store.Session{TenantID: "acme", UserID: "u1", ID: "used", ExpiresAt: time.Now().Add(time.Hour)}
			_, _, err := s.RegisterSession(t.Context(), store.AllTenants(), session, store.Actor{})
			require.NoError(t, err)
			ended := session // an import takes it as it was: a registration would have it end now
			ended.ID, ended.CreatedAt, ended.ExpiresAt = "ended", time.Now().Add(-3*time.Hour), time.Now().Add(-2*time.Hour)
			require.NoError(t, s.ImportSessions(t.Context(), store.Import{Sessions: []store.Session{ended}}))
			for range 2 {
				require.NoError(t, s.RecordActivity(t.Context(), store.AllTenants(), "used", store.Activity{}, store.Actor{}))
			}
			before, err := s.GetSession(t.Context(), store.AllTenants(), "used")
			require.NoError(t, err)

			o := maintenanceOptions{Config: maintenance.Config{Retention: time.Hour, AuditRetention: time.Hour, PurgeInterval: 10 * time.Millisecond}}
			stop := o.start(t.Context(), s, slog.New(slog.DiscardHandler))
			require.Eventually(t, func() bool {
				_, err := s.GetSession(t.Context(), store.AllTenants(), "ended")
				return err != nil
			}, 30*time.Second, 10*time.Millisecond, "what ended before the retention time is purged")
			require.NoError(t, stop())
			after, err := s.GetSession(t.Context(), store.AllTenants(), "used")
			require.NoError(t, err)
			assert.True(t, after.LastActivityAt.After(*before.LastActivityAt), "what waited is written in the end")
		})
	}
}

// longEnded fills a store with sessions that are past their retention.
func longEnded(t *testing.T, s *store.Store, n int) {
	t.Helper()
	rows := store.Import{Tenants: []store.Tenant{{TenantID: "acme"}}}
	then := time.Now().Add(-3 * time.Hour)
	for i := range n {
		rows.Sessions = append(rows.Sessions, store.Session{
			TenantID: "acme", UserID: "ada", ID: fmt.Sprint("ended-", i), CreatedAt: then, ExpiresAt: then.Add(time.Hour), RevokedAt: &then,
		})
	}
	require.NoError(t, s.ImportSessions(t.Context(), rows))
}

// TestAPurgeWaitsForNobody: it takes few sessions at once, and passes over those that somebody works on.
func TestAPurgeWaitsForNobody(t *testing.T) {
	url := storetest.PostgresURL(t)
	s, err := store.Open(t.Context(), url, store.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	longEnded(t, s, 120)
	db, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(t.Context())) }()
	held, err := db.Begin(t.Context())
	require.NoError(t, err)
	_, err = held.Exec(t.Context(), "SELECT FROM sessions WHERE id = 'ended-1' FOR UPDATE")
	require.NoError(t, err)
	purge := func() (left int) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		config := maintenance.Config{Retention: time.Hour, AuditRetention: time.Hour}
		require.NoError(t, maintenance.New(maintenanceStore{s}, config, time.Now, slog.New(slog.DiscardHandler)).Purge(ctx))
		require.NoError(t, db.QueryRow(t.Context(), "SELECT count(*) FROM sessions").Scan(&left))
		return left
	}
	assert.Equal(t, 1, purge())
	batches, err := s.ListAuditEvents(t.Context(), store.AuditFilter{Action: store.ActionPurged})
	require.NoError(t, err)
	require.Len(t, batches, 3)
	assert.Equal(t, []string{"50", "50", "19"}, []string{batches[0].Reason, batches[1].Reason, batches[2].Reason})
	require.NoError(t, held.Rollback(t.Context()))
	assert.Zero(t, purge())
}

func TestAuditAndErase(t *testing.T) {
	for name, url := range map[string]string{"sqlite": storetest.SQLiteURL(t), "postgres": storetest.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open(t.Context(), url, store.Options{})
			require.NoError(t, err)
			_, err = s.Migrate(t.Context())
			require.NoError(t, err)
			session := store.Session{TenantID: "acme", UserID: "ada", ID: "s1", ExpiresAt: time.Now().Add(time.Hour)}
			_, _, err = s.RegisterSession(t.Context(), store.AllTenants(), session, store.Actor{Subject: "idp"})
			require.NoError(t, err)
			require.NoError(t, s.Close())

			out, err := command(t, noEnvironment, "audit", "--tenant", "acme", "--since", "1h", "--database-url", url)
			require.NoError(t, err)
			assert.Regexp(t, `(?s)^AT +ACTION .*session\.registered +acme +ada +s1 +idp`, out)
			erase := func(more ...string) (string, error) {
				return command(t, noEnvironment, append([]string{"erase", "--tenant", "acme", "--database-url", url}, more...)...)
			}
			_, err = erase("--user", "adda", "--yes")
			require.ErrorContains(t, err, `nothing is known of the user "adda" in the tenant "acme"`)
			_, err = erase("--user", "ada")
			require.ErrorContains(t, err, "there is no terminal to ask")
			out, err = erase("--user", "ada", "--dry-run")
			require.NoError(t, err)
			assert.Equal(t, "would end 1 sessions, delete 1, and remove the name from 2 audit events\n", out)
			out, err = erase("--user", "ada", "--yes")
			require.NoError(t, err)
			assert.Regexp(t, `^ended 1 sessions, deleted 1, and removed the name from 2 audit events; receipt [0-9a-f-]{36}\n$`, out)
			out, err = command(t, noEnvironment, "audit", "--json", "--action", "user.erased", "--database-url", url)
			require.NoError(t, err)
			assert.Regexp(t, `^\{"tenant_id":"acme".*"actor_sub":"operator:\w+".*\}\n$`, out)
			out, err = command(t, noEnvironment, "audit", "--until", "1h", "--database-url", url)
			require.NoError(t, err)
			assert.NotContains(t, out, "acme")

			for _, c := range []struct{ arg, want string }{
				{"--partner=north", "tenant \"acme\": partner was none, is \"north\"\n"}, {"--none", "tenant \"acme\": partner was \"north\", is none\n"},
			} {
				out, err = command(t, noEnvironment, "tenant", "set-partner", "--tenant", "acme", c.arg, "--database-url", url)
				require.NoError(t, err)
				assert.Equal(t, c.want, out)
			}
			out, err = command(t, noEnvironment, "audit", "--action", "tenant.partner", "--database-url", url)
			require.NoError(t, err)
			assert.Regexp(t, `(?s)tenant\.partner +acme +operator:\w+ +sessiond-cli +north\n.*tenant\.partner +acme +operator:\w+ +sessiond-cli *\n$`, out)
			_, err = command(t, noEnvironment, "tenant", "set-partner", "--tenant", "acne", "--none", "--database-url", url)
			require.ErrorContains(t, err, `nobody has registered a session for the tenant "acne"`)
		})
	}
	_, err := command(t, noEnvironment, "audit", "--since", "yesterday")
	require.ErrorContains(t, err, `"yesterday" is not a time`)
	for _, args := range [][]string{{}, {"--tenant", "acme"}, {"--partner", "north"}, {"--tenant", "acme", "--partner", "north", "--none"}} {
		_, err = command(t, noEnvironment, append([]string{"tenant", "set-partner"}, args...)...)
		require.ErrorContains(t, err, "set-partner needs")
	}
	for _, partnerID := range []string{".", "..", "a\nb", "\x1b[31m", "\xff", strings.Repeat("é", 129)} {
		_, err = command(t, noEnvironment, "tenant", "set-partner", "--tenant", "acme", "--partner", partnerID)
		require.ErrorContains(t, err, "is not a partner's id: use up to 128 characters")
	}
	require.NoError(t, checkPartner(strings.Repeat("é", 128)))
	_, err = command(t, noEnvironment, "erase", "--tenant", "acme")
	require.ErrorContains(t, err, "--tenant and --user")
}
