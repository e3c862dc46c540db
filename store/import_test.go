package store_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestImportHasEvents: the audit events of an import are there with its sessions, and a repeated import adds none.
func TestImportHasEvents(t *testing.T) {
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := open(t, store.Options{Now: storetest.NewClock().Now})
			then := storetest.Epoch.Add(-time.Hour)
			rows := store.Import{
				Tenants:  []store.Tenant{{TenantID: "acme", CreatedAt: then}},
				Sessions: []store.Session{{TenantID: "acme", ID: "s1", UserID: "ada", CreatedAt: then, ExpiresAt: then.Add(time.Minute)}},
				Events: []store.AuditEvent{
					{TenantID: "acme", OperationID: "01900000-0000-7000-8000-000000000001", SessionID: "s1", Action: store.ActionRegistered, At: then, UserID: "ada", ActorSub: "idp"},
					{TenantID: "acme", OperationID: "01900000-0000-7000-8000-000000000002", SessionID: "s1", Action: store.ActionExpired, At: then.Add(time.Minute), UserID: "ada"},
				},
			}
			for range 2 {
				require.NoError(t, s.ImportSessions(t.Context(), rows))
			}
			events, err := s.ListAuditEvents(t.Context(), store.AuditFilter{})
			require.NoError(t, err)
			assert.Equal(t, rows.Events, events)
		})
	}
}

// TestImportKeepsThePartnerOfATenant: a tenant that is known keeps its partner, and what is imported of it belongs to that partner.
func TestImportKeepsThePartnerOfATenant(t *testing.T) {
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			now := storetest.Epoch
			s := open(t, store.Options{Now: storetest.NewClock().Now})
			known := store.Session{TenantID: "acme", ID: "s1", UserID: "ada", PartnerID: new("north"), ExpiresAt: now.Add(time.Hour)}
			_, _, err := s.RegisterSession(t.Context(), store.AllTenants(), known, store.Actor{})
			require.NoError(t, err)
			imported := known
			imported.ID, imported.PartnerID, imported.CreatedAt = "s2", new("south"), now
			require.NoError(t, s.ImportSessions(t.Context(), store.Import{
				Tenants: []store.Tenant{{TenantID: "acme", PartnerID: new("south"), CreatedAt: now}}, Sessions: []store.Session{imported},
			}))
			for partner, want := range map[string]int{"north": 2, "south": 0} {
				_, total, err := s.ListSessions(t.Context(), store.CallerSession{}, store.AllTenants().OfPartner(partner), store.Filter{}, store.Page{Limit: 9})
				require.NoError(t, err)
				assert.Equal(t, want, total, partner)
			}
		})
	}
}

// TestImportMakesTenants: a tenant that an import does not name exists from its first session on, with that one's partner.
func TestImportMakesTenants(t *testing.T) {
	now := storetest.Epoch
	s := storetest.SQLite(t, store.Options{Now: storetest.NewClock().Now})
	rows := store.Import{Tenants: []store.Tenant{{TenantID: "globex", CreatedAt: now}}}
	for i, tenantID := range []string{"acme", "acme", "globex"} {
		rows.Sessions = append(rows.Sessions, store.Session{
			TenantID: tenantID, ID: fmt.Sprint("s", i), UserID: "ada", PartnerID: new("north"), CreatedAt: now.Add(-time.Duration(i) * time.Hour),
			ExpiresAt: now.Add(time.Hour),
		})
	}
	require.NoError(t, s.ImportSessions(t.Context(), rows))
	for tenantID, want := range map[string]string{"acme": "north", "globex": ""} {
		partner, err := s.TenantPartner(t.Context(), tenantID)
		require.NoError(t, err)
		assert.Equal(t, want, partner, tenantID)
	}
	_, err := s.VerifyCounters(t.Context(), false, func(d store.Drift) { assert.Fail(t, "drift", "%+v", d) })
	require.NoError(t, err)
}

// TestAFailedImportLogsNoStatement: the statement of an import has the placeholders of hundreds of rows.
func TestAFailedImportLogsNoStatement(t *testing.T) {
	var log bytes.Buffer
	s := storetest.SQLite(t, store.Options{Now: storetest.NewClock().Now, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	err := s.ImportSessions(t.Context(), store.Import{Sessions: []store.Session{{TenantID: "", ID: "s1", UserID: "ada"}}})
	require.Error(t, err, "a session needs a tenant")
	assert.Empty(t, log.String())
}
