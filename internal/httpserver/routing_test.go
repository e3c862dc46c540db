package httpserver_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/httpserver"
)

const small = `{openapi: 3.1.0, info: {title: Small, version: "1"}, paths: {
  /things: {get: {operationId: listThings}, post: {operationId: makeThing}},
  "/things/{id}": {get: {operationId: getThing}, delete: {operationId: endThing}},
  /things/all: {get: {operationId: listAll}, post: {operationId: endAll}},
  /slash/: {get: {operationId: slash}}}}`

func smallContract(t *testing.T) *openapi3.T {
	t.Helper()
	contract, err := openapi3.NewLoader().LoadFromData([]byte(small))
	require.NoError(t, err)
	return contract
}

// routed is what becomes of a request: the error that refuses it, or the path that Echo's router is to see and the error that is kept
// for an escaped slash.
type routed struct {
	err, kept     error
	path, rawPath string
}

func TestRouting(t *testing.T) {
	noRoute := httpserver.ErrNoRoute
	allow := func(methods string) error { return &httpserver.MethodError{Allow: methods} }
	moved := func(location string) error { return &httpserver.RedirectError{Location: location} }
	step := httpserver.NewRouteTable(smallContract(t)).Routing(func(path string) bool { return path == "/docs" })
	for request, want := range map[string]routed{
		"GET /things":            {path: "/things"},
		"GET /things/1":          {path: "/things/1"},
		"POST /things/all":       {path: "/things/all"},
		"DELETE /things/all":     {path: "/things/all"}, // an id, then
		"GET /slash/":            {path: "/slash/"},
		"GET /docs":              {path: "/docs"},
		"GET /":                  {err: noRoute},
		"GET /nothing":           {err: noRoute},
		"GET /things/1/2":        {err: noRoute},
		"GET /Things":            {err: noRoute},
		"PUT /things":            {err: allow("GET, POST")},
		"PUT /things/1":          {err: allow("DELETE, GET")},
		"PUT /things/all":        {err: allow("DELETE, GET, POST")},
		"GET /things/":           {err: moved("/things")},
		"PUT /things/":           {err: moved("/things")},
		"GET /things/1/?a=b&c=d": {err: moved("/things/1?a=b&c=d")},
		"GET /slash":             {err: moved("/slash/")},
		// A line feed after a literal segment is ignored.
		"GET /things%0A":     {path: "/things"},
		"GET /things/1%0A":   {path: "/things/1\n"},
		"GET /things/all%0A": {path: "/things/all"}, // not the id
		// What is escaped is data.
		"GET /%74hings":     {path: "/things"},
		"GET /things/a%2Fb": {path: "/things/a/b", rawPath: "/things/a%2Fb", kept: noRoute},
		"GET /things/a%2F":  {path: "/things/a/", rawPath: "/things/a%2F", kept: moved("/things/a")},
		"GET /things%2Fa":   {err: noRoute}, // the reference would serve it
		"PUT /things%2Fa":   {err: allow("DELETE, GET")},
	} {
		method, target, _ := strings.Cut(request, " ")
		c := echo.New().NewContext(httptest.NewRequestWithContext(t.Context(), method, target, http.NoBody), nil)
		var got routed
		got.err = step(func(c echo.Context) error {
			got.path, got.rawPath = c.Request().URL.Path, c.Request().URL.RawPath
			return nil
		})(c)
		got.kept, _ = httpserver.EscapedSlash(c)
		assert.Equal(t, want, got, request)
	}
}

func TestSystemRoutes(t *testing.T) {
	var ready error
	check := func(ctx context.Context) error {
		assert.NotNil(t, ctx)
		return ready
	}
	contract := smallContract(t)
	system := httpserver.NewSystemRoutes([]byte(small), contract, []byte(small), func(context.Context) error { return nil }, check)
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) { _ = c.String(http.StatusServiceUnavailable, err.Error()) }
	e.Pre(httpserver.RedirectRoot)
	system.Register(e)
	ask := func(method, path string) *httptest.ResponseRecorder {
		request := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
		request.Header.Set("Accept", "text/html")
		answer := httptest.NewRecorder()
		e.ServeHTTP(answer, request)
		return answer
	}
	for path, want := range map[string]string{
		"/healthz": `{"status":"ok"}`, "/readyz": `{"status":"ready"}`, "/openapi.yaml": small, "/openapi.json": `"openapi":"3.1.0"`, "/docs/": "swagger-ui",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			answer := ask(method, path)
			assert.Equal(t, http.StatusOK, answer.Code, path)
			if method == http.MethodGet {
				assert.Contains(t, answer.Body.String(), want, path)
			}
		}
		assert.True(t, system.Owns(path), path)
	}
	for path, location := range map[string]string{"/docs": "/docs/", "/": "/docs/"} {
		answer := ask(http.MethodGet, path)
		assert.Equal(t, http.StatusFound, answer.Code, path)
		assert.Equal(t, location, answer.Header().Get("Location"), path)
	}
	assert.True(t, system.Owns("/docs"))
	assert.True(t, system.Owns("/docs/swagger-ui.css"))
	for _, path := range []string{"/", "/docsx", "/healthz/", "/things", ""} {
		assert.False(t, system.Owns(path), path)
	}
	ready = errors.New("no keys yet")
	assert.Equal(t, "no keys yet", ask(http.MethodGet, "/readyz").Body.String())
	assert.Equal(t, http.StatusOK, ask(http.MethodGet, "/healthz").Code)
}

