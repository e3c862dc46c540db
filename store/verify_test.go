package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/qa/sequential"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestWhatAHandDidIsRepaired: statements by hand that change rows without what is derived from them. The numbers are wrong then, a check
// says so and repairs nothing, a repair says so too, and after that nothing differs and the numbers are those of a count.
func TestWhatAHandDidIsRepaired(t *testing.T) {
	sequential.Test(t)
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		for hand, c := range map[string]struct {
			statements []string
			// column is what is reported beside counters, with the number of sessions.
			column   string
			sessions int64
			// active and mail are the sessions of acme, and those in which mail was reached.
			active, mail int
		}{
			"sessions made active again": {
				[]string{"UPDATE sessions SET end_cause = NULL, revoked_at = NULL, ended_by_sub = NULL, ended_by_client = NULL, end_reason = NULL"}, "end_cause", 1, 3, 3,
			},
			"a revocation without its time": {[]string{"UPDATE sessions SET revoked_at = NULL"}, "revoked_at", 1, 3, 3},
			"a session that outlives its end": {
				[]string{"UPDATE sessions SET expires_at = created_at WHERE id = 's1'"}, "ends_at", 1, 2, 2,
			},
			"a session ended":   {[]string{"UPDATE sessions SET end_cause = 'expired' WHERE id = 's1'"}, "", 0, 2, 2},
			"a session deleted": {[]string{"DELETE FROM session_apps WHERE session_id = 's1'", "DELETE FROM sessions WHERE id = 's1'"}, "", 0, 2, 2},
			"applications deleted": {
				[]string{"DELETE FROM session_apps WHERE application_id = 'mail'"}, "app_count", 4, 3, 0,
			},
			"an application's session changed": {[]string{"UPDATE sessions SET app_count = 7 WHERE id = 's1'"}, "app_count", 1, 3, 3},
			"a tenant moved":                   {[]string{"UPDATE tenants SET partner_id = 'south' WHERE tenant_id = 'acme'"}, "partner_id", 4, 3, 3},
			"a tenant deleted":                 {[]string{"DELETE FROM tenants WHERE tenant_id = 'acme'"}, "tenant_id", 4, 3, 3},
			"devices and users renamed": {
				[]string{"UPDATE sessions SET device_type = 'tablet', user_id = 'bob' WHERE id IN ('s1', 's2')"}, "", 0, 3, 3,
			},
			"counters and deltas deleted": {[]string{"DELETE FROM counters", "DELETE FROM counter_deltas"}, "", 0, 3, 3},
		} {
			t.Run(name+"/"+hand, func(t *testing.T) {
				clock := storetest.NewClock()
				s := open(t, store.Options{Now: clock.Now})
				for i := range 4 {
					id := fmt.Sprint("s", i)
					_, _, err := s.RegisterSession(t.Context(), store.AllTenants(), store.Session{
						TenantID: "acme", PartnerID: new("north"), UserID: "ada", ID: id, DeviceType: new("desktop"), ExpiresAt: clock.Now().Add(time.Hour),
					}, store.Actor{})
					require.NoError(t, err)
					app := store.App{SessionID: id, ApplicationID: "mail", ApplicationName: "Mail"}
					require.NoError(t, s.RecordApp(t.Context(), store.AllTenants(), app, store.Actor{}))
				}
				_, err := s.RollUp(t.Context(), 100)
				require.NoError(t, err)
				_, err = s.RevokeSession(t.Context(), store.InTenant("acme"), "s3", store.Actor{})
				require.NoError(t, err)
				for _, statement := range c.statements {
					require.NoError(t, s.Exec(t.Context(), statement))
				}
				verify := func(repair bool) (found []store.Drift) {
					_, err := s.VerifyCounters(t.Context(), repair, func(d store.Drift) { found = append(found, d) })
					require.NoError(t, err)
					return found
				}
				differs := verify(false)
				require.NotEmpty(t, differs)
				if c.column != "" {
					assert.Contains(t, differs, store.Drift{TenantID: "acme", Kind: c.column, Sessions: c.sessions})
				}
				assert.Equal(t, differs, verify(false), "a check repairs nothing")
				verify(true)
				assert.Empty(t, verify(false))
				stats, err := s.TenantStats(t.Context(), store.InTenant("acme"))
				require.NoError(t, err)
				assert.Equal(t, c.active, stats.Active)
				mail := 0
				for _, app := range stats.TopApplications {
					mail += app.Sessions
				}
				assert.Equal(t, c.mail, mail)
				for _, partner := range []string{"north", "south"} {
					sessions, total, err := s.ListSessions(t.Context(), store.CallerSession{}, store.AllTenants().OfPartner(partner), store.Filter{ActiveOnly: true},
						store.Page{Limit: 10})
					require.NoError(t, err)
					assert.Len(t, sessions, total)
					for _, listed := range sessions {
						_, apps, err := s.GetSessionWithApps(t.Context(), store.CallerSession{}, store.AllTenants(), listed.ID)
						require.NoError(t, err)
						assert.Len(t, apps, listed.AppCount)
					}
				}
			})
		}
	}
}

// TestApplicationsOfNoSessionAreRepaired: SQLite's prompt does not heed foreign keys. What is left of a deleted session would be the next one's
// that has its id.
func TestApplicationsOfNoSessionAreRepaired(t *testing.T) {
	clock := storetest.NewClock()
	s := storetest.SQLite(t, store.Options{Now: clock.Now})
	session := store.Session{TenantID: "acme", UserID: "ada", ID: "s1", ExpiresAt: clock.Now().Add(time.Hour)}
	_, _, err := s.RegisterSession(t.Context(), store.AllTenants(), session, store.Actor{})
	require.NoError(t, err)
	require.NoError(t, s.RecordApp(t.Context(), store.AllTenants(), store.App{SessionID: "s1", ApplicationID: "mail", ApplicationName: "Mail"}, store.Actor{}))
	require.NoError(t, s.Exec(t.Context(), "PRAGMA foreign_keys = OFF; DELETE FROM sessions WHERE id = 's1'; PRAGMA foreign_keys = ON"))
	var found []store.Drift
	_, err = s.VerifyCounters(t.Context(), true, func(d store.Drift) { found = append(found, d) })
	require.NoError(t, err)
	assert.Contains(t, found, store.Drift{TenantID: "acme", Kind: "session_apps", Sessions: 1})
	session.UserID = "bob"
	_, _, err = s.RegisterSession(t.Context(), store.AllTenants(), session, store.Actor{})
	require.NoError(t, err)
	require.NoError(t, s.RecordApp(t.Context(), store.AllTenants(), store.App{SessionID: "s1", ApplicationID: "wiki", ApplicationName: "Wiki"}, store.Actor{}))
	_, apps, err := s.GetSessionWithApps(t.Context(), store.CallerSession{}, store.AllTenants(), "s1")
	require.NoError(t, err)
	assert.Len(t, apps, 1)
}
