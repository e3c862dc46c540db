package handlers_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/qa/sequential"
	"github.com/sessiond/sessiond/store"
)

// nastyIDs are ids that something on the way may cut, trim, decode once more or take for something else. N stands for a
// number that makes each of them new.
func nastyIDs() map[string]string {
	return map[string]string{
		"plain": "sN", "a blank": "a N", "a blank before": " N", "a blank behind": "N ", "nothing but blanks": "  N  ", "no-break space": "\u00a0N\u00a0",
		"percent": "N%", "percent and digits": "N%41", "an escaped slash as text": "N%2Fb", "a lower escaped slash as text": "N%2fb",
		"an escaped percent as text": "N%252Fb", "an escaped line feed as text": "N%0A", "a broken escape": "N%zz", "an escaped NUL as text": "N%00",
		"plus": "a+N", "semicolon": "N;v=1", "question mark": "N?page=0", "number sign": "N#top", "ampersand": "N&b", "equals": "N=b",
		"quotes": `N"b"`, "apostrophe": "N'b", "angles": "<N>", "backslash": `N\b`, "bar": "N|b", "caret": "N^b", "grave": "N`b", "braces": "{N}",
		"brackets": "[N]", "parentheses": "(N)", "tilde": "~N", "star": "N*", "colon": ":N", "at": "N@b", "comma": "N,b", "exclamation": "N!", "dollar": "$N",
		"two dots": "..N", "dots behind": "N..", "ellipsis": "…N", "escaped dots as text": "%2e%2eN",
		"slash": "N/b", "slash before": "/N", "slash behind": "N/", "slashes": "N//b", "slashes around": "//N//", "dots between slashes": "N/../b",
		"the path of another operation": "N/revoke", "an application's path": "N/apps/x", "nothing but a path": "users/N", "a longer stats": "statsN",
		"base64": "N+/Zm9vYmFy/w==", "url": "https://id.example.com/N?x=1#y", "umlaut": "äN", "combining": "a\u0308N", "CJK": "会N议",
		"right to left": "\u202eN\u202c", "Hebrew": "שלוםN", "emoji": "👩‍👩‍👧N", "zero width": "\u200bN\u200b", "byte order mark": "\ufeffN",
		"replacement character": "N\ufffd", "line separator": "N\u2028", "upper case": "NA", "SQL": "N' OR '1'='1", "long": strings.Repeat("ä/", 60) + "N",
	}
}

// neighbours are ids that one would come to by doing more or less than decoding a segment once, and that have a part in them.
func neighbours(id, part string) []string {
	near := []string{
		strings.TrimSpace(id), strings.Trim(id, "/"), url.PathEscape(id), strings.ToLower(id), strings.ReplaceAll(id, "+", " "), strings.ReplaceAll(id, "//", "/"),
		strings.ToValidUTF8(strings.ReplaceAll(id, "\ufffd", ""), ""),
	}
	if decoded, err := url.PathUnescape(id); err == nil {
		near = append(near, decoded)
	}
	for _, cut := range []string{"/", ";", "?", "#", "%", "&", " "} {
		before, after, _ := strings.Cut(id, cut)
		near = append(near, before, after)
	}
	slices.Sort(near)
	return slices.DeleteFunc(slices.Compact(near), func(other string) bool {
		return other == id || !strings.Contains(other, part) || len(other) > 128 || strings.ContainsAny(other, "\x00\n")
	})
}

// spellings are the ways in which a segment of a path may be written.
func spellings(id string) []string {
	var all, lower strings.Builder
	for _, c := range []byte(id) {
		fmt.Fprintf(&all, "%%%02X", c)
		fmt.Fprintf(&lower, "%%%02x", c)
	}
	return []string{url.PathEscape(id), all.String(), lower.String(), leastEscaped(id)}
}

// leastEscaped leaves as it is what net/http takes unescaped, although it may not be in a URL.
func leastEscaped(id string) string {
	return strings.NewReplacer("%", "%25", "/", "%2F", "?", "%3F", "#", "%23", " ", "%20").Replace(id)
}

// wire asks as a program does that writes the request by itself, so that no client changes the path.
type wire struct {
	*fixture
	operator, service string
	number            *int // of the ids made so far
}

