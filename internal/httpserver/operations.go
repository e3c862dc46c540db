package httpserver

import (
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/sessiond/sessiond/internal/telemetry"
)

// operation is the label of a request in metrics and traces: its operationId, or a name that is fixed here.
type operation struct {
	name, method string
	series       *telemetry.Operation
}

// Operations knows the operation of each route. A request that has no route is the operation "other", whatever its path.
type Operations struct {
	metrics *telemetry.Metrics
	routes  map[endpoint]operation
	other   map[string]operation // by method
}

type endpoint struct{ method, path string }

// NewOperations names the operations of a contract and the system routes; metrics may be nil.
func NewOperations(contract *openapi3.T, system *SystemRoutes, metrics *telemetry.Metrics) Operations {
	ops := Operations{metrics: metrics, routes: map[endpoint]operation{}, other: map[string]operation{}}
	for path, item := range contract.Paths.Map() {
		for method, described := range item.Operations() {
			ops.routes[endpoint{method, echoPath(path)}] = ops.make(described.OperationID, method)
		}
	}
	for path := range system.handlers {
		for _, method := range readOnly() {
			ops.routes[endpoint{method, path}] = ops.make(strings.Trim(path, "/*"), method)
		}
	}
	for _, method := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, telemetry.Other,
	} {
		ops.other[method] = ops.make(telemetry.Other, method)
	}
	return ops
}

func (o Operations) make(name, method string) operation {
	return operation{name: name, method: method, series: o.metrics.Operation(name, method)}
}

// ID returns the operationId of a request that Echo has routed, or the name that stands for it.
func (o Operations) ID(c echo.Context) string { return o.of(c).name }

// of returns the operation of a request, whether Echo has routed it or not.
func (o Operations) of(c echo.Context) operation {
	if op, found := o.routes[endpoint{c.Request().Method, c.Path()}]; found {
		return op
	}
	if op, found := o.other[c.Request().Method]; found {
		return op
	}
	return o.other[telemetry.Other]
}
