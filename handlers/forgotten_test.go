package handlers_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sessiond/sessiond/handlers"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store"
)

// forgetful is a store that replaces the scope of every call by AllTenants or another tenant, as a handler with a defect would.
type forgetful struct{ handlers.Store }

func (s forgetful) SessionActive(ctx context.Context, _ store.Scope, id string) (bool, error) {
	return s.Store.SessionActive(ctx, store.AllTenants(), id)
}

func (s forgetful) GetSessionWithApps(ctx context.Context, caller store.CallerSession, _ store.Scope, id string) (store.Session, []store.App, error) {
	return s.Store.GetSessionWithApps(ctx, caller, store.AllTenants(), id)
}

func (s forgetful) ListSessions(
	ctx context.Context, caller store.CallerSession, _ store.Scope, filter store.Filter, page store.Page,
) ([]store.ListItem, int, error) {
	return s.Store.ListSessions(ctx, caller, store.AllTenants(), filter, page)
}

func (s forgetful) NewestActive(ctx context.Context, caller store.CallerSession, _ store.Scope) ([]store.ListItem, bool, error) {
	return s.Store.NewestActive(ctx, caller, store.AllTenants())
}

func (s forgetful) TenantStats(ctx context.Context, _ store.Scope) (store.Stats, error) {
	return s.Store.TenantStats(ctx, store.InTenant("globex"))
}

func (s forgetful) RevokeSession(ctx context.Context, _ store.Scope, id string, by store.Actor) (bool, error) {
	return s.Store.RevokeSession(ctx, store.AllTenants(), id, by)
}

func (s forgetful) RevokeSessions(ctx context.Context, _ store.Scope, ids []string, by store.Actor) ([]string, error) {
	return s.Store.RevokeSessions(ctx, store.AllTenants(), ids, by)
}

func (s forgetful) RevokeAllSessions(ctx context.Context, _ store.Scope, except string, by store.Actor) ([]string, error) {
	return s.Store.RevokeAllSessions(ctx, store.AllTenants(), except, by)
}

func (s forgetful) RecordActivity(ctx context.Context, _ store.Scope, id string, activity store.Activity, by store.Actor) error {
	return s.Store.RecordActivity(ctx, store.AllTenants(), id, activity, by)
}

func (s forgetful) RecordApp(ctx context.Context, _ store.Scope, app store.App, by store.Actor) error {
	return s.Store.RecordApp(ctx, store.AllTenants(), app, by)
}

// TestForgottenTenant has every operation forget its tenant, and looks at what callers of one tenant and of one partner get
// to see and to change then. On PostgreSQL the second wall stands; on SQLite there is none, which shows that the test can
// fail.
func TestForgottenTenant(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		walled := f.store.Engine() == "postgres"
		f.register("acme", "ada", "a1", "partner_id", "north")
		f.register("acme", "ada", "a2", "partner_id", "north")
		f.register("acme", "boss", "b1", "partner_id", "north")
		f.register("globex", "ada", "g1", "partner_id", "south")
		f.serve(forgetful{f.store})
		boss, partner, ada := f.tenant("acme"), f.partner("north"), f.user("acme", "ada", "")
		ingest := f.token(auth.TokenRequest{Subject: "idp", ClientID: "idp", TenantID: "acme", Scope: "sessions:ingest"})
		seen := func(name, body string) {
			f.t.Helper()
			for _, secret := range []string{"g1", `"total_items":4`, `"total_sessions":1`} {
				if walled {
					assert.NotContains(f.t, body, secret, name)
				}
			}
		}
		foreign := http.StatusNotFound
		for name, c := range map[string]struct {
			method, target, token string
			body                  any
			walled, open          int
		}{
			"tenant's list":          {"GET", "/api/v1/tenants/acme/sessions", boss, nil, 200, 200},
			"tenant's list of all":   {"GET", "/api/v1/tenants/acme/sessions?active_only=false", boss, nil, 200, 200},
			"user's list":            {"GET", "/api/v1/tenants/acme/sessions/users/ada", boss, nil, 200, 200},
			"tenant's get":           {"GET", "/api/v1/tenants/acme/sessions/g1", boss, nil, foreign, 200},
			"tenant's statistics":    {"GET", "/api/v1/tenants/acme/sessions/stats", boss, nil, 200, 200},
			"one's own list":         {"GET", "/api/v1/me/sessions", ada, nil, 200, 200},
			"partner's list":         {"GET", "/api/v1/admin/sessions/", partner, nil, 200, 200},
			"partner's get":          {"GET", "/api/v1/admin/sessions/g1", partner, nil, foreign, 200},
			"a use":                  {"POST", "/api/v1/lifecycle/sessions/g1/activity", ingest, map[string]any{}, foreign, 204},
			"an application":         {"PUT", "/api/v1/lifecycle/sessions/g1/apps/wiki", ingest, map[string]any{"application_name": "Wiki"}, foreign, 204},
			"a tenant of no partner": {"GET", "/api/v1/tenants/globex/sessions", partner, nil, 403, 403},
		} {
			want := c.open
			if walled {
				want = c.walled
			}
			seen(name, f.do(c.method, c.target, c.token, c.body).want(want).body)
		}
		for name, c := range map[string]struct {
			method, target, token string
			body                  any
		}{
			"tenant's revocation":  {"DELETE", "/api/v1/tenants/acme/sessions/g1", boss, nil},
			"partner's revocation": {"DELETE", "/api/v1/admin/sessions/g1", partner, nil},
			"one's own revocation": {"DELETE", "/api/v1/me/sessions/g1", ada, nil},
			"named ones":           {"POST", "/api/v1/tenants/acme/sessions/users/ada/revoke", boss, map[string]any{"session_ids": []string{"g1"}}},
			"all of a user":        {"POST", "/api/v1/tenants/acme/sessions/users/ada/revoke", boss, map[string]any{"revoke_all": true}},
			"all of a tenant":      {"POST", "/api/v1/tenants/acme/sessions/revoke-all", boss, nil},
			"all of one's own":     {"POST", "/api/v1/me/sessions/revoke-all", ada, nil},
			"all of a partner":     {"POST", "/api/v1/admin/sessions/revoke-all", partner, map[string]any{"user_id": "ada"}},
		} {
			answer := f.do(c.method, c.target, c.token, c.body)
			assert.Less(f.t, answer.status, 500, name)
			seen(name, answer.body)
		}
		left := f.activeIDs("globex")
		if walled {
			assert.Equal(f.t, []string{"g1"}, left, "nothing of another's was ended")
		} else {
			assert.Empty(f.t, left, "without row-level security it is")
		}
	})
}

// TestUndecidedRequest calls the store before the policy has decided the scope of the request.
func TestUndecidedRequest(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		f.register("acme", "ada", "a1")
		f.serve(early{f.store})
		f.do(http.MethodPost, "/api/v1/me/sessions/revoke-all", f.user("acme", "ada", "a1"), nil).want(http.StatusInternalServerError)
		assert.Contains(f.t, f.logs.String(), "no scope has been authorized")
		assert.Equal(f.t, []string{"a1"}, f.activeIDs("acme"))
	})
}

// early is a store in which the question about a token's session, which comes before the policy, reads sessions at will.
type early struct{ handlers.Store }

func (s early) SessionEnded(ctx context.Context, _, id string) (bool, error) {
	active, err := s.SessionActive(ctx, store.AllTenants(), id)
	return !active, err
}
