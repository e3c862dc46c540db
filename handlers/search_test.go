package handlers_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/store"
)

func (f *fixture) found(query, token string) gen.SessionRecordList {
	f.t.Helper()
	var list gen.SessionRecordList
	f.do(http.MethodGet, "/api/v1/sessions"+query, token, nil).want(http.StatusOK).decode(&list)
	return list
}

func (f *fixture) foundIDs(query, token string) string {
	f.t.Helper()
	var ids []string
	for _, record := range f.found(query, token).Data {
		ids = append(ids, record.Id)
	}
	return strings.Join(ids, " ")
}

func TestSearchSessions(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		f.lost()
		f.clock.Advance(time.Minute)
		f.register("acme", "bob", "s2", "user_email", "Bob@example.com", "ip_address", "2001:db8::7")
		f.clock.Advance(time.Minute)
		f.register("globex", "ada", "s3")
		f.do(http.MethodPut, "/api/v1/lifecycle/sessions/s2/apps/mail", f.service(), map[string]any{"application_name": "Mail"}).want(http.StatusNoContent)

		// Everything is told of a session, to who may know it.
		list := f.found("?status=revoked&tenant_id=acme", f.admin())
		require.Len(t, list.Data, 1)
		assert.Equal(t, gen.SearchPagination{Limit: 50, TotalItems: 1, TotalIsExact: true}, list.Pagination)
		record := list.Data[0]
		assert.Equal(t, gen.Revoked, record.Status)
		assert.Equal(t, []*string{new("203.0.113.7"), new("198.51.100.4"), new("lost phone")}, []*string{record.LoginIpAddress, record.IpAddress, record.EndReason})
		assert.Equal(t, []string{"acme", "ada", "s1"}, []string{record.TenantId, record.UserId, record.Id})
		assert.Equal(t, record.CreatedAt.Add(2*time.Minute), record.EndedAt.Time)
		assert.NotNil(t, record.EndedBy)
		assert.Equal(t, []*string{new("Firefox"), new("Linux"), new("desktop")}, []*string{record.Browser, record.Os, record.DeviceType})

		// A user sees the own sessions, and not who else ended them.
		own := f.found("", f.user("acme", "ada", "s1x"))
		require.Len(t, own.Data, 1)
		assert.Nil(t, own.Data[0].EndedBy)
		assert.Nil(t, own.Data[0].EndReason)
		assert.Equal(t, "s2", f.foundIDs("?user_id=bob", f.user("acme", "bob", "s2")))
		assert.True(t, f.found("", f.user("acme", "bob", "s2")).Data[0].IsCurrent)
		assert.Empty(t, f.foundIDs("?user_id=bob", f.user("acme", "ada", "")))

		for query, ids := range map[string]string{
			"":                                     "s3 s2 s1",
			"?order=oldest":                        "s1 s2 s3",
			"?q=BOB%40":                            "s2",
			"?q=s":                                 "s3 s2 s1",
			"?ip=203.0.113.0/24":                   "s1",
			"?ip=198.51.100.4":                     "s1",
			"?ip=2001:db8::/32":                    "s2",
			"?ip=::ffff:203.0.113.0/120":           "s1",
			"?application_id=mail":                 "s2",
			"?browser=firefox&os=LINUX":            "s1",
			"?country=gb":                          "",
			"?status=active&status=expired":        "s3 s2",
			"?sort=ended_at":                       "s1",
			"?sort=ended_at&status=active":         "",
			"?created_before=0001-01-01T00:00:00Z": "",
			"?q=%00":                               "422",
			"?sort=last_activity_at&limit=1":       "s3",
			"?tenant_id=globex":                    "s3",
			"?partner_id=nobody":                   "",
			"?created_after=2126-01-15T12:00Z":     "422",
			"?ended_after=" + url.QueryEscape(f.clock.Now().Add(-time.Hour).Format(time.RFC3339)): "s1",
		} {
			if ids == "422" {
				f.do(http.MethodGet, "/api/v1/sessions"+query, f.admin(), nil).want(http.StatusUnprocessableEntity)
				continue
			}
			assert.Equal(t, ids, f.foundIDs(query, f.admin()), query)
		}
		assert.Equal(t, "s2 s1", f.foundIDs("", f.tenant("acme")))
		assert.Empty(t, f.foundIDs("?tenant_id=globex", f.tenant("acme")), "it is not theirs")

		first := f.found("?limit=2&count=all", f.admin())
		assert.Equal(t, 3, first.Pagination.TotalItems)
		assert.Equal(t, "s1", f.foundIDs("?limit=2&cursor="+url.QueryEscape(*first.Pagination.NextCursor), f.admin()))
		for target, detail := range map[string]string{
			"?usr_id=1":       `{"loc":["query","usr_id"],"msg":"Extra inputs are not permitted","type":"extra_forbidden"}`,
			"?tenant_id=":     `"loc":["query","tenant_id"]`,
			"?ip=1.2.3":       `{"loc":["query","ip"],"msg":"Value error, it must be an address, or a network as address/bits","type":"value_error"}`,
			"?ip=1.2.3.4/33":  `"loc":["query","ip"]`,
			"?ip=fe80::1%25a": `"loc":["query","ip"]`,
			"?status=gone":    `"loc":["query","status",0]`,
			"?cursor=x":       `{"loc":["query","cursor"],"msg":"Value error, it is not a cursor of this list","type":"value_error"}`,
			"?limit=1&cursor=" + url.QueryEscape(*first.Pagination.NextCursor) + "&order=oldest": `"loc":["query","cursor"]`,
		} {
			got := f.do(http.MethodGet, "/api/v1/sessions"+target, f.admin(), nil).want(http.StatusUnprocessableEntity)
			assert.Contains(t, got.body, detail)
		}
		f.do(http.MethodGet, "/api/v1/sessions", f.service(), nil).want(http.StatusForbidden)
	})
}

