package validation_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/validation"
)

const revokeUser = "/api/v1/tenants/acme/sessions/users/u-4711/revoke"

func TestContentTypes(t *testing.T) {
	server := newServer(t)
	const broken = "{"
	for contentType, read := range map[string]bool{
		"": true, "application/json": true, "application/json; charset=latin-1": true, "APPLICATION/JSON": true, " application/json ;x": true,
		"application/problem+json": true, "application/+json": true, "application/json;": true,
		"text/json": false, "text/plain": false, "application": false, "application/json/x": false, "json": false, "application/jsonx": false,
		"application/x-www-form-urlencoded": false, "application /json": false, ";application/json": false, "application/xjson": false,
	} {
		t.Run(contentType, func(t *testing.T) {
			want := "body model_attributes_type: Input should be a valid dictionary or object to extract fields from"
			if read {
				want = "body.1 json_invalid: JSON decode error"
			}
			assert.Equal(t, []string{want}, server.send(t, http.MethodPost, revokeUser, contentType, broken).lines(t))
		})
	}
	t.Run("the first of several counts", func(t *testing.T) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, revokeAll, strings.NewReader("{}"))
		r.Header["Content-Type"] = []string{"text/plain", "application/json"}
		assert.Equal(t, []string{"body dict_type: Input should be a valid dictionary"}, server.answer(r).lines(t))
	})
}

func TestBodyPresence(t *testing.T) {
	server := newServer(t)
	const activity = "/api/v1/lifecycle/sessions/s1/activity"
	for _, body := range []string{"", "null", " null "} {
		t.Run("required "+body, func(t *testing.T) {
			assert.Equal(t, []string{"body missing: Field required"}, server.post(t, revokeUser, body).lines(t))
		})
		t.Run("optional "+body, func(t *testing.T) {
			if body != "" {
				assert.Equal(t, []string{"body model_attributes_type: Input should be a valid dictionary or object to extract fields from"},
					server.post(t, activity, body).lines(t))
				return
			}
			got := server.post(t, activity, body)
			require.Equal(t, http.StatusOK, got.status, got.body)
			request, ok := server.bound.(gen.RecordSessionActivityRequestObject)
			require.True(t, ok)
			assert.Equal(t, gen.RecordSessionActivityRequestObject{SessionId: "s1", Body: &gen.SessionActivity{}}, request)
		})
	}
	t.Run("no bytes are missing whatever their type", func(t *testing.T) {
		assert.Equal(t, []string{"body missing: Field required"}, server.send(t, http.MethodPost, revokeUser, "text/plain", "").lines(t))
	})
	t.Run("an optional body is checked when it is there", func(t *testing.T) {
		assert.Equal(t, []string{"body.ip_address ip_any_address: value is not a valid IPv4 or IPv6 address"},
			server.post(t, activity, `{"ip_address":"x"}`).lines(t))
		assert.Equal(t, []string{"body model_attributes_type: Input should be a valid dictionary or object to extract fields from"},
			server.send(t, http.MethodPost, activity, "text/plain", "x").lines(t))
	})
	t.Run("an operation without a body ignores one", func(t *testing.T) {
		got := server.post(t, "/api/v1/tenants/acme/sessions/revoke-all", "{broken")
		assert.Equal(t, http.StatusOK, got.status, got.body)
	})
}