func (w *wire) send(method, target, token, body string) answer {
	w.t.Helper()
	address := w.server.Listener.Addr().String()
	message := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAuthorization: Bearer %s\r\n", method, target, address, token)
	if body != "" {
		message += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	got, err := exchange(address, method, []byte(message+"\r\n"+body))
	require.NoError(w.t, err)
	return answer{t: w.t, status: got.Status, header: got.Header, body: string(got.Body)}
}

// next is an id made of a pattern, and its neighbours.
func (w *wire) next(pattern string) (string, []string) {
	*w.number++
	part := fmt.Sprintf("n%dn", *w.number)
	id := strings.ReplaceAll(pattern, "N", part)
	return id, neighbours(id, part)
}

func (w *wire) register(session store.Session) answer {
	w.t.Helper()
	body := map[string]any{"id": session.ID, "tenant_id": session.TenantID, "user_id": session.UserID, "expires_at": "2026-01-16T08:00:00Z"}
	if session.PartnerID != nil {
		body["partner_id"] = *session.PartnerID
	}
	text, err := json.Marshal(body)
	require.NoError(w.t, err)
	return w.send(http.MethodPost, "/api/v1/lifecycle/sessions", w.service, string(text))
}

// sessions registers those of a new tenant, one of each id, and returns the tenant.
func (w *wire) sessions(ids ...string) string {
	w.t.Helper()
	tenant := fmt.Sprintf("tenant-%d", *w.number)
	for _, id := range ids {
		w.register(store.Session{ID: id, TenantID: tenant, UserID: "ada"}).want(http.StatusCreated)
	}
	return tenant
}

// onTheWire runs a test for each of the ids. How a path is read has nothing to do with the engine, so of the ids only those that a
// database might see otherwise are tried on both: PostgreSQL gets those that are not ASCII, and a few.
func onTheWire(t *testing.T, test func(w *wire, pattern string)) {
	t.Helper()
	onBothEngines(t, func(f *fixture) {
		w := &wire{fixture: f, operator: f.admin(), service: f.service(), number: new(int)}
		for name, pattern := range nastyIDs() {
			plain := !strings.ContainsFunc(pattern, func(r rune) bool { return r > unicode.MaxASCII })
			if f.store.Engine() == "postgres" && plain && !strings.ContainsAny(pattern, `/\'%`) {
				continue
			}
			f.t.Run(name, func(t *testing.T) {
				within := *f
				within.t = t
				test(&wire{fixture: &within, operator: w.operator, service: w.service, number: w.number}, pattern)
			})
		}
	})
}

// TestASessionIsNamedByItsWholeID reads and ends sessions with odd ids, in every operation that names one in its path.
func TestASessionIsNamedByItsWholeID(t *testing.T) {
	sequential.Test(t)
	onTheWire(t, func(w *wire, pattern string) {
		t := w.t
		for kind := range spellings("") {
			id, near := w.next(pattern)
			tenant := w.sessions(append(near, id)...)
			segment := spellings(id)[kind]
			me := w.user(tenant, "ada", "")
			for _, path := range []string{"/api/v1/admin/sessions/", "/api/v1/tenants/" + tenant + "/sessions/"} {
				got := w.send(http.MethodGet, path+segment, w.operator, "").want(http.StatusOK)
				assert.Equal(t, id, w.idOf(got), path)
			}
			lifecycle := "/api/v1/lifecycle/sessions/" + segment
			w.send(http.MethodPost, lifecycle+"/activity", w.service, `{"ip_address": "192.0.2.9"}`).want(http.StatusNoContent)
			w.send(http.MethodPut, lifecycle+"/apps/wiki", w.service, `{"application_name": "Wiki"}`).want(http.StatusNoContent)
			for _, session := range w.list(store.InTenant(tenant)) {
				assert.Equal(t, session.ID == id, session.AppCount == 1, "an application of %q", session.ID)
				assert.Equal(t, session.ID == id, session.IPAddress != nil, "an activity of %q", session.ID)
			}
			ends := []struct {
				path, token string
				status      int
			}{
				{"/api/v1/admin/sessions/", w.operator, http.StatusNoContent},
				{"/api/v1/tenants/" + tenant + "/sessions/", w.operator, http.StatusNoContent},
				{"/api/v1/me/sessions/", me, http.StatusOK},
			}[kind%3]
			w.send(http.MethodDelete, ends.path+segment, ends.token, "").want(ends.status)
			assert.ElementsMatch(t, near, w.activeIDs(tenant), "DELETE %s%s", ends.path, segment)
		}
	})
}

// TestAUserIsNamedByTheWholeID lists and ends the sessions of users with odd ids.
func TestAUserIsNamedByTheWholeID(t *testing.T) {
	sequential.Test(t)
	onTheWire(t, func(w *wire, pattern string) {
		t := w.t
		id, near := w.next(pattern)
		tenant := fmt.Sprintf("tenant-%d", *w.number)
		for i, user := range append(near, id) {
			w.register(store.Session{ID: fmt.Sprintf("%s-%d", tenant, i), TenantID: tenant, UserID: user}).want(http.StatusCreated)
		}
		path := "/api/v1/tenants/" + tenant + "/sessions/users/" + leastEscaped(id)
		got := w.send(http.MethodGet, path, w.operator, "").want(http.StatusOK)
		assert.Contains(t, got.body, `"total_items":1,`)
		assert.Contains(t, got.body, fmt.Sprintf(`"id":"%s-%d"`, tenant, len(near)))
		named := w.send(http.MethodPost, path+"/revoke", w.operator, `{"session_ids": ["`+tenant+`-0"]}`).revoked()
		assert.Len(t, named, map[bool]int{len(near) == 0: 1}[true], "a session of a neighbour")
		w.send(http.MethodPost, path+"/revoke", w.operator, `{"revoke_all": true}`).want(http.StatusOK)
		var left []string
		for _, session := range w.list(store.InTenant(tenant)) {
			left = append(left, session.UserID)
		}
		assert.ElementsMatch(t, near, left)
	})
}

// TestATenantIsNamedByTheWholeID asks every operation of a tenant with an odd id.
func TestATenantIsNamedByTheWholeID(t *testing.T) {
	sequential.Test(t)
	onTheWire(t, func(w *wire, pattern string) {
		t := w.t
		id, near := w.next(pattern)
		partner, _ := w.next(pattern)
		for i, tenant := range append(near, id) {
			for _, n := range []int{1, 2, 3} {
				session := store.Session{ID: fmt.Sprintf("t%d-%d-%d", *w.number, i, n), TenantID: tenant, UserID: "a/da"}
				if tenant == id {
					session.PartnerID = &partner
				}
				w.register(session).want(http.StatusCreated)
			}
		}
		path := "/api/v1/tenants/" + leastEscaped(id) + "/sessions"
		own := func(n int) string { return fmt.Sprintf("t%d-%d-%d", *w.number, len(near), n) }
		boss, agent := w.operator, w.operator
		if !strings.Contains(id, "\ufffd") { // which no token may have
			boss, agent = w.tenant(id), w.partner(partner)
		}
		assert.Contains(t, w.send(http.MethodGet, path, boss, "").want(http.StatusOK).body, `"id":"`+own(3)+`"`)
		assert.Contains(t, w.send(http.MethodGet, path, agent, "").want(http.StatusOK).body, `"total_items":3,`)
		assert.Contains(t, w.send(http.MethodGet, path+"/stats", boss, "").want(http.StatusOK).body, `"active_sessions":3,`)
		assert.Contains(t, w.send(http.MethodGet, path+"/users/a%2Fda", boss, "").want(http.StatusOK).body, `"total_items":3,`)
		assert.Contains(t, w.send(http.MethodGet, "/api/v1/admin/sessions/?partner_id="+url.QueryEscape(partner), w.operator, "").body, `"total_items":3,`)
		assert.Equal(t, own(1), w.idOf(w.send(http.MethodGet, path+"/"+own(1), boss, "").want(http.StatusOK)))
		w.send(http.MethodDelete, path+"/"+own(1), boss, "").want(http.StatusNoContent)
		assert.Equal(t, []string{own(2)}, w.send(http.MethodPost, path+"/users/a%2Fda/revoke", boss, `{"session_ids": ["`+own(2)+`", "t`+fmt.Sprint(*w.number)+`-0-2x"]}`).revoked())
		assert.Equal(t, []string{own(3)}, w.send(http.MethodPost, path+"/revoke-all", boss, "").revoked())
		for _, tenant := range near {
			assert.Len(t, w.list(store.InTenant(tenant)), 3, tenant)
			if strings.Contains(tenant, "\ufffd") {
				continue
			}
			w.send(http.MethodGet, path, w.tenant(tenant), "").want(http.StatusForbidden)
		}
	})
}

// TestAnApplicationIsNamedByTheWholeID records single sign-on into applications with odd ids.
func TestAnApplicationIsNamedByTheWholeID(t *testing.T) {
	sequential.Test(t)
	onTheWire(t, func(w *wire, pattern string) {
		id, _ := w.next(pattern)
		w.sessions(fmt.Sprint("s", *w.number))
		for _, segment := range spellings(id) {
			w.send(http.MethodPut, fmt.Sprintf("/api/v1/lifecycle/sessions/s%d/apps/%s", *w.number, segment), w.service, `{"application_name": "x"}`).want(http.StatusNoContent)
		}
		_, apps, err := w.store.GetSessionWithApps(w.t.Context(), store.CallerSession{}, store.AllTenants(), fmt.Sprint("s", *w.number))
		require.NoError(w.t, err)
		require.Len(w.t, apps, 1)
		assert.Equal(w.t, id, apps[0].ApplicationID)
	})
}

func (w *wire) idOf(got answer) string {
	w.t.Helper()
	var body struct{ Data struct{ ID string } }
	require.NoError(w.t, json.Unmarshal([]byte(got.body), &body))
	return body.Data.ID
}

func (w *wire) list(scope store.Scope) []store.ListItem {
	w.t.Helper()
	sessions, _, err := w.store.ListSessions(w.t.Context(), store.CallerSession{}, scope, store.Filter{ActiveOnly: true}, store.Page{})
	require.NoError(w.t, err)
	return sessions
}

// TestIDsThatNoPathCanName: what no client could ask for afterwards is not registered.
func TestIDsThatNoPathCanName(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		w := &wire{fixture: f, operator: f.admin(), service: f.service()}
		anywhere := []string{"x\n", "\n", "x\ry", "\tx", "x\x1b[2J", "x\x7f", "x\u0085", "x\u009b1m", ".", ".."}
		sessions := []string{"stats", "users", "revoke-all"}
		body := map[string]string{"user_id": "u", "tenant_id": "t", "partner_id": "p", "expires_at": "2026-01-16T08:00:00Z"}
		refused := func(member, id string) bool {
			changed := maps.Clone(body)
			changed[member] = id
			text, err := json.Marshal(changed)
			require.NoError(f.t, err)
			got := w.send(http.MethodPost, "/api/v1/lifecycle/sessions", w.service, string(text))
			if got.status == http.StatusCreated || got.status == http.StatusOK {
				return false
			}
			assert.Contains(f.t, got.want(http.StatusUnprocessableEntity).body, `{"loc":["body","`+member+`"],"msg":"Value error, `, "%s %q", member, id)
			return true
		}
		for _, member := range []string{"id", "user_id", "tenant_id", "partner_id"} {
			for _, id := range anywhere {
				assert.True(f.t, refused(member, id), "%s %q", member, id)
			}
		}
		for _, id := range sessions {
			assert.True(f.t, refused("id", id), "a session %q", id)
			assert.False(f.t, refused("user_id", id), "a user %q", id)
		}
		assert.Empty(f.t, f.activeIDs("."))
		f.register("acme", "ada", "s1")
		for _, id := range append([]string{"\xff", "x\xc3("}, anywhere...) {
			got := w.send(http.MethodPut, "/api/v1/lifecycle/sessions/s1/apps/"+spellings(id)[1], w.service, `{"application_name": "x"}`)
			assert.Contains(f.t, got.want(http.StatusUnprocessableEntity).body, `{"loc":["path","application_id"],"msg":"Value error, `, "%q", id)
		}
	})
}

