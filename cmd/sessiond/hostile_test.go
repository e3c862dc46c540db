package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/internal/qa/certs"
	"github.com/sessiond/sessiond/store/storetest"
)

// patience is when a test gives up on a peer that should have answered or hung up.
const patience = 30 * time.Second

func (s *served) dial() net.Conn {
	s.t.Helper()
	conn, err := new(net.Dialer).DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.base, "http://"))
	require.NoError(s.t, err)
	require.NoError(s.t, conn.SetDeadline(time.Now().Add(patience)))
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// statuses sends bytes as they are and returns the status of each answer until the server hangs up; a request at the end
// of the bytes should ask for that.
func (s *served) statuses(raw string) []int {
	s.t.Helper()
	conn := s.dial()
	go func() { _, _ = io.WriteString(conn, raw) }() // a refusal may come before all is sent
	reader := bufio.NewReader(conn)
	var found []int
	for {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			var network net.Error
			require.False(s.t, errors.As(err, &network) && network.Timeout(), "the server neither answers nor hangs up: %v", found)
			return found
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		found = append(found, response.StatusCode)
	}
}

// ingesting is the head of a request that a good token comes with, and that its body cannot satisfy.
func ingesting(t *testing.T, s *served) func(more string) string {
	t.Helper()
	provider := tokenOf(t, s.tour.String(), "IDP")
	return func(more string) string {
		return "POST /api/v1/lifecycle/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + provider + "\r\n" + more + "\r\n"
	}
}

const (
	last     = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" // answered 404 if it ever is
)

func TestHostileHTTP(t *testing.T) {
	s := startServer(t, storetest.SQLiteURL(t))
	head := ingesting(t, s)
	chunk := "10000\r\n" + strings.Repeat(" ", 1<<16) + "\r\n"
	for name, c := range map[string]struct {
		raw  string
		want []int
	}{
		"a header of 64 KiB":       {"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", []int{431}},
		"20,000 headers":           {"GET /healthz HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 20_000) + "\r\n", []int{431}},
		"a path of 64 KiB":         {"GET /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", []int{431}},
		"a body of 2 MiB":          {head("Content-Length: 2097152\r\n") + strings.Repeat(" ", 2<<20), []int{413}},
		"chunks without end":       {head("Transfer-Encoding: chunked\r\n") + strings.Repeat(chunk, 32), []int{413}},
		"no host":                  {"GET /healthz HTTP/1.1\r\n\r\n" + smuggled, []int{400}},
		"two hosts":                {"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + smuggled, []int{400}},
		"a NUL in a header":        {"GET /healthz HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n" + smuggled, []int{400}},
		"TLS to the plain port":    {"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", []int{400}},
		"HTTP/2 to the plain port": {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{404}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, (&served{t: t, base: s.base}).statuses(c.raw)) })
	}
	assert.NotContains(t, s.log.String(), "panic")
	assert.Equal(t, http.StatusOK, get(t, s.base+"/healthz", ""), "and it still serves")
}

