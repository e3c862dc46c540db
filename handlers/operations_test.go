package handlers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/handlers"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/qa/sequential"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

func TestListSessions(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		f.register("acme", "u1", "s1", "partner_id", "north")
		f.register("acme", "u2", "s2")
		f.register("globex", "u1", "s3", "partner_id", "south")
		f.register("acme", "u1", "gone")
		f.do(http.MethodDelete, "/api/v1/admin/sessions/gone", f.admin(), nil).want(http.StatusNoContent)
		for _, c := range []struct {
			token, query string
			ids          []string
			pages        [4]int
		}{
			{f.admin(), "", []string{"s3", "s2", "s1"}, [4]int{1, 20, 3, 1}},
			{f.admin(), "?page=2&per_page=2", []string{"s1"}, [4]int{2, 2, 3, 2}},
			{f.admin(), "?page=9", []string{}, [4]int{9, 20, 3, 1}},
			{f.admin(), "?page=99999999999999999999999", []string{}, [4]int{1<<63 - 1, 20, 3, 1}},
			{f.admin(), "?user_id=u1", []string{"s3", "s1"}, [4]int{1, 20, 2, 1}},
			{f.admin(), "?user_id=u1&tenant_id=acme", []string{"s1"}, [4]int{1, 20, 1, 1}},
			{f.admin(), "?partner_id=north", []string{"s2", "s1"}, [4]int{1, 20, 2, 1}},
			{f.admin(), "?user_id=", []string{}, [4]int{1, 20, 0, 0}},
			{f.admin(), "?tenant_id=%00", []string{}, [4]int{1, 20, 0, 0}},
			{f.partner("north"), "", []string{"s2", "s1"}, [4]int{1, 20, 2, 1}},
			{f.partner("north"), "?partner_id=south", []string{}, [4]int{1, 20, 0, 0}},
			{f.partner("north"), "?tenant_id=globex", []string{}, [4]int{1, 20, 0, 0}},
			{f.partner("nobody"), "", []string{}, [4]int{1, 20, 0, 0}},
		} {
			ids, pages := listed(f.do(http.MethodGet, "/api/v1/admin/sessions/"+c.query, c.token, nil))
			assert.Equal(t, c.ids, ids, c.query)
			assert.Equal(t, c.pages, pages, c.query)
		}
	})
}

// TestListOfOwnSessionsIsBounded: a user may have any number of sessions, an answer has 1,000 and says that there are more.
func TestListOfOwnSessionsIsBounded(t *testing.T) {
	sequential.Test(t)
	onBothEngines(t, func(f *fixture) {
		t, now := f.t, f.clock.Now()
		var rows store.Import
		for i := range store.MaxListed + 1 {
			rows.Sessions = append(rows.Sessions, store.Session{
				TenantID: "acme", UserID: "svc", ID: fmt.Sprintf("s%04d", i), CreatedAt: now.Add(-time.Duration(i) * time.Second),
				ExpiresAt: now.Add(time.Hour), EndsAt: now.Add(time.Hour),
			})
		}
		require.NoError(t, f.store.ImportSessions(t.Context(), rows))
		for _, more := range []string{"true", ""} {
			for _, token := range []string{f.user("acme", "svc", "s0000"), f.user("", "svc", "")} {
				got := f.do(http.MethodGet, "/api/v1/me/sessions", token, nil).want(http.StatusOK)
				assert.Equal(t, more, got.header.Get(handlers.HasMoreHeader))
				var body struct{ Data []struct{ ID string } }
				require.NoError(t, json.Unmarshal([]byte(got.body), &body))
				require.Len(t, body.Data, store.MaxListed)
				assert.Equal(t, []string{"s0000", "s0999"}, []string{body.Data[0].ID, body.Data[store.MaxListed-1].ID})
			}
			f.do(http.MethodDelete, "/api/v1/me/sessions/s1000", f.user("acme", "svc", ""), nil).want(http.StatusOK)
		}
	})
}

