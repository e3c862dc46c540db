package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/client"
	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store/storetest"
)

// service is a running server, the tokens for it, and a home directory for the command's configuration.
type service struct {
	t    *testing.T
	url  string
	dir  string
	api  *gen.ClientWithResponses
	vars map[string]string
}

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// hostileAgent would clear the terminal, set its title, and turn the direction of writing.
const hostileAgent = "x\x1b[2J\x1b]0;owned\a\u009b31m\u202eevil"

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{t: t, dir: t.TempDir(), vars: map[string]string{}}
	var out output
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{
			"serve", "--dev", "--addr", "127.0.0.1:0", "--data-dir", s.dir, "--database-url", storetest.SQLiteURL(t),
		}, noEnvironment, &out, io.Discard)
	}()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-ended)
	})
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "identity provider") }, 30*time.Second, 10*time.Millisecond)
	s.url = regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(out.String())
	var err error
	s.api, err = client.New(s.url, client.Token(s.token(auth.TokenRequest{Subject: "idp", ClientID: "idp", Scope: "sessions:ingest"})))
	require.NoError(t, err)
	s.vars["SESSIOND_SERVER"] = s.url
	s.as(auth.TokenRequest{Subject: "operator", Scope: "admin:sessions:read admin:sessions:write"})
	return s
}

func (s *service) token(request auth.TokenRequest) string {
	s.t.Helper()
	issuer, err := auth.OpenDevIssuer(s.dir)
	require.NoError(s.t, err)
	request.TTL = time.Hour
	token, err := issuer.Mint(request, time.Now())
	require.NoError(s.t, err)
	return token
}

// as makes the commands speak for somebody.
func (s *service) as(request auth.TokenRequest) { s.vars["SESSIOND_TOKEN"] = s.token(request) }

// register adds a session; all of them began in the same recent hour, a minute apart.
func (s *service) register(id, tenant, user, agent string, minute int) {
	s.t.Helper()
	created := time.Now().Add(-time.Hour).Truncate(time.Hour).Add(time.Duration(minute) * time.Minute).UTC()
	address, email := "203.0.113.7", user+"@example.com"
	_, err := s.api.RegisterSessionWithResponse(s.t.Context(), gen.SessionRegistration{
		Id: &id, TenantId: tenant, UserId: user, UserAgent: &agent, UserEmail: &email, IpAddress: &address, CreatedAt: &created,
		ExpiresAt: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
	})
	require.NoError(s.t, err)
}

// outcome is what a command came to.
type outcome struct {
	stdout, stderr, message string
	code                    int
}

// run runs `sessiond sessions` as main does.
func (s *service) run(args ...string) outcome {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	err := run(s.t.Context(), append([]string{"sessions"}, args...), s.getenv, &stdout, &stderr)
	o := outcome{stdout: stdout.String(), stderr: stderr.String()}
	if err != nil {
		o.message, o.code = err.Error(), exitCode(err)
		assert.NotContains(s.t, o.message, "\n", "one sentence")
	}
	return o
}

func (s *service) getenv(name string) (string, bool) {
	value, found := s.vars[name]
	return value, found
}

// input gives the commands a standard input; it returns when the test ends.
func input(t *testing.T, file *os.File) {
	t.Helper()
	before := os.Stdin
	os.Stdin = file
	t.Cleanup(func() { os.Stdin = before })
}

func piped(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stdin")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	file, err := os.Open(filepath.Clean(path))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, file.Close()) })
	input(t, file)
}

// still are the ids of the active sessions.
func (s *service) still() string {
	s.t.Helper()
	return strings.Join(s.ids(), " ")
}

func (s *service) ids() []string {
	s.t.Helper()
	o := s.run("list", "--all", "--json")
	require.Zero(s.t, o.code, o.message)
	found, err := decode[gen.PaginatedResponseSessionListItem]([]byte(o.stdout))
	require.NoError(s.t, err)
	var ids []string
	for _, session := range found.Data {
		ids = append(ids, session.Id)
	}
	return ids
}

// fixed replaces what differs from run to run.
func (s *service) fixed(text string) string {
	text = strings.ReplaceAll(text, s.url, "http://SERVER")
	text = regexp.MustCompile(`20[0-7]\d-\d\d-\d\dT\d\d(:\d\d):\d\d(\.\d+)?Z`).ReplaceAllString(text, "2026-01-15T08$1:00Z")
	text = regexp.MustCompile(`(as of +)\S+`).ReplaceAllString(text, "${1}2026-01-15T09:30:00Z")
	text = regexp.MustCompile(`"timestamp":"[^"]+"`).ReplaceAllString(text, `"timestamp":"NOW"`)
	return regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).ReplaceAllString(text, "REQUEST")
}

