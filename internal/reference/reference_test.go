package reference_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/internal/reference"
)

// What our page may say beyond the reference page, by name.
var (
	addedOperations = []string{
		"GET /api/v1/sessions",
		"GET /api/v1/sessions/{session_id}/history",
		"GET /api/v1/audit-events",
		"GET /api/v1/me/devices",
		"DELETE /api/v1/me/devices/{device_id}",
		"POST /api/v1/revocation-jobs",
		"GET /api/v1/revocation-jobs",
		"GET /api/v1/revocation-jobs/{job_id}",
		"POST /api/v1/revocation-jobs/{job_id}/pause",
		"POST /api/v1/revocation-jobs/{job_id}/resume",
		"POST /api/v1/revocation-jobs/{job_id}/cancel",
		"POST /api/v1/lifecycle/sessions",
		"POST /api/v1/lifecycle/sessions/{session_id}/activity",
		"PUT /api/v1/lifecycle/sessions/{session_id}/apps/{application_id}",
		"POST /oauth2/introspect",
		"POST /oauth2/backchannel-logout",
	}
	addedSchemas = []string{
		"SessionStatus", "SessionRecord", "SearchPagination", "SessionRecordList",
		"Device", "DeviceSession", "DeviceList",
		"RevocationFilter", "RevocationJobRequest", "RevocationPreview", "RevocationPreviewAnswer", "RevocationJobState", "RevocationJob",
		"RevocationJobAnswer", "RevocationJobList",
		"EventAction", "AuditEvent", "EventActor", "EventChanges", "EventChange", "CursorPagination", "AuditEventList", "OAuthError",
		"Error", "SessionRegistration", "SessionActivity", "SessionAppAccess", "IntrospectionRequest",
		"BackchannelLogoutRequest", "IntrospectionResponse",
	}
	// addedStatuses are errors that the server sends and the reference page leaves out; all have the body of Error.
	addedStatuses = []string{"400", "401", "403", "404", "413", "429", "500", "503"}
	// addedFacts are what the contract asks of a value and the reference page leaves out.
	addedFacts = map[string]string{
		"page":        "Default: 1; Minimum: 1",
		"per_page":    "Default: 20; Minimum: 1; Maximum: 100",
		"active_only": "Default: True",
		"session_ids": "Max items: 10000",
	}
)

func ours(t *testing.T) string {
	t.Helper()
	var page strings.Builder
	require.NoError(t, reference.Write(&page, sessiond.OpenAPI))
	return page.String()
}

// TestReferencePage holds our page against the copied text of the page that the contract comes from.
func TestReferencePage(t *testing.T) {
	text, err := os.ReadFile("testdata/sessions-api-reference.txt")
	require.NoError(t, err)
	want, got := read(string(text)), read(copied(ours(t)))
	require.Len(t, want.operations, 14)
	require.Len(t, want.schemas, 13)
	require.Contains(t, string(text), "14 endpoints.")

	assert.Equal(t, want.title, strings.TrimSuffix(got.title, "#"))
	assert.Equal(t, want.order, without(got.order, slices.Concat(addedOperations, addedSchemas)), "the same sections in the same order")
	for name, operation := range want.operations {
		t.Run(name, func(t *testing.T) { compareOperations(t, operation, got.operations[name]) })
	}
	for name, schema := range want.schemas {
		t.Run(name, func(t *testing.T) {
			if len(schema.description) > 0 {
				assert.Equal(t, schema.description, got.schemas[name].description)
			}
			assert.Equal(t, withFacts(t, schema.fields, got.schemas[name].fields), got.schemas[name].fields)
		})
	}
}

func compareOperations(t *testing.T, want, got endpoint) {
	t.Helper()
	assert.Equal(t, want.summary, got.summary)
	require.GreaterOrEqual(t, len(got.description), len(want.description))
	assert.Equal(t, want.description, got.description[:len(want.description)], "ours goes on after the reference's words")
	assert.Equal(t, withFacts(t, want.parameters, got.parameters), got.parameters)
	assert.Equal(t, want.body, got.body)
	var declared [][]string
	for _, response := range got.responses {
		if slices.Contains(addedStatuses, response[0]) {
			assert.Equal(t, "application/json → Error", response[1])
			continue
		}
		declared = append(declared, response)
	}
	assert.Equal(t, want.responses, declared)
}

