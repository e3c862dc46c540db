package validation_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond"
)

// FuzzQuery sends query strings to the lists: the answer is a 422 of the contract's form, or the handler gets values that
// the contract allows, and their canonical text means the same.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"page=2&per_page=50", "active_only=yes&user_id=a%20b", "page=%2B1&page", "per_page=1_0.0;&a=%zz", "page=0-1", "%70age=%C2%A01"} {
		f.Add(seed)
	}
	server := newServer(f)
	valid := errorSchema(f)
	paths := []string{"/api/v1/admin/sessions/", "/api/v1/tenants/acme/sessions", "/api/v1/tenants/acme/sessions/users/u-4711"}
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range paths {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
			r.URL = &url.URL{Path: path, RawQuery: query}
			got := server.answer(r)
			if got.status == http.StatusUnprocessableEntity {
				valid(t, got.body)
				continue
			}
			require.Equal(t, http.StatusOK, got.status, got.body)
			params := reflect.ValueOf(server.bound).FieldByName("Params")
			page, _ := reflect.TypeAssert[*int](params.FieldByName("Page"))
			perPage, _ := reflect.TypeAssert[*int](params.FieldByName("PerPage"))
			require.True(t, page == nil || *page >= 1)
			require.True(t, perPage == nil || *perPage >= 1 && *perPage <= 100)
			first, canonical := server.bound, r.URL.RawQuery
			require.Equal(t, http.StatusOK, server.answer(r).status)
			require.Equal(t, first, server.bound)
			require.Equal(t, canonical, r.URL.RawQuery)
		}
	})
}

// FuzzViolations sends bodies to every operation that takes one: no panic, a 422 of the contract's form, and what is accepted
// is valid by the document as it stands and has been bound to the generated type.
func FuzzViolations(f *testing.F) {
	for _, seed := range []string{
		`{"revoke_all":true,"except_current":false}`, `{"session_ids":["a",1,null],"revoke_all":"yes","except_current":1e400}`, `null`, `[]`, `{"a":`,
		`{"user_id":"u","tenant_id":"t","expires_at":"2026-01-22T08:00:00Z","ip_address":"::1","created_at":null}`,
		`{"application_name":"Wiki","accessed_at":"2026-13-01"}`, "token=a%20b&token_type_hint=", `{"a":NaN,"b":[1e999]}`, "\xff\xfe{\x00}\x00",
	} {
		f.Add([]byte(seed), uint8(0))
	}
	server := newServer(f)
	valid := errorSchema(f)
	operations := bodyOperations(f)
	f.Fuzz(func(t *testing.T, body []byte, types uint8) {
		for _, operation := range operations {
			r := httptest.NewRequestWithContext(t.Context(), operation.method, operation.target, http.NoBody)
			r.Body, r.ContentLength = readCloser{bytes.NewReader(body)}, int64(len(body))
			r.Header.Set("Content-Type", []string{operation.mediaType, operation.mediaType, "", "text/plain"}[types%4])
			switch got := server.answer(r); got.status {
			case http.StatusUnprocessableEntity:
				valid(t, got.body)
			case http.StatusOK:
				operation.accepts(t, server.bound)
			default:
				require.Contains(t, []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, got.status, got.body)
			}
		}
	})
}

type bodyOperation struct {
	method, target, mediaType string
	schema                    *openapi3.Schema
}

func bodyOperations(tb testing.TB) []bodyOperation {
	tb.Helper()
	spec, err := openapi3.NewLoader().LoadFromData(sessiond.OpenAPI)
	require.NoError(tb, err)
	var all []bodyOperation
	for path, item := range spec.Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.RequestBody == nil {
				continue
			}
			for name, media := range operation.RequestBody.Value.Content {
				all = append(all, bodyOperation{method, path, name, media.Schema.Value})
			}
		}
	}
	require.Len(tb, all, 8)
	return all
}

// accepts holds that the body which the handler got is valid by the standard validator.
func (o bodyOperation) accepts(t *testing.T, bound any) {
	t.Helper()
	require.NotNil(t, bound, "the handler was reached")
	text, err := json.Marshal(reflect.ValueOf(bound).FieldByName("Body").Interface())
	require.NoError(t, err)
	var value any
	require.NoError(t, json.Unmarshal(text, &value))
	require.NoError(t, o.schema.VisitJSON(value, openapi3.EnableJSONSchema2020()), "%s", text)
}

// errorSchema gives a check that a body is the contract's HTTPValidationError, with exactly the three members.
func errorSchema(tb testing.TB) func(t *testing.T, body string) {
	tb.Helper()
	spec, err := openapi3.NewLoader().LoadFromData(sessiond.OpenAPI)
	require.NoError(tb, err)
	schema := spec.Components.Schemas["HTTPValidationError"].Value
	return func(t *testing.T, body string) {
		t.Helper()
		var value map[string][]map[string]any
		require.NoError(t, json.Unmarshal([]byte(body), &value))
		require.NotEmpty(t, value["detail"])
		for _, violation := range value["detail"] {
			require.Len(t, violation, 3)
		}
		var plain any
		require.NoError(t, json.Unmarshal([]byte(body), &plain))
		require.NoError(t, schema.VisitJSON(plain)) // The fast checker: the other costs most of the time of a run.
	}
}