func TestListTenantAndUserSessions(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		f.register("acme", "u1", "s1", "user_agent", agent)
		f.register("acme", "u2", "s2")
		f.register("globex", "u1", "s3")
		f.register("acme", "u1", "gone")
		f.do(http.MethodDelete, "/api/v1/tenants/acme/sessions/gone", f.tenant("acme"), nil).want(http.StatusNoContent)
		me := f.token(auth.TokenRequest{Subject: "u1", TenantID: "acme", SessionID: "s1", Scope: "sessions:read"})
		first := f.do(http.MethodGet, "/api/v1/tenants/acme/sessions?page=2&per_page=1", me, nil).want(http.StatusOK)
		assert.JSONEq(t, `[{"id": "s1", "user_id": "u1", "user_email": null, "ip_address": null, "user_agent": "`+agent+`",
			"device_type": "desktop", "is_current": true, "created_at": "2026-01-15T12:00:00.123456Z", "last_activity_at": null,
			"expires_at": "2026-01-16T12:00:00.123456Z", "app_count": 0}]`, dataOf(t, first))
		for query, want := range map[string][]string{
			"": {"s2", "s1"}, "?active_only=no": {"s2", "s1", "gone"}, "?user_id=u1": {"s1"}, "?user_id=u1&active_only=0": {"s1", "gone"},
			"/users/u1": {"s1"}, "/users/u1?active_only=false": {"s1", "gone"}, "/users/nobody": {},
		} {
			ids, _ := listed(f.do(http.MethodGet, "/api/v1/tenants/acme/sessions"+query, f.tenant("acme"), nil))
			assert.Equal(t, want, ids, query)
		}
		ids, _ := listed(f.do(http.MethodGet, "/api/v1/tenants/nobody/sessions", f.tenant("nobody"), nil))
		assert.Equal(t, []string{}, ids, "a tenant without sessions is an empty list to its administrator")
	})
}

func TestGetTenantSessionStats(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		f.register("acme", "u1", "s1", "user_agent", agent)
		f.register("acme", "u1", "s2", "user_agent", phone)
		f.register("acme", "u2", "s3")
		f.do(http.MethodPut, "/api/v1/lifecycle/sessions/s1/apps/wiki", f.service(), `{"application_name": "Wiki"}`).want(http.StatusNoContent)
		f.do(http.MethodDelete, "/api/v1/tenants/acme/sessions/s2", f.tenant("acme"), nil).want(http.StatusNoContent)
		got := f.do(http.MethodGet, "/api/v1/tenants/acme/sessions/stats", f.tenant("acme"), nil).want(http.StatusOK)
		assert.JSONEq(t, `{"total_sessions": 3, "active_sessions": 2, "expired_sessions": 0, "revoked_sessions": 1, "unique_users": 2,
			"sessions_by_device_type": {"desktop": 1, "mobile": 0, "tablet": 0, "bot": 0, "other": 1},
			"top_applications": [{"application_id": "wiki", "application_name": "Wiki", "sessions": 1}],
			"created_last_24h": 3, "revoked_last_24h": 1, "as_of": "2026-01-15T12:00:00.123456Z"}`, dataOf(t, got))
	})
}

func TestMySessions(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		for _, id := range []string{"s1", "s2", "s3"} {
			f.register("acme", "u1", id)
		}
		f.register("acme", "u2", "other")
		f.register("globex", "u1", "elsewhere")
		me := f.user("acme", "u1", "s2")
		var list struct {
			Data []gen.SessionListItem `json:"data"`
			Meta meta                  `json:"meta"`
		}
		f.do(http.MethodGet, "/api/v1/me/sessions", me, nil, "X-Request-ID", "mine-1").want(http.StatusOK).decode(&list)
		require.Len(t, list.Data, 3)
		assert.Equal(t, []string{"s3", "s2", "s1"}, []string{list.Data[0].Id, list.Data[1].Id, list.Data[2].Id})
		assert.Equal(t, []bool{false, true, false}, []bool{list.Data[0].IsCurrent, list.Data[1].IsCurrent, list.Data[2].IsCurrent})
		assert.Equal(t, meta{RequestID: "mine-1", Timestamp: storetest.Epoch}, list.Meta)

		assert.Equal(t, []string{"s1"}, f.do(http.MethodDelete, "/api/v1/me/sessions/s1", me, nil).revoked())
		assert.Equal(t, []string{}, f.do(http.MethodDelete, "/api/v1/me/sessions/s1", me, nil).revoked())
		assert.Equal(t, []string{"s3"}, f.do(http.MethodPost, "/api/v1/me/sessions/revoke-all", me, nil).revoked())
		assert.ElementsMatch(t, []string{"s2", "other"}, f.activeIDs("acme"))
		assert.Equal(t, []string{"elsewhere", "s2"}, f.do(http.MethodPost, "/api/v1/me/sessions/revoke-all", f.user("", "u1", ""), nil).revoked(),
			"without a sid none is excepted, without a tenant all are seen")
		assert.Equal(t, []string{"other"}, f.activeIDs("acme"))
		f.do(http.MethodGet, "/api/v1/me/sessions", me, nil).want(http.StatusUnauthorized)
		f.do(http.MethodGet, "/api/v1/me/sessions", f.service(), nil).want(http.StatusForbidden)
	})
}