func TestBodySize(t *testing.T) {
	server := newServer(t)
	fill := func(size int) string { return `{"x":"` + strings.Repeat("x", size-len(`{"x":""}`)) + `"}` }
	t.Run("the limit", func(t *testing.T) {
		got := server.post(t, revokeAll, fill(validation.MaxBody))
		assert.Equal(t, http.StatusOK, got.status, got.body)
	})
	t.Run("one byte more", func(t *testing.T) {
		got := server.post(t, revokeAll, fill(validation.MaxBody+1))
		assert.Equal(t, http.StatusRequestEntityTooLarge, got.status, got.body)
	})
	t.Run("a body that breaks off", func(t *testing.T) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, revokeAll, io.MultiReader(strings.NewReader("{"), failing{}))
		assert.Equal(t, http.StatusBadRequest, server.answer(r).status)
	})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestForm(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	contract, dialect := newServer(t), newDialect(t)
	t.Run("bound as the query would be", func(t *testing.T) {
		got := contract.send(t, http.MethodPost, "/oauth2/introspect", form+"; charset=utf-8", "token=a%2Bb+c&token_type_hint=&x=%zz")
		require.Equal(t, http.StatusOK, got.status, got.body)
		request, ok := contract.bound.(gen.IntrospectTokenRequestObject)
		require.True(t, ok)
		assert.Equal(t, &gen.IntrospectionRequest{Token: "a+b c"}, request.Body)
	})
	t.Run("given twice", func(t *testing.T) {
		assert.Equal(t, []string{"body.token value_error: Value error, it is given more than once"},
			contract.send(t, http.MethodPost, "/oauth2/introspect", form, "token=a&t%6fken=b&token=c&x=1&x=2").lines(t))
	})
	for name, c := range map[string]struct{ contentType, body string }{
		"absent": {form, "x=1"}, "empty": {form, "token="}, "no body": {form, ""},
		"no type": {"", "token=a"}, "JSON": {"application/json", `{"token":"a"}`}, "multipart": {"multipart/form-data", "token=a"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, []string{"body.token missing: Field required"},
				contract.send(t, http.MethodPost, "/oauth2/introspect", c.contentType, c.body).lines(t))
		})
	}
	t.Run("typed fields", func(t *testing.T) {
		got := dialect.send(t, http.MethodPost, "/form", form, "token=abc&count=+07&flag=ON&tags=b&tags=a&other=1")
		assert.JSONEq(t, `{"token":"abc","count":"7","flag":"true","tags":"b|a"}`, got.body)
		assert.Equal(t, []string{
			"body.token string_too_long: String should have at most 5 characters",
			"body.count less_than_equal: Input should be less than or equal to 9",
			"body.flag bool_parsing: Input should be a valid boolean, unable to interpret input",
		}, dialect.send(t, http.MethodPost, "/form", form, "flag=x&count=10&token=abcdef").lines(t))
	})
}

// TestBinding holds that the generated code gets exactly what was checked.
func TestBinding(t *testing.T) {
	server := newServer(t)
	t.Run("query", func(t *testing.T) {
		got := server.get(t, "/api/v1/tenants/acme/sessions?active_only=oFF&page=99999999999999999999&per_page=+1_0&user_id=&user_id=a%20b")
		require.Equal(t, http.StatusOK, got.status, got.body)
		text, err := json.Marshal(server.bound)
		require.NoError(t, err)
		assert.JSONEq(t, `{"tenant_id":"acme","Params":{"active_only":false,"page":9223372036854775807,"per_page":10,"user_id":"a b"}}`, string(text))
	})
	t.Run("names of another case are other names", func(t *testing.T) {
		got := server.post(t, revokeUser, `{"REVOKE_ALL":"x","Session_Ids":7,"session_ids":["a"]}`)
		require.Equal(t, http.StatusOK, got.status, got.body)
		request, ok := server.bound.(gen.RevokeUserSessionsRequestObject)
		require.True(t, ok)
		no, yes := false, true // the defaults of the document
		assert.Equal(t, &gen.SessionRevokeRequest{SessionIds: &[]string{"a"}, RevokeAll: &no, ExceptCurrent: &yes}, request.Body)
	})
	t.Run("defaults of what is left out", func(t *testing.T) {
		for query, want := range map[string]string{
			"":                         `{"active_only":true,"page":1,"per_page":20}`,
			"?page=3&active_only=off":  `{"active_only":false,"page":3,"per_page":20}`,
			"?per_page=7&active_only=": "",
		} {
			got := server.get(t, "/api/v1/tenants/acme/sessions"+query)
			if want == "" {
				assert.Equal(t, http.StatusUnprocessableEntity, got.status, "an empty value is not left out")
				continue
			}
			require.Equal(t, http.StatusOK, got.status, got.body)
			text, err := json.Marshal(server.bound)
			require.NoError(t, err)
			assert.JSONEq(t, `{"tenant_id":"acme","Params":`+want+`}`, string(text))
		}
	})
	t.Run("times", func(t *testing.T) {
		got := server.post(t, "/api/v1/lifecycle/sessions", `{"user_id":"u","tenant_id":"t","expires_at":"2026-01-22T08:00:00+01:00","partner_id":null}`)
		require.Equal(t, http.StatusOK, got.status, got.body)
		request, ok := server.bound.(gen.RegisterSessionRequestObject)
		require.True(t, ok)
		assert.True(t, request.Body.ExpiresAt.Equal(time.Date(2026, 1, 22, 7, 0, 0, 0, time.UTC)))
	})
	t.Run("the first of repeated headers", func(t *testing.T) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/me/sessions", http.NoBody)
		r.Header["Authorization"] = []string{"Bearer a", "Bearer b"}
		require.Equal(t, http.StatusOK, server.answer(r).status)
		request, ok := server.bound.(gen.ListMySessionsRequestObject)
		require.True(t, ok)
		assert.Equal(t, "Bearer a", *request.Params.Authorization)
	})
	t.Run("a query that Echo had parsed before", func(t *testing.T) {
		e := echo.New()
		v, err := validation.New(sessiond.OpenAPI)
		require.NoError(t, err)
		early := func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				_ = c.QueryParam("page")
				return next(c)
			}
		}
		e.GET("/api/v1/admin/sessions/", func(c echo.Context) error { return c.String(http.StatusOK, c.QueryParams().Encode()) }, early, v.Middleware())
		recorder := httptest.NewRecorder()
		e.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/admin/sessions/?page=x&unknown=1&page=01", http.NoBody))
		assert.Equal(t, "page=1&per_page=20", recorder.Body.String())
	})
	t.Run("whoever reads the body finds the checked value", func(t *testing.T) {
		var text []byte
		v, err := validation.New(sessiond.OpenAPI)
		require.NoError(t, err)
		c := echo.New().NewContext(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewBufferString(
			`{"REVOKE_ALL":true,"revoke_all":false}`)), httptest.NewRecorder())
		c.SetPath("/api/v1/tenants/:tenant_id/sessions/users/:user_id/revoke")
		c.SetParamNames("tenant_id", "user_id")
		c.SetParamValues("t", "u")
		require.NoError(t, v.Middleware()(func(c echo.Context) error {
			text, err = io.ReadAll(c.Request().Body)
			return errors.Join(err, c.Request().Body.Close())
		})(c))
		assert.JSONEq(t, `{"revoke_all":false,"except_current":true}`, string(text))
	})
	t.Run("path, header and cookie", func(t *testing.T) {
		dialect := newDialect(t)
		assert.JSONEq(t, `{"item_id":"7","label":"a,b"}`, dialect.get(t, "/items/ 007/a,b").body)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/text", http.NoBody)
		r.Header.Set("X-Count", "1_0")
		r.Header.Set("Cookie", "visits=01; other=x")
		assert.JSONEq(t, `{"X-Count":"10","Cookie":"visits=1; visits=01; other=x"}`, dialect.answer(r).body)
	})
}

