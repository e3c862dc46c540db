package chaos

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// cacheFor is how long the cache of the control believes an answer.
const cacheFor = time.Second

// cache is the mistake that a history must show: answers of introspection are given again for a second.
type cache struct {
	server *httptest.Server
	base   func() string
	client *http.Client
	mu     sync.Mutex
	known  map[string]cached
}

type cached struct {
	body  []byte
	until time.Time
}

func newCache(base func() string) *cache {
	c := &cache{base: base, client: &http.Client{Transport: &http.Transport{}}, known: map[string]cached{}}
	c.server = httptest.NewServer(c)
	return c
}

func (c *cache) close() {
	c.server.Close()
	c.client.CloseIdleConnections()
}

// ServeHTTP answers from memory, or passes the request on.
func (c *cache) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target, err := url.Parse(c.base())
	if err != nil {
		panic(err) // it has come from sessiond itself
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: c.client.Transport}
	if r.URL.Path != "/oauth2/introspect" {
		proxy.ServeHTTP(w, r)
		return
	}
	form, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(form))
	c.mu.Lock()
	known, found := c.known[string(form)]
	c.mu.Unlock()
	if found && clock().Before(known.until) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(known.body) // who has gone away needs no answer
		return
	}
	proxy.ModifyResponse = func(response *http.Response) error {
		body, err := io.ReadAll(response.Body)
		response.Body = io.NopCloser(bytes.NewReader(body))
		if response.StatusCode == http.StatusOK {
			c.mu.Lock()
			c.known[string(form)] = cached{body, clock().Add(cacheFor)}
			c.mu.Unlock()
		}
		return err
	}
	proxy.ServeHTTP(w, r)
}