// populated is a service with sessions of two tenants; s-1 has an agent that attacks terminals.
func populated(t *testing.T) *service {
	t.Helper()
	s := newService(t)
	s.register("s-1", "acme", "ada", hostileAgent, 1)
	s.register("s-2", "acme", "ada", firefox, 2)
	s.register("s-3", "acme", "bob", "curl/8", 3)
	s.register("s-4", "north", "ada", "curl/8", 4)
	return s
}

// TestOwnSessionsOfWhichThereAreMore: the API gives the newest of very many, and the command says so.
func TestOwnSessionsOfWhichThereAreMore(t *testing.T) {
	for _, more := range []bool{true, false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if more {
				w.Header().Set("X-Has-More", "true")
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"data": [], "meta": {}}`)
		}))
		defer server.Close()
		api, err := client.New(server.URL, client.Token("t"))
		require.NoError(t, err)
		var stderr strings.Builder
		_, err = userAPI{ClientWithResponses: api, stderr: &stderr}.list(t.Context(), 1, 1)
		require.NoError(t, err)
		assert.Equal(t, more, strings.Contains(stderr.String(), "there are more"))
	}
}

func TestSessionsList(t *testing.T) {
	s := populated(t)
	o := s.run("list")
	require.Zero(t, o.code, o.message)
	assert.Equal(t, strings.TrimLeft(`
SESSION  USER  EMAIL            DEVICE   ADDRESS      SIGNED IN             LAST USED  EXPIRES               APPS
s-4      ada   ada@example.com  bot      203.0.113.7  2026-01-15T08:04:00Z  -          2099-01-01T00:00:00Z  0
s-3      bob   bob@example.com  bot      203.0.113.7  2026-01-15T08:03:00Z  -          2099-01-01T00:00:00Z  0
s-2      ada   ada@example.com  desktop  203.0.113.7  2026-01-15T08:02:00Z  -          2099-01-01T00:00:00Z  0
s-1      ada   ada@example.com  other    203.0.113.7  2026-01-15T08:01:00Z  -          2099-01-01T00:00:00Z  0
`, "\n"), s.fixed(o.stdout))
	assert.Empty(t, o.stderr)

	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a tenant":             {[]string{"--tenant", "acme"}, "s-3 s-2 s-1"},
		"a user":               {[]string{"--user", "ada"}, "s-4 s-2 s-1"},
		"a user of a tenant":   {[]string{"--tenant", "acme", "--user", "ada"}, "s-2 s-1"},
		"a page":               {[]string{"--per-page", "1", "--page", "2"}, "s-3"},
		"an unknown partner":   {[]string{"--partner", "nobody"}, ""},
		"every page":           {[]string{"--all"}, "s-4 s-3 s-2 s-1"},
		"ended ones of acme's": {[]string{"--tenant", "acme", "--ended"}, "s-3 s-2 s-1"},
	} {
		t.Run(name, func(t *testing.T) {
			o := s.run(append([]string{"list"}, c.args...)...)
			require.Zero(t, o.code, o.message)
			assert.Equal(t, c.want, strings.Join(regexp.MustCompile(`s-\d`).FindAllString(o.stdout, -1), " "))
		})
	}
	assert.Equal(t, "page 1 of 2, 4 sessions in all; --all shows every page\n", s.run("list", "--per-page", "3").stderr)
}

func TestSessionsJSONIsTheAPIsOwn(t *testing.T) {
	s := populated(t)
	o := s.run("list", "--tenant", "acme", "--user", "bob", "--json")
	require.Zero(t, o.code, o.message)
	const golden = `{"data":[{"id":"s-3","user_id":"bob","user_email":"bob@example.com","ip_address":"203.0.113.7",` +
		`"user_agent":"curl/8","device_type":"bot","is_current":false,"created_at":"2026-01-15T08:03:00Z","last_activity_at":null,` +
		`"expires_at":"2099-01-01T00:00:00.000000Z","app_count":0}],` +
		`"pagination":{"page":1,"per_page":20,"total_items":1,"total_pages":1},"meta":{"request_id":"REQUEST","timestamp":"NOW"}}`
	assert.Equal(t, golden+"\n", s.fixed(o.stdout)) //nolint:testifylint // The order of the members counts.
	assert.Equal(t, len(o.stdout)-1, strings.IndexByte(o.stdout, '\n'), "one line")
	// The same question without the command.
	answer, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/api/v1/tenants/acme/sessions/s-1", nil)
	require.NoError(t, err)
	answer.Header.Set("Authorization", "Bearer "+s.vars["SESSIOND_TOKEN"])
	response, err := http.DefaultClient.Do(answer)
	require.NoError(t, err)
	defer response.Body.Close()
	direct, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	shown := s.run("get", "s-1", "--tenant", "acme", "--json").stdout
	assert.JSONEq(t, s.fixed(string(direct)), s.fixed(shown))
	assert.NotRegexp(t, `[\p{Cc}\p{Cf}]`, strings.TrimSuffix(shown, "\n"))
}

func TestSessionsShowNoControlCharacters(t *testing.T) {
	s := populated(t)
	name := "Wiki\x1b[31m\u2066"
	_, err := s.api.RecordSessionAppWithResponse(t.Context(), "s-1", "wiki\u202e", gen.SessionAppAccess{ApplicationName: name})
	require.NoError(t, err)
	o := s.run("get", "s-1")
	require.Zero(t, o.code, o.message)
	assert.Contains(t, o.stdout, `x\x1b[2J\x1b]0;owned\a\u009b31m\u202eevil`)
	assert.Contains(t, o.stdout, `Wiki\x1b[31m\u2066 (wiki\u202e)`)
	assert.NotRegexp(t, `[\p{Cc}\p{Cf}]`, strings.ReplaceAll(o.stdout, "\n", ""))
	o = s.run("revoke", "--yes", "gone\x1b[2J", "away")
	assert.Equal(t, `2 of 2 sessions not found: gone\x1b[2J, away`, o.message)
	assert.Equal(t, exitNotFound, o.code)
}

func TestSessionsStats(t *testing.T) {
	s := populated(t)
	o := s.run("stats", "--tenant", "acme")
	require.Zero(t, o.code, o.message)
	assert.Regexp(t, `(?m)^sessions +3 \(3 active, 0 expired, 0 revoked\)$`, o.stdout)
	assert.Regexp(t, `(?m)^users +2 with an active session$`, o.stdout)
	assert.Regexp(t, `(?m)^last 24 hours +3 signed in, 0 revoked$`, o.stdout)
	assert.Regexp(t, `(?m)^on desktop +1 active$`, o.stdout)
	o = s.run("stats", "--tenant", "acme", "--json")
	found, err := decode[struct{ Data map[string]any }]([]byte(o.stdout))
	require.NoError(t, err)
	assert.InDelta(t, 3, found.Data["active_sessions"], 0)
}

func TestSessionsRevoke(t *testing.T) {
	s := populated(t)
	assert.Equal(t, outcome{stdout: "1 session ended\n"}, s.run("revoke", "s-1", "--reason", "lost phone"))
	assert.Equal(t, "s-4 s-3 s-2", s.still())

	piped(t, "s-2\n\ns-2\r\n")
	assert.Equal(t, outcome{stdout: `{"data":{"revoked_count":1,"session_ids":["s-2"]}}` + "\n"}, s.run("revoke", "-", "--tenant", "acme", "--json"))
	assert.Equal(t, "s-4 s-3", s.still())

	o := s.run("revoke", "none", "s-3", "--yes")
	assert.Equal(t, outcome{stdout: "1 session ended\n", message: "1 of 2 sessions not found: none", code: exitNotFound}, o)
	assert.Equal(t, "s-4", s.still(), "the others end all the same")
}

// TestSessionsWithOddIDs: an id reaches the server as it was given, and no other session answers for it.
func TestSessionsWithOddIDs(t *testing.T) {
	s := newService(t)
	odd := []string{
		"a/b", "/a", "a/", "a//b", "a%2Fb", "a%252Fb", "a%", "a b", " a", "a ", "a+b", "a;v=1", "a?b=c", "a#b", "a&b", "..a", "a..", "a/../b", "ä", "a:b", "a@b",
		`a"b`, `a\b`, "Zm9v/Ymfy+w==", "statsx", "users/u/revoke",
	}
	for i, id := range odd {
		s.register(id, "t/1", "u/"+id, firefox, i)
	}
	s.register("a", "t", "u", firefox, len(odd))
	s.register("b", "t", "a", firefox, len(odd))
	left := append([]string{"a", "b"}, odd...)
	for i, id := range odd {
		for _, flags := range [][]string{{}, {"--tenant", "t/1"}} {
			o := s.run(append([]string{"get", id, "--json"}, flags...)...)
			require.Zero(t, o.code, "%q %v: %s", id, flags, o.message)
			found, err := decode[gen.ApiResponseSessionResponse]([]byte(o.stdout))
			require.NoError(t, err)
			assert.Equal(t, id, found.Data.Id)
		}
		o := s.run("list", "--tenant", "t/1", "--user", "u/"+id, "--json")
		require.Zero(t, o.code, o.message)
		assert.Contains(t, o.stdout, `"total_items":1,`)
		switch {
		case i%4 == 0 || strings.TrimSpace(id) != id:
			piped(t, id+"\n")
			o = s.run("revoke", "-")
		case i%4 == 1:
			o = s.run("revoke", id)
		case i%4 == 2:
			o = s.run("revoke", id, "--tenant", "t/1")
		default:
			o = s.run("revoke-all", "--tenant", "t/1", "--user", "u/"+id, "--yes")
		}
		assert.Equal(t, outcome{stdout: "1 session ended\n"}, o, "%q", id)
		left = slices.DeleteFunc(left, func(other string) bool { return other == id })
		assert.ElementsMatch(t, left, s.ids(), "%q", id)
	}
	assert.Equal(t, exitNotFound, s.run("get", "a/b/c").code)
	assert.Equal(t, exitNotFound, s.run("list", "--tenant", "t/2").code)
}

func TestSessionsDryRunChangesNothing(t *testing.T) {
	s := populated(t)
	before := s.still()
	for name, args := range map[string][]string{
		"by id":         {"revoke", "s-1", "s-2"},
		"a tenant":      {"revoke-all", "--tenant", "acme"},
		"a user":        {"revoke-all", "--user", "ada"},
		"with yes too":  {"revoke-all", "--user", "ada", "--yes"},
		"both, in JSON": {"revoke-all", "--tenant", "acme", "--user", "ada", "--json"},
	} {
		t.Run(name, func(t *testing.T) {
			o := s.run(append(args, "--dry-run")...)
			require.Zero(t, o.code, o.message)
			assert.Contains(t, o.stdout, "s-1")
			assert.Contains(t, o.stdout, "s-2")
			assert.Contains(t, o.stderr, "dry run: nothing has ended")
			assert.Equal(t, before, s.still())
		})
	}
	assert.Equal(t, "dry run: nothing has ended; 3 sessions would\n", s.run("revoke-all", "--tenant", "acme", "--dry-run").stderr)
	assert.Equal(t, exitNotFound, s.run("revoke", "none", "--dry-run").code)
}

func TestSessionsRevokeAll(t *testing.T) {
	s := populated(t)
	assert.Equal(t, outcome{stdout: "2 sessions ended\n"}, s.run("revoke-all", "--tenant", "acme", "--user", "ada", "--yes"))
	assert.Equal(t, "s-4 s-3", s.still())
	assert.Equal(t, outcome{stdout: "1 session ended\n"}, s.run("revoke-all", "--user", "ada", "--yes"))
	assert.Equal(t, "s-3", s.still())
	o := s.run("revoke-all", "--tenant", "acme", "--yes", "--json")
	assert.Contains(t, o.stdout, `{"revoked_count":1,"session_ids":["s-3"]}`)
	assert.Empty(t, s.still())
}

func TestMySessions(t *testing.T) {
	s := populated(t)
	me := auth.TokenRequest{Subject: "ada", TenantID: "acme", SessionID: "s-2"}
	s.register("s-5", "acme", "ada", firefox, 5)
	s.as(me)
	o := s.run("list", "--me")
	assert.Equal(t, []string{"s-5  ", "s-2 *", "s-1  "}, regexp.MustCompile(`(?m)^s-\d [ *]`).FindAllString(o.stdout, -1))
	assert.Equal(t, outcome{stdout: "1 session ended\n"}, s.run("revoke", "s-5", "--me"))
	assert.Equal(t, "dry run: nothing has ended; 1 session would\n", s.run("revoke-all", "--me", "--dry-run").stderr)
	assert.Equal(t, outcome{stdout: "1 session ended\n"}, s.run("revoke-all", "--me", "--yes"))
	assert.Equal(t, exitUsage, s.run("get", "s-2", "--me").code)
}

func TestSessionsExitCodes(t *testing.T) {
	s := populated(t)
	operator := s.vars["SESSIOND_TOKEN"]
	reader := s.token(auth.TokenRequest{Subject: "boss", TenantID: "acme", Scope: "sessions:read"})
	for name, c := range map[string]struct {
		token string
		args  []string
		code  int
		want  string
	}{
		"nothing to do":       {operator, nil, exitUsage, "sessions needs find, list, get, history, audit, export, revoke, revoke-all, jobs or stats"},
		"an unknown flag":     {operator, []string{"list", "--usr", "x"}, exitUsage, "unknown flag: --usr"},
		"no id":               {operator, []string{"get"}, exitUsage, "accepts 1 arg(s), received 0"},
		"an empty id":         {operator, []string{"get", ""}, exitUsage, `"" is not an id`},
		"another path":        {operator, []string{"revoke", ".."}, exitUsage, `".." is not an id`},
		"another tenant's":    {operator, []string{"list", "--tenant", ".."}, exitUsage, `".." is not an id`},
		"nobody's sessions":   {operator, []string{"revoke-all"}, exitUsage, "whose sessions?"},
		"me and somebody":     {operator, []string{"list", "--me", "--user", "x"}, exitUsage, "leave --tenant, --user and --partner away"},
		"two selections":      {operator, []string{"list", "--tenant", "x", "--partner", "y"}, exitUsage, "leave --tenant away"},
		"ended everywhere":    {operator, []string{"list", "--ended"}, exitUsage, "--ended needs --tenant"},
		"stats of all":        {operator, []string{"stats"}, exitUsage, "stats needs --tenant"},
		"what does not fit":   {operator, []string{"list", "--per-page", "101"}, exitUsage, "query.per_page: Input should be less than or equal to 100 (request"},
		"many, unasked":       {operator, []string{"revoke", "s-1", "s-2"}, exitUsage, `there is no terminal to ask "End 2 sessions on ` + s.url + `?": add --yes`},
		"all, unasked":        {operator, []string{"revoke-all", "--user", "ada"}, exitUsage, `there is no terminal to ask "End 3 sessions of user ada in every tenant on ` + s.url + `?"`},
		"no such session":     {operator, []string{"get", "none"}, exitNotFound, "404 Not Found: Session not found. (request"},
		"a bad token":         {"x", []string{"list"}, exitNotAllowed, "401 Unauthorized"},
		"a missing scope":     {reader, []string{"revoke", "s-1", "--tenant", "acme"}, exitNotAllowed, "403 Forbidden"},
		"a server that rests": {operator, []string{"list", "--server", "http://127.0.0.1:1"}, exitUnavailable, "connection refused"},
		"no server":           {operator, []string{"list", "--server", "example.com"}, exitUsage, "is no server"},
		"no token":            {"", []string{"list"}, exitUsage, "whose token?"},
		"a token of two":      {"a b", []string{"list"}, exitUsage, "SESSIOND_TOKEN: what is in it is not a token"},
	} {
		t.Run(name, func(t *testing.T) {
			piped(t, "")
			s.vars["SESSIOND_TOKEN"] = c.token
			o := s.run(c.args...)
			assert.Equal(t, c.code, o.code, o.message)
			assert.Contains(t, o.message, c.want)
			assert.Empty(t, o.stdout)
		})
	}
	s.vars["SESSIOND_TOKEN"] = operator
	assert.Equal(t, "s-4 s-3 s-2 s-1", s.still(), "no refusal has ended anything")
}

func TestSessionsWhenTheServerIsNotWell(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		code   int
	}{
		"busy":        {http.StatusServiceUnavailable, exitUnavailable},
		"too many":    {http.StatusTooManyRequests, exitUnavailable},
		"bad gateway": {http.StatusBadGateway, exitUnavailable},
		"broken":      {http.StatusInternalServerError, exitFailed},
		"moved":       {http.StatusMovedPermanently, exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if asked.Add(1) == 1 {
					w.WriteHeader(http.StatusNoContent)
					return
				}
				// An hour is longer than the client waits.
				w.Header().Set("Retry-After", "3600")
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(c.status)
				_ = json.NewEncoder(w).Encode(map[string]string{"detail": "no"})
			}))
			defer server.Close()
			s := &service{t: t, vars: map[string]string{"SESSIOND_SERVER": server.URL, "SESSIOND_TOKEN": "t"}}
			refused := fmt.Sprintf("%d %s: no", c.status, http.StatusText(c.status))
			assert.Equal(t, outcome{stdout: "1 session ended\n", message: "1 of 3 sessions have ended, then: " + refused, code: c.code},
				s.run("revoke", "s-1", "s-2", "s-3", "--yes"))
			assert.EqualValues(t, 2, asked.Load(), "the third is not asked for")
			assert.Equal(t, outcome{message: refused, code: c.code}, s.run("revoke", "s-1"))
		})
	}
	assert.Equal(t, exitInterrupted, exitCode(context.Canceled))
}
