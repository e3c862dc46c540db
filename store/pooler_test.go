package store_test

import (
	"errors"
	"fmt"
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
	s, err := store.Open(t.Context(), url, store.Options{MaxConns: 4 * storetest.PoolSize, ChunkSize: 3})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)

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
	ctx := store.WithWall(t.Context(), store.Behind(tenantID, ""))
	_, _, err := s.RegisterSession(ctx, store.Everywhere(), store.Session{TenantID: tenantID, UserID: "ada", ID: id, ExpiresAt: time.Now().Add(time.Hour)}, store.Actor{})
	if errors.Is(err, store.ErrTooOld) { // another caller has just ended all of the tenant's
		return nil
	} else if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	if _, err := s.GetSession(ctx, store.InTenant(tenantID), id); err != nil {
		return fmt.Errorf("get: %w", err)
	}
	other := store.WithWall(t.Context(), store.Behind("other", ""))
	if _, err := s.GetSession(other, store.Everywhere(), id); !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("behind another tenant's wall: %w", err)
	}
	if _, _, err := s.ListSessions(ctx, store.InTenant(tenantID), store.Page{Limit: 5, Offset: 4}); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if _, err := s.TenantStats(ctx, tenantID); err != nil {
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

// leftBehind are the settings that sessiond makes and that differ from what a new connection has, on PgBouncer's connections to
// PostgreSQL.
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
