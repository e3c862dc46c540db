package main

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// inBackground starts a function. The first returned one waits for its result, the second stops it before.
func inBackground(ctx context.Context, do func(context.Context) error) (result, stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	result = sync.OnceValue(func() error { return <-done })
	return result, func() error {
		cancel()
		_ = result() // whoever stops it has another reason to end, or knows the result
		return nil
	}
}

// startupHandler answers until the server is ready, and passes requests on from then on. Opening the database, migrating it and
// storing demo data may take minutes, in which /healthz is 200 and everything else, /readyz too, is 503.
type startupHandler struct{ ready atomic.Pointer[http.Handler] }

// setReady has a handler serve from now on.
func (s *startupHandler) setReady(handler http.Handler) { s.ready.Store(&handler) }

// ServeHTTP implements http.Handler.
func (s *startupHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if handler := s.ready.Load(); handler != nil {
		(*handler).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.Path == "/healthz" {
		_, _ = io.WriteString(w, `{"status":"ok"}`+"\n") // the client may be gone
		return
	}
	w.Header().Set("Retry-After", "2")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, `{"detail":"The service is starting."}`+"\n") // as above
}
