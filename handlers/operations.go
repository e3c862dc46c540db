package handlers

import (
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/sessiond/sessiond/internal/telemetry"
)

// operation is by what requests are told apart in numbers and traces: its operationId, or a name that is fixed here.
type operation struct {
	name, method string
	series       *telemetry.Operation
}

// operations knows the operation of each route. A request that has no route is the operation "other", whatever its path.
type operations struct {
	metrics *telemetry.Metrics
	routed  map[endpoint]operation
	other   map[string]operation // by method
}

type endpoint struct{ method, path string }

func newOperations(document *openapi3.T, routes []*echo.Route, metrics *telemetry.Metrics) operations {
	names := map[endpoint]string{}
	for path, item := range document.Paths.Map() {
		for method, described := range item.Operations() {
			names[endpoint{method, strings.NewReplacer("{", ":", "}", "").Replace(path)}] = described.OperationID
		}
	}
	ops := operations{metrics: metrics, routed: map[endpoint]operation{}, other: map[string]operation{}}
	for _, r := range routes {
		at := endpoint{r.Method, r.Path}
		name, found := names[at]
		if !found {
			name = strings.Trim(r.Path, "/*")
		}
		ops.routed[at] = ops.make(name, r.Method)
	}
	for _, method := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, telemetry.Other,
	} {
		ops.other[method] = ops.make(telemetry.Other, method)
	}
	return ops
}

func (o operations) make(name, method string) operation {
	return operation{name: name, method: method, series: o.metrics.Operation(name, method)}
}

// of returns the operation of a request that Echo has routed, or has not.
func (o operations) of(c echo.Context) operation {
	if op, found := o.routed[endpoint{c.Request().Method, c.Path()}]; found {
		return op
	}
	if op, found := o.other[c.Request().Method]; found {
		return op
	}
	return o.other[telemetry.Other]
}