// TestExports: all pages at once, in two formats, of sessions and of events.
func TestExports(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		f.lost()
		f.register("acme", "=cmd", "s2", "user_email", "+1@example.com", "user_display_name", "a,\"b\"\nc")
		var many store.Import
		for i := range 600 { // more than one chunk
			id, now := fmt.Sprintf("g%03d", i), f.clock.Now()
			many.Sessions = append(many.Sessions, store.Session{TenantID: "globex", UserID: "u", ID: id, CreatedAt: now, ExpiresAt: now.Add(time.Hour)})
			many.Events = append(many.Events, store.AuditEvent{TenantID: "globex", SessionID: id, UserID: "u", Action: store.ActionRegistered, At: now, OperationID: uuid.NewString()})
		}
		require.NoError(t, f.store.ImportSessions(t.Context(), many))
		export := func(target, accept, token string) answer {
			got := f.do(http.MethodGet, target, token, nil, "Accept", accept).want(http.StatusOK)
			assert.Contains(t, got.header.Get("Content-Type"), accept)
			return got
		}
		got := export("/api/v1/sessions?order=oldest", "text/csv", f.tenant("acme"))
		assert.Equal(t, `attachment; filename="sessions-`+f.clock.Now().Format("20060102T150405Z")+`.csv"`, got.header.Get("Content-Disposition"))
		table, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
		require.NoError(t, err)
		require.Len(t, table, 3)
		cell := func(row int, name string) string { return table[row][slices.Index(table[0], name)] }
		assert.Equal(t, []string{"s1", "revoked", "boss", "lost phone", "203.0.113.7"},
			[]string{cell(1, "id"), cell(1, "status"), cell(1, "ended_by.sub"), cell(1, "end_reason"), cell(1, "login_ip_address")})
		assert.Equal(t, []string{"'=cmd", "'+1@example.com", "a,\"b\"\nc", "", "false", "0"},
			[]string{cell(2, "user_id"), cell(2, "user_email"), cell(2, "user_display_name"), cell(2, "ended_by.sub"), cell(2, "is_current"), cell(2, "app_count")})
		assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`, cell(2, "created_at"))

		lines := strings.Split(strings.TrimSpace(export("/api/v1/sessions?tenant_id=globex", "application/x-ndjson", f.admin()).body), "\n")
		require.Len(t, lines, 600)
		seen := map[string]bool{}
		for _, line := range lines {
			var record gen.SessionRecord
			require.NoError(t, json.Unmarshal([]byte(line), &record))
			seen[record.Id] = true
		}
		assert.Len(t, seen, 600)

		events, err := csv.NewReader(strings.NewReader(export("/api/v1/audit-events?session_id=s1", "text/csv", f.tenant("acme")).body)).ReadAll()
		require.NoError(t, err)
		require.Len(t, events, 4)
		assert.Contains(t, events[0], "changes.ip_address.from")
		lines = strings.Split(strings.TrimSpace(export("/api/v1/audit-events?action=session.registered", "application/x-ndjson", f.admin()).body), "\n")
		assert.Len(t, lines, 602)

		// Whose sessions these are is as it is on a page, and so are refusals.
		assert.Equal(t, 1, strings.Count(export("/api/v1/sessions?tenant_id=globex", "text/csv", f.tenant("acme")).body, "\n"), "the line of names")
		got = f.do(http.MethodGet, "/api/v1/sessions?usr=1", f.admin(), nil, "Accept", "text/csv").want(http.StatusUnprocessableEntity)
		assert.Equal(t, "application/json", got.header.Get("Content-Type"))
		f.do(http.MethodGet, "/api/v1/sessions?cursor=x", f.admin(), nil, "Accept", "text/csv").want(http.StatusUnprocessableEntity)
		for _, accept := range []string{"*/*", "application/json, text/csv;q=0.5", "application/xml", "text/html, */*", "text/csv;q=0", "application/x-ndjson;q=0, */*"} {
			got := f.do(http.MethodGet, "/api/v1/sessions", f.tenant("acme"), nil, "Accept", accept).want(http.StatusOK)
			assert.Equal(t, "application/json", got.header.Get("Content-Type"), accept)
		}
	})
}