// TestSmuggling: where a request's end can be seen in two places, it is refused or it is the connection's last.
func TestSmuggling(t *testing.T) {
	s := startServer(t, storetest.SQLiteURL(t))
	head := ingesting(t, s)
	const (
		coding = "Transfer-Encoding: chunked\r\n"
		chunks = "2\r\n{}\r\n0\r\n\r\n"
	)
	bare := func(raw string) string { return strings.ReplaceAll(raw, "\r\n", "\n") }
	old := func(raw string) string { return strings.Replace(raw, "HTTP/1.1", "HTTP/1.0", 1) }
	for name, c := range map[string]struct {
		raw  string
		want []int
	}{
		// The length says one end, the chunks another; the coding wins, and nothing is read after either.
		"a length and chunks":          {head("Content-Length: 4\r\n"+coding) + chunks + smuggled, []int{422}},
		"chunks and a length":          {head(coding+"Content-Length: 4\r\n") + chunks + smuggled, []int{422}},
		"a length short of the chunks": {head("Content-Length: 6\r\n"+coding) + "0\r\n\r\n" + smuggled, []int{422}},
		"a length beyond the chunks":   {head(fmt.Sprintf("Content-Length: %d\r\n", len(chunks+smuggled))+coding) + chunks + smuggled, []int{422}},
		"chunks alone":                 {head(coding) + chunks + smuggled, []int{422}},
		"chunks nobody reads":          {"GET /healthz HTTP/1.1\r\nHost: x\r\n" + coding + "\r\n" + chunks + smuggled, []int{200}},
		"chunks nobody is let send":    {"POST /api/v1/lifecycle/sessions HTTP/1.1\r\nHost: x\r\n" + coding + "\r\n" + chunks + smuggled, []int{401}},
		"chunks to nowhere":            {"POST /nothing HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n" + coding + "\r\n" + chunks + smuggled, []int{404}},
		"a coding in capitals":         {head("TRANSFER-ENCODING: CHUNKED\r\n") + chunks + smuggled, []int{422}},
		"a tab before the coding":      {head("Transfer-Encoding:\tchunked\r\n") + chunks + smuggled, []int{422}},
		"a folded coding":              {head("Transfer-Encoding:\r\n chunked\r\n") + chunks + smuggled, []int{422}}, // RFC 9112, section 5.2
		"a coding and bare line feeds": {bare(head("Content-Length: 4\r\n"+coding)) + chunks + smuggled, []int{422}},
		// HTTP/1.0 has no codings: what looks like chunks is no body, and no request.
		"chunks in HTTP/1.0":         {old(head(coding)) + chunks + smuggled, []int{422}},
		"chunks in HTTP/1.0, kept":   {old(head("Connection: keep-alive\r\n"+coding)) + chunks + smuggled, []int{422}},
		"a length, chunks, 1.0 kept": {old(head("Connection: keep-alive\r\nContent-Length: 2\r\n"+coding)) + "{}" + smuggled, []int{422}},

		"another coding":          {head("Transfer-Encoding: xchunked\r\n") + chunks + smuggled, []int{501}},
		"another, and a length":   {head("Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n") + "{}" + smuggled, []int{501}},
		"no coding by name":       {head("Transfer-Encoding: identity\r\nContent-Length: 2\r\n") + "{}" + smuggled, []int{501}},
		"an empty coding":         {head("Transfer-Encoding:\r\nContent-Length: 2\r\n") + "{}" + smuggled, []int{501}},
		"two codings":             {head(coding+"Transfer-Encoding: identity\r\n") + chunks + smuggled, []int{501}},
		"a coding twice":          {head(coding+coding) + chunks + smuggled, []int{501}},
		"a list of codings":       {head("Transfer-Encoding: gzip, chunked\r\n") + chunks + smuggled, []int{501}},
		"a coding with a control": {head("Transfer-Encoding: \vchunked\r\n") + chunks + smuggled, []int{400}},
		"a coding in quotes":      {head("Transfer-Encoding: \"chunked\"\r\n") + chunks + smuggled, []int{501}},

		"two lengths":             {head("Content-Length: 2\r\nContent-Length: 90\r\n") + "{}" + smuggled, []int{400}},
		"two lengths and chunks":  {head("Content-Length: 2\r\nContent-Length: 90\r\n"+coding) + chunks + smuggled, []int{400}},
		"a list of lengths":       {head("Content-Length: 2, 90\r\n") + "{}" + smuggled, []int{400}},
		"a signed length":         {head("Content-Length: +2\r\n") + "{}" + smuggled, []int{400}},
		"a negative length":       {head("Content-Length: -2\r\n") + "{}" + smuggled, []int{400}},
		"a hexadecimal length":    {head("Content-Length: 0x2\r\n") + "{}" + smuggled, []int{400}},
		"an empty length":         {head("Content-Length:\r\n") + "{}" + smuggled, []int{400}},
		"a length beyond numbers": {head("Content-Length: 18446744073709551618\r\n") + "{}" + smuggled, []int{400}},

		"a space before the colon":     {head("Transfer-Encoding : chunked\r\n") + chunks + smuggled, []int{400}},
		"a space before a length":      {head("Content-Length : 2\r\n") + "{}" + smuggled, []int{400}},
		"a header without a name":      {head(": 2\r\n") + "{}" + smuggled, []int{400}},
		"a header without a colon":     {head("Content-Length 2\r\n") + "{}" + smuggled, []int{400}},
		"a folded first header":        {"GET /healthz HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n" + smuggled, []int{400}},
		"a bare carriage return":       {head("A: b\rTransfer-Encoding: chunked\r\n") + chunks + smuggled, []int{400}},
		"a chunk of no size":           {head(coding) + "zz\r\n\r\n" + smuggled, []int{400}},
		"a chunk of a negative size":   {head(coding) + "-2\r\n{}\r\n0\r\n\r\n" + smuggled, []int{400}},
		"a chunk beyond numbers":       {head(coding) + "10000000000000002\r\n{}\r\n0\r\n\r\n" + smuggled, []int{400}},
		"a chunk longer than its size": {head(coding) + "1\r\n{}\r\n0\r\n\r\n" + smuggled, []int{400}},
		"chunks of bare line feeds":    {head(coding) + bare(chunks) + smuggled, []int{400}},
		"a length in the trailer":      {head(coding+"Trailer: Content-Length\r\n") + chunks + smuggled, []int{400}},
		"an unknown expectation":       {head("Expect: x\r\nContent-Length: 2\r\n") + "{}" + smuggled, []int{417}},

		// What follows is framed one way only, and what comes after it is a request.
		"a length that is repeated":   {head("Content-Length: 2\r\nContent-Length: 2\r\n") + "{}" + last, []int{422, 200}}, // RFC 9110, section 8.6
		"a folded length":             {head("Content-Length:\r\n 2\r\n") + "{}" + last, []int{422, 200}},                  // RFC 9112, section 5.2
		"a length and bare feeds":     {bare(head("Content-Length: 2\r\n")) + "{}" + last, []int{422, 200}},                // RFC 9112, section 2.2
		"a body where none is wanted": {"GET /healthz HTTP/1.1\r\nHost: x\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(smuggled)) + smuggled + last, []int{200, 200}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, (&served{t: t, base: s.base}).statuses(c.raw)) })
	}
	assert.NotContains(t, s.log.String(), "panic")
}

// TestClientsThatSendChunks lose nothing but the connection, and on HTTP/2 not even that.
func TestClientsThatSendChunks(t *testing.T) {
	certFile, keyFile := certs.Write(t, t.TempDir(), 1)
	for name, c := range map[string]struct {
		args   []string
		client *http.Client
		kept   bool
	}{
		"HTTP/1.1": {nil, &http.Client{Transport: &http.Transport{}}, false},
		"HTTP/2":   {[]string{"--tls-cert", certFile, "--tls-key", keyFile}, trusting(t, certFile), true},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, storetest.SQLiteURL(t), c.args...)
			defer c.client.CloseIdleConnections()
			send := func(token, body string) (status int, last, reused bool) {
				trace := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { reused = got.Reused }})
				request, err := http.NewRequestWithContext(trace, http.MethodPost, s.base+"/api/v1/lifecycle/sessions", io.MultiReader(strings.NewReader(body)))
				require.NoError(t, err)
				request.Header.Set("Content-Type", "application/json")
				request.Header.Set("Authorization", "Bearer "+token)
				response, err := c.client.Do(request)
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, response.Body)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				return response.StatusCode, response.Close, reused
			}
			for i := range 10 {
				body := fmt.Sprintf(`{"id": "chunks-%d", "tenant_id": "acme", "user_id": "ada", "expires_at": "2099-01-01T00:00:00Z"}`, i)
				status, last, reused := send(tokenOf(t, s.tour.String(), "IDP"), body)
				assert.Equal(t, http.StatusCreated, status)
				assert.Equal(t, c.kept, !last, "the client is told")
				assert.Equal(t, c.kept && i > 0, reused)
			}
			status, _, _ := send("none", strings.Repeat(" ", 1<<20))
			assert.Equal(t, http.StatusUnauthorized, status, "nobody reads this body, and its sender gets the answer")
		})
	}
}

