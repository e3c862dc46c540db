package auth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/gen"
)

// sessionsStub answers for sessions by their id, and records the calls.
type sessionsStub struct {
	ended map[string]bool
	err   error
	asked []string
}

func (s *sessionsStub) SessionEnded(_ context.Context, tenantID, sessionID string) (bool, error) {
	s.asked = append(s.asked, tenantID+"/"+sessionID)
	return s.ended[sessionID], s.err
}

type tenantsStub struct {
	sessionsStub
	err error
}

func (s *tenantsStub) TenantPartner(_ context.Context, tenantID string) (string, error) {
	if s.err != nil {
		return "", s.err
	}
	return partnerOf(tenantID)
}

// seen is what the innermost handler saw and what the client would get.
type seen struct {
	handled bool
	caller  Caller
	grant   Grant
	granted bool
	err     error
}

// serve runs a request through Authenticate alone.
func serve(t *testing.T, sessions SessionChecker, public func(echo.Context) bool, request *http.Request) seen {
	t.Helper()
	var result seen
	handler := Authenticate(testVerifier(t, nil), sessions, public)(func(c echo.Context) error {
		result.handled = true
		result.caller, _ = FromContext(c.Request().Context())
		return nil
	})
	e := echo.New()
	result.err = handler(e.NewContext(request, httptest.NewRecorder()))
	return result
}

func get(t *testing.T, authorization ...string) *http.Request {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/me/sessions", http.NoBody)
	for _, value := range authorization {
		request.Header.Add("Authorization", value)
	}
	return request
}

func TestAuthenticateReadsOneBearerToken(t *testing.T) {
	good := goodToken(t, nil)
	const bare, invalid = `Bearer realm="sessions"`, `Bearer realm="sessions", error="invalid_token", error_description="`
	for name, test := range map[string]struct {
		headers   []string
		challenge string // how it starts; empty when the request passes
	}{
		"good":               {[]string{"Bearer " + good}, ""},
		"lower case":         {[]string{"bearer " + good}, ""},
		"upper case":         {[]string{"BEARER " + good}, ""},
		"two spaces":         {[]string{"Bearer  " + good}, ""},
		"none":               {nil, bare},
		"empty":              {[]string{""}, bare},
		"Basic":              {[]string{"Basic dTpw"}, bare},
		"DPoP":               {[]string{"DPoP " + good}, bare},
		"Bearers":            {[]string{"Bearers " + good}, bare},
		"token alone":        {[]string{good}, bare},
		"tab":                {[]string{"Bearer\t" + good}, bare},
		"colon":              {[]string{"Bearer: " + good}, bare},
		"no token":           {[]string{"Bearer"}, invalid + `The Authorization header has no token."`},
		"spaces for a token": {[]string{"Bearer   "}, invalid + `The Authorization header has no token."`},
		"two headers":        {[]string{"Bearer " + good, "Bearer " + good}, invalid + `The request has more than one Authorization header."`},
		"Basic and Bearer":   {[]string{"Basic dTpw", "Bearer " + good}, invalid},
		"good and empty":     {[]string{"Bearer " + good, ""}, invalid},
		"two tokens":         {[]string{"Bearer " + good + " " + good}, invalid},
		"two with a comma":   {[]string{"Bearer " + good + ", Bearer " + good}, invalid},
		"quoted":             {[]string{`Bearer "` + good + `"`}, invalid},
		"space behind":       {[]string{"Bearer " + good + " "}, invalid},
		"damaged":            {[]string{"Bearer " + good + "x"}, invalid + `The access token is not valid."`},
		"expired":            {[]string{"Bearer " + goodToken(t, map[string]any{"exp": 1})}, invalid + `The access token has expired."`},
	} {
		t.Run(name, func(t *testing.T) {
			result := serve(t, &sessionsStub{}, nil, get(t, test.headers...))
			if test.challenge == "" {
				require.NoError(t, result.err)
				require.True(t, result.handled)
				require.Equal(t, "u-1", result.caller.Subject)
				return
			}
			require.False(t, result.handled)
			var refusal *Error
			require.ErrorAs(t, result.err, &refusal)
			require.False(t, refusal.Forbidden())
			if test.challenge == bare {
				require.Equal(t, bare, refusal.Challenge())
			} else {
				require.True(t, strings.HasPrefix(refusal.Challenge(), test.challenge), refusal.Challenge())
			}
		})
	}
}

