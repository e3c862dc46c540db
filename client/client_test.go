package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/client"
	"github.com/sessiond/sessiond/gen"
)

// script is a server that gives its answers in turn, the last one again and again, and remembers what it was asked.
type script struct {
	mu      sync.Mutex
	asked   []string
	keys    []string // Idempotency-Key, of those that have one
	answers []http.HandlerFunc
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	s.keys = append(s.keys, r.Header.Values("Idempotency-Key")...)
	s.asked = append(s.asked, strings.TrimSpace(r.Method+" "+r.Header.Get("Authorization")+" "+string(body)))
	s.answers[min(len(s.asked), len(s.answers))-1](w, r)
}

func answer(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for pair := range slices.Chunk(headers, 2) {
			w.Header().Set(pair[0], pair[1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hangUp is an answer that gets lost, breakOff one of which a part arrives.
func hangUp(http.ResponseWriter, *http.Request) { panic(io.ErrUnexpectedEOF) }

func breakOff(w http.ResponseWriter, r *http.Request) {
	answer(200, `{"data": [`)(w, r)
	w.Header().Set("X-Break-Off", "true")
}

// RoundTrip answers without a network, so that a test with a clock of its own (synctest) can wait for it.
func (s *script) RoundTrip(r *http.Request) (response *http.Response, err error) {
	defer func() {
		if lost := recover(); lost != nil {
			err = io.ErrUnexpectedEOF
		}
	}()
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, r)
	response = recorder.Result()
	if recorder.Header().Get("X-Break-Off") != "" {
		response.Body = io.NopCloser(io.MultiReader(response.Body, iotest.ErrReader(io.ErrUnexpectedEOF)))
	}
	return response, nil
}

// calling returns a client of a scripted server.
func calling(t *testing.T, answers ...http.HandlerFunc) (*gen.ClientWithResponses, *script) {
	t.Helper()
	s := &script{answers: answers}
	api, err := client.New("http://sessions.example.com", client.Token("t"), client.WithHTTPClient(&http.Client{Transport: s}),
		client.WithRetries(2))
	require.NoError(t, err)
	return api, s
}

const busy = `{"detail": "The service is temporarily unavailable."}`

func TestRetries(t *testing.T) {
	list := func(t *testing.T, api *gen.ClientWithResponses) error {
		t.Helper()
		_, err := api.ListTenantSessionsWithResponse(t.Context(), "acme", nil)
		return err
	}
	remove := func(t *testing.T, api *gen.ClientWithResponses) error {
		t.Helper()
		_, err := api.RevokeTenantSessionWithResponse(t.Context(), "acme", "s-1")
		return err
	}
	put := func(t *testing.T, api *gen.ClientWithResponses) error {
		t.Helper()
		_, err := api.RecordSessionAppWithResponse(t.Context(), "s-1", "wiki", gen.SessionAppAccess{ApplicationName: "Wiki"})
		return err
	}
	all := func(t *testing.T, api *gen.ClientWithResponses) error {
		t.Helper()
		_, err := api.RevokeAllTenantSessionsWithResponse(t.Context(), "acme")
		return err
	}
	use := func(t *testing.T, api *gen.ClientWithResponses) error {
		t.Helper()
		_, err := api.RecordSessionActivityWithResponse(t.Context(), "s-1", gen.SessionActivity{})
		return err
	}
	unavailable, tooMany := answer(503, busy), answer(429, `{"detail": "Too many."}`)
	for name, c := range map[string]struct {
		call   func(*testing.T, *gen.ClientWithResponses) error
		first  http.HandlerFunc
		then   http.HandlerFunc
		asked  []string
		status int
	}{
		"GET after 503":            {list, unavailable, answer(200, `{}`), []string{"GET Bearer t", "GET Bearer t"}, 0},
		"GET after 429":            {list, tooMany, answer(200, `{}`), []string{"GET Bearer t", "GET Bearer t"}, 0},
		"DELETE after 503":         {remove, unavailable, answer(204, ""), []string{"DELETE Bearer t", "DELETE Bearer t"}, 0},
		"PUT with its body":        {put, unavailable, answer(204, ""), slices.Repeat([]string{`PUT Bearer t {"application_name":"Wiki"}`}, 2), 0},
		"POST never":               {use, unavailable, answer(204, ""), []string{"POST Bearer t {}"}, 503},
		"POST that ends":           {all, unavailable, answer(200, `{}`), slices.Repeat([]string{"POST Bearer t"}, 2), 0},
		"GET after a lost answer":  {list, hangUp, answer(200, `{}`), []string{"GET Bearer t", "GET Bearer t"}, 0},
		"GET of a part":            {list, breakOff, answer(200, `{}`), []string{"GET Bearer t", "GET Bearer t"}, 0},
		"GET after 502":            {list, answer(502, `{}`), answer(200, `{}`), []string{"GET Bearer t", "GET Bearer t"}, 0},
		"POST that ends, lost":     {all, hangUp, answer(200, `{}`), slices.Repeat([]string{"POST Bearer t"}, 2), 0},
		"POST that ends, a part":   {all, breakOff, answer(200, `{}`), slices.Repeat([]string{"POST Bearer t"}, 2), 0},
		"POST that ends after 504": {all, answer(504, `{}`), answer(200, `{}`), slices.Repeat([]string{"POST Bearer t"}, 2), 0},
		"500 never":                {list, answer(500, `{"detail": "x"}`), answer(200, `{}`), []string{"GET Bearer t"}, 500},
		"three tries, no more":     {list, unavailable, unavailable, slices.Repeat([]string{"GET Bearer t"}, 3), 503},
		"not after an hour":        {list, answer(503, busy, "Retry-After", "3600"), answer(200, `{}`), []string{"GET Bearer t"}, 503},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, server := calling(t, c.first, c.then)
				err := c.call(t, api)
				if c.status == 0 {
					require.NoError(t, err)
				} else {
					var refused *client.Error
					require.ErrorAs(t, err, &refused)
					assert.Equal(t, c.status, refused.Status)
				}
				assert.Equal(t, c.asked, server.asked)
				if strings.HasPrefix(name, "POST that ends") {
					require.Len(t, server.keys, 2)
					assert.Len(t, server.keys[0], 36)
					assert.Equal(t, server.keys[0], server.keys[1], "both are one call")
				} else {
					assert.Empty(t, server.keys)
				}
			})
		})
	}
}

func TestRetryAfterIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		api, _ := calling(t, answer(503, busy, "Retry-After", "29"), answer(503, busy), answer(200, `{}`))
		_, err := api.ListTenantSessionsWithResponse(t.Context(), "acme", nil)
		require.NoError(t, err)
		waited := time.Since(start)
		assert.GreaterOrEqual(t, waited, 29*time.Second+700*time.Millisecond, "what the server says, then our own wait")
		assert.LessOrEqual(t, waited, 29*time.Second+1300*time.Millisecond)
	})
}

func TestWaitEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, server := calling(t, answer(503, busy, "Retry-After", "29"))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := api.ListTenantSessionsWithResponse(ctx, "acme", nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Len(t, server.asked, 1)
	})
}

func TestErrors(t *testing.T) {
	html := answer(501, "<html>", "Content-Type", "text/html")
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   client.Error
		text   string
	}{
		"a sentence": {
			answer(404, `{"detail": "Session not found."}`, "X-Request-ID", "r-1"),
			client.Error{Status: 404, Detail: "Session not found.", RequestID: "r-1"},
			"404 Not Found: Session not found. (request r-1)",
		},
		"seconds to wait": {
			answer(500, `{"detail": "x"}`, "Retry-After", "7"),
			client.Error{Status: 500, Detail: "x", RetryAfter: 7 * time.Second},
			"500 Internal Server Error: x",
		},
		"a date to wait for": {
			answer(500, `{"detail": "x"}`, "Retry-After", "Thu, 15 Jan 2026 08:00:09 GMT", "Date", "Thu, 15 Jan 2026 08:00:00 GMT"),
			client.Error{Status: 500, Detail: "x", RetryAfter: 9 * time.Second},
			"500 Internal Server Error: x",
		},
		"no wait that fits": {
			answer(500, `{"detail": "x"}`, "Retry-After", "99999999999999999999"),
			client.Error{Status: 500, Detail: "x"},
			"500 Internal Server Error: x",
		},
		"an answer of a proxy": {
			html,
			client.Error{Status: 501, Detail: "the answer is text/html and not the API's, check the server's address"},
			"501 Not Implemented: the answer is text/html and not the API's, check the server's address",
		},
		"a success of a proxy": {
			answer(200, "<html>", "Content-Type", "text/html"),
			client.Error{Status: 200, Detail: "the answer is text/html and not the API's, check the server's address"},
			"200 OK: the answer is text/html and not the API's, check the server's address",
		},
		"a redirect": {
			answer(301, "", "Location", "https://b.example.com/"),
			client.Error{Status: 301, Detail: "redirected to https://b.example.com/, use that server's address"},
			"301 Moved Permanently: redirected to https://b.example.com/, use that server's address",
		},
		"a detail of another kind": {
			answer(422, `{"detail": {"a": 1}}`),
			client.Error{Status: 422, Detail: "the answer is application/json and not the API's, check the server's address"},
			"422 Unprocessable Entity: the answer is application/json and not the API's, check the server's address",
		},
		"a hostile sentence": {
			answer(403, `{"detail": "\u001b[2Jx\u202e"}`, "X-Request-ID", "r\u009b1"),
			client.Error{Status: 403, Detail: "\x1b[2Jx\u202e", RequestID: "r\u009b1"},
			`403 Forbidden: \x1b[2Jx\u202e (request r\u009b1)`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			api, server := calling(t, c.answer)
			_, err := api.RevokeTenantSessionWithResponse(t.Context(), "acme", "s-1")
			var refused *client.Error
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, c.want, *refused)
			assert.Equal(t, c.text, err.Error())
			assert.Len(t, server.asked, 1, "a redirect is not followed")
		})
	}
}

