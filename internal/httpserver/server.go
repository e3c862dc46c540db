package httpserver

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of a connection. A body is at most 1 MiB, so ten seconds suffice for a slow client and end a stalling one.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 50 * time.Second // beyond the time that a request may take
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	// maxStreams is how many requests one connection of HTTP/2 may have under way; one that goes on resetting them is ended.
	maxStreams = 100
	// A connection of HTTP/2 that is silent for pingAfter has to answer a ping within pingTimeout.
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
)

// ShutdownTimeout is how long the requests that are under way at the end have to finish.
const ShutdownTimeout = 15 * time.Second

// New returns a server with the limits of a connection, for requests that may take as long as requestTimeout.
func New(handler http.Handler, requestTimeout time.Duration, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout + requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		// OPTIONS * has no route either.
		DisableGeneralOptionsHandler: true,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams,
			SendPingTimeout:      pingAfter,
			PingTimeout:          pingTimeout,
			WriteByteTimeout:     pingTimeout,
		},
	}
}

// Serve serves until the context is done, and then lets the requests that are under way finish. It serves HTTPS when the server has
// a TLSConfig, which has the certificate.
func Serve(ctx context.Context, listener net.Listener, server *http.Server, logger *slog.Logger) error {
	failed := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			failed <- server.ServeTLS(listener, "", "")
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
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), ShutdownTimeout)
	defer cancel()
	if err := server.Shutdown(shutdown); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

// CloseAmbiguous closes the connection after a request whose end a proxy in front may have seen elsewhere, so that whatever
// follows is never read as a second request (request smuggling; RFC 9112, sections 6.1 and 6.3). net/http takes the coding
// over a length and drops the length unseen, so any coding counts; before HTTP/1.1 it drops the coding unseen too. A client
// that sends chunks, or speaks HTTP/1.0, loses nothing but the connection. HTTP/2 has frames, and none of this.
type CloseAmbiguous struct{ Next http.Handler }

// ServeHTTP implements http.Handler.
func (h CloseAmbiguous) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0) {
		w.Header().Set("Connection", "close")
	}
	h.Next.ServeHTTP(w, r)
}
