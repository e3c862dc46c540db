package validation_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorded is one request that the reference was asked, and its answer.
type recorded struct {
	ID      string      `json:"id"`
	Family  string      `json:"family"`
	Tier    string      `json:"tier"`
	Method  string      `json:"method"`
	Target  string      `json:"target"`
	Headers [][2]string `json:"headers"`
	Body    *string     `json:"body"`
	BodyB64 string      `json:"body_b64"`
	Expect  struct {
		Status int             `json:"status"`
		Detail json.RawMessage `json:"detail_spec"`
	} `json:"expect"`
}

// TestCorpus replays the recorded requests that end in a success, a 422 or a 400, and judges them as replay.py does.
// What ends in a 404, 405 or 307 is decided by the routes and tested with them, in handlers. Before routing, the path is
// decoded as the handlers do it, so that cases whose target net/http itself refuses can run here too.
func TestCorpus(t *testing.T) {
	server := newServer(t)
	judged := map[string]int{}
	for _, c := range readCorpus(t) {
		if status := c.Expect.Status; status >= 300 && status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
			judged["routing"]++
			continue
		}
		judged[c.Tier]++
		t.Run(c.ID, func(t *testing.T) { c.judge(t, server.answer(c.request(t))) })
	}
	assert.Equal(t, map[string]int{"contract": 1630, "curio": 447, "routing": 215}, judged)
}

func readCorpus(t *testing.T) []recorded {
	t.Helper()
	file, err := os.Open("testdata/corpus.public.jsonl")
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	var cases []recorded
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var c recorded
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		cases = append(cases, c)
	}
	require.NoError(t, lines.Err())
	return cases
}

func (c recorded) request(t *testing.T) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), c.Method, "/", http.NoBody)
	path, query, _ := strings.Cut(c.Target, "?")
	r.URL = &url.URL{Path: strings.TrimSuffix(decodePath(path), "\n"), RawQuery: query}
	for _, h := range c.Headers {
		r.Header.Add(h[0], h[1])
	}
	body := []byte(nil)
	switch {
	case c.BodyB64 != "":
		decoded, err := base64.StdEncoding.DecodeString(c.BodyB64)
		require.NoError(t, err)
		body = decoded
	case c.Body != nil:
		body = []byte(*c.Body)
	}
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

// judge is replay.py's rule for one answer.
func (c recorded) judge(t *testing.T, got answer) {
	t.Helper()
	want := c.Expect.Status
	require.Less(t, got.status, 500, got.body)
	switch {
	case c.Tier == "curio":
		refused := got.status >= 400 && got.status < 500
		assert.True(t, got.status == want || refused || got.status < 300 && want < 300, "answered %d, expected %d", got.status, want)
	case want < 300:
		assert.Less(t, got.status, 300, got.body)
	default:
		require.Equal(t, want, got.status, got.body)
		if want == http.StatusUnprocessableEntity {
			assert.JSONEq(t, `{"detail":`+string(c.Expect.Detail)+`}`, got.body)
		}
	}
}
