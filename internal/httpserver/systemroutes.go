package httpserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"time"

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

// NewSystemRoutes takes the contract, as YAML and loaded, what of it generators of clients read, as YAML, and what has to succeed for the server
// to be ready.
func NewSystemRoutes(contract []byte, document *openapi3.T, forSDKs []byte, ready ...func(context.Context) error) *SystemRoutes {
	s := &SystemRoutes{ready: ready}
	s.explorer = swagger.New(document.Info.Title, "/openapi.yaml", explorerPath)
	s.handlers = map[string]echo.HandlerFunc{
		healthPath:     s.healthz,
		"/readyz":      s.readyz,
		"/docs":        func(c echo.Context) error { return c.Redirect(http.StatusFound, explorerPath) },
		explorerAssets: s.docs,
	}
	for name, text := range map[string][]byte{"/openapi": contract, "/openapi.sdk": forSDKs} {
		s.handlers[name+".yaml"] = publicDocument("application/yaml", text)
		s.handlers[name+".json"] = publicJSON(text)
	}
	return s
}

// publicJSON is publicDocument of a document in YAML, which is converted when somebody asks for it.
func publicJSON(document []byte) echo.HandlerFunc {
	converted := sync.OnceValues(func() (echo.HandlerFunc, error) {
		text, err := openapi.JSON(document)
		return publicDocument(echo.MIMEApplicationJSON, text), err
	})
	return func(c echo.Context) error {
		serve, err := converted()
		if err != nil {
			return err
		}
		return serve(c)
	}
}

// publicDocument serves a document that pages of every origin may read. Its ETag lets who has it already ask whether it has changed.
func publicDocument(contentType string, text []byte) echo.HandlerFunc {
	digest := sha256.Sum256(text)
	tag := `"` + base64.RawURLEncoding.EncodeToString(digest[:]) + `"`
	return func(c echo.Context) error {
		header := c.Response().Header()
		header.Set("ETag", tag)
		header.Set(echo.HeaderContentType, contentType)
		header.Set(echo.HeaderCacheControl, "no-cache") // keep it, and ask
		header.Set(echo.HeaderAccessControlAllowOrigin, "*")
		header.Set(echo.HeaderAccessControlExposeHeaders, "ETag")
		http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(text))
		return nil
	}
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
