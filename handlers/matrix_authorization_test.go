package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/internal/qa/sequential"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// operation is an operation of the contract and the request for it.
type operation struct {
	name, method, path string
	// What the path names.
	inTenant, ofSession, ofJob bool
	success                    int
}

// operations are those of the contract.
func operations(t *testing.T) []operation {
	t.Helper()
	contract, err := gen.GetSpec()
	require.NoError(t, err)
	var all []operation
	for path, item := range contract.Paths.Map() {
		for method, declared := range item.Operations() {
			op := operation{
				name: strings.ToUpper(declared.OperationID[:1]) + declared.OperationID[1:], method: method, path: path,
				inTenant: strings.Contains(path, "{tenant_id}"), ofSession: strings.Contains(path, "{session_id}"),
				ofJob:   strings.Contains(path, "{job_id}"),
				success: http.StatusOK,
			}
			if declared.Responses.Status(http.StatusNoContent) != nil {
				op.success = http.StatusNoContent
			}
			all = append(all, op)
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.name, b.name) })
	return all
}

// targets are the pairs of a tenant and a session with which an operation can be called.
func (op operation) targets() [][2]place {
	var all [][2]place
	for _, tenant := range places {
		for _, session := range places {
			if (op.inTenant && op.ofSession) || tenant == session {
				all = append(all, [2]place{tenant, session})
			}
		}
	}
	return all
}

// world is the server with the places in it.
type world struct {
	*fixture
	sessions map[place]string // the id of the active session of each place
	jobs     map[place]string // the id of a revocation job of each place that is paused
	tokens   map[string]string
	count    int
}

func newWorld(f *fixture) *world {
	w := &world{fixture: f, sessions: map[place]string{absent: "never"}, jobs: map[place]string{absent: "never"}, tokens: map[string]string{}}
	w.restore()
	for _, p := range places[:len(places)-1] {
		w.pausedJob(p)
	}
	f.register(string(own), "eve", "gone")
	_, err := f.store.RevokeSession(f.t.Context(), store.InTenant(string(own)), "gone", store.Actor{Subject: "test"})
	require.NoError(f.t, err)
	for _, a := range callers() {
		switch a.bad {
		case "none":
		case "malformed":
			w.tokens[a.name] = "a.b.c"
		case "expired":
			token, err := f.issuer.Mint(a.token, f.clock.Now().Add(-2*time.Hour))
			require.NoError(f.t, err)
			w.tokens[a.name] = token
		case "revoked":
			a.token.SessionID = "gone"
			fallthrough
		default:
			w.tokens[a.name] = f.token(a.token)
		}
	}
	return w
}

// pausedJob gives a place a job.
func (w *world) pausedJob(p place) {
	w.t.Helper()
	ctx, revocation := w.t.Context(), store.Revocation{Authorized: store.InTenant(string(p)), Scope: store.InTenant(string(p)), Filter: store.SessionFilter{Text: "nobody"}}
	preview, err := w.store.PreviewRevocation(ctx, revocation)
	require.NoError(w.t, err)
	job, _, err := w.store.CreateRevocationJob(ctx, revocation, preview.Confirmation, 0, nil, store.Actor{Subject: "test"})
	require.NoError(w.t, err)
	_, err = w.store.SetRevocationJobState(ctx, revocation.Scope, job.ID, store.JobPaused)
	require.NoError(w.t, err)
	w.jobs[p] = job.ID
}

// restore gives each place an active session where it has none.
func (w *world) restore() {
	w.t.Helper()
	w.clock.Advance(time.Millisecond) // a login is later than the revocation before it
	active := w.active()
	for p, ids := range active {
		if len(ids) == 0 {
			w.count++
			w.sessions[p] = fmt.Sprintf("%s-%d", p, w.count)
			var owner []string
			if p.partner() != "" {
				owner = []string{"partner_id", p.partner()}
			}
			w.register(string(p), "ada", w.sessions[p], owner...)
		}
	}
}

