package handlers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/handlers"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store"
)

// provocation is a request that must be answered with a status.
type provocation struct {
	token      string
	tenantID   string // as the path has it
	sessionID  string
	jobID      string
	deviceID   string
	query      string
	body       string
	brokenOff  bool  // the body cannot be read
	limited    bool  // whether the address has asked as often as it may
	confirmed  bool  // whether the body is that of a call that a dry run has confirmed
	registered bool  // whether the examples' session is there
	ended      bool  // and has ended
	err        error // of every method of the store
}

// provocationOf says how a declared response is had. Most are had in the same way of every operation.
func provocationOf(l *logoutFixture, operation *openapi3.Operation, status string) (provocation, bool) {
	p := goodRequest(l, operation)
	switch status {
	case "200", "204":
		if operation.Tags[0] == "History" {
			p.query = "?action=session.registered"
		}
	case "201":
		p.registered = false
	case "202":
		p.confirmed = true
	case "400":
		p.body = "\"\xff\""
		if operation.OperationID == "backchannelLogout" {
			p.body = "logout_token=x"
		}
		p.brokenOff = operation.OperationID == "introspectToken" // every form can be decoded that arrives
	case "401":
		p.token = ""
	case "403":
		p.token = l.fixture.token(auth.TokenRequest{Subject: "client", ClientID: "client", Scope: "nothing"})
	case "404":
		p.sessionID, p.jobID, p.deviceID = "nothing", "nothing", "nothing"
		if operation.Responses.Status(http.StatusNotFound).Ref == "#/components/responses/UnknownPath" {
			p.tenantID, p.token = "ac%2Fme", l.tenant("ac/me")
		}
	case "409":
		if p.ended = operation.Tags[0] != "Revocation jobs"; !p.ended {
			p.confirmed, p.err = operation.RequestBody != nil, store.DriftedError{Shown: 1, Now: 2}
		}
	case "413":
		p.body = strings.Repeat(" ", 1<<20) + p.body
	case "422":
		p.query = "?page=0&limit=0"
		if operation.RequestBody != nil {
			p.body = invalidBodies()[operation.OperationID]
		}
	case "429":
		p.limited = true
	case "500":
		p.err = errors.New("a fault")
	case "503":
		p.err = store.ErrUnavailable
	default:
		return p, false
	}
	return p, true
}

// invalidBodies are bodies that can be read and do not fit.
func invalidBodies() map[string]string {
	return map[string]string{
		"createRevocationJob": `{}`, "revokeAllSessions": `{}`, "revokeUserSessions": `{}`, "registerSession": `{}`, "recordSessionApp": `{}`,
		"recordSessionActivity": `{"ip_address": "nowhere"}`, "introspectToken": `x=1`, "backchannelLogout": `x=1`,
	}
}

// goodRequest is one that succeeds: the documented example, of a caller who may and whose session is the examples'.
func goodRequest(l *logoutFixture, operation *openapi3.Operation) provocation {
	request := auth.TokenRequest{Subject: "u-4711", TenantID: "acme", SessionID: exampleID}
	switch operation.Tags[0] {
	case "Platform sessions":
		request.TenantID, request.Scope = "", "admin:sessions:read admin:sessions:write"
	case "History", "Search":
		request.Scope = "sessions:read"
	case "Tenant sessions", "Revocation jobs":
		request.Scope = "sessions:read sessions:write"
	case "Session lifecycle":
		request.Scope = "sessions:ingest"
	}
	if operation.OperationID == "revokeMyOtherSessions" || operation.OperationID == "revokeUserSessions" || operation.Tags[0] == "Revocation jobs" {
		request.SessionID = "" // for these spare the caller's own
	}
	return provocation{
		token: l.fixture.token(request), tenantID: "acme", sessionID: exampleID, jobID: "some", deviceID: exampleDevice,
		body: exampleBody(l, operation), registered: true,
	}
}

// exampleBody is the example of the request's body; the token in a form must be a real one.
func exampleBody(l *logoutFixture, operation *openapi3.Operation) string {
	switch operation.OperationID {
	case "introspectToken":
		request := auth.TokenRequest{Subject: "u-4711", TenantID: "acme", SessionID: exampleID, ClientID: "web", Scope: "openid"}
		return url.Values{"token": {l.fixture.token(request)}}.Encode()
	case "backchannelLogout":
		return url.Values{"logout_token": {l.token(map[string]any{"sid": exampleID})}}.Encode()
	}
	if operation.RequestBody == nil {
		return ""
	}
	example := operation.RequestBody.Value.Content.Get("application/json").Example
	require.NotNil(l.t, example, "a body needs an example")
	data, err := json.Marshal(example)
	require.NoError(l.t, err)
	return string(data)
}