func TestPipelining(t *testing.T) {
	s := startServer(t, storetest.SQLiteURL(t))
	conn := s.dial()
	var raw strings.Builder
	const requests = 200
	for i := range requests {
		fmt.Fprintf(&raw, "GET /api/v1/me/sessions HTTP/1.1\r\nHost: x\r\nX-Request-ID: r-%d\r\n\r\n", i)
	}
	go func() { _, _ = io.WriteString(conn, raw.String()) }()
	reader := bufio.NewReader(conn)
	for i := range requests {
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusUnauthorized, response.StatusCode)
		require.Equal(t, fmt.Sprintf("r-%d", i), response.Header.Get("X-Request-Id"), "answers come in the order of the requests")
	}
}

// drip sends a byte now and then, for as long as anybody takes it.
func drip(conn net.Conn) {
	for {
		if _, err := io.WriteString(conn, "a"); err != nil {
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
}

// TestSlowClients: who sends a request a byte at a time keeps nobody else waiting and is hung up on.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	s := startServer(t, storetest.SQLiteURL(t))
	provider := tokenOf(t, s.tour.String(), "IDP")
	var slow []net.Conn
	for i := range 60 {
		conn := s.dial()
		text := "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A:"
		if i%2 == 0 {
			text = "POST /api/v1/lifecycle/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + provider + "\r\nContent-Length: 1000\r\n\r\n{"
		}
		_, err := io.WriteString(conn, text)
		require.NoError(t, err)
		go drip(conn)
		slow = append(slow, conn)
	}
	assert.Equal(t, http.StatusOK, get(t, s.base+"/healthz", ""))
	assert.Equal(t, http.StatusOK, get(t, s.base+"/readyz", ""))
	for _, conn := range slow {
		answer, err := io.ReadAll(conn)
		var network net.Error
		require.False(t, errors.As(err, &network) && network.Timeout(), "the server does not hang up")
		if len(answer) > 0 {
			assert.True(t, bytes.HasPrefix(answer, []byte("HTTP/1.1 4")), string(answer))
		}
	}
}

// TestRapidReset: requests of HTTP/2 that are reset at once (CVE-2023-44487) keep no more handlers busy than the connection
// may have streams, and the connection is ended.
func TestRapidReset(t *testing.T) {
	certFile, keyFile := certs.Write(t, t.TempDir(), 1)
	certificate, err := httpserver.OpenCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	release := make(chan struct{})
	var running, most atomic.Int64
	server := httpserver.New(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		now := running.Add(1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		<-release
		running.Add(-1)
	}), 0, slog.New(slog.DiscardHandler))
	server.TLSConfig = certificate.TLSConfig()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.ServeTLS(listener, "", "") }()
	defer server.Close()
	defer close(release)

	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}} //nolint:gosec // not what is tested
	conn, err := dialer.DialContext(t.Context(), "tcp", listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	go floodWithResets(conn)

	framer := http2.NewFramer(nil, conn)
	streams, goneAway := uint32(0), http2.ErrCodeNo
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			var network net.Error
			require.False(t, errors.As(err, &network) && network.Timeout(), "the server does not end the connection")
			break
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if value, ok := frame.Value(http2.SettingMaxConcurrentStreams); ok {
				streams = value
			}
		case *http2.GoAwayFrame:
			goneAway = frame.ErrCode
		}
	}
	assert.Equal(t, uint32(server.HTTP2.MaxConcurrentStreams), streams) //nolint:gosec // a hundred fits
	assert.Equal(t, http2.ErrCodeEnhanceYourCalm, goneAway)
	assert.LessOrEqual(t, most.Load(), int64(server.HTTP2.MaxConcurrentStreams))
	assert.Positive(t, most.Load())
}

// floodWithResets begins 5,000 streams and resets each at once; the server may hang up before that.
func floodWithResets(conn net.Conn) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return
	}
	framer := http2.NewFramer(conn, nil)
	_ = framer.WriteSettings()
	for id := uint32(1); id < 10_000; id += 2 {
		block.Reset()
		for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "x"}, {":path", "/healthz"}} {
			_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
		if framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}) != nil ||
			framer.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			return
		}
	}
}
