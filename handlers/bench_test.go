package handlers_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/handlers"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/internal/telemetry"
	"github.com/sessiond/sessiond/store"
)

// idle is a store that costs nothing: what a request costs on it is the chain.
type idle struct{ handlers.Store }

func (idle) SessionEnded(context.Context, string, string) (bool, error) { return false, nil }

func (idle) NewestActive(context.Context, store.CallerSession, store.Scope) ([]store.ListItem, bool, error) {
	return nil, false, nil
}

func (idle) GetSessionWithApps(context.Context, store.CallerSession, store.Scope, string) (store.Session, []store.App, error) {
	return store.Session{ID: "s-1", TenantID: "acme", UserID: "ada"}, nil, nil
}

func (idle) RevokeSession(context.Context, store.Scope, string, store.Actor) (bool, error) {
	return true, nil
}

type dropped struct{}

func (dropped) Write(p []byte) (int, error) { return len(p), nil }

// sink is a response that nobody reads.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }

// BenchmarkChain is what a request costs without network and database: "healthz" passes observation and routing only,
// "list" the whole chain.
func BenchmarkChain(b *testing.B) {
	issuer, err := auth.OpenDevIssuer(b.TempDir())
	require.NoError(b, err)
	verifier, err := auth.NewVerifier(issuer.Config(), issuer.Keys(), time.Now)
	require.NoError(b, err)
	token, err := issuer.Mint(auth.TokenRequest{Subject: "ada", TenantID: "acme", SessionID: "s-1", Scope: "sessions:read sessions:write", TTL: time.Hour}, time.Now())
	require.NoError(b, err)
	handler, err := handlers.NewHandler(handlers.Config{
		Store: idle{}, Metrics: telemetry.NewMetrics("test"), HTTP: httpserver.Options{RequestTimeout: 10 * time.Second},
		Verifier: verifier, Now: time.Now, OpenAPI: sessiond.OpenAPI, OpenAPIForSDKs: sessiond.OpenAPIForSDKs,
		// The line is made and then thrown away: a handler that discards would not make it.
		Logger: slog.New(slog.NewJSONHandler(dropped{}, nil)),
	})
	require.NoError(b, err)
	for name, path := range map[string]string{
		"healthz": "/healthz", "list": "/api/v1/me/sessions", "get": "/api/v1/tenants/acme/sessions/s-1", "revoke": "/api/v1/tenants/acme/sessions/s-1",
	} {
		b.Run(name, func(b *testing.B) {
			method := map[bool]string{true: http.MethodDelete, false: http.MethodGet}[name == "revoke"]
			request := httptest.NewRequestWithContext(b.Context(), method, path, http.NoBody)
			request.Header.Set("Authorization", "Bearer "+token)
			b.ReportAllocs()
			for b.Loop() {
				w := &sink{header: http.Header{}}
				handler.ServeHTTP(w, request)
				if w.status/100 != 2 {
					b.Fatal(w.status)
				}
			}
		})
	}
}
