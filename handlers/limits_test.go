package handlers_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

func TestLimitsOverHTTP(t *testing.T) {
	f := newFixtureWith(t, storetest.SQLite, store.Options{Limits: func(string) store.Limits {
		return store.Limits{Absolute: time.Hour, Idle: 10 * time.Minute, MaxSessions: 1, RefuseSurplus: true}
	}})
	f.register("acme", "u1", "s1")
	register := func(id string) answer {
		return f.do(http.MethodPost, "/api/v1/lifecycle/sessions", f.service(), map[string]any{
			"id": id, "tenant_id": "acme", "user_id": "u1", "expires_at": "2026-01-16T08:00:00Z",
		})
	}
	assert.Equal(t, "The user has as many sessions as the tenant allows.", register("s2").want(http.StatusConflict).detail())
	assert.Contains(t, f.do(http.MethodGet, "/api/v1/admin/sessions/s1", f.admin(), nil).body, `"expires_at":"2026-01-15T13:00:00.123456Z"`)

	me := f.user("acme", "u1", "s1")
	f.clock.Advance(10 * time.Minute)
	f.do(http.MethodGet, "/api/v1/me/sessions", me, nil).want(http.StatusUnauthorized)
	f.do(http.MethodPost, "/api/v1/lifecycle/sessions/s1/activity", f.service(), nil).want(http.StatusConflict)
	register("s2").want(http.StatusCreated)
}

func TestALoginOlderThanARevocation(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		f.register("acme", "u1", "s1")
		f.clock.Advance(time.Minute)
		f.do(http.MethodPost, "/api/v1/tenants/acme/sessions/revoke-all", f.tenant("acme"), nil).want(http.StatusOK)
		got := f.do(http.MethodPost, "/api/v1/lifecycle/sessions", f.service(), map[string]any{
			"tenant_id": "acme", "user_id": "u1", "created_at": storetest.Epoch, "expires_at": "2026-01-16T08:00:00Z",
		}).want(http.StatusConflict)
		assert.Equal(f.t, "The login is older than a revocation of all sessions of its user or tenant.", got.detail())
		f.clock.Advance(time.Second)
		f.register("acme", "u1", "s2")
	})
}

// TestAClockThatJumps an hour, either way, gives nobody a session back.
func TestAClockThatJumps(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		for _, jump := range []time.Duration{-time.Hour, time.Hour} {
			name := func(what string) string { return what + jump.String() }
			f.register(name("acme"), "ada", name("one"))
			f.register(name("acme"), "ada", name("kept"))
			f.register(name("globex"), "ada", name("all"))
			f.do(http.MethodDelete, "/api/v1/admin/sessions/"+name("one"), f.admin(), nil).want(http.StatusNoContent)
			f.do(http.MethodPost, "/api/v1/tenants/"+name("globex")+"/sessions/revoke-all", f.tenant(name("globex")), nil).want(http.StatusOK)
			f.clock.Advance(jump)
			for id, tenantID := range map[string]string{name("one"): name("acme"), name("all"): name("globex")} {
				token := f.user(tenantID, "ada", id)
				assert.Equal(t, "The session has ended.", f.do(http.MethodGet, "/api/v1/me/sessions", token, nil).want(http.StatusUnauthorized).detail())
				assert.JSONEq(t, `{"active": false}`, f.do(http.MethodPost, "/oauth2/introspect", f.service(), "token="+token,
					"Content-Type", "application/x-www-form-urlencoded").want(http.StatusOK).body)
				f.do(http.MethodPost, "/api/v1/lifecycle/sessions/"+id+"/activity", f.service(), nil).want(http.StatusConflict)
				f.do(http.MethodPost, "/api/v1/lifecycle/sessions", f.service(), map[string]any{
					"id": id, "tenant_id": tenantID, "user_id": "ada", "expires_at": storetest.Epoch.Add(24 * time.Hour),
				}).want(http.StatusConflict)
			}
			assert.Equal(t, []string{name("kept")}, f.activeIDs(name("acme")))
			assert.Empty(t, f.activeIDs(name("globex")))
			f.do(http.MethodGet, "/api/v1/me/sessions", f.user(name("acme"), "ada", name("kept")), nil).want(http.StatusOK)
		}
	})
}

// TestWhatHasEndedStaysEnded, whatever tenant the token names and also when its row is deleted.
func TestWhatHasEndedStaysEnded(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		for _, id := range []string{"revoked", "erased", "purged"} {
			f.register("acme", id, id)
		}
		f.register("globex", "purged", "good")
		f.do(http.MethodDelete, "/api/v1/admin/sessions/revoked", f.admin(), nil).want(http.StatusNoContent)
		f.do(http.MethodDelete, "/api/v1/admin/sessions/purged", f.admin(), nil).want(http.StatusNoContent)
		_, err := f.store.EraseUser(t.Context(), "acme", "erased", store.Actor{})
		require.NoError(t, err)
		f.clock.Advance(time.Second)
		_, err = f.store.PurgeEnded(t.Context(), f.clock.Now(), 100)
		require.NoError(t, err)
		for _, id := range []string{"revoked", "erased", "purged"} {
			for _, tenantID := range []string{"acme", "globex", ""} {
				token := f.user(tenantID, id, id)
				for _, request := range [][2]string{{http.MethodGet, "/api/v1/me/sessions"}, {http.MethodPost, "/api/v1/me/sessions/revoke-all"}, {http.MethodDelete, "/api/v1/me/sessions/x"}} {
					got := f.do(request[0], request[1], token, nil).want(http.StatusUnauthorized)
					assert.Equal(t, "The session has ended.", got.detail(), "%s in %q", id, tenantID)
				}
				assert.JSONEq(t, `{"active": false}`, f.do(http.MethodPost, "/oauth2/introspect", f.service(), "token="+token,
					"Content-Type", "application/x-www-form-urlencoded").want(http.StatusOK).body)
			}
			again := f.do(http.MethodPost, "/api/v1/lifecycle/sessions", f.service(), map[string]any{
				"id": id, "tenant_id": "acme", "user_id": id, "expires_at": "2026-01-16T08:00:00Z",
			}).want(http.StatusConflict)
			assert.Equal(t, "The session has ended.", again.detail())
		}
		f.do(http.MethodGet, "/api/v1/me/sessions", f.user("acme", "purged", "good"), nil).want(http.StatusOK)
		f.do(http.MethodGet, "/api/v1/me/sessions", f.user("acme", "purged", "unknown"), nil).want(http.StatusOK)
	})
}

