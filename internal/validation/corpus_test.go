package validation_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/qa/corpus"
)

// TestCorpus replays the recorded requests that end in a success, a 422 or a 400, and judges them by what the reference answered.
// What ends in a 404, 405 or 307 is decided by the routes and tested with them, in handlers. Before routing, the path is
// decoded as the handlers do it, so that cases whose target net/http itself refuses can run here too.
func TestCorpus(t *testing.T) {
	server := newServer(t)
	judged := map[string]int{}
	cases, err := corpus.Read()
	require.NoError(t, err)
	for _, c := range cases {
		if status := c.Expect.Status; status >= 300 && status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
			judged["routing"]++
			continue
		}
		judged[c.Tier]++
		t.Run(c.ID, func(t *testing.T) {
			got := server.answer(requestOf(t, c))
			if got.status < 300 && c.Expect.Status < 300 {
				got.status = c.Expect.Status // the stub knows one success only
			}
			assert.Empty(t, c.Judge(corpus.Answer{Status: got.status, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(got.body)}))
		})
	}
	assert.Equal(t, map[string]int{"contract": 1630, "curio": 447, "routing": 215}, judged)
}

func requestOf(t *testing.T, c corpus.Case) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), c.Method, "/", http.NoBody)
	path, query, _ := strings.Cut(c.Target, "?")
	r.URL = &url.URL{Path: strings.TrimSuffix(decodePath(path), "\n"), RawQuery: query}
	for _, h := range c.Headers {
		r.Header.Add(h[0], h[1])
	}
	body, err := c.Body()
	require.NoError(t, err)
	if body != nil {
		r.Body, r.ContentLength = readCloser{bytes.NewReader(body)}, int64(len(body))
	}
	return r
}

// decodePath decodes percent-escapes; a broken one stays as it is.
func decodePath(path string) string {
	var decoded strings.Builder
	for path != "" {
		size := 1
		if len(path) >= 3 && path[0] == '%' {
			size = 3
		}
		text, err := url.PathUnescape(path[:size])
		if err != nil {
			text, size = path[:1], 1
		}
		decoded.WriteString(text)
		path = path[size:]
	}
	return strings.ToValidUTF8(decoded.String(), "\uFFFD")
}