func TestOtherRoutesPassThrough(t *testing.T) {
	e := echo.New()
	v, err := validation.New(sessiond.OpenAPI)
	require.NoError(t, err)
	e.Use(v.Middleware())
	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, c.Request().URL.RawQuery) })
	recorder := httptest.NewRecorder()
	e.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz?page=x", http.NoBody))
	assert.Equal(t, "page=x", recorder.Body.String())
}

// TestRegistration shows the violations of an operation that is not in the reference, from the contract alone.
func TestRegistration(t *testing.T) {
	server := newServer(t)
	long := strings.Repeat("é", 256)
	got := server.post(t, "/api/v1/lifecycle/sessions", `{"expires_at":"2026-01-22","ip_address":"x","created_at":5,"tenant_id":"","id":"`+long+`","user_email":"a\u0000"}`)
	assert.Equal(t, []string{
		"body.id string_too_long: String should have at most 255 characters",
		"body.user_id missing: Field required",
		"body.tenant_id string_too_short: String should have at least 1 character",
		`body.user_email string_pattern_mismatch: String should match pattern '^[^\x00]*$'`,
		"body.ip_address ip_any_address: value is not a valid IPv4 or IPv6 address",
		"body.created_at datetime_type: Input should be a valid datetime",
		"body.expires_at datetime_from_date_parsing: Input should be a valid datetime or date, input is too short",
	}, got.lines(t))
	got = server.send(t, http.MethodPut, "/api/v1/lifecycle/sessions/s1/apps/"+long, "application/json", `{}`)
	assert.Equal(t, []string{
		"path.application_id string_too_long: String should have at most 255 characters",
		"body.application_name missing: Field required",
	}, got.lines(t))
}

func TestErrors(t *testing.T) {
	t.Run("a rule that no schema expresses", func(t *testing.T) {
		text, err := json.Marshal(validation.ValueError("user_id or tenant_id is required", "body"))
		require.NoError(t, err)
		assert.JSONEq(t, `{"detail":[{"loc":["body"],"msg":"Value error, user_id or tenant_id is required","type":"value_error"}]}`, string(text))
		assert.Regexp(t, `"loc":.*"msg":.*"type":`, string(text), "in this order")
	})
	t.Run("a member that must be a string", func(t *testing.T) {
		text, err := json.Marshal(validation.StringType("body", "user_id"))
		require.NoError(t, err)
		assert.JSONEq(t, `{"detail":[{"loc":["body","user_id"],"msg":"Input should be a valid string","type":"string_type"}]}`, string(text))
	})
	t.Run("the text for the log has no values", func(t *testing.T) {
		assert.Equal(t, "the request does not fit the contract: [body user_id] string_type", validation.StringType("body", "user_id").Error())
	})
}