func (w *world) active() map[place][]string {
	w.t.Helper()
	sessions, _, err := w.store.ListSessions(w.t.Context(), store.CallerSession{}, store.AllTenants(), store.Filter{ActiveOnly: true}, store.Page{})
	require.NoError(w.t, err)
	all := map[place][]string{own: {}, sibling: {}, stranger: {}, direct: {}}
	for _, s := range sessions {
		if p := place(s.TenantID); all[p] != nil {
			all[p] = append(all[p], s.ID)
		}
	}
	return all
}

// ask sends the operation about a target.
func (w *world) ask(a caller, op operation, tenant, session place) answer {
	w.t.Helper()
	target := strings.NewReplacer("{tenant_id}", string(tenant), "{session_id}", w.sessions[session], "{job_id}", w.jobs[session], "{user_id}", "ada",
		"{application_id}", "wiki", "{device_id}", unknownDevice).Replace(op.path)
	var body any
	var headers []string
	form := func(name, value string) {
		body, headers = url.Values{name: {value}}.Encode(), []string{"Content-Type", "application/x-www-form-urlencoded"}
	}
	switch op.name {
	case "ListSessions", "SearchSessions":
		target += "?tenant_id=" + string(tenant)
	case "ListAuditEvents":
		target += "?tenant_id=" + string(tenant) + "&session_id=" + w.sessions[tenant]
	case "CreateRevocationJob":
		body = map[string]any{"filter": map[string]any{"tenant_id": tenant, "q": "ada"}}
	case "RevokeAllSessions":
		body = map[string]any{"tenant_id": tenant}
	case "RevokeUserSessions":
		body = map[string]any{"revoke_all": true, "except_current": false}
	case "RegisterSession":
		w.count++
		where := string(tenant)
		if tenant == absent {
			where = fmt.Sprintf("%s-%d", absent, w.count) // else it would be there the next time
		}
		body = map[string]any{
			"id": fmt.Sprintf("new-%d", w.count), "tenant_id": where, "user_id": "bob", "expires_at": w.clock.Now().Add(time.Hour),
		}
	case "RecordSessionApp":
		body = map[string]any{"application_name": "Wiki"}
	case "IntrospectToken":
		form("token", w.token(auth.TokenRequest{
			Subject: "ada", TenantID: string(tenant), PartnerID: tenant.partner(), SessionID: w.sessions[session],
		}))
	case "BackchannelLogout":
		form("logout_token", "a.b.c")
	}
	return w.do(op.method, target, w.tokens[a.name], body, headers...)
}

// check sends a request, and compares the response and the stored sessions with the expectation.
func (w *world) check(a caller, op operation, tenant, session place, want want) answer {
	t := w.t
	what := fmt.Sprintf("%s by %s on %s, %s", op.name, a.name, tenant, session)
	reads := op.method == http.MethodGet
	var before map[place][]string
	if !reads {
		before = w.active()
	}
	got := w.ask(a, op, tenant, session)
	require.Equal(t, want.status, got.status, "%s: %s", what, got.body)

	challenge := got.header.Get("WWW-Authenticate")
	switch {
	case want.scope != "":
		require.Equal(t, `Bearer realm="sessions", error="insufficient_scope", scope="`+want.scope+`"`, challenge, what)
	case want.status == http.StatusUnauthorized:
		require.NotEmpty(t, challenge, what)
	default:
		require.Empty(t, challenge, what)
	}
	w.requireShown(what, op, got, want.done)
	if reads {
		return got
	}

	after := w.active()
	if op.name == "RegisterSession" {
		w.requireRegistered(what, before, after, want.done)
		return got
	}
	if strings.HasPrefix(op.name, "Revoke") {
		for _, p := range want.done {
			before[p] = []string{}
		}
	}
	require.Equal(t, before, after, "%s ends what it should and nothing else", what)
	if strings.HasPrefix(op.name, "Revoke") && len(want.done) > 0 {
		w.restore()
	}
	if op.name == "CancelRevocationJob" && len(want.done) > 0 {
		w.pausedJob(session)
	}
	return got
}

