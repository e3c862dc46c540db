package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/store/storetest"
)

func (f *fixture) eventsOf(target, token string) gen.AuditEventList {
	f.t.Helper()
	var list gen.AuditEventList
	f.do(http.MethodGet, target, token, nil).want(http.StatusOK).decode(&list)
	return list
}

// lost is a session that moves, and is then ended by an administrator.
func (f *fixture) lost() {
	f.t.Helper()
	f.register("acme", "ada", "s1", "ip_address", "203.0.113.7", "user_agent", agent)
	f.clock.Advance(time.Minute)
	f.do(http.MethodPost, "/api/v1/lifecycle/sessions/s1/activity", f.service(), map[string]any{"ip_address": "198.51.100.4"}).want(http.StatusNoContent)
	f.clock.Advance(time.Minute)
	f.do(http.MethodDelete, "/api/v1/tenants/acme/sessions/s1", f.tenant("acme"), nil, "X-Revoke-Reason", "lost phone", "X-Request-ID", "r-9").want(http.StatusNoContent)
}

func TestSessionHistory(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		f.lost()
		const target = "/api/v1/sessions/s1/history"
		list := f.eventsOf(target, f.tenant("acme"))
		require.Len(t, list.Data, 3)
		assert.Equal(t, gen.CursorPagination{Limit: 50}, list.Pagination)
		came, moved, end := list.Data[0], list.Data[1], list.Data[2]
		assert.Equal(t, gen.EventChanges{
			IpAddress: &gen.EventChange{To: new("203.0.113.7")}, Country: &gen.EventChange{To: new("GB")},
		}, came.Changes)
		assert.Equal(t, gen.EventChanges{
			IpAddress: &gen.EventChange{From: new("203.0.113.7"), To: new("198.51.100.4")}, Country: &gen.EventChange{From: new("GB")},
		}, moved.Changes)
		assert.Equal(t, gen.EventAction("session.revoked"), end.Action)
		assert.Equal(t, []*string{new("lost phone"), new("r-9"), new("acme"), new("ada")}, []*string{end.Reason, end.RequestId, end.TenantId, end.UserId})
		assert.NotNil(t, end.Actor)

		// The user is told what happened, and not who did it and why.
		own := f.eventsOf(target, f.user("acme", "ada", "s2"))
		require.Len(t, own.Data, 3)
		for _, event := range own.Data {
			assert.Nil(t, event.Actor)
			assert.Nil(t, event.Reason)
			assert.Nil(t, event.RequestId)
		}
		assert.Equal(t, moved.Changes, own.Data[1].Changes)

		// What the user did is the user's own.
		f.register("acme", "ada", "s3")
		f.do(http.MethodDelete, "/api/v1/me/sessions/s3", f.user("acme", "ada", ""), nil, "X-Revoke-Reason", "wasn't me").want(http.StatusOK)
		ended := f.eventsOf("/api/v1/sessions/s3/history?order=newest&limit=1", f.user("acme", "ada", "")).Data[0]
		assert.Equal(t, new("wasn't me"), ended.Reason)
		assert.Equal(t, "ada", ended.Actor.Sub)

		newest := f.eventsOf(target+"?order=newest&limit=1&action=session.revoked&action=session.registered", f.admin())
		require.Len(t, newest.Data, 1)
		assert.Equal(t, end, newest.Data[0])
		next := f.eventsOf(target+"?order=newest&limit=1&action=session.revoked&action=session.registered&cursor="+url.QueryEscape(*newest.Pagination.NextCursor), f.admin())
		assert.Equal(t, []gen.AuditEvent{came}, next.Data)
		assert.Nil(t, next.Pagination.NextCursor)

		for what, token := range map[string]string{
			"another tenant": f.tenant("globex"), "another user": f.user("acme", "bob", ""), "the same name in another tenant": f.user("globex", "ada", ""),
			"another partner": f.partner("south"),
		} {
			f.do(http.MethodGet, target, token, nil).want(http.StatusNotFound)
			absent := f.do(http.MethodGet, "/api/v1/sessions/never/history", token, nil).want(http.StatusNotFound)
			assert.Equal(t, "Session not found.", absent.detail(), what)
		}
	})
}