// TestPathsThatNameNothing: a path that names nothing is answered as the contract says, and changes nothing.
func TestPathsThatNameNothing(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		w := &wire{fixture: f, operator: f.admin(), service: f.service()}
		for _, id := range []string{"x", "a", "b", "a%2Fb/c", "x\ufffd"} {
			f.register("t1", "u1", id)
		}
		f.register("t/1", "a/b", "other")
		before := f.activeIDs("t1")
		me := f.user("t1", "u1", "")
		for _, c := range []struct {
			method, path, body string
			status             int
			location           string
		}{
			{"DELETE", "/api/v1/admin/sessions/x%0A", "", 404, ""},
			{"DELETE", "/api/v1/admin/sessions/%0Ax", "", 404, ""},
			{"DELETE", "/api/v1/tenants/t1/sessions/x%0D%0A", "", 404, ""},
			{"DELETE", "/api/v1/tenants/t1%0A/sessions/x", "", 404, ""},
			{"DELETE", "/api/v1/tenants/t1/sessions/x%FF", "", 404, ""},
			{"DELETE", "/api/v1/tenants/t1/sessions/x%00", "", 404, ""},
			{"DELETE", "/api/v1/me/sessions/x%0A", "", 404, ""},
			{"POST", "/api/v1/tenants/t1/sessions/users/u1%0A/revoke", `{"revoke_all": true}`, 200, ""},
			{"POST", "/api/v1/tenants/t1%0A/sessions/revoke-all", "", 200, ""},
			{"POST", "/api/v1/tenants/t1%00/sessions/revoke-all", "", 200, ""},
			{"POST", "/api/v1/tenants/t1%FF/sessions/revoke-all", "", 200, ""},
			{"GET", "/api/v1/tenants/%FF/sessions", "", 200, ""},
			{"GET", "/api/v1/tenants/%FF/sessions/stats", "", 200, ""},
			{"GET", "/api/v1/tenants/%FF/sessions/users/%FF", "", 200, ""},
			{"POST", "/api/v1/lifecycle/sessions/x%0A/activity", "", 404, ""},
			{"POST", "/api/v1/lifecycle/sessions/x%FF/activity", "", 404, ""},
			{"PUT", "/api/v1/lifecycle/sessions/x%0A/apps/wiki", `{"application_name": "x"}`, 404, ""},
			// A literal segment at the end is found with a line feed behind it.
			{"GET", "/api/v1/tenants/t1/sessions%0A", "", 200, ""},
			{"GET", "/api/v1/tenants/t1/sessions/stats%0A", "", 200, ""},
			{"PUT", "/api/v1/me/sessions%0A", "", 405, ""},
			{"GET", "/api/v1/me/sessions%0A%0A", "", 404, ""},
			// A slash in an id that nobody has: the path is cut there, as the reference cuts it.
			{"GET", "/api/v1/admin/sessions/a%2Fb", "", 404, ""},
			{"DELETE", "/api/v1/admin/sessions/z%2F", "", 307, "/api/v1/admin/sessions/z"},
			{"DELETE", "/api/v1/admin/sessions/z%2F?x=%20", "", 307, "/api/v1/admin/sessions/z?x=%20"},
			{"DELETE", "/api/v1/me/sessions/%2F%2F", "", 307, "/api/v1/me/sessions"},
			{"GET", "/api/v1/tenants/a%2Fb/sessions", "", 404, ""},
			{"GET", "/api/v1/tenants/a%2Fb/sessions?page=0", "", 404, ""},
			{"GET", "/api/v1/tenants/a%2F/sessions", "", 404, ""},
			{"GET", "/api/v1/tenants/%2F/sessions/users/u1", "", 404, ""},
			{"GET", "/api/v1/tenants/t1/sessions/users/%2Fa", "", 404, ""},
			{"GET", "/api/v1/tenants/t1/sessions/users/a%2Fb", "", 404, ""},
			{"POST", "/api/v1/tenants/t1/sessions/users/a%2fb%2fc/revoke", `{"revoke_all":"x"}`, 404, ""},
			{"POST", "/api/v1/tenants/a%2Fb/sessions/revoke-all", "", 404, ""},
			{"GET", "/api/v1/tenants/a%2Fb/sessions/stats", "", 404, ""},
			{"GET", "/api/v1/tenants/t%2F1/sessions?page=0", "", 422, ""},
			{"GET", "/api/v1/tenants/t%2F1/sessions/users/a%2Fb%2Fc", "", 404, ""},
			{"HEAD", "/api/v1/tenants/t1/sessions/a%2Fb", "", 404, ""},
			// An escaped slash separates nothing: what is at the path with a plain one is not done.
			{"DELETE", "/api/v1/admin/sessions%2Fx", "", 404, ""},
			{"DELETE", "/api/v1/me%2Fsessions/x", "", 404, ""},
			{"DELETE", "/api/v1/tenants/t1%2Fsessions/x", "", 404, ""},
			{"POST", "/api/v1/tenants/t1/sessions%2Frevoke-all", "", 404, ""},
			{"POST", "/api/v1/tenants/t1/sessions/users/u1%2Frevoke", `{"revoke_all": true}`, 404, ""},
			{"POST", "/api/v1/tenants/t1/sessions/users%2Fu1/revoke", `{"revoke_all": true}`, 404, ""},
			{"POST", "/api/v1/lifecycle/sessions/x%2Factivity", `{"ip_address": "192.0.2.9"}`, 404, ""},
		} {
			token := w.operator
			switch {
			case strings.Contains(c.path, "/me"):
				token = me
			case strings.Contains(c.path, "/lifecycle/"):
				token = w.service
			}
			got := w.send(c.method, c.path, token, c.body)
			assert.Equal(f.t, c.status, got.status, "%s %s: %s", c.method, c.path, got.body)
			assert.Equal(f.t, c.location, got.header.Get("Location"), "%s %s", c.method, c.path)
			require.Equal(f.t, before, f.activeIDs("t1"), "%s %s", c.method, c.path)
			require.Equal(f.t, []string{"other"}, f.activeIDs("t/1"), "%s %s", c.method, c.path)
		}
		for _, session := range w.list(store.InTenant("t1")) {
			assert.Nil(f.t, session.IPAddress)
			assert.Zero(f.t, session.AppCount)
		}
	})
}

