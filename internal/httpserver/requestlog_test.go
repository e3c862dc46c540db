package httpserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/httpserver"
)

// logs is what was logged, to be read while somebody writes.
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

// apiContext is a context that an API keeps something in.
type apiContext struct {
	httpserver.RequestContext

	kept string
}

type keptKey struct{}

func (c *apiContext) Value(key any) any {
	if key == (keptKey{}) {
		return &c.kept
	}
	return c.RequestContext.Value(key)
}

// logged serves one request inside a RequestLog and returns the answer and the log.
func logged(t *testing.T, request *http.Request, handler echo.HandlerFunc) (*httptest.ResponseRecorder, string) {
	t.Helper()
	var log logs
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	step := &httpserver.RequestLog{
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
		Timeout: time.Minute,
		Now: func() time.Time {
			now = now.Add(1250 * time.Microsecond)
			return now
		},
		NewContext: func(base httpserver.RequestContext) context.Context { return &apiContext{RequestContext: base} },
	}
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		assert.NoError(t, c.String(http.StatusTeapot, err.Error()))
	}
	e.Pre(step.Middleware)
	e.GET("/x/:id", handler)
	answer := httptest.NewRecorder()
	e.ServeHTTP(answer, request)
	return answer, log.String()
}

func requestFor(t *testing.T) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x/1", http.NoBody)
}

func TestRequestLog(t *testing.T) {
	request := requestFor(t)
	request.Header.Set("X-Request-ID", "r-1")
	answer, log := logged(t, request, func(c echo.Context) error {
		ctx := c.Request().Context()
		assert.Equal(t, "r-1", httpserver.RequestID(ctx))
		_, bounded := ctx.Deadline()
		assert.True(t, bounded)
		kept, ok := ctx.Value(keptKey{}).(*string)
		require.True(t, ok, "the API's own value is in the context")
		assert.Empty(t, *kept)
		httpserver.SetAuthFailure(context.WithValue(ctx, "any", 1), "expired") //nolint:staticcheck // a derived context will do
		return c.NoContent(http.StatusUnauthorized)
	})
	assert.Contains(t, log, "level=INFO msg=request method=GET route=/x/:id status=401 took_ms=1.25 request_id=r-1 auth_error=expired\n")
	assert.Equal(t, http.Header{
		"X-Request-Id": {"r-1"}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"},
		"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
	}, answer.Header())
	assert.Empty(t, httpserver.RequestID(t.Context()))
	httpserver.SetAuthFailure(t.Context(), "nobody is told")
}

func TestRequestsOverTLS(t *testing.T) {
	request := requestFor(t)
	request.TLS = &tls.ConnectionState{}
	answer, _ := logged(t, request, func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	assert.Equal(t, "max-age=63072000", answer.Header().Get("Strict-Transport-Security"))
}

func TestRequestIDs(t *testing.T) {
	for fromClient, kept := range map[string]bool{
		"abc-123": true, strings.Repeat("x", 128): true, "~!": true,
		strings.Repeat("x", 129): false, "a b": false, "ä": false, "a\x7f": false, "": false,
	} {
		request := requestFor(t)
		request.Header.Set("X-Request-ID", fromClient)
		answer, log := logged(t, request, func(c echo.Context) error { return c.NoContent(http.StatusOK) })
		id := answer.Header().Get("X-Request-ID")
		assert.Equal(t, kept, id == fromClient, fromClient)
		assert.NotEmpty(t, id)
		assert.Contains(t, log, "request_id="+id)
	}
}

func TestErrorsAndPanics(t *testing.T) {
	answer, log := logged(t, requestFor(t), func(echo.Context) error { return errors.New("an error") })
	assert.Equal(t, "an error", answer.Body.String())
	assert.Contains(t, log, "status=418")

	answer, log = logged(t, requestFor(t), func(echo.Context) error { panic("the cause") })
	assert.Equal(t, httpserver.ErrPanic.Error(), answer.Body.String())
	assert.Contains(t, log, `msg=panic cause="the cause"`)
	assert.Contains(t, log, "requestlog_test.go", "with the stack")
	assert.Contains(t, log, "status=418")

	assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
		logged(t, requestFor(t), func(echo.Context) error { panic(http.ErrAbortHandler) })
	}, "net/http wants to see this one")
}