// TestIdempotencyKey repeats a call whose answer was lost.
func TestIdempotencyKey(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		end := func(key string) []string {
			return f.do(http.MethodPost, "/api/v1/tenants/acme/sessions/revoke-all", f.tenant("acme"), nil, "Idempotency-Key", key).revoked()
		}
		f.register("acme", "u1", "s1")
		f.register("acme", "u2", "s2")
		assert.Equal(t, []string{"s1", "s2"}, end("k1"))
		assert.Equal(t, []string{"s1", "s2"}, end("k1"))
		assert.Empty(t, end("k2"))
		f.clock.Advance(time.Second)
		f.register("acme", "u1", "s3")
		assert.Equal(t, []string{"s1", "s2"}, end("k1"), "that call again")
		assert.Equal(t, []string{"s3"}, end(strings.Repeat("é", 300)), "another key")
		for path, body := range map[string]any{
			"/api/v1/admin/sessions/revoke-all":             map[string]any{"tenant_id": "acme"},
			"/api/v1/tenants/acme/sessions/users/u1/revoke": map[string]any{"revoke_all": true},
			"/api/v1/tenants/acme/sessions/users/u2/revoke": map[string]any{"session_ids": []string{"u2/api/v1/tenants/acme/sessions/users/u2/revoke"}},
			"/api/v1/me/sessions/revoke-all":                nil,
		} {
			f.clock.Advance(time.Second)
			for _, userID := range []string{"u1", "u2", "operator"} {
				f.register("acme", userID, userID+path)
			}
			caller := f.token(auth.TokenRequest{Subject: "operator", Scope: "admin:sessions:write"})
			first := f.do(http.MethodPost, path, caller, body, "Idempotency-Key", "k1").revoked()
			assert.NotEmpty(t, first)
			assert.Equal(t, first, f.do(http.MethodPost, path, caller, body, "Idempotency-Key", "k1").revoked(), path)
		}
	})
}

func TestReasonsAreRecorded(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		for _, id := range []string{"s1", "s2", "s3", "s4"} {
			f.register("acme", id, id)
		}
		f.do(http.MethodDelete, "/api/v1/admin/sessions/s1", f.admin(), nil, "X-Revoke-Reason", "lost phone", "X-Request-ID", "r-1").want(http.StatusNoContent)
		f.do(http.MethodPost, "/api/v1/admin/sessions/revoke-all", f.admin(), `{"user_id": "s2", "reason": "left the\ncompany"}`, "X-Revoke-Reason", "header").revoked()
		f.do(http.MethodPost, "/api/v1/admin/sessions/revoke-all", f.admin(), `{"user_id": "s3", "reason": 7}`, "X-Revoke-Reason", strings.Repeat("é", 300)).revoked()
		f.do(http.MethodDelete, "/api/v1/tenants/acme/sessions/s4", f.tenant("acme"), nil).want(http.StatusNoContent)
		events, err := f.store.ListAuditEvents(t.Context(), store.AuditFilter{Action: store.ActionRevoked})
		require.NoError(t, err)
		require.Len(t, events, 4)
		assert.Equal(t, []string{"lost phone", "left the company", strings.Repeat("é", 255), ""},
			[]string{events[0].Reason, events[1].Reason, events[2].Reason, events[3].Reason})
		assert.Equal(t, []string{"operator", "sessiond-cli", "r-1"}, []string{events[0].ActorSub, events[0].ActorClient, events[0].RequestID})
		assert.Equal(t, "boss", events[3].ActorSub)
	})
}

func TestLocation(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	f.register("acme", "u1", "s1", "ip_address", "203.0.113.1")
	f.register("acme", "u1", "s2", "ip_address", "203.0.113.2")
	where := func(id string) string { return f.do(http.MethodGet, "/api/v1/admin/sessions/"+id, f.admin(), nil).body }
	assert.Contains(t, where("s1"), `"location":"Bern, Switzerland"`)
	assert.Contains(t, where("s2"), `"location":null`)
	f.do(http.MethodPost, "/api/v1/lifecycle/sessions/s2/activity", f.service(), `{"ip_address": "203.0.113.1"}`).want(http.StatusNoContent)
	assert.Contains(t, where("s2"), `"location":"Bern, Switzerland"`)
}