// withFacts is the reference's rows with what ours may add to the last cell, where ours has the row at all: a sentence where the reference has
// none, and facts.
func withFacts(t *testing.T, want, got [][]string) [][]string {
	t.Helper()
	require.Len(t, got, len(want))
	var rows [][]string
	for i, row := range want {
		last := len(row) - 1
		cell, ours := row[last], got[i][last]
		// A name may stand for two values: session_ids of an answer has no bound.
		if added := addedFacts[row[0]]; added != "" && strings.HasSuffix(ours, added) {
			cell = strings.TrimPrefix(row[last]+". "+added, ". ")
		}
		words, found := strings.CutSuffix(ours, cell)
		if isFact := cell == "" || regexp.MustCompile(`^(Default|Minimum|Max items): `).MatchString(cell); isFact && found && isSentence(words) {
			cell = ours
		}
		rows = append(rows, append(slices.Clone(row[:last]), cell))
	}
	return rows
}

func isSentence(words string) bool {
	return regexp.MustCompile(`^[A-Z\x60].*\.$`).MatchString(strings.TrimSpace(words))
}

func without(names, left []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(left, name) })
}

// TestAdditionsAreThere keeps the lists of additions true, and the page whole.
func TestAdditionsAreThere(t *testing.T) {
	page := ours(t)
	assert.Contains(t, page, "30 endpoints.")
	for _, name := range slices.Concat(addedOperations, addedSchemas) {
		assert.Contains(t, page, "\n### "+name+"\n")
	}
	for _, status := range addedStatuses {
		assert.Contains(t, page, "| `"+status+"` | `application/json` → [Error](#error) |")
	}
	for name, fact := range addedFacts {
		assert.Regexp(t, "\\| `"+name+"` .* "+fact+" \\|", page)
	}
	assert.Equal(t, 1, strings.Count(page, "No access token is needed."), "the logout token is its own proof")
	for _, link := range regexp.MustCompile(`\]\(#(\w+)\)`).FindAllStringSubmatch(page, -1) {
		assert.Regexp(t, "(?im)^### "+link[1]+"$", page, "a link leads to a heading")
	}
}

// TestReaderSeesChanges makes one change to the page at a time; each must be seen.
func TestReaderSeesChanges(t *testing.T) {
	page := copied(ours(t))
	whole := read(page)
	for name, change := range map[string][2]string{
		"a title":          {"Sessions API#", "Session API#"},
		"a path":           {"GET /api/v1/me/sessions#", "GET /api/v1/my/sessions#"},
		"a summary":        {"Revoke All Tenant Sessions", "Revoke Tenant Sessions"},
		"a description":    {"This is a destructive operation", "This is an operation"},
		"a parameter":      {"| active_only | query | no | boolean |", "| active | query | no | boolean |"},
		"its place":        {"| page | query |", "| page | header |"},
		"its type":         {"| per_page | query | no | integer |", "| per_page | query | no | string |"},
		"its null":         {"| user_id | query | no | string | null |", "| user_id | query | no | string |"},
		"its need":         {"| session_id | path | yes |", "| session_id | path | no |"},
		"a default":        {"Default: 20", "Default: 30"},
		"a bound":          {"Maximum: 100", "Maximum: 101"},
		"a body's need":    {"Required.\n", "Optional.\n"},
		"a body's type":    {"- application/json → SessionRevokeRequest", "- application/json → object"},
		"a status":         {"| 204 | Successful Response |", "| 202 | Successful Response |"},
		"an answer's type": {"| 200 | application/json → any |", "| 200 | application/json → object |"},
		"a missing answer": {"| 422 | application/json → HTTPValidationError |\n", ""},
		"a field":          {"| total_items | integer | yes |", "| total | integer | yes |"},
		"a field's type":   {"| loc | array of string | integer | yes |", "| loc | array of string | yes |"},
		"a field's need":   {"| user_email | string | null | no |", "| user_email | string | null | yes |"},
		"a field's value":  {"Default: []", "Default: {}"},
		"a schema's words": {"Pagination metadata.", "Metadata."},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(page, change[0], change[1], 1)
			require.NotEqual(t, page, changed)
			assert.NotEqual(t, whole, read(changed))
		})
	}
}

func TestWriteRefusesWhatIsNoContract(t *testing.T) {
	for _, text := range []string{"paths: 1", "a: [", "paths: {/x: {get: {responses: {'500': {$ref: '#/components/responses/None'}}}}}"} {
		require.Error(t, reference.Write(&strings.Builder{}, []byte(text)), text)
	}
}
