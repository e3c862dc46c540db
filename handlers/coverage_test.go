package handlers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/handlers"
	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/internal/qa/sequential"
	"github.com/sessiond/sessiond/store/storetest"
)

// The session of the contract's examples; the fixture's clock stands at the same day.
const exampleID = "0199b7c2-51f0-7a3b-8f6e-2b9d64c0a17e"

// exampleDevice is the device of that session.
const exampleDevice = "WyJkZXNrdG9wIiwiTGludXgiLCJGaXJlZm94Il0"

// TestEveryDeclaredResponse makes one request for each declared response of each operation. A declaration that nothing
// provokes fails, so does a request that is answered otherwise, and an answer of another shape than its example. Each answer fits the document
// for SDKs too.
func TestEveryDeclaredResponse(t *testing.T) {
	sequential.Test(t)
	document, err := openapi3.NewLoader().LoadFromData(sessiond.OpenAPI)
	require.NoError(t, err)
	shared := newLogoutFixture(newFixture(t, storetest.SQLite))
	shared.view = viewRouter()
	registerExample(shared.fixture)
	var table strings.Builder
	out := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, path := range document.Paths.InMatchingOrder() {
		for method, operation := range document.Paths.Value(path).Operations() {
			var provoked []string
			for status, response := range operation.Responses.Map() {
				if impossible(operation.OperationID, status) {
					provoked = append(provoked, "("+status+")")
					continue
				}
				t.Run(operation.OperationID+" "+status, func(t *testing.T) {
					provoke(t, shared, method, path, operation, status, response.Value)
				})
				provoked = append(provoked, status)
			}
			slices.SortFunc(provoked, func(a, b string) int { return strings.Compare(strings.Trim(a, "("), strings.Trim(b, "(")) })
			fmt.Fprintf(out, "%s\t%s\n", operation.OperationID, strings.Join(provoked, " "))
		}
	}
	require.NoError(t, out.Flush())
	t.Logf("provoked, and in brackets what the reference declares and nothing can provoke:\n%s", table.String())
}

// impossible are the responses that the reference declares, so that they stay in the contract, and that no request gets:
// an operation whose only input is text in its path and optional headers cannot be given an invalid value. An operation that
// gains a constraint leaves the list.
func impossible(operationID, status string) bool {
	return status == "422" && slices.Contains([]string{
		"getSession", "revokeSession", "listMySessions", "revokeMyOtherSessions", "revokeMySession",
		"getTenantSession", "revokeTenantSession", "getTenantSessionStats", "revokeAllTenantSessions",
	}, operationID)
}

// provoke gets the answer of one declared response and holds it against its example.
func provoke(t *testing.T, l *logoutFixture, method, path string, operation *openapi3.Operation, status string, response *openapi3.Response) {
	t.Helper()
	// What changes the sessions gets a store of its own.
	own := status[0] == '2' || status == "409"
	if own {
		view := l.view
		l = newLogoutFixture(newFixture(t, storetest.SQLite))
		l.view = view
	} else {
		before, server := l.t, l.server
		defer func() { l.t, l.server = before, server }()
		l.t = t
	}
	p, ok := provocationOf(l, operation, status)
	require.True(t, ok, "nothing provokes it: say how in provocationOf, or take the declaration out of openapi.yaml")
	if own && p.registered {
		registerExample(l.fixture)
	}
	if p.ended {
		// By somebody else, so that the caller's own session is not the one that ends.
		l.do(http.MethodDelete, "/api/v1/admin/sessions/"+exampleID, l.admin(), nil).want(http.StatusNoContent)
		p.token = l.service()
	}
	if own && (strings.Contains(path, "{job_id}") || operation.OperationID == "listRevocationJobs") {
		p.jobID = l.confirmed(l.tenant("acme"), exampleRevocation()).Id
	}
	if p.confirmed {
		body := exampleRevocation()
		body["confirmation"], body["dry_run"] = l.preview(l.tenant("acme"), body).Confirmation, false
		text, err := json.Marshal(body)
		require.NoError(t, err)
		p.body, p.token = string(text), l.tenant("acme")
	}
	if p.limited {
		l.serve(l.store, func(c *handlers.Config) { c.HTTP.Rates.Address = httpserver.Rate{PerSecond: 1} })
		l.do(http.MethodGet, "/nothing", "", nil).want(http.StatusNotFound)
	}
	if p.err != nil {
		l.serve(broken{Store: l.store, err: p.err})
	}
	path = strings.NewReplacer("{tenant_id}", p.tenantID, "{user_id}", "u-4711", "{session_id}", p.sessionID, "{job_id}", p.jobID,
		"{application_id}", "wiki", "{device_id}", p.deviceID).Replace(path)
	var body any
	if p.body != "" {
		body = p.body
	}
	var headers []string
	if isForm(operation) {
		headers = []string{"Content-Type", "application/x-www-form-urlencoded"}
	}
	wanted, err := strconv.Atoi(status)
	require.NoError(t, err)
	var got answer
	if p.brokenOff {
		got = breakOff(l.fixture, method, path, p.token)
	} else {
		got = l.do(method, path+p.query, p.token, body, headers...)
	}
	got.want(wanted)

	if media := response.Content.Get("application/json"); media != nil && media.Example != nil {
		var real any
		require.NoError(t, json.Unmarshal([]byte(got.body), &real))
		assert.Equal(t, shape(media.Example), shape(real), "the example is not of the shape that the server answers")
	}
}

// exampleRevocation is the revocation of the examples.
func exampleRevocation() map[string]any {
	return map[string]any{"filter": map[string]any{"tenant_id": "acme", "ip": "203.0.113.0/24"}, "reason": "stolen laptops"}
}

// registerExample registers the session of the examples, with its application.
func registerExample(f *fixture) {
	f.t.Helper()
	f.register("acme", "u-4711", exampleID, "partner_id", "north", "user_email", "ada@example.com",
		"user_display_name", "Ada Lovelace", "ip_address", "203.0.113.7",
		"user_agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	f.do(http.MethodPut, "/api/v1/lifecycle/sessions/"+exampleID+"/apps/wiki", f.service(),
		map[string]any{"application_name": "Team Wiki"}).want(http.StatusNoContent)
}

// shape is what two values of the same kind have in common: members, the shape of the first element, and types.
func shape(value any) any {
	switch value := value.(type) {
	case map[string]any:
		members := map[string]any{}
		for name, member := range value {
			members[name] = shape(member)
		}
		return members
	case []any:
		if len(value) == 0 {
			return "an empty list"
		}
		return []any{shape(value[0])}
	case string:
		if _, err := time.Parse(time.RFC3339Nano, value); err == nil {
			return "a time"
		}
		return "a text"
	case float64, int, int64, uint64:
		return "a number"
	default:
		return fmt.Sprintf("%T", value)
	}
}
