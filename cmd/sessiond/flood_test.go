package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
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

// connect connects over TLS to speak one protocol, h2 or http/1.1; without TLS when there is none.
func connect(ctx context.Context, addr, protocol string) (net.Conn, error) {
	var dialer interface {
		DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	} = new(net.Dialer)
	if protocol != "" {
		dialer = &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}} //nolint:gosec // not what is tested
	}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(patience))
}

// listening serves with a server of its own until the test ends, and returns its address.
func listening(t *testing.T, server *http.Server, protocol string) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	if protocol == "" {
		go func() { _ = server.Serve(listener) }()
		return listener.Addr().String()
	}
	certFile, keyFile := certs.Write(t, t.TempDir(), 1)
	certificate, err := httpserver.OpenCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	server.TLSConfig = certificate.TLSConfig()
	go func() { _ = server.ServeTLS(listener, "", "") }()
	return listener.Addr().String()
}

// TestConnectionsEndInTime holds each limit of a connection against a client that takes longer. It is the server's own, a
// hundredth as long, and the only one: a limit that is not set stays so, and then nobody hangs up.
func TestConnectionsEndInTime(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
	consume := func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	pour := func(w http.ResponseWriter, _ *http.Request) {
		for err := error(nil); err == nil; {
			_, err = w.Write(make([]byte, 1<<16))
		}
	}
	for name, c := range map[string]struct {
		only     func(from, to *http.Server)
		protocol string
		sent     string
		handler  http.HandlerFunc
		deaf     bool // does not read
	}{
		"a header that does not end": {func(from, to *http.Server) { to.ReadHeaderTimeout = from.ReadHeaderTimeout / 100 }, "", request[:20], consume, false},
		"a body that does not end":   {func(from, to *http.Server) { to.ReadTimeout = from.ReadTimeout / 100 }, "", request + "1234", consume, false},
		"an answer nobody reads":     {func(from, to *http.Server) { to.WriteTimeout = from.WriteTimeout / 100 }, "", request + "123456789", pour, true},
		"a connection without use":   {func(from, to *http.Server) { to.IdleTimeout = from.IdleTimeout / 100 }, "", request + "123456789", consume, false},
		"HTTP/2 that is silent": {func(from, to *http.Server) {
			to.HTTP2 = &http.HTTP2Config{SendPingTimeout: from.HTTP2.SendPingTimeout / 100, PingTimeout: from.HTTP2.PingTimeout / 100}
		}, "h2", http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00", consume, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			done := make(chan struct{})
			server := &http.Server{Handler: c.handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelWarn)} //nolint:gosec // its limit follows
			server.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					close(done)
				}
			}
			c.only(httpserver.New(nil, 0, slog.New(slog.DiscardHandler)), server)
			conn, err := connect(t.Context(), listening(t, server, c.protocol), c.protocol)
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, c.sent)
			require.NoError(t, err)
			if !c.deaf {
				_, err = io.Copy(io.Discard, conn)
				var network net.Error
				require.False(t, errors.As(err, &network) && network.Timeout(), "the server does not hang up")
			}
			select {
			case <-done:
			case <-time.After(patience):
				require.Fail(t, "the server keeps the connection")
			}
		})
	}
}

// TestHeadersOfHTTP2AreBounded: one that is too long is refused, and one that never ends ends the connection.
func TestHeadersOfHTTP2AreBounded(t *testing.T) {
	served := make(chan struct{}, 1)
	server := httpserver.New(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served <- struct{}{} }), 0, slog.New(slog.DiscardHandler))
	addr := listening(t, server, "h2")
	for name, c := range map[string]struct {
		fields, frames int
		want           []string
	}{
		"short": {4, 0, []string{"200"}}, "long, and short on the wire": {server.MaxHeaderBytes >> 9, 0, []string{"431"}}, "endless": {1, 1 << 16, nil},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := connect(t.Context(), addr, "h2")
			require.NoError(t, err)
			defer conn.Close()
			sent := make(chan int, 1)
			go func() { sent <- sendHeader(conn, c.fields, c.frames) }()
			assert.Equal(t, c.want, statusesOf(t, conn, len(c.want)))
			if c.frames > 0 {
				assert.Less(t, <-sent, c.frames, "the server takes no end of it")
			}
		})
	}
	assert.Len(t, served, 1, "only the short one is a request")
}

