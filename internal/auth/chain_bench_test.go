package auth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/gen"
)

// BenchmarkChain is Authenticate with a remembered token and Authorize, without what stands between and behind them.
func BenchmarkChain(b *testing.B) {
	verifier, token := benchVerifier(b, "RS256", rsaKey())
	inner := func(c echo.Context, _ any) (any, error) { //nolint:unparam // the signature of a strict handler
		_, _ = FromContext(c.Request().Context())
		_, ok := GrantFromContext(c.Request().Context())
		require.True(b, ok)
		return c, nil
	}
	authorize := Authorize(&tenantsStub{})
	var bound any = gen.ListTenantSessionsRequestObject{TenantId: "t-1"}
	handler := Authenticate(verifier, nobodyEnded{}, nil)(func(c echo.Context) error {
		_, err := authorize(inner, "ListTenantSessions")(c, bound)
		return err
	})
	e := echo.New()
	request := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", http.NoBody)
	request.Header.Set("Authorization", "Bearer "+token)
	c := e.NewContext(request, httptest.NewRecorder())
	b.ReportAllocs()
	for b.Loop() {
		c.SetRequest(request)
		require.NoError(b, handler(c))
	}
}

// nobodyEnded is a checker that costs nothing.
type nobodyEnded struct{}

func (nobodyEnded) SessionEnded(context.Context, string, string) (bool, error) { return false, nil }
