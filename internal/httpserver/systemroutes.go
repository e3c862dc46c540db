package httpserver

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	swagger "github.com/swaggest/swgui/v5emb"

	"github.com/sessiond/sessiond/internal/openapi"
)

// healthPath is the liveness check.
const healthPath = "/healthz"

// Where the explorer is, and all that belongs to it.
const (
	explorerPath   = "/docs/"
	explorerAssets = explorerPath + "*"
)

// SystemRoutes are served beside the contract, without a token: health checks, the contract and its explorer.
type SystemRoutes struct {
	ready    []func(context.Context) error
	explorer http.Handler
	handlers map[string]echo.HandlerFunc // by Echo's path
}

// NewSystemRoutes takes the contract, as YAML and loaded, and what has to succeed for the server to be ready.
func NewSystemRoutes(contract []byte, document *openapi3.T, ready ...func(context.Context) error) (*SystemRoutes, error) {
	asJSON, err := openapi.JSON(contract)
	if err != nil {
		return nil, fmt.Errorf("convert to JSON: %w", err)
	}
	s := &SystemRoutes{ready: ready}
	s.explorer = swagger.New(document.Info.Title, "/openapi.yaml", explorerPath)
	s.handlers = map[string]echo.HandlerFunc{
		healthPath:      s.healthz,
		"/readyz":       s.readyz,
		"/openapi.yaml": func(c echo.Context) error { return c.Blob(http.StatusOK, "application/yaml", contract) },
		"/openapi.json": func(c echo.Context) error { return c.JSONBlob(http.StatusOK, asJSON) },
		"/docs":         func(c echo.Context) error { return c.Redirect(http.StatusFound, explorerPath) },
		explorerAssets:  s.docs,
	}
	return s, nil
}

// Register adds the routes.
func (s *SystemRoutes) Register(e *echo.Echo) {
	for path, handler := range s.handlers {
		e.Match(readOnly(), path, handler)
	}
}

// readOnly are the methods of the system routes.
func readOnly() []string { return []string{http.MethodGet, http.MethodHead} }

// Owns reports whether a path is one beside the contract.
func (s *SystemRoutes) Owns(path string) bool {
	_, found := s.handlers[path]
	return found || strings.HasPrefix(path, explorerPath)
}

// RedirectRoot leads a browser from / to the explorer. For everybody else there is nothing at that path, as in the contract.
func RedirectRoot(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		request := c.Request()
		reads := request.Method == http.MethodGet || request.Method == http.MethodHead
		if request.URL.Path != "/" || !reads || !strings.Contains(request.Header.Get(echo.HeaderAccept), echo.MIMETextHTML) {
			return next(c)
		}
		c.Response().Header().Add(echo.HeaderVary, echo.HeaderAccept)
		return c.Redirect(http.StatusFound, explorerPath)
	}
}

// healthz answers while the process is alive, whatever the database does.
func (s *SystemRoutes) healthz(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

// readyz answers when everything that a request needs is there.
func (s *SystemRoutes) readyz(c echo.Context) error {
	ctx := c.Request().Context()
	for _, check := range s.ready {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, map[string]string{"status": "ready"})
}

// docs is the API explorer. Its page has a script and styles in it, all from this server.
func (s *SystemRoutes) docs(c echo.Context) error {
	header := c.Response().Header()
	header.Set(echo.HeaderContentSecurityPolicy, "default-src 'self'; script-src 'self' 'unsafe-inline'; "+
		"style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'")
	header.Del(echo.HeaderCacheControl)
	s.explorer.ServeHTTP(c.Response(), c.Request())
	return nil
}