// statusesOf reads so many answers, or until the connection ends when it should.
func statusesOf(t *testing.T, conn net.Conn, answers int) (found []string) {
	t.Helper()
	framer := http2.NewFramer(io.Discard, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for answers == 0 || len(found) < answers {
		frame, err := framer.ReadFrame()
		if err != nil {
			var network net.Error
			require.False(t, errors.As(err, &network) && network.Timeout(), "the server neither answers nor hangs up")
			return found
		}
		if headers, ok := frame.(*http2.MetaHeadersFrame); ok {
			found = append(found, headers.PseudoValue("status"))
		}
	}
	return found
}

// sendHeader sends a request with a field of 1 KiB so many times, of which all but the first are a byte each. When there are
// frames, the header goes on in each of them with one field more and never ends; it returns how many the server took.
func sendHeader(conn net.Conn, fields, frames int) int {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	field := hpack.HeaderField{Name: "x-a", Value: strings.Repeat("~", 1<<10)}
	for _, pseudo := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "x"}, {":path", "/"}} {
		_ = encoder.WriteField(hpack.HeaderField{Name: pseudo[0], Value: pseudo[1]})
	}
	for range fields {
		_ = encoder.WriteField(field)
	}
	_, _ = io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, nil)
	_ = framer.WriteSettings()
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: frames == 0})
	field.Sensitive = true // written out each time
	for sent := range frames {
		block.Reset()
		_ = encoder.WriteField(field)
		if framer.WriteContinuation(1, false, block.Bytes()) != nil {
			return sent
		}
	}
	return frames
}

// from is the header by which a trusted proxy names a client's address; each n is another network.
func from(n int) string {
	return fmt.Sprintf("X-Forwarded-For: 2001:db8:%x:%x::1\r\n", n>>16, n&0xffff)
}

// flood sends requests without a token from one address, and returns how many were answered with each status.
func flood(ctx context.Context, addr string, requests int) map[int]int {
	answered := map[int]int{}
	conn, err := connect(ctx, addr, "http/1.1")
	if err != nil {
		return answered
	}
	defer conn.Close()
	request := "GET /api/v1/me/sessions HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.66\r\n\r\n"
	go func() { _, _ = io.WriteString(conn, strings.Repeat(request, requests)) }()
	reader := bufio.NewReader(conn)
	for range requests {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return answered
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		answered[response.StatusCode]++
	}
	return answered
}

// attackers is everything that the other tests do to a server, at once and again until the context is done.
type attackers struct {
	sync.WaitGroup
	ctx  context.Context
	addr string
	// clients counts the addresses that attackers come from.
	clients atomic.Int64
}

// attack repeats one attack, on a new connection and from a new address each time.
func (a *attackers) attack(protocol string, do func(conn net.Conn, address string)) {
	a.Go(func() {
		for a.ctx.Err() == nil {
			if conn, err := connect(a.ctx, a.addr, protocol); err == nil {
				stopped := context.AfterFunc(a.ctx, func() { _ = conn.Close() })
				do(conn, from(int(a.clients.Add(1))))
				stopped()
				_ = conn.Close()
			}
			time.Sleep(200 * time.Millisecond) // the machine is the attackers' too
		}
	})
}