func isForm(operation *openapi3.Operation) bool {
	return operation.RequestBody != nil && operation.RequestBody.Value.Content.Get("application/json") == nil
}

// broken is a store on which everything fails but what tells whether the caller's session has ended.
type broken struct {
	handlers.Store
	err error
}

func (b broken) TenantPartner(context.Context, string) (string, error) { return "", b.err }

func (b broken) Registered(context.Context, string, string) (bool, error) { return false, b.err }

func (b broken) SessionActive(context.Context, store.Scope, string) (bool, error) {
	return false, b.err
}

func (b broken) GetSessionWithApps(context.Context, store.CallerSession, store.Scope, string) (store.Session, []store.App, error) {
	return store.Session{}, nil, b.err
}

func (b broken) ListSessions(context.Context, store.CallerSession, store.Scope, store.Filter, store.Page) ([]store.ListItem, int, error) {
	return nil, 0, b.err
}

func (b broken) NewestActive(context.Context, store.CallerSession, store.Scope) ([]store.ListItem, bool, error) {
	return nil, false, b.err
}

func (b broken) TenantStats(context.Context, store.Scope) (store.Stats, error) {
	return store.Stats{}, b.err
}

func (b broken) ListEvents(context.Context, store.Scope, store.EventFilter, store.EventPage) (store.Events, error) {
	return store.Events{}, b.err
}

func (b broken) SearchSessions(context.Context, store.Scope, store.SessionFilter, store.SessionPage) (store.FoundSessions, error) {
	return store.FoundSessions{}, b.err
}

func (b broken) PreviewRevocation(context.Context, store.Revocation) (store.RevocationPreview, error) {
	return store.RevocationPreview{}, b.err
}

func (b broken) CreateRevocationJob(
	context.Context, store.Revocation, string, int, *time.Time, store.Actor,
) (store.RevocationJob, bool, error) {
	return store.RevocationJob{}, false, b.err
}

func (b broken) GetRevocationJob(context.Context, store.Scope, string) (store.RevocationJob, error) {
	return store.RevocationJob{}, b.err
}

func (b broken) ListRevocationJobs(context.Context, store.Scope, []string, int, string) (store.RevocationJobs, error) {
	return store.RevocationJobs{}, b.err
}

func (b broken) SetRevocationJobState(context.Context, store.Scope, string, string) (store.RevocationJob, error) {
	return store.RevocationJob{}, b.err
}

func (b broken) EachSession(context.Context, store.Scope, store.SessionFilter, store.SessionPage, func(store.Session) error) error {
	return b.err
}

func (b broken) EachEvent(context.Context, store.Scope, store.EventFilter, func(store.AuditEvent) error) error {
	return b.err
}

func (b broken) SessionHistory(context.Context, store.Scope, string, store.EventFilter, store.EventPage) (store.Events, error) {
	return store.Events{}, b.err
}

func (b broken) RevokeSession(context.Context, store.Scope, string, store.Actor) (bool, error) {
	return false, b.err
}

func (b broken) RevokeDevice(context.Context, store.Scope, store.Device, string, store.Actor) ([]string, error) {
	return nil, b.err
}

func (b broken) SessionApps(context.Context, []store.Session) ([]store.App, error) { return nil, b.err }

func (b broken) RevokeSessions(context.Context, store.Scope, []string, store.Actor) ([]string, error) {
	return nil, b.err
}

func (b broken) RevokeAllSessions(context.Context, store.Scope, string, store.Actor) ([]string, error) {
	return nil, b.err
}

func (b broken) RegisterSession(context.Context, store.Scope, store.Session, store.Actor) (store.Session, bool, error) {
	return store.Session{}, false, b.err
}

func (b broken) RecordActivity(context.Context, store.Scope, string, store.Activity, store.Actor) error {
	return b.err
}

func (b broken) RecordApp(context.Context, store.Scope, store.App, store.Actor) error {
	return b.err
}

// breakOff sends a body whose second chunk is none.
func breakOff(f *fixture, method, path, token string) answer {
	f.t.Helper()
	address := strings.TrimPrefix(f.server.URL, "http://")
	connection, err := new(net.Dialer).DialContext(f.t.Context(), "tcp", address)
	require.NoError(f.t, err)
	defer connection.Close()
	_, err = fmt.Fprintf(connection, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nto\r\nnone\r\n", method, path, address, token)
	require.NoError(f.t, err)
	request, err := http.NewRequestWithContext(f.t.Context(), method, f.server.URL+path, nil)
	require.NoError(f.t, err)
	response, err := http.ReadResponse(bufio.NewReader(connection), request)
	require.NoError(f.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(f.t, err)
	f.holdsContract(request, response, body)
	return answer{t: f.t, status: response.StatusCode, header: response.Header, body: string(body)}
}
