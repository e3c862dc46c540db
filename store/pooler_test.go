package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestManyAtOnceBehindAPooler has more callers than there are connections to PgBouncer, and more of these than connections from
// there to PostgreSQL. Nobody may fail, see another tenant's session, or leave a setting behind for the next client.
func TestManyAtOnceBehindAPooler(t *testing.T) {
	url := storetest.PooledURL(t)
	s := storetest.Open(t, url, store.Options{MaxConns: 4 * storetest.PoolSize}, 3)

	const callers, rounds = 64, 12
	errs := make([]error, callers)
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			for round := range rounds {
				errs[caller] = errors.Join(errs[caller], useStore(t, s, fmt.Sprintf("t%d", caller%8), fmt.Sprintf("s%d-%d", caller, round)))
			}
		})
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	assert.Empty(t, leftBehind(t, url))
}

// useStore registers a session, reads it, asks for it as another tenant, and ends it together with all of its tenant's
// sometimes.
func useStore(t *testing.T, s *store.Store, tenantID, id string) error {
	t.Helper()
	ctx := store.WithScope(t.Context(), store.InTenant(tenantID))
	_, _, err := s.RegisterSession(ctx, store.AllTenants(), store.Session{TenantID: tenantID, UserID: "ada", ID: id, ExpiresAt: time.Now().Add(time.Hour)}, store.Actor{})
	if errors.Is(err, store.ErrTooOld) { // another caller has just ended all of the tenant's
		return nil
	} else if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	if _, err := s.GetSession(ctx, store.InTenant(tenantID), id); err != nil {
		return fmt.Errorf("get: %w", err)
	}
	other := store.WithScope(t.Context(), store.InTenant("other"))
	if _, err := s.GetSession(other, store.AllTenants(), id); !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("get, restricted to another tenant: %w", err)
	}
	if _, _, err := s.ListSessions(ctx, store.CallerSession{}, store.InTenant(tenantID), store.Filter{}, store.Page{Limit: 5, Offset: 4}); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if _, err := s.TenantStats(ctx, store.InTenant(tenantID)); err != nil {
		return fmt.Errorf("stats: %w", err)
	}
	if err := s.RecordApp(ctx, store.InTenant(tenantID), store.App{SessionID: id, ApplicationID: "mail"}, store.Actor{}); err != nil && !errors.Is(err, store.ErrEnded) {
		return fmt.Errorf("application: %w", err)
	}
	if id[len(id)-1] == '0' {
		_, err = s.RevokeAllSessions(ctx, store.InTenant(tenantID), "", store.Actor{})
	} else {
		_, err = s.RevokeSession(ctx, store.InTenant(tenantID), id, store.Actor{})
	}
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// TestAPoolerIsNoticed: behind a connection pooler the planner's settings are made for each transaction, otherwise for each connection.
func TestAPoolerIsNoticed(t *testing.T) {
	direct, pooled := storetest.PostgresURL(t), storetest.PooledURL(t)
	for _, url := range []string{direct, pooled} {
		s, err := store.Open(t.Context(), url, store.Options{})
		require.NoError(t, err)
		_, err = s.Migrate(t.Context())
		require.NoError(t, errors.Join(err, s.Close()))
	}
	const query = "SELECT concat_ws(' ', current_setting('plan_cache_mode'), current_setting('enable_seqscan'), current_setting('TimeZone'))"
	for name, c := range map[string]struct{ url, outside string }{
		"direct":               {direct, "force_generic_plan off UTC"},
		"pooled":               {pooled, "auto on UTC"},
		"said by the operator": {direct + "&default_query_exec_mode=cache_describe", "auto on UTC"},
		"only described":       {pooled + "&default_query_exec_mode=describe_exec", "auto on UTC"},
		"not described":        {pooled + "&default_query_exec_mode=exec", "auto on UTC"},
		"simple":               {pooled + "&default_query_exec_mode=simple_protocol", "auto on UTC"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open(t.Context(), c.url, store.Options{})
			require.NoError(t, err)
			defer func() { require.NoError(t, s.Close()) }()
			settings, err := s.Texts(t.Context(), query)
			require.NoError(t, err)
			assert.Equal(t, []string{c.outside}, settings)
			sent, err := s.Query(t.Context(), query)
			require.NoError(t, err)
			assert.Equal(t, "force_generic_plan off UTC", sent)
			require.NoError(t, useStore(t, s, "acme", name))
		})
	}
}

// TestMigratingAtOnceBehindAPooler: of several instances one applies the migrations, and none fails or hangs.
func TestMigratingAtOnceBehindAPooler(t *testing.T) {
	url := storetest.PooledURL(t)
	steps, errs := make([]int, 6), make([]error, 6)
	var group sync.WaitGroup
	for i := range steps {
		group.Go(func() {
			s, err := store.Open(t.Context(), url, store.Options{MaxConns: 1})
			if err == nil {
				var taken []store.Migration
				taken, err = s.Migrate(t.Context())
				steps[i] = len(taken)
				err = errors.Join(err, s.CheckSchema(t.Context()), s.Close())
			}
			errs[i] = err
		})
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	slices.Sort(steps)
	assert.Zero(t, steps[4], "one takes them all")
	assert.Positive(t, steps[5])
}

// leftBehind returns the settings of sessiond on PgBouncer's connections to PostgreSQL that differ from those of a new connection.
func leftBehind(t *testing.T, url string) []string {
	t.Helper()
	left := []string{}
	for range storetest.PoolSize {
		client, err := pgx.Connect(t.Context(), url+"&default_query_exec_mode=simple_protocol")
		require.NoError(t, err)
		defer func() { require.NoError(t, client.Close(t.Context())) }()
		// A transaction that stays open keeps a connection, so that the next client gets another one.
		_, err = client.Exec(t.Context(), "BEGIN")
		require.NoError(t, err)
		found, err := client.Query(t.Context(), `SELECT name || ' = ' || current_setting(name) FROM unnest(ARRAY['sessiond.tenant',
				'sessiond.partner', 'sessiond.tenants']) AS name WHERE current_setting(name, true) <> ''
			UNION ALL SELECT name || ' = ' || setting FROM pg_settings WHERE source = 'session' AND name NOT IN ('application_name', 'client_encoding', 'DateStyle',
				'standard_conforming_strings', 'TimeZone')`) // these PgBouncer sets for each client
		require.NoError(t, err)
		texts, err := pgx.CollectRows(found, pgx.RowTo[string])
		require.NoError(t, err)
		left = append(left, texts...)
	}
	return left
}