// start begins the attacks; so many clients send a body a byte at a time.
func (a *attackers) start(provider string, slow int) {
	get := func(rest string) string { return "GET /api/v1/me/sessions HTTP/1.1\r\nHost: x\r\n" + rest + "\r\n" }
	post := func(address string) string {
		return "POST /api/v1/lifecycle/sessions HTTP/1.1\r\nHost: x\r\n" + address +
			"Authorization: Bearer " + provider + "\r\nContent-Length: 2097152\r\n\r\n"
	}
	exchange := func(conn net.Conn, text string) {
		_, _ = io.WriteString(conn, text)
		_, _ = io.Copy(io.Discard, conn)
	}
	for range slow {
		a.attack("http/1.1", func(conn net.Conn, address string) {
			_, _ = io.WriteString(conn, post(address)+"{")
			drip(conn)
		})
	}
	a.attack("h2", func(conn net.Conn, _ string) { floodWithResets(conn) })
	a.attack("http/1.1", func(conn net.Conn, _ string) { exchange(conn, get("X-A: "+strings.Repeat("a", 64<<10)+"\r\n")) })
	a.attack("http/1.1", func(conn net.Conn, address string) { exchange(conn, post(address)+strings.Repeat(" ", 2<<20)) })
	a.attack("http/1.1", func(conn net.Conn, _ string) { // as many addresses, and as long tokens, as can be made up
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		for n := range 200 {
			address := from(int(a.clients.Add(1)))
			if _, err := io.WriteString(conn, get(address+"Authorization: Bearer "+strings.Repeat("a", n*45)+"\r\n")); err != nil {
				return
			}
		}
	})
}

// TestNormalRequestsHold: while others do all of this at once, each request of somebody who behaves succeeds, and of theirs none.
// The rate is so low that a bucket is never filled again during the test: how many requests of an address are let through does not
// depend on how fast the machine is.
func TestNormalRequestsHold(t *testing.T) {
	const crowd, burst = 200, 300
	certFile, keyFile := certs.Write(t, t.TempDir(), 1)
	s := startServer(t, storetest.SQLiteURL(t), "--tls-cert", certFile, "--tls-key", keyFile, "--metrics-addr", "127.0.0.1:0",
		"--trusted-proxies", "127.0.0.0/8", "--address-rate-limit", "0.0001", "--rate-burst", strconv.Itoa(burst))
	ctx, stop := context.WithCancel(t.Context())
	a := &attackers{ctx: ctx, addr: strings.TrimPrefix(s.base, "https://")}
	a.start(tokenOf(t, s.tour.String(), "IDP"), crowd)
	var floods [10]map[int]int
	for i := range floods {
		a.Go(func() { floods[i] = flood(t.Context(), a.addr, 100) })
	}
	inFlight := regexp.MustCompile(`(?m)^sessiond_http_requests_in_flight (\d+)$`)
	require.Eventually(t, func() bool {
		found := inFlight.FindStringSubmatch(s.metrics())
		n, err := strconv.Atoi(found[1])
		return err == nil && n > crowd/2
	}, patience, 10*time.Millisecond, "slow clients are being served")

	client, me := trusting(t, certFile), tokenOf(t, s.tour.String(), "ME")
	client.Timeout = patience
	const requests = 200
	for range requests {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+"/api/v1/me/sessions", http.NoBody)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+me)
		request.Header.Set("X-Forwarded-For", "198.51.100.7")
		response, err := client.Do(request)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		client.CloseIdleConnections() // the next one has to get in anew
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	stop()
	a.Wait()
	flooded := map[int]int{}
	for _, answered := range floods {
		for status, n := range answered {
			flooded[status] += n
		}
	}
	assert.Equal(t, map[int]int{http.StatusUnauthorized: burst, http.StatusTooManyRequests: 1000 - burst}, flooded)
	counted := regexp.MustCompile(`(?m)^sessiond_http_request_duration_seconds_count\{method="\w+",operation="(\w+)",status="2\d\d"\} (\d+)$`)
	succeeded := map[string]string{}
	for _, found := range counted.FindAllStringSubmatch(s.metrics(), -1) {
		succeeded[found[1]] = found[2]
	}
	delete(succeeded, "healthz") // which the resets ask for
	assert.Equal(t, map[string]string{"listMySessions": strconv.Itoa(requests)}, succeeded)
	assert.NotContains(t, s.log.String(), "panic")
}
