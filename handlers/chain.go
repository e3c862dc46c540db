package handlers

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/internal/validation"
)

// NewHandler serves the contract, and beside it the system routes: /healthz, /readyz, the contract itself and its explorer. Its
// body is the chain, in the order in which a request passes the steps:
//
//	close ambiguous    no status: closes the connection after a request whose end is ambiguous
//	request log        500 for a panic, 503 at the deadline; request id, security headers, metrics, span, log line
//	CORS               204 for a preflight
//	address limit      429
//	root redirect      302 for a browser at /
//	routing            404, 405, 307
//	authentication     401
//	principal limit    429
//	escaped slashes    404, 405 or 307 for an id with a slash that nobody has
//	validation         400, 413, 422
//	audit context      no status: keeps the caller's reason and idempotency key
//	export, stream     no status: keep the form in which the answer is asked for
//	policy             403
//	row-level security no status: tells the database what the policy allows
//	operation          200, 201, 204, 400, 404, 409, 422
//
// A step returns an error, which errors.go answers. That the caller's own session has ended is 401 in the authentication or, for a GET, in
// the policy; operations whose rule has ChecksSession find it out themselves, in the statement that they send anyhow (callerSession).
func NewHandler(config Config) (http.Handler, error) {
	contract, err := validation.Load(config.OpenAPI)
	if err != nil {
		return nil, err
	}
	validator, err := validation.Compile(contract)
	if err != nil {
		return nil, err
	}
	if config.Tracer != nil {
		config.Store = tracedStore{store: config.Store, tracer: config.Tracer}
	}
	system := httpserver.NewSystemRoutes(config.OpenAPI, contract, config.OpenAPIForSDKs, config.Store.Ready, config.Verifier.Ready)
	addressLimit, err := httpserver.RateLimit(config.HTTP.Rates.Address, config.Now, httpserver.ClientNetwork)
	if err != nil {
		return nil, err
	}
	principalLimit, err := httpserver.RateLimit(config.HTTP.Rates.Principal, config.Now, principalOf)
	if err != nil {
		return nil, err
	}
	requests := &httpserver.RequestLog{
		Logger: config.Logger, Now: config.Now, Metrics: config.Metrics, Tracer: config.Tracer, Timeout: config.HTTP.RequestTimeout,
		Operations: httpserver.NewOperations(contract, system, config.Metrics), NewContext: newRequestContext,
	}
	public := func(c echo.Context) bool { return system.Owns(c.Request().URL.Path) || c.Path() == logoutPath }
	server := newServer(config, contract)

	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = errorHandler{logger: config.Logger}.handle
	e.IPExtractor = httpserver.ClientAddress(config.HTTP.TrustedProxies)
	e.Pre( // before Echo's router
		requests.Middleware,
		httpserver.CORS(config.HTTP.Origins, []string{reasonHeader, idempotencyHeader, validation.PreferHeader},
			[]string{HasMoreHeader, validation.PreferenceAppliedHeader}),
		addressLimit,
		httpserver.RedirectRoot,
		httpserver.NewRouteTable(contract).Routing(system.Owns),
	)
	e.Use( // after it, before the generated binding
		auth.Authenticate(config.Verifier, config.Store, public),
		principalLimit,
		server.escapedSlashes(requests.Operations),
		validator.Middleware(),
		auditContext,
		exports,
		streams,
	)
	gen.RegisterHandlers(e, gen.NewStrictHandler(server, inOrder( // after the binding
		auth.Authorize(config.Store),
		rowSecurity,
	)))
	system.Register(e)
	return httpserver.CloseAmbiguous{Next: e}, nil
}

// inOrder gives steps, the first one first, to the generated code, which runs the last one first.
func inOrder(steps ...gen.StrictMiddlewareFunc) []gen.StrictMiddlewareFunc {
	slices.Reverse(steps)
	return steps
}

// principal is whom a token speaks for.
type principal struct{ tenant, subject string }

// principalOf is the key of a rate limit; a public request has none.
func principalOf(c echo.Context) (principal, bool) {
	who, known := auth.FromContext(c.Request().Context())
	return principal{who.TenantID, who.Subject}, known
}