func TestAuthenticateReadsTheHeaderOnly(t *testing.T) {
	good := goodToken(t, nil)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/?access_token="+good+"&token="+good,
		strings.NewReader("access_token="+good))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("X-Access-Token", good)
	request.Header.Set("Proxy-Authorization", "Bearer "+good)
	request.Header.Set("Cookie", "access_token="+good)
	result := serve(t, &sessionsStub{}, nil, request)
	require.False(t, result.handled)
	require.EqualError(t, result.err, "A valid bearer token is required.")
}

func TestAuthenticateChecksTheSession(t *testing.T) {
	bearer := "Bearer " + goodToken(t, nil)
	sessions := &sessionsStub{ended: map[string]bool{"s-2": true}}
	require.NoError(t, serve(t, sessions, nil, get(t, bearer)).err)
	require.Equal(t, []string{"t-1/s-1"}, sessions.asked)

	result := serve(t, sessions, nil, get(t, "Bearer "+goodToken(t, map[string]any{"sid": "s-2"})))
	require.Equal(t, "The session has ended.", invalidDetail(t, result.err))
	post := get(t, "Bearer "+goodToken(t, map[string]any{"sid": "s-2"}))
	post.Method = http.MethodPost
	result = serve(t, sessions, nil, post)
	require.False(t, result.handled, "what changes something does not begin")
	require.Equal(t, "The session has ended.", invalidDetail(t, result.err))

	without := &sessionsStub{err: errors.New("not to be asked")}
	require.NoError(t, serve(t, without, nil, get(t, "Bearer "+goodToken(t, map[string]any{"sid": nil}))).err)
	require.Empty(t, without.asked)
	requireInvalid(t, serve(t, without, nil, get(t, bearer+"x")).err)
	require.Empty(t, without.asked, "a bad token costs no query")

	broken := &sessionsStub{err: errors.New("the database is away")}
	result = serve(t, broken, nil, get(t, bearer))
	require.ErrorIs(t, result.err, broken.err)
	require.NotErrorAs(t, result.err, new(*Error))
	require.NotContains(t, result.err.Error(), "s-1")
}

// TestTheSessionOfAGet is checked before its operation, or by it; and when something else is wrong, 401 comes first.
func TestTheSessionOfAGet(t *testing.T) {
	const checks, other = "/api/v1/me/sessions", "/api/v1/tenants/t-1/sessions/stats"
	invalid, ended := errors.New("does not fit the contract"), map[string]bool{"s-1": true}
	for name, test := range map[string]struct {
		path      string
		ended     map[string]bool // by the store
		away      error
		operation error
		want      string // of the error; empty when the answer goes out
		ran       bool
		asked     int
	}{
		"an operation that checks it, and it is good":   {path: checks, ran: true},
		"an operation that checks it, and it has ended": {path: checks, ended: ended, operation: SessionEnded(), want: "The session has ended.", ran: true, asked: 1},
		"the operation fails, and it has ended":         {path: checks, ended: ended, operation: invalid, want: "The session has ended.", ran: true, asked: 1},
		"the operation fails, and it is good":           {path: checks, operation: invalid, want: invalid.Error(), ran: true, asked: 1},
		"another operation, and it is good":             {path: other, ran: true, asked: 1},
		"another operation fails":                       {path: other, operation: invalid, want: invalid.Error(), ran: true, asked: 1},
		"another operation, and it has ended":           {path: other, ended: ended, want: "The session has ended.", asked: 1},
		"the store is away":                             {path: other, away: errors.New("away"), want: "checking the token's session: away", asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			sessions := &tenantsStub{sessionsStub: sessionsStub{ended: test.ended, err: test.away}}
			ran := false
			operation := func(gen.StrictHandlerFunc, string) gen.StrictHandlerFunc {
				return func(_ echo.Context, request any) (any, error) {
					ran = true
					if _, stats := request.(gen.GetTenantSessionStatsRequestObject); stats {
						return gen.GetTenantSessionStats200JSONResponse{}, test.operation
					}
					return gen.ListMySessions200JSONResponse{}, test.operation
				}
			}
			e, recorder := echo.New(), httptest.NewRecorder()
			var got error
			e.HTTPErrorHandler = func(err error, _ echo.Context) { got = err }
			e.Use(Authenticate(testVerifier(t, nil), sessions, nil))
			gen.RegisterHandlers(e, gen.NewStrictHandler(nobody{}, []gen.StrictMiddlewareFunc{operation, Authorize(sessions)}))
			request := get(t, "Bearer "+goodToken(t, map[string]any{"scope": "sessions:read"}))
			request.URL.Path = test.path
			e.ServeHTTP(recorder, request)
			if test.want == "" {
				require.NoError(t, got)
				require.Contains(t, recorder.Body.String(), `{"data":`)
			} else {
				require.EqualError(t, got, test.want)
				require.Empty(t, recorder.Body.String())
			}
			require.Equal(t, test.ran, ran)
			require.Len(t, sessions.asked, test.asked)
		})
	}
}