// TestPublicDocuments: who has the document asks whether it has changed, and pages of every origin may read it.
func TestPublicDocuments(t *testing.T) {
	contract, e := smallContract(t), echo.New()
	httpserver.NewSystemRoutes([]byte(small), contract, []byte("openapi: 3.1.0 # for SDKs")).Register(e)
	tags := map[string]bool{}
	for path, contentType := range map[string]string{
		"/openapi.yaml": "application/yaml", "/openapi.json": "application/json", "/openapi.sdk.yaml": "application/yaml", "/openapi.sdk.json": "application/json",
	} {
		ask := func(tag string) *httptest.ResponseRecorder {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
			request.Header.Set("Origin", "https://elsewhere.example")
			request.Header.Set("If-None-Match", tag)
			answer := httptest.NewRecorder()
			e.ServeHTTP(answer, request)
			return answer
		}
		first := ask("")
		tag := first.Header().Get("ETag")
		assert.Equal(t, []any{http.StatusOK, contentType, "*", "no-cache"}, []any{
			first.Code, first.Header().Get("Content-Type"), first.Header().Get("Access-Control-Allow-Origin"), first.Header().Get("Cache-Control"),
		}, path)
		assert.Regexp(t, `^"[\w-]{43}"$`, tag)
		tags[tag] = true
		again := ask(tag)
		assert.Equal(t, http.StatusNotModified, again.Code, path)
		assert.Empty(t, again.Body.String())
		assert.Equal(t, http.StatusOK, ask(`"another"`).Code, path)
	}
	assert.Len(t, tags, 4, "each document has its own")
}

func TestOperations(t *testing.T) {
	contract := smallContract(t)
	system := httpserver.NewSystemRoutes([]byte(small), contract, []byte(small))
	operations := httpserver.NewOperations(contract, system, nil)
	for request, want := range map[[2]string]string{
		{"GET", "/things"}: "listThings", {"DELETE", "/things/:id"}: "endThing", {"HEAD", "/healthz"}: "healthz", {"GET", "/docs/*"}: "docs",
		{"GET", "/openapi.yaml"}: "openapi.yaml", {"PUT", "/things"}: "other", {"GET", ""}: "other", {"BREW", "/things"}: "other",
	} {
		c := echo.New().NewContext(httptest.NewRequestWithContext(t.Context(), request[0], "/", http.NoBody), nil)
		c.SetPath(request[1])
		assert.Equal(t, want, operations.ID(c), request)
	}
}

func TestCORS(t *testing.T) {
	preflight := func(origins ...string) *httptest.ResponseRecorder {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodOptions, "/x", http.NoBody)
		for name, value := range map[string]string{
			"Origin": "https://a.example", "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,x-mine",
		} {
			request.Header.Set(name, value)
		}
		answer := httptest.NewRecorder()
		c := echo.New().NewContext(request, answer)
		step := httpserver.CORS(origins, []string{"X-Mine"}, []string{"X-Yours"})
		require.NoError(t, step(func(c echo.Context) error {
			assert.False(t, c.Response().Committed, "a preflight ends here")
			return c.NoContent(http.StatusTeapot)
		})(c))
		return answer
	}
	assert.Equal(t, http.StatusTeapot, preflight().Code, "without origins it does nothing")
	allowed := preflight("https://a.example")
	assert.Equal(t, http.StatusNoContent, allowed.Code)
	assert.Equal(t, "authorization,x-mine", allowed.Header().Get("Access-Control-Allow-Headers"))
	assert.Empty(t, preflight("https://b.example").Header().Get("Access-Control-Allow-Origin"))
}

func TestCloseAmbiguous(t *testing.T) {
	handler := httpserver.CloseAmbiguous{Next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	for want, change := range map[string]func(*http.Request){
		"":       func(*http.Request) {},
		"close":  func(r *http.Request) { r.TransferEncoding = []string{"chunked"} },
		"close ": func(r *http.Request) { r.ProtoMinor = 0 },
		" ":      func(r *http.Request) { r.ProtoMajor, r.ProtoMinor = 2, 0 },
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", http.NoBody)
		change(request)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		assert.Equal(t, string(bytes.TrimSpace([]byte(want))), answer.Header().Get("Connection"), want)
	}
}

// TestServeShutsDown: Serve ends with its context, and lets a request finish that is under way.
func TestServeShutsDown(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	started, release := make(chan struct{}), make(chan struct{})
	logger := slog.New(slog.DiscardHandler)
	server := httpserver.New(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(started)
		<-release
		w.WriteHeader(http.StatusTeapot)
	}), time.Second, logger)
	assert.Equal(t, 51*time.Second, server.WriteTimeout, "the time of a request and of its answer")
	listener := httptest.NewUnstartedServer(nil).Listener
	done := make(chan error, 1)
	go func() { done <- httpserver.Serve(ctx, listener, server, logger) }()
	answered := make(chan int, 1)
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String(), http.NoBody)
		assert.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		if assert.NoError(t, err) {
			assert.NoError(t, response.Body.Close())
			answered <- response.StatusCode
		}
	}()
	<-started
	cancel()
	select {
	case err := <-done:
		require.Fail(t, "a request is under way", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	require.NoError(t, <-done)
	assert.Equal(t, http.StatusTeapot, <-answered)
}
