package store_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// canary is part of every personal value of the user who is erased.
const canary = "canary"

// TestErasureLeavesNothing fills every place in which a user can be named, erases the user, and looks for what is left in the
// whole database: on SQLite in the bytes of its files, on PostgreSQL in every row of every table.
func TestErasureLeavesNothing(t *testing.T) {
	for name, open := range map[string]struct {
		url  func(testing.TB) string
		find func(t *testing.T, url string) []string
	}{
		"sqlite": {storetest.SQLiteURL, findInFiles}, "postgres": {storetest.PostgresURL, findInTables},
	} {
		t.Run(name, func(t *testing.T) {
			url := open.url(t)
			s := storetest.Open(t, url, store.Options{}, 3)
			live(t, s)
			require.NotEmpty(t, open.find(t, url), "it can be found as long as it is there")
			// Nothing else runs that would roll up, or empty the write-ahead log.
			erasure, err := s.EraseUser(t.Context(), "acme", canary, store.Actor{Subject: "officer"})
			require.NoError(t, err)
			assert.Equal(t, 4, erasure.Sessions)
			for more := true; more; { // the maintenance goes on
				more, err = s.ApplyBulkRevocations(t.Context(), 2)
				require.NoError(t, err)
			}
			assert.Empty(t, open.find(t, url))
		})
	}
}

// live has a user sign in, use sessions, and revoke sessions of others: one, all of a user, all of a tenant.
func live(t *testing.T, s *store.Store) {
	t.Helper()
	ctx, by := t.Context(), store.Actor{Subject: canary, ClientID: "console", Reason: canary + " said so", IdempotencyKey: canary, RequestID: canary}
	register := func(userID, id string) {
		session := store.Session{
			TenantID: "acme", ID: id, UserID: userID, PartnerID: new("north"), ExpiresAt: time.Now().Add(time.Hour),
			UserEmail: new(userID + "@example.com"), UserDisplayName: new(userID), IPAddress: new(userID), UserAgent: new(userID), Location: new(userID),
		}
		_, _, err := s.RegisterSession(ctx, store.AllTenants(), session, store.Actor{Subject: "idp"})
		require.NoError(t, err)
	}
	for i := range 3 {
		register(canary, fmt.Sprint("c", i))
	}
	require.NoError(t, s.RecordActivity(ctx, store.InTenant("acme"), "c0", store.Activity{UserAgent: new("other"), IPAddress: new(canary)}, by))
	require.NoError(t, s.RecordApp(ctx, store.InTenant("acme"), store.App{SessionID: "c0", ApplicationID: "mail", ApplicationName: "Mail"}, by))
	for i := range 9 {
		register(fmt.Sprint("bob", i), fmt.Sprint("b", i))
	}
	_, err := s.RevokeSession(ctx, store.InTenant("acme"), "b0", by)
	require.NoError(t, err)
	for _, scope := range []store.Scope{
		store.InTenant("acme").OfUser("bob1"), store.AllTenants().OfUser(canary), store.AllTenants().OfPartner("north").OfUser(canary),
		store.InTenant("acme").OfUser(canary), store.InTenant("acme"),
	} {
		_, err := s.RevokeAllSessions(ctx, scope, "", by)
		require.NoError(t, err)
	}
	register(canary, "c9")
	// What an administrator has done elsewhere names the administrator, too.
	for i := range 9 {
		_, _, err := s.RegisterSession(ctx, store.AllTenants(), store.Session{
			TenantID: "globex", ID: fmt.Sprint("g", i), UserID: "carol", ExpiresAt: time.Now().Add(time.Hour),
		}, store.Actor{Subject: "idp"})
		require.NoError(t, err)
	}
	_, err = s.RevokeSession(ctx, store.AllTenants(), "g0", by)
	require.NoError(t, err)
	_, err = s.RevokeAllSessions(ctx, store.InTenant("globex"), "", by)
	require.NoError(t, err)
}

// findInFiles returns where the canary is in the files of SQLite.
func findInFiles(t *testing.T, url string) []string {
	t.Helper()
	files, err := filepath.Glob(strings.TrimPrefix(url, "sqlite://") + "*")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var found []string
	for _, file := range files {
		content, err := os.ReadFile(file) //nolint:gosec // the test's own files
		require.NoError(t, err)
		if at := bytes.Index(content, []byte(canary)); at >= 0 {
			found = append(found, fmt.Sprintf("%s: %q", filepath.Base(file), content[max(0, at-40):min(len(content), at+40)]))
		}
	}
	return found
}

// findInTables returns the rows of PostgreSQL that have the canary in them.
func findInTables(t *testing.T, url string) []string {
	t.Helper()
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	defer db.Close()
	var found []string
	for _, table := range column(t, db, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") {
		found = append(found, column(t, db, "SELECT '"+table+": ' || r::text FROM "+table+" AS r WHERE r::text LIKE '%"+canary+"%'")...)
	}
	return found
}

func column(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	var values []string
	for rows.Next() {
		var value string
		require.NoError(t, rows.Scan(&value))
		values = append(values, value)
	}
	require.NoError(t, rows.Err())
	return values
}
