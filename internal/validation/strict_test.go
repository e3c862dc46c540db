package validation_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/validation"
)

const strictDocument = `
openapi: 3.1.0
info: {title: t, version: '1'}
paths:
  /list:
    get:
      x-strict: true
      parameters:
      - {name: limit, in: query, schema: {type: integer}}
      responses: {'200': {description: ok}}
  /open:
    post:
      parameters:
      - {name: page, in: query, schema: {type: integer}}
      requestBody:
        content:
          application/json:
            schema:
              type: object
              additionalProperties: true
              x-members: [user_id]
      responses: {'200': {description: ok}}
  /model:
    post:
      requestBody:
        content:
          application/json:
            schema:
              type: object
              required: [name]
              properties:
                name: {type: string}
                parts: {type: array, items: {type: object, properties: {id: {type: string}}}}
                labels: {type: object, additionalProperties: {type: string}}
      responses: {'200': {description: ok}}
  /form:
    post:
      requestBody:
        content:
          application/x-www-form-urlencoded:
            schema: {type: object, properties: {token: {type: string}}}
      responses: {'200': {description: ok}}
  /bare:
    post:
      responses: {'200': {description: ok}}
`

// TestStrictHandling: what is not described is a violation where the request prefers it, or the operation is strict; otherwise it is ignored.
func TestStrictHandling(t *testing.T) {
	validator, err := validation.New([]byte(strictDocument))
	require.NoError(t, err)
	const jsonType, formType = "application/json", "application/x-www-form-urlencoded"
	strict := []string{"handling=strict"}
	for what, c := range map[string]struct {
		method, target, contentType, body string
		prefer                            []string
		detail                            string // loc and type of each violation, "" for none
		applied                           bool
	}{
		"lenient":                               {"POST", "/open?pages=1", jsonType, `{"userid":"x"}`, nil, "", false},
		"lenient preferred":                     {"POST", "/open?pages=1", jsonType, `{"userid":"x"}`, []string{"handling=lenient"}, "", false},
		"the first preference counts":           {"POST", "/open?pages=1", jsonType, `{}`, []string{"handling=lenient, handling=strict"}, "", false},
		"strict":                                {"POST", "/open?pages=1", jsonType, `{"user_id":"x","userid":"x"}`, strict, "[query pages] extra_forbidden, [body userid] extra_forbidden", true},
		"among others, quoted, with ;":          {"POST", "/open?pages=1", jsonType, `{}`, []string{"respond-async", `wait=10, Handling = "strict"; x=y`}, "[query pages] extra_forbidden", true},
		"nothing unknown":                       {"POST", "/open?page=1", jsonType, `{"user_id":1}`, strict, "", true},
		"each name once":                        {"POST", "/open?a=1&a=2&%61=3&b", jsonType, `{}`, strict, "[query a] extra_forbidden, [query b] extra_forbidden", true},
		"after what is wrong otherwise":         {"POST", "/open?page=x&b", jsonType, `{}`, strict, "[query page] int_parsing, [query b] extra_forbidden", true},
		"members of members":                    {"POST", "/model", jsonType, `{"parts":[{"id":"1"},{"ID":"2"}],"nick":1,"labels":{"any":"x"}}`, strict, "[body name] missing, [body parts 1 ID] extra_forbidden, [body nick] extra_forbidden", true},
		"members, lenient":                      {"POST", "/model", jsonType, `{"name":"n","nick":1}`, nil, "", false},
		"a form":                                {"POST", "/form?x=1", formType, `token=t&tokens=t`, strict, "[query x] extra_forbidden, [body tokens] extra_forbidden", true},
		"a form, lenient":                       {"POST", "/form?x=1", formType, `token=t&tokens=t`, nil, "", false},
		"a body where there is none":            {"POST", "/bare", jsonType, `{"user_id":"x"}`, strict, "[body] extra_forbidden", true},
		"an empty object says nothing":          {"POST", "/bare", jsonType, ` {} `, strict, "", true},
		"a body where there is none, lenient":   {"POST", "/bare", jsonType, `{"user_id":"x"}`, nil, "", false},
		"a strict operation":                    {"GET", "/list?limits=1", "", "", nil, "[query limits] extra_forbidden", false},
		"a strict operation, lenient preferred": {"GET", "/list?limits=1", "", "", []string{"handling=lenient"}, "[query limits] extra_forbidden", false},
	} {
		t.Run(what, func(t *testing.T) {
			e := echo.New()
			var refused error
			e.HTTPErrorHandler = func(err error, _ echo.Context) { refused = err }
			handler := func(c echo.Context) error { return c.NoContent(http.StatusOK) }
			for _, path := range []string{"/list", "/open", "/model", "/form", "/bare"} {
				e.Any(path, handler)
			}
			e.Use(validator.Middleware())
			request := httptest.NewRequestWithContext(t.Context(), c.method, c.target, strings.NewReader(c.body))
			if c.contentType != "" {
				request.Header.Set("Content-Type", c.contentType)
			}
			for _, line := range c.prefer {
				request.Header.Add("Prefer", line)
			}
			response := httptest.NewRecorder()
			e.ServeHTTP(response, request)
			if c.detail == "" {
				require.NoError(t, refused)
			} else {
				require.EqualError(t, refused, "the request does not fit the contract: "+c.detail)
			}
			applied := ""
			if c.applied {
				applied = "handling=strict"
			}
			assert.Equal(t, applied, response.Header().Get("Preference-Applied"))
		})
	}
}
