package validation_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/validation"
)

// server runs the middleware and the generated code on the contract, with handlers that do nothing.
type server struct {
	echo *echo.Echo
	// bound is the request object of the last request that reached a handler.
	bound any
}

type answer struct {
	status int
	body   string
}

func newServer(tb testing.TB) *server {
	tb.Helper()
	s := &server{echo: echo.New()}
	v, err := validation.New(sessiond.OpenAPI)
	require.NoError(tb, err)
	s.echo.Use(v.Middleware())
	s.echo.HTTPErrorHandler = func(err error, c echo.Context) {
		status, body := errorAnswer(err)
		assert.NoError(tb, c.JSON(status, body))
	}
	stub := func(gen.StrictHandlerFunc, string) gen.StrictHandlerFunc {
		return func(c echo.Context, request any) (any, error) {
			s.bound = request
			return nil, c.NoContent(http.StatusOK)
		}
	}
	gen.RegisterHandlers(s.echo, gen.NewStrictHandler(nil, []gen.StrictMiddlewareFunc{stub}))
	return s
}

// errorAnswer is the mapping that handlers/errors.go does. Whatever the generated binding refuses is a fault here.
func errorAnswer(err error) (int, any) {
	var invalid *validation.Error
	var tooLarge *http.MaxBytesError
	var routing *echo.HTTPError
	switch {
	case errors.As(err, &invalid):
		return http.StatusUnprocessableEntity, invalid
	case errors.Is(err, validation.ErrUndecodable):
		return http.StatusBadRequest, map[string]string{"detail": validation.ErrUndecodable.Error()}
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, map[string]string{"detail": "too large"}
	case errors.As(err, &routing) && (routing.Code == http.StatusNotFound || routing.Code == http.StatusMethodNotAllowed):
		return routing.Code, map[string]string{"detail": http.StatusText(routing.Code)}
	default:
		return http.StatusInternalServerError, map[string]string{"detail": fmt.Sprintf("the generated code refused: %v", err)}
	}
}

func (s *server) answer(r *http.Request) answer {
	s.bound = nil
	recorder := httptest.NewRecorder()
	s.echo.ServeHTTP(recorder, r)
	return answer{recorder.Code, strings.TrimSpace(recorder.Body.String())}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// newDialect runs the middleware on testdata/dialect.yaml, which has one of each constraint, with handlers that answer
// what the middleware left for a binding to take.
func newDialect(tb testing.TB) *server {
	tb.Helper()
	document, err := os.ReadFile("testdata/dialect.yaml")
	require.NoError(tb, err)
	v, err := validation.New(document)
	require.NoError(tb, err)
	s := &server{echo: echo.New()}
	s.echo.Use(v.Middleware())
	s.echo.HTTPErrorHandler = func(err error, c echo.Context) {
		status, body := errorAnswer(err)
		assert.NoError(tb, c.JSON(status, body))
	}
	spec, err := openapi3.NewLoader().LoadFromData(document)
	require.NoError(tb, err)
	for path, item := range spec.Paths.Map() {
		for method := range item.Operations() {
			s.echo.Add(method, strings.NewReplacer("{", ":", "}", "").Replace(path), s.echoInputs)
		}
	}
	return s
}

// echoInputs answers everything that a binding can see.
func (s *server) echoInputs(c echo.Context) error {
	r := c.Request()
	seen := map[string]any{}
	for i, name := range c.ParamNames() {
		seen[name] = c.ParamValues()[i]
	}
	for _, name := range []string{"X-Count", "X-Trace", "Cookie"} {
		if value := r.Header.Get(name); value != "" {
			seen[name] = value
		}
	}
	again, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || again.Encode() != c.QueryParams().Encode() {
		return errors.New("the URL and Echo's copy of it differ")
	}
	for name, values := range c.QueryParams() {
		seen[name] = strings.Join(values, "|")
	}
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	for name, values := range form {
		seen[name] = strings.Join(values, "|")
	}
	if checked, ok := r.Body.(interface{ ValidatedValue() any }); ok {
		s.bound = checked.ValidatedValue()
		seen["body"] = s.bound
	}
	return c.JSON(http.StatusOK, seen)
}

// send makes a request of its parts and answers it.
func (s *server) send(t *testing.T, method, target, contentType, body string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/", http.NoBody)
	path, query, _ := strings.Cut(target, "?")
	r.URL = &url.URL{Path: path, RawQuery: query}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if body != "" {
		r.Body, r.ContentLength = readCloser{bytes.NewReader([]byte(body))}, int64(len(body))
	}
	return s.answer(r)
}

func (s *server) get(t *testing.T, target string) answer {
	t.Helper()
	return s.send(t, http.MethodGet, target, "", "")
}

func (s *server) post(t *testing.T, target, body string) answer {
	t.Helper()
	return s.send(t, http.MethodPost, target, "application/json", body)
}

// lines are the violations of a 422, each as "loc.ation type: message".
func (a answer) lines(t *testing.T) []string {
	t.Helper()
	require.Equal(t, http.StatusUnprocessableEntity, a.status, a.body)
	var parsed struct {
		Detail []struct {
			Loc       []any
			Msg, Type string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &parsed))
	var lines []string
	for _, e := range parsed.Detail {
		loc := make([]string, len(e.Loc))
		for i, part := range e.Loc {
			loc[i] = fmt.Sprint(part)
		}
		lines = append(lines, strings.Join(loc, ".")+" "+e.Type+": "+e.Msg)
	}
	return lines
}
