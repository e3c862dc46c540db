package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/handlers"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/geo"
	"github.com/sessiond/sessiond/internal/qa/sequential"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

func TestMain(m *testing.M) {
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.PlainBodyDecoder)
	os.Exit(storetest.Main(m))
}

// onBothEngines runs a test over HTTP against the whole chain, on SQLite and on PostgreSQL.
func onBothEngines(t *testing.T, test func(f *fixture)) {
	t.Helper()
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			if name == "sqlite" {
				sequential.Test(t) // the goroutines of a request are the same on both
			}
			test(newFixture(t, open))
		})
	}
}

// fixture is a running server with a clock that tests set. Every answer is held against the contract.
type fixture struct {
	t      *testing.T
	store  *store.Store
	clock  *storetest.Clock
	issuer *auth.DevIssuer
	logs   *logs
	server *httptest.Server
	router routers.Router
	view   routers.Router // of the document for SDKs, where answers are held against it as well
	order  memberOrder
}

type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newFixture(t *testing.T, open storetest.Factory) *fixture {
	t.Helper()
	return newFixtureWith(t, open, store.Options{})
}

func newFixtureWith(t *testing.T, open storetest.Factory, options store.Options) *fixture {
	t.Helper()
	clock := storetest.NewClock()
	options.Now = clock.Now
	s := open(t, options)
	f := &fixture{t: t, store: s, clock: clock, logs: &logs{}}
	f.serve(s)
	return f
}

// serve starts the chain on a store, the fixture's own or one that fails, with a configuration that may differ.
func (f *fixture) serve(s handlers.Store, differ ...func(*handlers.Config)) {
	f.t.Helper()
	var err error
	if f.issuer == nil {
		f.issuer, err = auth.OpenDevIssuer(f.t.TempDir())
		require.NoError(f.t, err)
		f.router = contractRouter()
		f.order = newMemberOrder()
	}
	verifier, err := auth.NewVerifier(f.issuer.Config(), f.issuer.Keys(), f.clock.Now)
	require.NoError(f.t, err)
	config := handlers.Config{
		Store: s, Verifier: verifier, Now: f.clock.Now, OpenAPI: sessiond.OpenAPI, OpenAPIForSDKs: sessiond.OpenAPIForSDKs,
		Logger: slog.New(slog.NewTextHandler(f.logs, nil)),
		Locate: func(address string) geo.Place {
			return map[string]geo.Place{"203.0.113.1": {Name: "Bern, Switzerland", Country: "CH"}, "203.0.113.7": {Name: "London, United Kingdom", Country: "GB"}}[address]
		},
	}
	for _, change := range differ {
		change(&config)
	}
	handler, err := handlers.NewHandler(config)
	require.NoError(f.t, err)
	f.server = httptest.NewServer(handler)
	f.t.Cleanup(f.server.Close)
}

// The routers of the two documents take long to make.
var (
	contractRouter = sync.OnceValue(func() routers.Router { return routerOf(sessiond.OpenAPI) })
	viewRouter     = sync.OnceValue(func() routers.Router { return routerOf(sessiond.OpenAPIForSDKs) })
)

// routerOf finds the operation of a request in a document.
func routerOf(text []byte) routers.Router {
	document, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		panic(err)
	}
	document.Servers = nil // the router finds nothing of a request with a host below the server "/"
	router, err := legacy.NewRouter(document)
	if err != nil {
		panic(err)
	}
	return router
}

// Tokens of the usual callers.
func (f *fixture) token(request auth.TokenRequest) string {
	f.t.Helper()
	token, err := f.issuer.Mint(request, f.clock.Now())
	require.NoError(f.t, err)
	return token
}

func (f *fixture) admin() string {
	f.t.Helper()
	return f.token(auth.TokenRequest{Subject: "operator", Scope: "admin:sessions:read admin:sessions:write"})
}

func (f *fixture) partner(id string) string {
	f.t.Helper()
	return f.token(auth.TokenRequest{Subject: "agent", PartnerID: id, Scope: "partner:sessions:read partner:sessions:write"})
}

func (f *fixture) tenant(id string) string {
	f.t.Helper()
	return f.token(auth.TokenRequest{Subject: "boss", TenantID: id, Scope: "sessions:read sessions:write"})
}

func (f *fixture) user(tenantID, id, sid string) string {
	f.t.Helper()
	return f.token(auth.TokenRequest{Subject: id, TenantID: tenantID, SessionID: sid})
}

func (f *fixture) service() string {
	f.t.Helper()
	return f.token(auth.TokenRequest{Subject: "idp", ClientID: "idp", Scope: "sessions:ingest"})
}

// answer is what came back.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

// decode reads the body into a value that must have every member.
func (a answer) decode(into any) {
	a.t.Helper()
	decoder := json.NewDecoder(strings.NewReader(a.body))
	decoder.DisallowUnknownFields()
	require.NoError(a.t, decoder.Decode(into), a.body)
}

