package validation_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/validation"
)

// TestDialectBody gives a widget one more member at a time, so that each constraint shows the violation that it has.
func TestDialectBody(t *testing.T) {
	const notUUID = "Input should be a valid UUID, "
	const notDatetime = "Input should be a valid datetime or date, "
	const notDate = "Input should be a valid date or datetime, "
	server := newDialect(t)
	for _, c := range []struct{ member, want string }{
		{`"title":"abcdef"`, "title string_too_long: String should have at most 5 characters"},
		{`"title":"ABCDEF"`, "title string_too_long: String should have at most 5 characters"},
		{`"title":""`, "title string_too_short: String should have at least 1 character"},
		{`"title":"A"`, "title string_pattern_mismatch: String should match pattern '^[a-z]*$'"},
		{`"title":null`, "title string_type: Input should be a valid string"},
		{`"zeta":"éééé"`, "zeta string_too_long: String should have at most 3 characters"},
		{`"code":"ab"`, "code string_too_short: String should have at least 3 characters"},
		{`"code":7`, "code string_type: Input should be a valid string"},
		{`"colour":"pink"`, "colour literal_error: Input should be 'red', 'green' or 'blue'"},
		{`"colour":null`, "colour literal_error: Input should be 'red', 'green' or 'blue'"},
		{`"level":"middle"`, "level enum: Input should be 'low' or 'high'"},
		{`"shade":"light"`, "shade enum: Input should be 'dark'"},
		{`"version":"v2"`, "version literal_error: Input should be 'v1'"},
		{`"answer":41`, "answer literal_error: Input should be 42 or 43"},
		{`"at":"soon"`, "at datetime_from_date_parsing: " + notDatetime + "input is too short"},
		{`"at":"2026-01-15"`, "at datetime_from_date_parsing: " + notDatetime + "input is too short"},
		{`"at":"x026-01-15T08:00:00Z"`, "at datetime_from_date_parsing: " + notDatetime + "invalid character in year"},
		{`"at":"2026/01/15T08:00:00Z"`, "at datetime_from_date_parsing: " + notDatetime + "invalid date separator, expected `-`"},
		{`"at":"2026-01/15T08:00:00Z"`, "at datetime_from_date_parsing: " + notDatetime + "invalid date separator, expected `-`"},
		{`"at":"2026-x1-15T08:00:00Z"`, "at datetime_from_date_parsing: " + notDatetime + "invalid character in month"},
		{`"at":"2026-01-1xT08:00:00Z"`, "at datetime_from_date_parsing: " + notDatetime + "invalid character in day"},
		{`"at":"2026-13-15T08:00:00Z"`, "at datetime_from_date_parsing: " + notDatetime + "month value is outside expected range of 1-12"},
		{`"at":"2026-02-29T08:00:00Z"`, "at datetime_from_date_parsing: " + notDatetime + "day value is outside expected range"},
		{`"at":"2026-01-15T25:00:00Z"`, "at datetime_from_date_parsing: " + notDatetime + "unexpected extra characters at the end of the input"},
		{`"at":"2026-01-15T08:00:00,5Z"`, "at datetime_from_date_parsing: " + notDatetime + "unexpected extra characters at the end of the input"},
		{`"at":"2026-01-15T08:00:00"`, "at datetime_from_date_parsing: " + notDatetime + "unexpected extra characters at the end of the input"},
		{`"at":1768464000`, "at datetime_type: Input should be a valid datetime"},
		{`"day":"2026-1-1"`, "day date_from_datetime_parsing: " + notDate + "input is too short"},
		{`"day":"2026-01-150"`, "day date_from_datetime_parsing: " + notDate + "invalid datetime separator, expected `T`, `t`, `_` or space"},
		{`"day":"2026-01-15T08:00:00Z"`, "day date_from_datetime_inexact: Datetimes provided to dates should have zero time - e.g. be exact dates"},
		{`"day":"2026-01-15T99"`, "day date_from_datetime_parsing: " + notDate + "unexpected extra characters at the end of the input"},
		{`"day":20260115`, "day date_type: Input should be a valid date"},
		{`"key":"abc"`, "key uuid_parsing: " + notUUID + "invalid length: expected length 32 for simple format, found 3"},
		{`"key":"xyz"`, "key uuid_parsing: " + notUUID + "invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], found `x` at 1"},
		{`"key":"0199b7c2-51f0"`, "key uuid_parsing: " + notUUID + "invalid group count: expected 5, found 2"},
		{`"key":"0199b7c251f07a3b8f6e2b9d64c0a17e"`, "key uuid_parsing: " + notUUID + "invalid group count: expected 5, found 1"},
		{`"key":"0199b7c2-51f-07a3b-8f6e-2b9d64c0a17e"`, "key uuid_parsing: " + notUUID + "invalid group length in group 1: expected 4, found 3"},
		{`"key":"{0199b7c2-51f0-7a3b-8f6e-2b9d64c0a17e}"`, "key uuid_parsing: " + notUUID + "invalid length: expected length 36 for hyphenated format, found 38"},
		{`"key":7`, "key uuid_type: UUID input should be a string, bytes or UUID object"},
		{`"address":"localhost"`, "address ip_any_address: value is not a valid IPv4 or IPv6 address"},
		{`"address":"fe80::1%eth0"`, "address ip_any_address: value is not a valid IPv4 or IPv6 address"},
		{`"address":7`, "address ip_any_address: value is not a valid IPv4 or IPv6 address"},
		{`"old":"::1"`, "old value_error: Value error, the text does not have the format ipv4"},
		{`"old":"::ffff:192.0.2.1"`, "old value_error: Value error, the text does not have the format ipv4"},
		{`"new":"192.0.2.1"`, "new value_error: Value error, the text does not have the format ipv6"},
		{`"new":"fe80::1%eth0"`, "new value_error: Value error, the text does not have the format ipv6"},
		{`"mail":"nobody"`, "mail value_error: value is not a valid email address"},
		{`"bytes":"?"`, "bytes value_error: Value error, the text does not have the format byte"},
		{`"count":13`, "count multiple_of: Input should be a multiple of 2"},
		{`"count":12`, "count less_than_equal: Input should be less than or equal to 10"},
		{`"count":0`, "count greater_than_equal: Input should be greater than or equal to 1"},
		{`"count":1.5`, "count int_from_float: Input should be a valid integer, got a number with a fractional part"},
		{`"count":"2"`, "count int_parsing: Input should be a valid integer, unable to parse string as an integer"},
		{`"count":true`, "count int_type: Input should be a valid integer"},
		{`"count":NaN`, "count finite_number: Input should be a finite number"},
		{`"small":2147483648`, "small less_than_equal: Input should be less than or equal to 2147483647"},
		{`"small":-2147483649`, "small greater_than_equal: Input should be greater than or equal to -2147483648"},
		{`"ratio":0`, "ratio greater_than: Input should be greater than 0"},
		{`"ratio":2.5`, "ratio less_than: Input should be less than 2.5"},
		{`"ratio":"1"`, "ratio float_parsing: Input should be a valid number, unable to parse string as a number"},
		{`"ratio":[]`, "ratio float_type: Input should be a valid number"},
		{`"ratio":-Infinity`, "ratio finite_number: Input should be a finite number"},
		{`"on":"yes"`, "on bool_parsing: Input should be a valid boolean, unable to interpret input"},
		{`"on":1e18`, "on bool_parsing: Input should be a valid boolean, unable to interpret input"},
		{`"on":-9223372036854775808`, "on bool_parsing: Input should be a valid boolean, unable to interpret input"},
		{`"on":9223372036854775808`, "on bool_type: Input should be a valid boolean"},
		{`"on":-9.223372036854775808e18`, "on bool_type: Input should be a valid boolean"},
		{`"on":1e999`, "on bool_type: Input should be a valid boolean"},
		{`"on":0.5`, "on bool_type: Input should be a valid boolean"},
		{`"on":null`, "on bool_type: Input should be a valid boolean"},
		{`"on":"\udc00"`, "on string_unicode: Input should be a valid string, unable to parse raw data as a unicode string"},
		{`"part":"x"`, "part model_attributes_type: Input should be a valid dictionary or object to extract fields from"},
		{`"part":{}`, "part.name missing: Field required"},
		{`"perhaps":{"name":1}`, "perhaps.name string_type: Input should be a valid string"},
		{`"inline":{"name":1}`, "inline.name string_type: Input should be a valid string"},
		{`"sizes":{}`, "sizes list_type: Input should be a valid list"},
		{`"sizes":["x",1,2]`, "sizes too_long: List should have at most 2 items after validation, not 3"},
		{`"sizes":[]`, "sizes too_short: List should have at least 1 item after validation, not 0"},
		{`"sizes":[0,-1]`, "sizes.1 greater_than_equal: Input should be greater than or equal to 0"},
		{`"parts":[{"name":"a"},{"name":"b","more":1}]`, "parts.1.more extra_forbidden: Extra inputs are not permitted"},
		{`"different":["a","a"]`, "different value_error: Value error, the items must be different"},
		{`"scores":{"a":"x"}`, "scores.a int_parsing: Input should be a valid integer, unable to parse string as an integer"},
		{`"scores":{}`, "scores too_short: Dictionary should have at least 1 item after validation, not 0"},
		{`"scores":{"a":1,"b":2,"c":3}`, "scores too_long: Dictionary should have at most 2 items after validation, not 3"},
		{`"free":[]`, "free dict_type: Input should be a valid dictionary"},
		{`"mixed":true`, "mixed value_error: Value error, the value fits none of the alternatives"},
		{`"next":{"zeta":"a","title":"b","next":{"title":"c"}}`, "next.next.zeta missing: Field required"},
	} {
		t.Run(c.member, func(t *testing.T) {
			// The last of equal keys wins, so the member replaces a good one.
			got := server.post(t, "/body", `{"zeta":"z","title":"t",`+c.member+`}`)
			assert.Equal(t, []string{"body." + c.want}, got.lines(t))
		})
	}
}