// TestAuditEvents: the nine-o'clock question, and what is refused.
func TestAuditEvents(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		f.lost()
		f.register("globex", "ada", "s3")
		found := f.eventsOf("/api/v1/audit-events?user_id=ada&action=session.revoked", f.tenant("acme"))
		require.Len(t, found.Data, 1)
		assert.Equal(t, new("s1"), found.Data[0].SessionId)
		assert.Len(t, f.eventsOf("/api/v1/audit-events?request_id=r-9", f.admin()).Data, 1)
		assert.Len(t, f.eventsOf("/api/v1/audit-events?tenant_id=globex", f.admin()).Data, 1)
		assert.Empty(t, f.eventsOf("/api/v1/audit-events?tenant_id=globex", f.tenant("acme")).Data, "it is not theirs")
		assert.Empty(t, f.eventsOf("/api/v1/audit-events?user_id=", f.admin()).Data, "an empty text is nobody")
		assert.Len(t, f.eventsOf("/api/v1/audit-events?after="+url.QueryEscape(f.clock.Now().Format(time.RFC3339)), f.tenant("acme")).Data, 1)
		// A user does not find out by asking who acted.
		user := f.user("acme", "ada", "")
		assert.NotEmpty(t, f.eventsOf("/api/v1/audit-events", user).Data)
		for _, query := range []string{"?actor=boss", "?request_id=r-9", "?actor=boss&request_id=r-9", "?actor=idp"} {
			assert.Empty(t, f.eventsOf("/api/v1/audit-events"+query, user).Data, query)
		}
		all := f.eventsOf("/api/v1/audit-events?limit=1", f.tenant("acme"))
		for target, detail := range map[string]string{
			"?limits=1":  `{"loc":["query","limits"],"msg":"Extra inputs are not permitted","type":"extra_forbidden"}`,
			"?limit=201": `{"loc":["query","limit"],"msg":"Input should be less than or equal to 200","type":"less_than_equal"}`,
			"?cursor=x":  `{"loc":["query","cursor"],"msg":"Value error, it is not a cursor of this list","type":"value_error"}`,
			"?limit=1&order=oldest&cursor=" + url.QueryEscape(*all.Pagination.NextCursor): `{"loc":["query","cursor"],"msg":"Value error, it is not a cursor of this list","type":"value_error"}`,
		} {
			got := f.do(http.MethodGet, "/api/v1/audit-events"+target, f.tenant("acme"), nil).want(http.StatusUnprocessableEntity)
			assert.Contains(t, got.body, detail)
		}
		refused := f.do(http.MethodGet, "/api/v1/audit-events?action=session.revokd", f.tenant("acme"), nil).want(http.StatusUnprocessableEntity)
		assert.Contains(t, refused.body, `"loc":["query","action",0]`)
	})
}

// TestPreferStrict: a misspelled member would end far more than was meant.
func TestPreferStrict(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	f.register("wonka", "x", "s1")
	f.register("wonka", "y", "s2")
	misspelled := map[string]any{"tenant_id": "wonka", "userid": "x"}
	refused := f.do(http.MethodPost, "/api/v1/admin/sessions/revoke-all", f.admin(), misspelled, "Prefer", "handling=strict").want(http.StatusUnprocessableEntity)
	assert.Contains(t, refused.body, `"loc":["body","userid"]`)
	assert.Equal(t, "handling=strict", refused.header.Get("Preference-Applied"))
	assert.Len(t, f.activeIDs("wonka"), 2)
	f.do(http.MethodPost, "/api/v1/tenants/wonka/sessions/revoke-all", f.tenant("wonka"), map[string]any{"user_id": "x"}, "Prefer", "handling=strict").
		want(http.StatusUnprocessableEntity)
	assert.Len(t, f.activeIDs("wonka"), 2)
	right := map[string]any{"tenant_id": "wonka", "user_id": "x", "reason": "lost"}
	f.do(http.MethodPost, "/api/v1/admin/sessions/revoke-all", f.admin(), right, "Prefer", "handling=strict").want(http.StatusOK)
	assert.Equal(t, "s2", strings.Join(f.activeIDs("wonka"), " "))
	f.do(http.MethodPost, "/api/v1/admin/sessions/revoke-all", f.admin(), misspelled).want(http.StatusOK)
	assert.Empty(t, f.activeIDs("wonka"), "as the reference does")
}

// TestReasonsInEveryLanguage: UTF-8 as it is, what browsers send, and what they have to encode.
func TestReasonsInEveryLanguage(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	for sent, want := range map[string]string{
		"gestohlen – über": "gestohlen – über", "\xfcber": "über", "UTF-8''%E2%80%93%20%c3%bcber": "– über", "utf-8''a": "a", "UTF-8''%zz": "UTF-8''%zz",
		"UTF-8'": "UTF-8'", "UTF-8''%ff%00": "\ufffd", "100% sure": "100% sure",
	} {
		id := fmt.Sprintf("s-%x", sent)
		f.register("acme", "ada", id)
		f.do(http.MethodDelete, "/api/v1/admin/sessions/"+id, f.admin(), nil, "X-Revoke-Reason", sent).want(http.StatusNoContent)
		list := f.eventsOf("/api/v1/sessions/"+id+"/history?action=session.revoked", f.tenant("acme"))
		require.Len(t, list.Data, 1)
		assert.Equal(t, want, *list.Data[0].Reason, "%q", sent)
	}
}
