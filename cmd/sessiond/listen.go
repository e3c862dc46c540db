package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"
)

// Limits of a connection. A body is at most 1 MiB, so ten seconds suffice for a slow client and end a stalling one.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 50 * time.Second // beyond the time that a request may take
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	shutdownTimeout   = 15 * time.Second
	// maxStreams is how many requests one connection of HTTP/2 may have under way; one that goes on resetting them is ended.
	maxStreams = 100
	// A connection of HTTP/2 that is silent for pingAfter has to answer a ping within pingTimeout.
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
)

// loopback reports whether an address is reached from this machine only.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func listen(ctx context.Context, flag, addr string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("address %s is in use: end the program that listens there, or choose another with %s", addr, flag)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("address %s needs more rights than this user has: choose a port above 1023 with %s", addr, flag)
	case err != nil:
		return nil, fmt.Errorf("address %q cannot be listened on: use HOST:PORT for %s, as in 127.0.0.1:8080 (%w)", addr, flag, err)
	}
	return listener, nil
}

// newServer is a server with the limits of a connection.
func newServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		// OPTIONS * is no path of ours either.
		DisableGeneralOptionsHandler: true,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams,
			SendPingTimeout:      pingAfter,
			PingTimeout:          pingTimeout,
			WriteByteTimeout:     pingTimeout,
		},
	}
}

// endAmbiguous ends the connection after a request whose end a party in front of us may have seen elsewhere, so that whatever
// follows is never read as a second request (request smuggling; RFC 9112, sections 6.1 and 6.3). net/http takes the coding
// over a length and drops the length unseen, so any coding counts; before HTTP/1.1 it drops the coding unseen too. A client
// that sends chunks, or speaks HTTP/1.0, loses nothing but the connection. HTTP/2 has frames, and none of this.
func endAmbiguous(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// serveUntilDone serves until the context is done, and then lets the requests that are under way finish.
func serveUntilDone(ctx context.Context, listener net.Listener, server *http.Server, logger *slog.Logger) error {
	failed := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			failed <- server.ServeTLS(listener, "", "") // the configuration has the certificate
		} else {
			failed <- server.Serve(listener)
		}
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	logger.InfoContext(ctx, "shutting down")
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

// closers are what was opened, to be closed in the opposite order.
type closers []func() error

func (c *closers) add(closer func() error) { *c = append(*c, closer) }

func (c *closers) close() error {
	var err error
	for _, closer := range slices.Backward(*c) {
		err = errors.Join(err, closer())
	}
	return err
}

// ignoreClosed is for a listener, which a server that ends closes itself.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