func TestDialectAccepts(t *testing.T) {
	server := newDialect(t)
	for _, c := range []struct{ name, member, want string }{
		{"a null where it may be", `"code":null,"shade":null,"next":null,"perhaps":null`, `"code":null,"shade":null,"next":null,"perhaps":null`},
		{"enumerations", `"colour":"red","level":"low","shade":"dark","version":"v1","answer":42`, `"colour":"red","level":"low","shade":"dark","version":"v1","answer":42`},
		{"formats", `"at":"2026-01-15T08:00:00.5+01:00","day":"2026-01-15","address":"::1"`, `"at":"2026-01-15T08:00:00.5+01:00","day":"2026-01-15","address":"::1"`},
		{"a UUID", `"key":"0199B7C2-51f0-7a3b-8f6e-2b9d64c0a17e"`, `"key":"0199B7C2-51f0-7a3b-8f6e-2b9d64c0a17e"`},
		{"whole numbers in other spellings", `"count":2.0,"open":1e2`, `"count":2,"open":100`},
		{"an integer beyond 64 bits", `"open":1` + strings.Repeat("0", 400), `"open":9223372036854775807`},
		{"a number beyond 32 bits", `"ratio":1,"double":-1e300`, `"ratio":1,"double":-1e300`},
		{"what is not declared is left out", `"ZETA":1,"other":NaN`, ``},
		{"what is free is kept", `"free":{"a":NaN,"b":[1e999]},"any":[-Infinity,"x"]`, `"free":{"a":null,"b":[null]},"any":[null,"x"]`},
		{"null where no type is named", `"any":null`, `"any":null`},
		{"half a surrogate pair", `"any":"\ud800"`, `"any":"\ufffd"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := server.post(t, "/body", `{"zeta":"z","title":"t",`+c.member+`}`)
			require.Equal(t, http.StatusOK, got.status, got.body)
			assert.JSONEq(t, strings.TrimSuffix(`{"body":{"zeta":"z","title":"t",`+c.want, ",")+`}}`, got.body)
		})
	}
}

func TestOrderOfViolations(t *testing.T) {
	server := newDialect(t)
	t.Run("the declaration's, not the request's, and what is missing in its place", func(t *testing.T) {
		got := server.post(t, "/body", `{"on":1,"sizes":[-1,"x"],"title":1,"count":0}`)
		assert.Equal(t, []string{
			"body.zeta missing: Field required",
			"body.title string_type: Input should be a valid string",
			"body.count greater_than_equal: Input should be greater than or equal to 1",
			"body.on bool_parsing: Input should be a valid boolean, unable to interpret input",
			"body.sizes.0 greater_than_equal: Input should be greater than or equal to 0",
			"body.sizes.1 int_parsing: Input should be a valid integer, unable to parse string as an integer",
		}, got.lines(t))
	})
	t.Run("references and nullable members in their places", func(t *testing.T) {
		members := []string{"zeta", "title", "code", "colour", "level", "shade", "version", "at", "part", "perhaps", "inline", "sizes", "parts", "next"}
		var body, want, places []string
		for _, name := range members {
			body = append([]string{`"` + name + `":true`}, body...)
			want = append(want, "body."+name)
		}
		for _, line := range server.post(t, "/body", "{"+strings.Join(body, ",")+"}").lines(t) {
			place, _, _ := strings.Cut(line, " ")
			places = append(places, place)
		}
		assert.Equal(t, want, places)
	})
	t.Run("members that are forbidden come last, as the request orders them", func(t *testing.T) {
		got := server.post(t, "/optional", `{"z":1,"b":1,"size":"x","a":1,"z":2}`)
		assert.Equal(t, []string{
			"body.size int_parsing: Input should be a valid integer, unable to parse string as an integer",
			"body.name missing: Field required",
			"body.z extra_forbidden: Extra inputs are not permitted",
			"body.b extra_forbidden: Extra inputs are not permitted",
			"body.a extra_forbidden: Extra inputs are not permitted",
		}, got.lines(t))
	})
	t.Run("members of a dictionary come as the request orders them", func(t *testing.T) {
		got := server.post(t, "/body", `{"zeta":"z","title":"t","scores":{"z":true,"a/b~":true}}`)
		assert.Equal(t, []string{
			"body.scores.z int_type: Input should be a valid integer",
			"body.scores.a/b~ int_type: Input should be a valid integer",
		}, got.lines(t))
	})
	t.Run("path, query, header, cookie", func(t *testing.T) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/text?flag=x&whole=x", http.NoBody)
		r.Header.Set("X-Trace", "long")
		r.Header.Set("X-Count", "x")
		r.Header.Set("Cookie", "visits=x")
		assert.Equal(t, []string{
			"query.whole int_parsing: Input should be a valid integer, unable to parse string as an integer",
			"query.flag bool_parsing: Input should be a valid boolean, unable to interpret input",
			"header.X-Count int_parsing: Input should be a valid integer, unable to parse string as an integer",
			"header.X-Trace string_too_long: String should have at most 3 characters",
			"cookie.visits int_parsing: Input should be a valid integer, unable to parse string as an integer",
		}, server.answer(r).lines(t))
		assert.Equal(t, []string{
			"path.item_id greater_than_equal: Input should be greater than or equal to 1",
			"path.label string_too_long: String should have at most 3 characters",
			"query.page int_parsing: Input should be a valid integer, unable to parse string as an integer",
		}, server.get(t, "/items/0/long?page=").lines(t))
	})
	t.Run("required parameters", func(t *testing.T) {
		assert.Equal(t, []string{"query.who missing: Field required", "header.X-Key missing: Field required"}, server.get(t, "/needed").lines(t))
	})
}

// TestUnsupported holds that nothing in a request is left unchecked in silence.
func TestUnsupported(t *testing.T) {
	for name, schema := range map[string]string{
		"prefixItems":       `{type: array, prefixItems: [{type: string}]}`,
		"contains":          `{type: array, contains: {type: string}}`,
		"patternProperties": `{type: object, patternProperties: {'^a': {type: string}}}`,
		"dependentRequired": `{type: object, dependentRequired: {a: [b]}}`,
		"if":                `{type: object, if: {required: [a]}, then: {required: [b]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := validation.New([]byte(`{openapi: 3.1.0, info: {title: t, version: '1'}, paths: {/x: {post: {requestBody: {content: ` +
				`{application/json: {schema: {type: object, properties: {p: ` + schema + `}}}}}, responses: {'200': {description: OK}}}}}}`))
			assert.ErrorContains(t, err, "validation: POST /x: request body: the keyword "+name+" is not supported in a request")
		})
	}
	t.Run("a list that is not repeated", func(t *testing.T) {
		_, err := validation.New([]byte(`{openapi: 3.1.0, info: {title: t, version: '1'}, paths: {/x: {get: {parameters: ` +
			`[{name: p, in: query, explode: false, schema: {type: array, items: {type: string}}}], responses: {'200': {description: OK}}}}}}`))
		assert.ErrorContains(t, err, "parameter p: lists are supported as repeated query parameters only")
	})
	t.Run("another media type", func(t *testing.T) {
		_, err := validation.New([]byte(`{openapi: 3.1.0, info: {title: t, version: '1'}, paths: {/x: {post: {requestBody: {content: ` +
			`{text/plain: {schema: {type: string}}}}, responses: {'200': {description: OK}}}}}}`))
		assert.ErrorContains(t, err, "the media type text/plain is not supported")
	})
	t.Run("no document", func(t *testing.T) {
		_, err := validation.New([]byte(`openapi: 3.1.0`))
		assert.ErrorContains(t, err, "validation: the contract is not valid")
	})
}