func TestAuthenticateLetsPublicRequestsPass(t *testing.T) {
	public := func(c echo.Context) bool { return c.Request().URL.Path == "/healthz" }
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", http.NoBody)
	request.Header.Set("Authorization", "Bearer nonsense")
	result := serve(t, &sessionsStub{}, public, request)
	require.NoError(t, result.err)
	require.True(t, result.handled)
	require.Zero(t, result.caller)
	require.False(t, serve(t, &sessionsStub{}, public, get(t)).handled)
}

// nobody implements the generated interface with nothing: the innermost middleware answers in its place.
type nobody struct{ gen.StrictServerInterface }

// route sends a request through the generated routes and both middlewares, over HTTP but for the socket.
func route(t *testing.T, tenants Sessions, method, target, token string) seen {
	t.Helper()
	var result seen
	inner := func(gen.StrictHandlerFunc, string) gen.StrictHandlerFunc {
		return func(c echo.Context, _ any) (any, error) {
			result.handled = true
			result.caller, _ = FromContext(c.Request().Context())
			result.grant, result.granted = GrantFromContext(c.Request().Context())
			return nil, nil //nolint:nilnil // the generated code writes nothing then
		}
	}
	e := echo.New()
	e.HTTPErrorHandler = func(err error, _ echo.Context) { result.err = err }
	if token != "" {
		e.Use(Authenticate(testVerifier(t, nil), &sessionsStub{}, nil))
	}
	// The generated code wraps in this order, so the last is the outermost.
	gen.RegisterHandlers(e, gen.NewStrictHandler(nobody{}, []gen.StrictMiddlewareFunc{inner, Authorize(tenants)}))
	request := httptest.NewRequestWithContext(t.Context(), method, target, http.NoBody)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	e.ServeHTTP(httptest.NewRecorder(), request)
	return result
}

// TestAuthorizeGuardsEveryRoute calls each operation of the contract with a token that may do everything and with one
// that may do nothing.
func TestAuthorizeGuardsEveryRoute(t *testing.T) {
	all := goodToken(t, map[string]any{"scope": "admin:sessions:read admin:sessions:write sessions:ingest", "tenant_id": "t-2"})
	none := goodToken(t, map[string]any{"scope": "", "client_id": "u-1"})
	contract, err := gen.GetSpec()
	require.NoError(t, err)
	parameter := regexp.MustCompile(`\{[a-z_]+\}`)
	for path, item := range contract.Paths.Map() {
		for method, operation := range item.Operations() {
			target := parameter.ReplaceAllString(strings.ReplaceAll(path, "{tenant_id}", "t-1"), "x")
			t.Run(operation.OperationID, func(t *testing.T) {
				result := route(t, &tenantsStub{}, method, target, all)
				require.NoError(t, result.err)
				require.True(t, result.handled)
				audience := Policy()[strings.ToUpper(operation.OperationID[:1])+operation.OperationID[1:]].Audience
				if audience == Issuer {
					require.False(t, result.granted, "whatever the token, it opens nothing")
					require.True(t, route(t, &tenantsStub{}, method, target, "").handled)
					return
				}
				require.True(t, result.granted)
				want := map[Audience]Grant{
					Platform: {}, Me: {TenantID: "t-2"}, Tenant: {TenantID: "t-1"}, Service: {TenantID: "t-2"},
				}[audience]
				require.Equal(t, want, result.grant)
				require.Equal(t, "u-1", result.caller.Subject)

				result = route(t, &tenantsStub{}, method, target, none)
				require.False(t, result.handled)
				var refusal *Error
				require.ErrorAs(t, result.err, &refusal)
				require.True(t, refusal.Forbidden())

				result = route(t, &tenantsStub{}, method, target, "")
				require.False(t, result.handled, "without Authenticate nobody gets through")
				require.EqualError(t, result.err, "A valid bearer token is required.")
			})
		}
	}
}

