package handlers_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestEveryCallerOnEveryTarget sends every operation of the policy table as every kind of caller about every kind of
// target, each with sessions of its own, and holds three things against the rules: the status, the sessions that the
// answer names, and those that are other ones afterwards. What a caller does not reach must look like what is not there.
func TestEveryCallerOnEveryTarget(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		acts := actions()
		require.ElementsMatch(f.t, slices.Collect(maps.Keys(auth.Policy())), slices.Collect(maps.Keys(acts)), "add the operation to actions")
		m := &matrix{fixture: f, statuses: map[int]int{}}
		m.prepare()
		for _, operation := range slices.Sorted(maps.Keys(acts)) {
			for _, who := range askers() {
				m.row(operation, acts[operation], who)
			}
		}
		require.Equal(f.t, len(auth.Policy())*len(askers())*len(targets(0)), m.combinations, "none is left out")
		f.t.Logf("%d combinations (%v by status), %d pairs of foreign and absent alike", m.combinations, m.statuses, m.pairs)
		require.Greater(f.t, m.pairs, 300)
	})
}

// matrix is the fixture and what has been counted.
type matrix struct {
	*fixture

	number, combinations, pairs int
	statuses                    map[int]int
}

func (m *matrix) prepare() {
	m.t.Helper()
	m.register(home, "operator", "ended", "partner_id", homeOwner)
	m.do(http.MethodDelete, "/api/v1/admin/sessions/ended", m.admin(), nil).want(http.StatusNoContent)
}

// row is one operation by one caller on all targets.
func (m *matrix) row(operation string, act action, who asker) {
	m.t.Helper()
	answers := map[string]string{}
	covered := map[string]bool{}
	for i, named := range targets(0) {
		want, got := m.combination(operation, act, who, i)
		answers[named.name], covered[named.name] = alike(got), want.covered
		m.combinations++
		m.statuses[got.status]++
	}
	if operation == "RegisterSession" || act.on == everyone {
		return // the one makes tenants and so tells by its nature whether one is there, the other is about no target
	}
	for name, text := range answers {
		if name != "absent" && !covered[name] && !covered["absent"] {
			require.Equal(m.t, answers["absent"], text, "%s by %s: %s differs from absent", operation, who.name, name)
			m.pairs++
		}
	}
}

// combination sends one request in a world of its own.
func (m *matrix) combination(operation string, act action, who asker, aimed int) (expectation, answer) {
	m.t.Helper()
	m.number++
	m.clock.Advance(time.Second)
	all := targets(m.number)
	aim, world := all[aimed], all[:len(all)-1]
	for _, t := range world {
		_, _, err := m.store.RegisterSession(m.t.Context(), registered(t, m.clock.Now().Add(time.Second/2)), store.Actor{}) // over before the next
		require.NoError(m.t, err)
	}
	before := m.snapshots(world)
	want, got := expect(operation, act, who, aim, world), m.send(act, who, aim)
	label := fmt.Sprintf("%s by %s on %s: %d %s", operation, who.name, aim.name, got.status, got.body)
	require.Equal(m.t, want.status, got.status, label)
	after := m.snapshots(world)
	for _, t := range world {
		require.Equal(m.t, act.names && want.reaches[t.session], strings.Contains(got.body, `"`+t.session+`"`), "%s names %s", label, t.name)
		changes := act.changes && want.reaches[t.session]
		if operation == "RevokeUserSessions" {
			changes = changes && t == aim
		}
		require.Equal(m.t, changes, before[t.session] != after[t.session], "%s changes %s", label, t.name)
	}
	if operation == "IntrospectToken" && got.status == http.StatusOK {
		require.Equal(m.t, len(want.reaches) > 0, strings.Contains(got.body, `"active":true`), label)
	}
	return want, got
}

func (m *matrix) send(act action, who asker, aim target) answer {
	m.t.Helper()
	token := m.token(who.token)
	if who.spoil != nil {
		token = who.spoil(m.fixture, token)
	}
	path := strings.NewReplacer("{tenant}", aim.tenant, "{user}", aim.user, "{session}", aim.session).Replace(act.path)
	var body any
	contentType := "application/json"
	if act.body != nil {
		body = act.body(m.fixture, aim)
	}
	if form, ok := body.(url.Values); ok {
		body, contentType = form.Encode(), "application/x-www-form-urlencoded"
	}
	return m.do(act.method, path, token, body, "Content-Type", contentType)
}

// snapshots is all that is known of sessions.
func (m *matrix) snapshots(world []target) map[string]string {
	m.t.Helper()
	all := map[string]string{}
	for _, t := range world {
		session, apps, err := m.store.GetSessionWithApps(m.t.Context(), store.Everywhere(), t.session)
		require.NoError(m.t, err)
		require.Equal(m.t, t.tenant, session.TenantID)
		how, address := "", ""
		if session.EndedHow != nil {
			how = *session.EndedHow
		}
		if session.IPAddress != nil {
			address = *session.IPAddress
		}
		all[t.session] = fmt.Sprint(how, session.RevokedAt != nil, address, len(apps), session.AppCount, session.LastActivityAt, session.ExpiresAt)
	}
	return all
}

// alike is a whole answer without what tells one request from another: its id and its time.
func alike(a answer) string {
	header := a.header.Clone()
	header.Del("X-Request-Id")
	header.Del("Date")
	body := regexp.MustCompile(`"(request_id|timestamp)":"[^"]*"`).ReplaceAllString(a.body, `"$1":""`)
	return fmt.Sprint(a.status, header, body)
}

// TestEveryRouteIsInTheContract fails for a route that somebody adds by hand: the policy table covers the contract, see
// its own test, and what is served beside it is listed here.
func TestEveryRouteIsInTheContract(t *testing.T) {
	contract, err := gen.GetSpec()
	require.NoError(t, err)
	allowed := []string{
		"GET /healthz", "GET /readyz", "GET /openapi.yaml", "GET /openapi.json", "GET /docs", "GET /docs/*",
		"HEAD /healthz", "HEAD /readyz", "HEAD /openapi.yaml", "HEAD /openapi.json", "HEAD /docs", "HEAD /docs/*",
	}
	for path, item := range contract.Paths.Map() {
		for method := range item.Operations() {
			allowed = append(allowed, method+" "+regexp.MustCompile(`\{(\w+)\}`).ReplaceAllString(path, ":$1"))
		}
	}
	server, ok := newFixture(t, storetest.SQLite).server.Config.Handler.(*echo.Echo)
	require.True(t, ok)
	var served []string
	for _, route := range server.Routes() {
		served = append(served, route.Method+" "+route.Path)
	}
	require.ElementsMatch(t, allowed, served)
}
