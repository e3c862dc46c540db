package handlers

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/validation"
)

// errPanic stands for a panic that has been logged.
var errPanic = errors.New("panic")

// NewHandler serves the contract, and beside it /healthz, /readyz, the contract itself and its explorer, to which / leads a
// browser.
//
// The chain of an operation, each step with one answer: observe (request id, log, panics, deadline), other origins
// (preflights), the address's rate (429), routing (404, 405, 307), authentication (401), the principal's rate (429), ids with
// a slash that nobody has (404), contract (422), policy (403), the operation itself (404, 409, 200).
func NewHandler(config Config) (http.Handler, error) {
	validator, err := validation.New(config.OpenAPI)
	if err != nil {
		return nil, err
	}
	document, err := openapi3.NewLoader().LoadFromData(config.OpenAPI)
	if err != nil {
		return nil, fmt.Errorf("contract: load: %w", err)
	}
	if config.Tracer != nil {
		config.Store = tracedStore{store: config.Store, tracer: config.Tracer}
	}
	around, err := newSurroundings(config, document)
	if err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	edge, err := newEdge(config)
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = errorHandler{logger: config.Logger}.handle
	e.IPExtractor = edge.address

	server := newServer(config, document)
	operations := gen.NewStrictHandler(server, []gen.StrictMiddlewareFunc{behindWall, auth.Authorize(config.Store)})
	gen.RegisterHandlers(e, operations)
	table := newRouteTable(e.Routes())
	around.register(e)

	outside := observer{
		logger: config.Logger, now: config.Now, metrics: config.Metrics, tracer: tracer{config.Tracer},
		operations: newOperations(document, e.Routes(), config.Metrics), timeout: config.RequestTimeout,
	}
	e.Pre(outside.middleware)
	e.Pre(edge.before...)
	e.Pre(root, table.routing(around.owns))
	public := func(c echo.Context) bool { return around.owns(c.Request().URL.Path) || c.Path() == logoutPath }
	e.Use(auth.Authenticate(config.Verifier, config.Store, public))
	e.Use(edge.authenticated...)
	e.Use(server.escapedSlashes(outside.operations))
	e.Use(validator.Middleware(), withCallHeaders)
	return e, nil
}