// TestAuthorizeSeesTheTenantThatTheHandlerSees has paths that Echo and the generated code read differently.
func TestAuthorizeSeesTheTenantThatTheHandlerSees(t *testing.T) {
	for _, test := range []struct {
		claim, path string
		pass        bool
	}{
		{"acme", "acme", true},
		{"acme", "%61cme", true},
		{"%61cme", "%61cme", false},
		{"%61cme", "%2561cme", true},
		{"a/b", "a%2Fb", true},
		{"a%2Fb", "a%2Fb", false},
		{"a b", "a%20b", true},
		{"a+b", "a+b", true},
		{"acme", "ACME", false},
		{"acme", "acme%00", false},
		{"acme", "acme%20", false},
		{"acme", "", false},
	} {
		t.Run(test.claim+" "+test.path, func(t *testing.T) {
			result := route(t, &tenantsStub{}, http.MethodGet, "/api/v1/tenants/"+test.path+"/sessions",
				goodToken(t, map[string]any{"tenant_id": test.claim}))
			require.Equal(t, test.pass, result.handled, "%v", result.err)
			if test.pass {
				require.Equal(t, Grant{TenantID: test.claim}, result.grant)
			}
		})
	}
}

func TestAuthorizeAsksForThePartner(t *testing.T) {
	token := goodToken(t, map[string]any{"scope": "partner:sessions:write", "tenant_id": nil})
	revoke := func(tenants Sessions, tenant string) seen {
		return route(t, tenants, http.MethodPost, "/api/v1/tenants/"+tenant+"/sessions/revoke-all", token)
	}
	require.True(t, revoke(&tenantsStub{}, "t-2").handled)
	require.False(t, revoke(&tenantsStub{}, "t-3").handled)
	require.False(t, revoke(&tenantsStub{}, "absent").handled)
	broken := errors.New("the database is away")
	result := revoke(&tenantsStub{err: broken}, "t-2")
	require.False(t, result.handled)
	require.ErrorIs(t, result.err, broken)
}

func TestAuthorizeRefusesAnUnknownOperation(t *testing.T) {
	e := echo.New()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	request = request.WithContext(NewContext(t.Context(), Caller{Subject: "u", Scopes: []string{"admin:sessions:read"}}))
	handler := Authorize(&tenantsStub{})(func(echo.Context, any) (any, error) {
		t.Error("the handler was reached")
		return nil, nil //nolint:nilnil // it fails anyway
	}, "ListEverything")
	_, err := handler(e.NewContext(request, httptest.NewRecorder()), struct{}{})
	require.ErrorIs(t, err, ErrNotInPolicy)
}

func TestPathTenantOfStrangeRequests(t *testing.T) {
	var tenants pathTenants
	for range 2 { // found, and remembered
		require.Equal(t, "t", tenants.of(gen.ListTenantSessionsRequestObject{TenantId: "t"}))
		require.Equal(t, "u", tenants.of(gen.GetTenantSessionRequestObject{TenantId: "u"}))
	}
	for _, request := range []any{nil, "t", struct{}{}, struct{ Other string }{}, &gen.ListTenantSessionsRequestObject{TenantId: "t"}} {
		require.Empty(t, tenants.of(request))
	}
}

func TestContextsHoldWhatWasPutIn(t *testing.T) {
	_, ok := FromContext(t.Context())
	require.False(t, ok)
	_, ok = GrantFromContext(t.Context())
	require.False(t, ok, "no decision must not look like the platform's grant")
	caller := Caller{Subject: "u", Scopes: []string{"a"}}
	ctx := NewContext(t.Context(), caller)
	got, ok := FromContext(ctx)
	require.True(t, ok)
	require.Equal(t, caller, got)
	_, ok = GrantFromContext(ctx)
	require.False(t, ok, "nor must a caller")
}
