package handlers

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	swagger "github.com/swaggest/swgui/v5emb"

	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/openapi"
)

// livenessPath is where the process tells that it lives.
const livenessPath = "/healthz"

// surroundings is what is served beside the contract, without a token: probes, the contract and its explorer.
type surroundings struct {
	store    Store
	verifier *auth.Verifier
	explorer http.Handler
	exact    map[string]echo.HandlerFunc
}

func newSurroundings(config Config, document *openapi3.T) (*surroundings, error) {
	asJSON, err := openapi.JSON(config.OpenAPI)
	if err != nil {
		return nil, fmt.Errorf("convert to JSON: %w", err)
	}
	s := &surroundings{store: config.Store, verifier: config.Verifier}
	s.explorer = swagger.New(document.Info.Title, "/openapi.yaml", "/docs/")
	s.exact = map[string]echo.HandlerFunc{
		livenessPath:    s.healthz,
		"/readyz":       s.readyz,
		"/openapi.yaml": func(c echo.Context) error { return c.Blob(http.StatusOK, "application/yaml", config.OpenAPI) },
		"/openapi.json": func(c echo.Context) error { return c.JSONBlob(http.StatusOK, asJSON) },
		"/docs":         func(c echo.Context) error { return c.Redirect(http.StatusFound, "/docs/") },
	}
	return s, nil
}

func (s *surroundings) register(e *echo.Echo) {
	readOnly := []string{http.MethodGet, http.MethodHead}
	for path, handler := range s.exact {
		e.Match(readOnly, path, handler)
	}
	e.Match(readOnly, "/docs/*", s.docs)
}

// owns reports whether a path is one beside the contract.
func (s *surroundings) owns(path string) bool {
	_, exact := s.exact[path]
	return exact || path == "/docs" || strings.HasPrefix(path, "/docs/")
}

// root shows a browser at / where the API is explained. For everybody else there is nothing at that path, as in the contract.
func root(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		request := c.Request()
		reads := request.Method == http.MethodGet || request.Method == http.MethodHead
		if request.URL.Path != "/" || !reads || !strings.Contains(request.Header.Get(echo.HeaderAccept), echo.MIMETextHTML) {
			return next(c)
		}
		c.Response().Header().Add(echo.HeaderVary, echo.HeaderAccept)
		return c.Redirect(http.StatusFound, "/docs/")
	}
}

// healthz: the process is alive, whatever the database does.
func (s *surroundings) healthz(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

// readyz: the database can be read and written, and tokens can be verified.
func (s *surroundings) readyz(c echo.Context) error {
	ctx := c.Request().Context()
	if err := s.store.Ready(ctx); err != nil {
		return err
	}
	if err := s.verifier.Ready(ctx); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"status": "ready"})
}

// docs is the API explorer. Its page has a script and styles in it, all from this server.
func (s *surroundings) docs(c echo.Context) error {
	header := c.Response().Header()
	header.Set(echo.HeaderContentSecurityPolicy, "default-src 'self'; script-src 'self' 'unsafe-inline'; "+
		"style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'")
	header.Del(echo.HeaderCacheControl)
	s.explorer.ServeHTTP(c.Response(), c.Request())
	return nil
}
