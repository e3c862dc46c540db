package client_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/handlers"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store"
)

// sessionsAPI is a running server with the whole chain, on SQLite, and its issuer.
type sessionsAPI struct {
	URL    string
	issuer *auth.DevIssuer
	stop   func()
}

// newSessionsAPI needs no *testing.T, so that examples can have a server too.
func newSessionsAPI(ctx context.Context) (*sessionsAPI, error) {
	dir, err := os.MkdirTemp("", "sessiond-client-")
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, "sqlite://"+filepath.Join(dir, "sessions.db"), store.Options{Now: time.Now})
	if err != nil {
		return nil, err
	}
	if _, err := db.Migrate(ctx); err != nil {
		return nil, err
	}
	issuer, err := auth.OpenDevIssuer(dir)
	if err != nil {
		return nil, err
	}
	verifier, err := auth.NewVerifier(issuer.Config(), issuer.Keys(), time.Now)
	if err != nil {
		return nil, err
	}
	handler, err := handlers.NewHandler(handlers.Config{ //nolint:contextcheck // requests bring their own
		Store: db, Verifier: verifier, Now: time.Now, OpenAPI: sessiond.OpenAPI, OpenAPIForSDKs: sessiond.OpenAPIForSDKs, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	server := httptest.NewServer(knownRequestID(handler))
	return &sessionsAPI{URL: server.URL, issuer: issuer, stop: func() {
		server.Close()
		if err := errors.Join(db.Close(), os.RemoveAll(dir)); err != nil {
			panic(err) // an example has no test to fail
		}
	}}, nil
}

// knownRequestID gives every request the same id, so that what is printed can be held against a text.
func knownRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Request-ID", "r-1")
		next.ServeHTTP(w, r)
	})
}

// token speaks for somebody with the scopes.
func (s *sessionsAPI) token(scope string) string {
	token, err := s.issuer.Mint(auth.TokenRequest{Subject: "operator", Scope: scope, TTL: time.Hour}, time.Now())
	if err != nil {
		panic(err) // a token of the test's own making
	}
	return token
}
