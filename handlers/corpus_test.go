package handlers_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/qa/corpus"
	"github.com/sessiond/sessiond/internal/qa/sequential"
)

// TestCorpus replays every recorded request byte for byte against the whole chain.
func TestCorpus(t *testing.T) {
	sequential.Test(t)
	onBothEngines(t, func(f *fixture) {
		t := f.t
		cases, err := corpus.Read()
		require.NoError(t, err)
		assert.Len(t, cases, 2292)
		// Those that end sessions come last, as they did when they were recorded.
		slices.SortStableFunc(cases, func(a, b corpus.Case) int { return succeeds(a) - succeeds(b) })
		token := f.token(auth.TokenRequest{Subject: "operator", TenantID: "t1", Scope: "admin:sessions:read admin:sessions:write"})
		address := f.server.Listener.Addr().String()
		for _, c := range cases {
			got, err := exchange(address, c.Method, message(t, c, address, token))
			if assert.NoError(t, err, c.ID) {
				assert.Empty(t, c.Judge(got), "%s %s %s", c.ID, c.Method, c.Target)
			}
		}
	})
}

func succeeds(c corpus.Case) int {
	if c.Expect.Status < 300 {
		return 1
	}
	return 0
}

// message is the request as it goes over the wire; host, length and token are the only additions.
func message(t *testing.T, c corpus.Case, host, token string) []byte {
	t.Helper()
	body, err := c.Body()
	require.NoError(t, err)
	headers := [][2]string{{"Host", host}, {"Connection", "close"}}
	if c.Auth != "as_is" {
		headers = append(headers, [2]string{"Authorization", "Bearer " + token})
	}
	headers = append(headers, c.Headers...)
	chunked := slices.ContainsFunc(c.Headers, func(h [2]string) bool { return strings.EqualFold(h[0], "Transfer-Encoding") })
	if !chunked && body != nil {
		headers = append(headers, [2]string{"Content-Length", fmt.Sprint(len(body))})
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\n", c.Method, c.Target)
	for _, header := range headers {
		fmt.Fprintf(&text, "%s: %s\r\n", header[0], header[1])
	}
	text.WriteString("\r\n")
	if chunked {
		for chunk := range slices.Chunk(body, max(1, len(body)/2)) {
			fmt.Fprintf(&text, "%x\r\n%s\r\n", len(chunk), chunk)
		}
		text.WriteString("0\r\n\r\n")
	} else {
		text.Write(body)
	}
	return text.Bytes()
}

func exchange(address, method string, message []byte) (corpus.Answer, error) {
	connection, err := net.DialTimeout("tcp", address, time.Minute) //nolint:noctx // bounded, and closed below
	if err != nil {
		return corpus.Answer{}, err
	}
	defer connection.Close()
	if _, err := connection.Write(message); err != nil {
		return corpus.Answer{}, err
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), &http.Request{Method: method})
	if err != nil {
		return corpus.Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return corpus.Answer{Status: response.StatusCode, Header: response.Header, Body: body}, err
}