// requireShown wants the answer to name the sessions that it is about, and no other.
func (w *world) requireShown(what string, op operation, got answer, done []place) {
	w.t.Helper()
	var shown []place
	shows := w.sessions
	if op.ofJob || op.name == "ListRevocationJobs" {
		shows = w.jobs
	}
	for _, p := range places {
		if strings.Contains(got.body, `"`+shows[p]+`"`) {
			shown = append(shown, p)
		}
	}
	switch {
	case op.name == "GetTenantSessionStats" && got.status == http.StatusOK:
		require.Contains(w.t, got.body, fmt.Sprintf(`"active_sessions":%d`, len(done)), what)
	case op.name == "RegisterSession", got.status == http.StatusNoContent:
		require.Empty(w.t, shown, what)
	default:
		require.ElementsMatch(w.t, done, shown, "%s: %s", what, got.body)
	}
}

// requireRegistered wants one more session where it was registered, and takes it away again.
func (w *world) requireRegistered(what string, before, after map[place][]string, done []place) {
	w.t.Helper()
	for p := range before {
		made := slices.DeleteFunc(after[p], func(id string) bool { return slices.Contains(before[p], id) })
		if !slices.Contains(done, p) {
			require.Empty(w.t, made, what)
			continue
		}
		require.Len(w.t, made, 1, what)
		_, err := w.store.RevokeSession(w.t.Context(), store.InTenant(string(p)), made[0], store.Actor{Subject: "test"})
		require.NoError(w.t, err)
	}
}

var varying = regexp.MustCompile(`"(request_id|timestamp|as_of|confirmation)":"[^"]*"`)

// bytesOf is an answer without what differs from any request to the next.
func bytesOf(a answer) [2]string {
	header := withoutVarying(a.header)
	if varying.MatchString(a.body) {
		header.Del("Content-Length") // a time has as many digits as it needs
	}
	return [2]string{varying.ReplaceAllString(a.body, ""), fmt.Sprint(header)}
}

// TestEveryoneAsksForEverything asks for every operation in the name of every kind of caller about every target. What
// should come back follows from the policy's table and the rules of rules_authorization_test.go; where it is a refusal, or
// nothing, it is the same whether the target is somebody else's or not there at all.
func TestEveryoneAsksForEverything(t *testing.T) {
	sequential.Test(t)
	onBothEngines(t, func(f *fixture) {
		w, rules := newWorld(f), auth.Policy()
		statuses := map[int]int{}
		for _, op := range operations(f.t) {
			rule, ok := rules[op.name]
			require.True(f.t, ok, op.name)
			for _, a := range callers() {
				alike := map[string][2]string{}
				for _, target := range op.targets() {
					tenant, session := target[0], target[1]
					want := expected(a, op, rule, tenant, session)
					got := w.check(a, op, tenant, session, want)
					statuses[got.status]++
					if len(want.done) > 0 {
						continue
					}
					kind := fmt.Sprint(want.status, want.scope)
					if first, seen := alike[kind]; seen {
						require.Equal(f.t, first, bytesOf(got), "%s by %s tells %v from another target", op.name, a.name, target)
					}
					alike[kind] = bytesOf(got)
				}
			}
		}
		total := 0
		for _, count := range statuses {
			total += count
		}
		f.t.Logf("%d requests: %v", total, statuses)
		require.Equal(f.t, len(callers())*(28*len(places)+2*len(places)*len(places)), total, "two operations name a tenant and a session")
	})
}

// TestEveryRouteHasARule looks at what is served, not at what the contract says is.
func TestEveryRouteHasARule(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	outermost, ok := f.server.Config.Handler.(httpserver.CloseAmbiguous)
	require.True(t, ok)
	served, ok := outermost.Next.(*echo.Echo)
	require.True(t, ok)
	known := map[string]bool{}
	parameter := regexp.MustCompile(`\{([a-z_]+)\}`)
	for _, op := range operations(t) {
		require.Contains(t, auth.Policy(), op.name)
		known[op.method+" "+parameter.ReplaceAllString(op.path, ":$1")] = true
	}
	for _, path := range []string{"/healthz", "/readyz", "/openapi.yaml", "/openapi.json", "/openapi.sdk.yaml", "/openapi.sdk.json", "/docs", "/docs/*"} {
		known["GET "+path], known["HEAD "+path] = true, true // open to everyone
	}
	require.Len(t, served.Routes(), len(known))
	for _, r := range served.Routes() {
		assert.True(t, known[r.Method+" "+r.Path], "%s %s is served, but no rule says to whom", r.Method, r.Path)
	}
}