// TestAnIDWithASlashIsNotToldToOthers: whether such a tenant or user is known is told only to those who may ask about them.
func TestAnIDWithASlashIsNotToldToOthers(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		w := &wire{fixture: f, operator: f.admin(), service: f.service()}
		f.register("t/1", "a/b", "s1", "partner_id", "north")
		for name, token := range map[string]string{
			"nobody": "", "a user": f.user("t/1", "a/b", ""), "another tenant's": f.tenant("t"), "another partner's": f.partner("south"),
			"a service": f.service(), "a tenant's without a scope": f.token(auth.TokenRequest{Subject: "x", TenantID: "t/1"}),
			"an ended session's": f.ended(),
		} {
			for _, query := range []string{"", "?page=0"} {
				for _, path := range []string{"/api/v1/tenants/%s/sessions", "/api/v1/tenants/%s/sessions/users/a%%2Fb"} {
					known := w.send(http.MethodGet, fmt.Sprintf(path, "t%2F1")+query, token, "")
					unknown := w.send(http.MethodGet, fmt.Sprintf(path, "t%2F2")+query, token, "")
					assert.Equal(f.t, known.status, unknown.status, "%s %s%s", name, path, query)
					assert.Equal(f.t, known.body, unknown.body, "%s %s%s", name, path, query)
					assert.NotContains(f.t, []int{http.StatusOK, http.StatusNotFound}, unknown.status, name)
				}
			}
		}
		w.send(http.MethodGet, "/api/v1/tenants/t%2F1/sessions", f.partner("north"), "").want(http.StatusOK)
		w.send(http.MethodGet, "/api/v1/tenants/t%2F2/sessions", f.tenant("t/2"), "").want(http.StatusNotFound)
	})
}