// detail is the sentence of an error.
func (a answer) detail() string {
	a.t.Helper()
	var body struct{ Detail string }
	a.decode(&body)
	return body.Detail
}

// want stops the test when the status is another one.
func (a answer) want(status int) answer {
	a.t.Helper()
	require.Equal(a.t, status, a.status, a.body)
	return a
}

// do sends a request and holds the answer against the contract. A body that is no string is sent as JSON.
func (f *fixture) do(method, target, token string, body any, headers ...string) answer {
	f.t.Helper()
	var content io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(body)
	default:
		data, err := json.Marshal(body)
		require.NoError(f.t, err)
		content = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(f.t.Context(), method, f.server.URL+target, content)
	require.NoError(f.t, err)
	if content != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	require.NoError(f.t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(f.t, err)
	f.holdsContract(request, response, data)
	return answer{t: f.t, status: response.StatusCode, header: response.Header, body: string(data)}
}

// holdsContract: the status is declared, the content type too, the body fits its schema, and its members are in order.
func (f *fixture) holdsContract(request *http.Request, response *http.Response, body []byte) {
	f.t.Helper()
	assert.NotEmpty(f.t, response.Header.Get("X-Request-Id"))
	route, _, err := f.router.FindRoute(request)
	elsewhere := response.StatusCode == http.StatusTemporaryRedirect || response.StatusCode == http.StatusMethodNotAllowed
	if err != nil || elsewhere || response.StatusCode == http.StatusNotFound && strings.Contains(string(body), `"Not Found"`) {
		return // not an operation
	}
	if len(body) > 0 && response.Header.Get("Content-Type") == "application/json" {
		assert.Empty(f.t, f.order.problems(route.Path, request.Method, response.StatusCode, body), "%s", body)
	}
	f.fits(f.router, request, response, body)
	if f.view != nil {
		f.fits(f.view, request, response, body)
	}
}

// fits holds an answer against a document.
func (f *fixture) fits(router routers.Router, request *http.Request, response *http.Response, body []byte) {
	f.t.Helper()
	route, params, err := router.FindRoute(request)
	require.NoError(f.t, err)
	err = openapi3filter.ValidateResponse(f.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: params, Route: route},
		Status:                 response.StatusCode, Header: response.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	assert.NoError(f.t, err, "%s %s → %d %s", request.Method, request.URL, response.StatusCode, body)
}

// register registers a session over HTTP.
func (f *fixture) register(tenantID, userID, id string, more ...string) {
	f.t.Helper()
	body := map[string]any{
		"id": id, "tenant_id": tenantID, "user_id": userID, "expires_at": storetest.Epoch.Add(24 * time.Hour),
	}
	for pair := range slices.Chunk(more, 2) {
		body[pair[0]] = pair[1]
	}
	f.do(http.MethodPost, "/api/v1/lifecycle/sessions", f.service(), body).want(http.StatusCreated)
}

// activeIDs are the ids of a tenant's active sessions, newest first.
func (f *fixture) activeIDs(tenantID string) []string {
	f.t.Helper()
	sessions, _, err := f.store.ListSessions(f.t.Context(), store.CallerSession{}, store.InTenant(tenantID), store.Filter{ActiveOnly: true}, store.Page{})
	require.NoError(f.t, err)
	ids := make([]string, len(sessions))
	for i, s := range sessions {
		ids[i] = s.ID
	}
	return ids
}

// revocation is the answer of the operations that end sessions.
type revocation struct {
	Data struct {
		RevokedCount int      `json:"revoked_count"`
		SessionIDs   []string `json:"session_ids"`
	} `json:"data"`
	Meta meta `json:"meta"`
}

type meta struct {
	RequestID string    `json:"request_id"`
	Timestamp time.Time `json:"timestamp"`
}

func (a answer) revoked() []string {
	a.t.Helper()
	var body revocation
	a.want(http.StatusOK).decode(&body)
	require.Len(a.t, body.Data.SessionIDs, body.Data.RevokedCount)
	require.NotNil(a.t, body.Data.SessionIDs)
	return body.Data.SessionIDs
}

// failing is a store on which every list fails.
type failing struct {
	handlers.Store
	err error
}

func (s failing) ListSessions(context.Context, store.CallerSession, store.Scope, store.Filter, store.Page) ([]store.ListItem, int, error) {
	if s.err == nil {
		panic("the list panics")
	}
	return nil, 0, fmt.Errorf("list sessions: %w", s.err)
}

func (s failing) NewestActive(context.Context, store.CallerSession, store.Scope) ([]store.ListItem, bool, error) {
	if s.err == nil {
		panic("the list panics")
	}
	return nil, false, fmt.Errorf("list sessions: %w", s.err)
}