func TestValidationError(t *testing.T) {
	api, _ := calling(t, answer(422, `{"detail": [
		{"loc": ["body", "session_ids", 2, "x"], "msg": "Input should be a valid string", "type": "string_type"},
		{"loc": ["body", "a\u001b"], "msg": "Field required", "type": "missing"}]}`, "X-Request-ID", "r-1"))
	_, err := api.RevokeUserSessionsWithResponse(t.Context(), "acme", "ada", gen.SessionRevokeRequest{})
	var invalid *client.ValidationError
	require.ErrorAs(t, err, &invalid)
	assert.Equal(t, []client.Entry{
		{Loc: []any{"body", "session_ids", 2, "x"}, Msg: "Input should be a valid string", Type: "string_type"},
		{Loc: []any{"body", "a\x1b"}, Msg: "Field required", Type: "missing"},
	}, invalid.Entries)
	assert.Equal(t, "the request does not fit: body.session_ids[2].x: Input should be a valid string; "+
		`body.a\x1b: Field required (request r-1)`, err.Error())
	var refused *client.Error
	require.ErrorAs(t, err, &refused, "it is an answer like every other")
	assert.Equal(t, http.StatusUnprocessableEntity, refused.Status)
}

func TestTokenSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []http.HandlerFunc{answer(503, busy), answer(200, `{}`)}}
		tokens, failing := []string{"first", "second"}, errors.New("no token for you")
		source := func(context.Context) (string, error) {
			if len(tokens) == 0 {
				return "", failing
			}
			next := tokens[0]
			tokens = tokens[1:]
			return next, nil
		}
		api, err := client.New("http://sessions.example.com", source, client.WithHTTPClient(&http.Client{Transport: s}))
		require.NoError(t, err)
		_, err = api.GetTenantSessionStatsWithResponse(t.Context(), "acme")
		require.NoError(t, err)
		assert.Equal(t, []string{"GET Bearer first", "GET Bearer second"}, s.asked)
		_, err = api.GetTenantSessionStatsWithResponse(t.Context(), "acme")
		require.ErrorIs(t, err, failing)
		assert.Len(t, s.asked, 2, "nothing is sent without a token")
	})
}

func TestNewRefusesWhatIsNoServer(t *testing.T) {
	for _, server := range []string{"", "sessions.example.com", "localhost:8080", "ftp://x", "https://u:p@x", "https://x?a=b", "ftp://u:p@x", ":"} {
		_, err := client.New(server, client.Token("t"))
		require.Error(t, err, server)
		assert.NotContains(t, err.Error(), "u:p")
	}
}

func TestTimeoutIsOfOneTry(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	api, err := client.New(server.URL, client.Token("t"), client.WithHTTPClient(&http.Client{Timeout: 50 * time.Millisecond}))
	require.NoError(t, err)
	_, err = api.ListTenantSessionsWithResponse(t.Context(), "acme", nil)
	var timeout interface{ Timeout() bool }
	require.ErrorAs(t, err, &timeout)
	assert.True(t, timeout.Timeout())
}

// TestRequestsAreHandledStrictly: what the server does not know is an error, unless the caller asks for something else.
func TestRequestsAreHandledStrictly(t *testing.T) {
	var preferred []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		preferred = append(preferred, r.Header.Get("Prefer"))
		answer(200, `{"data": []}`)(w, r)
	}))
	defer server.Close()
	api, err := client.New(server.URL, client.Token("t"))
	require.NoError(t, err)
	lenient := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Prefer", "handling=lenient")
		return nil
	}
	for _, editors := range [][]gen.RequestEditorFn{nil, {lenient}} {
		_, err = api.ListMySessionsWithResponse(t.Context(), nil, editors...)
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"handling=strict", "handling=lenient"}, preferred)
}