// ended is the token of an operator whose session has ended.
func (f *fixture) ended() string {
	f.t.Helper()
	f.register("t", "operator", "ended")
	f.do(http.MethodDelete, "/api/v1/admin/sessions/ended", f.admin(), nil).want(http.StatusNoContent)
	return f.token(auth.TokenRequest{Subject: "operator", TenantID: "t", SessionID: "ended", Scope: "admin:sessions:read admin:sessions:write"})
}

// TestARedirectEndsNoOtherSession: an id that ends in a slash, and that nobody has, does not lead to the one without the slash where
// that is a session, because whoever follows would end it.
func TestARedirectEndsNoOtherSession(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		f.register("acme", "ada", "a")
		f.register("acme", "bob", "b")
		for path, token := range map[string]string{
			"/api/v1/admin/sessions/": f.admin(), "/api/v1/tenants/acme/sessions/": f.tenant("acme"), "/api/v1/me/sessions/": f.user("acme", "ada", ""),
		} {
			for _, slashes := range []string{"%2F", "%2f%2F"} {
				assert.Equal(t, "Not Found", f.do(http.MethodDelete, path+"a"+slashes, token, nil).want(http.StatusNotFound).detail(), path)
				f.do(http.MethodDelete, path+"unknown"+slashes, token, nil).want(http.StatusTemporaryRedirect)
			}
		}
		f.do(http.MethodDelete, "/api/v1/me/sessions/b%2F", f.user("acme", "ada", ""), nil).want(http.StatusTemporaryRedirect) // another's is not told
		f.do(http.MethodDelete, "/api/v1/tenants/globex/sessions/a%2F", f.tenant("globex"), nil).want(http.StatusTemporaryRedirect)
		assert.ElementsMatch(t, []string{"a", "b"}, f.activeIDs("acme"))
	})
}
