package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store/storetest"
)

// freezer stands in front of a PostgreSQL server and can stop passing anything on, as a machine that hangs does.
type freezer struct {
	gate     sync.RWMutex // held for writing while nothing passes
	listener net.Listener
	dir      string
}

// newFreezer returns the URL of the same database behind a freezer.
func newFreezer(t *testing.T, database string) (*freezer, string) {
	t.Helper()
	parsed, err := url.Parse(database)
	require.NoError(t, err)
	f := &freezer{dir: parsed.Query().Get("host")}
	f.listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, f.listener.Close()) })
	go f.accept(t.Context())
	parsed.Host, parsed.RawQuery = f.listener.Addr().String(), "sslmode=disable"
	return f, parsed.String()
}

func (f *freezer) accept(ctx context.Context) {
	for {
		in, err := f.listener.Accept()
		if err != nil {
			return
		}
		out, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(f.dir, ".s.PGSQL.5432"))
		if err != nil {
			_ = in.Close()
			continue
		}
		go f.pass(in, out)
		go f.pass(out, in)
	}
}

func (f *freezer) pass(from, to net.Conn) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		f.gate.RLock()
		_, failed := to.Write(buffer[:n])
		f.gate.RUnlock()
		if err != nil || failed != nil {
			return
		}
	}
}

// TestAFrozenDatabase: requests are answered within their time, liveness always, and all is well when it is over.
func TestAFrozenDatabase(t *testing.T) {
	t.Parallel()
	proxy, database := newFreezer(t, storetest.PostgresURL(t))
	s := startServer(t, database, "--request-timeout", "250ms", "--database-max-conns", "2")
	token := tokenOf(t, s.tour.String(), "ADMIN")
	ask := func(path string) (status int, retryAfter string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+path, http.NoBody)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode, response.Header.Get("Retry-After")
	}
	want := func(path string, status int, retryAfter string) {
		gotStatus, gotRetry := ask(path)
		assert.Equal(t, status, gotStatus, path)
		assert.Equal(t, retryAfter, gotRetry, path)
	}
	want("/api/v1/admin/sessions/", http.StatusOK, "")

	proxy.gate.Lock()
	var asking sync.WaitGroup
	for range 8 { // more than there are connections: some wait for one
		asking.Go(func() {
			want("/api/v1/admin/sessions/", http.StatusServiceUnavailable, "2")
		})
	}
	want("/healthz", http.StatusOK, "")
	asking.Wait()
	want("/readyz", http.StatusServiceUnavailable, "2")
	want("/healthz", http.StatusOK, "")
	proxy.gate.Unlock()

	thawed := func() bool {
		status, _ := ask("/api/v1/admin/sessions/")
		return status == http.StatusOK
	}
	require.Eventually(t, thawed, 30*time.Second, 20*time.Millisecond)
	assert.NotContains(t, strings.ToLower(s.log.String()), "panic")
}