func TestRevokeAllSessions(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		for i, tenantID := range []string{"acme", "globex", "initech"} {
			for u := range 2 {
				f.register(tenantID, fmt.Sprint("u", u), fmt.Sprint(tenantID, u), "partner_id", []string{"north", "south", "south"}[i])
			}
		}
		post := func(token string, body any) answer {
			return f.do(http.MethodPost, "/api/v1/admin/sessions/revoke-all", token, body)
		}
		assert.Equal(t, []string{"acme0"}, post(f.admin(), `{"user_id": "u0", "tenant_id": "acme", "more": [1]}`).revoked())
		assert.Equal(t, []string{}, post(f.partner("north"), `{"user_id": "u0"}`).revoked())
		assert.Equal(t, []string{"globex0", "initech0"}, post(f.partner("south"), `{"user_id": "u0"}`).revoked())
		assert.Equal(t, []string{"globex1"}, post(f.admin(), `{"tenant_id": "globex", "user_id": null}`).revoked())
		for body, entries := range map[string]string{
			`{}`:                                   `{"loc": ["body"], "msg": "Value error, user_id or tenant_id is required", "type": "value_error"}`,
			`{"user_id": ""}`:                      `{"loc": ["body"], "msg": "Value error, user_id or tenant_id is required", "type": "value_error"}`,
			`{"user_id": "", "tenant_id": "acme"}`: `{"loc": ["body", "user_id"], "msg": "Value error, user_id must not be empty", "type": "value_error"}`,
			`{"user_id": 1}`:                       `{"loc": ["body", "user_id"], "msg": "Input should be a valid string", "type": "string_type"}`,
			`{"tenant_id": {}, "user_id": ["u1"]}`: `{"loc": ["body", "user_id"], "msg": "Input should be a valid string", "type": "string_type"},
				{"loc": ["body", "tenant_id"], "msg": "Input should be a valid string", "type": "string_type"}`,
		} {
			assert.JSONEq(t, `{"detail": [`+entries+`]}`, post(f.admin(), body).want(http.StatusUnprocessableEntity).body)
		}
		assert.Equal(t, []string{"acme1"}, f.activeIDs("acme"))
	})
}

func TestRevokeUserSessions(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		for _, id := range []string{"s1", "s2", "s3", "s4", "s5"} {
			f.register("acme", "u1", id)
		}
		f.register("acme", "u2", "other")
		me := f.token(auth.TokenRequest{Subject: "u1", TenantID: "acme", SessionID: "s1", Scope: "sessions:write"})
		post := func(body any) answer {
			return f.do(http.MethodPost, "/api/v1/tenants/acme/sessions/users/u1/revoke", me, body)
		}
		for body, sentence := range map[string]string{
			`{}`: "session_ids or revoke_all is required", `{"revoke_all": false}`: "session_ids or revoke_all is required",
			`{"session_ids": []}`: "session_ids or revoke_all is required", `{"session_ids": null}`: "session_ids or revoke_all is required",
			`{"session_ids": ["s2"], "revoke_all": true}`: "session_ids and revoke_all cannot be given together",
		} {
			assert.JSONEq(t, `{"detail": [{"loc": ["body"], "msg": "Value error, `+sentence+`", "type": "value_error"}]}`,
				post(body).want(http.StatusUnprocessableEntity).body)
		}
		assert.Equal(t, []string{"s2"}, post(`{"session_ids": ["s2", "s2", "other", "unknown", "", "\u0000"]}`).revoked())
		assert.Equal(t, []string{"s3"}, post(`{"session_ids": ["s3"], "revoke_all": false, "except_current": true}`).revoked())
		assert.Equal(t, []string{"s4", "s5"}, post(`{"revoke_all": true, "session_ids": []}`).revoked(), "the current one is excepted")
		assert.Equal(t, []string{"s1"}, post(`{"revoke_all": true, "except_current": false}`).revoked())
		post(`{"revoke_all": true}`).want(http.StatusUnauthorized)
		assert.Equal(t, []string{"other"}, f.activeIDs("acme"))

		many := `{"session_ids": ["x"` + strings.Repeat(`,"x"`, 10_000) + `]}`
		assert.Contains(t, f.do(http.MethodPost, "/api/v1/tenants/acme/sessions/users/u1/revoke", f.tenant("acme"), many).want(http.StatusUnprocessableEntity).body,
			`{"loc":["body","session_ids"],"msg":"List should have at most 10000 items after validation, not 10001","type":"too_long"}`)
	})
}

