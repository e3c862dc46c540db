package validation_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/internal/validation"
)

const (
	listPath   = "/api/v1/admin/sessions/"
	listQuery  = "page=2&per_page=50"
	revokePath = "/api/v1/tenants/{tenant_id}/sessions/users/{user_id}/revoke"
	revokeEcho = "/api/v1/tenants/:tenant_id/sessions/users/:user_id/revoke"
	revokeText = `{"revoke_all":true,"except_current":false}`
)

// BenchmarkList and BenchmarkRevoke check one request each: "plan" with this package, "filter" with kin-openapi's
// openapi3filter on the same document, unmodified. Both are given the operation; neither looks for it.
func BenchmarkList(b *testing.B) {
	b.Run("plan", func(b *testing.B) {
		check, c := newCheck(b, http.MethodGet)
		r := c.Request()
		b.ReportAllocs()
		for b.Loop() {
			c.Reset(r, nil) // Forgets the query that the last round left.
			c.SetPath(listPath)
			r.URL.RawQuery = listQuery
			if err := check(c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("filter", func(b *testing.B) {
		input := newFilterInput(b, http.MethodGet, listPath)
		b.ReportAllocs()
		for b.Loop() {
			input.Request.URL.RawQuery = listQuery
			if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRevoke(b *testing.B) {
	b.Run("plan", func(b *testing.B) {
		check, c := newCheck(b, http.MethodPost)
		c.SetPath(revokeEcho)
		c.SetParamNames("tenant_id", "user_id")
		c.SetParamValues("acme", "u-4711")
		r := c.Request()
		r.Header.Set("Content-Type", "application/json")
		b.ReportAllocs()
		for b.Loop() {
			r.Body = readCloser{bytes.NewReader([]byte(revokeText))}
			if err := check(c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("filter", func(b *testing.B) {
		input := newFilterInput(b, http.MethodPost, revokePath)
		input.PathParams = map[string]string{"tenant_id": "acme", "user_id": "u-4711"}
		input.Request.Header.Set("Content-Type", "application/json")
		b.ReportAllocs()
		for b.Loop() {
			input.Request.Body = readCloser{bytes.NewReader([]byte(revokeText))}
			if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func newCheck(b *testing.B, method string) (echo.HandlerFunc, echo.Context) {
	b.Helper()
	v, err := validation.New(sessiond.OpenAPI)
	require.NoError(b, err)
	c := echo.New().NewContext(httptest.NewRequestWithContext(b.Context(), method, "/", http.NoBody), httptest.NewRecorder())
	return v.Middleware()(func(echo.Context) error { return nil }), c
}

func newFilterInput(b *testing.B, method, path string) *openapi3filter.RequestValidationInput {
	b.Helper()
	loader := openapi3.NewLoader()
	spec, err := loader.LoadFromData(sessiond.OpenAPI)
	require.NoError(b, err)
	item := spec.Paths.Value(path)
	return &openapi3filter.RequestValidationInput{
		Request: httptest.NewRequestWithContext(b.Context(), method, "/", http.NoBody),
		Route:   &routers.Route{Spec: spec, Path: path, PathItem: item, Method: method, Operation: item.GetOperation(method)},
		Options: &openapi3filter.Options{MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
}