func TestRevokeAllTenantSessions(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		f.register("acme", "u1", "s1")
		f.register("acme", "u2", "s2")
		f.register("globex", "u1", "s3")
		boss := f.token(auth.TokenRequest{Subject: "u1", TenantID: "acme", SessionID: "s1", Scope: "sessions:write"})
		assert.Equal(t, []string{"s1", "s2"}, f.do(http.MethodPost, "/api/v1/tenants/acme/sessions/revoke-all", boss, `{"ignored`).revoked())
		assert.Equal(t, []string{"s3"}, f.activeIDs("globex"))
		f.do(http.MethodPost, "/api/v1/tenants/acme/sessions/revoke-all", boss, nil).want(http.StatusUnauthorized)
	})
}

func TestForeignAndAbsentAnswerTheSameBytes(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		f.register("acme", "u1", "foreign", "partner_id", "north")
		f.register("globex", "u9", "own", "partner_id", "south")
		for _, c := range []struct{ method, path, token string }{
			{http.MethodGet, "/api/v1/admin/sessions/%s", f.partner("south")},
			{http.MethodDelete, "/api/v1/admin/sessions/%s", f.partner("south")},
			{http.MethodGet, "/api/v1/tenants/globex/sessions/%s", f.tenant("globex")},
			{http.MethodDelete, "/api/v1/tenants/globex/sessions/%s", f.tenant("globex")},
			{http.MethodDelete, "/api/v1/me/sessions/%s", f.user("globex", "u1", "")},
			{http.MethodDelete, "/api/v1/me/sessions/%s", f.user("", "u9", "")},
			{http.MethodPost, "/api/v1/lifecycle/sessions/%s/activity", f.token(auth.TokenRequest{Subject: "idp", TenantID: "globex", Scope: "sessions:ingest"})},
		} {
			foreign := f.do(c.method, fmt.Sprintf(c.path, "foreign"), c.token, nil).want(http.StatusNotFound)
			absent := f.do(c.method, fmt.Sprintf(c.path, "absent"), c.token, nil).want(http.StatusNotFound)
			assert.Equal(t, absent.body, foreign.body)
			assert.Equal(t, withoutVarying(absent.header), withoutVarying(foreign.header))
		}
		revoked := f.do(http.MethodPost, "/api/v1/tenants/globex/sessions/users/u9/revoke", f.tenant("globex"), `{"session_ids": ["foreign", "absent"]}`).revoked()
		assert.Equal(t, []string{}, revoked)
		assert.Equal(t, []string{"foreign"}, f.activeIDs("acme"))
	})
}

func TestConcurrentRequests(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		service, boss := f.service(), f.tenant("acme")
		statuses := at(50, func(int) int {
			return f.do(http.MethodPost, "/api/v1/lifecycle/sessions", service, map[string]any{
				"id": "same", "tenant_id": "acme", "user_id": "u1", "expires_at": "2026-01-16T08:00:00Z",
			}).status
		})
		slices.Sort(statuses)
		assert.Equal(t, append(slices.Repeat([]int{http.StatusOK}, 49), http.StatusCreated), statuses)
		all := []string{"same"}
		for i := range 60 {
			f.register("acme", "u1", fmt.Sprintf("s%02d", i))
			all = append(all, fmt.Sprintf("s%02d", i))
		}
		reported := slices.Concat(at(8, func(int) []string {
			return f.do(http.MethodPost, "/api/v1/tenants/acme/sessions/revoke-all", boss, nil).revoked()
		})...)
		assert.ElementsMatch(t, all, reported, "each session is reported exactly once")
	})
}

func at[T any](n int, do func(i int) T) []T {
	results := make([]T, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { results[i] = do(i) })
	}
	group.Wait()
	return results
}

func withoutVarying(header http.Header) http.Header {
	header = header.Clone()
	header.Del("X-Request-Id")
	header.Del("Date")
	return header
}

// dataOf is the data member of an envelope, as JSON.

func dataOf(t *testing.T, a answer) string {
	t.Helper()
	var envelope map[string]jsonText
	a.decode(&envelope)
	return string(envelope["data"])
}

// jsonText is JSON that is looked at later.
type jsonText string

func (j *jsonText) UnmarshalJSON(data []byte) error {
	*j = jsonText(data)
	return nil
}

func listed(a answer) ([]string, [4]int) {
	a.t.Helper()
	var page gen.PaginatedResponseSessionListItem
	a.want(http.StatusOK).decode(&page)
	require.NotNil(a.t, page.Data)
	ids := []string{}
	for _, item := range page.Data {
		ids = append(ids, item.Id)
	}
	p := page.Pagination
	return ids, [4]int{p.Page, p.PerPage, p.TotalItems, p.TotalPages}
}
