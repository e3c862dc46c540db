package validation_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sessiond/sessiond/internal/validation"
)

const revokeAll = "/api/v1/admin/sessions/revoke-all"

// TestSyntaxOffsets has a body for each way to break JSON, and the place of the first error in characters.
func TestSyntaxOffsets(t *testing.T) {
	server := newServer(t)
	for body, want := range map[string]int{
		// A value must stand here.
		"[": 1, "\x00": 0, "  ": 2, "\f{}": 0, "[,1]": 1, `{"a": }`: 6, `{"a":None}`: 5, "tru": 0, "-": 0, "+1": 0, ".5": 0, "True": 0, "-I": 0, "[1, ,2]": 4,
		"nul": 0, "\ufeff\ufeff{}": 0, "Nan": 0, "}": 0, `{"a":`: 5, "[ ": 2,
		// A key must stand here.
		"{": 1, "\ufeff{": 1, "{\u00a0}": 1, "{\n ": 3, "{a:1}": 1, "{'a':1}": 1, "{\u201ca\u201d:1}": 1, `{"a":1,b`: 7, "{1:2}": 1, `{"a":1,,`: 7, `{,}`: 1,
		// A comma before the closing bracket.
		"[1,]": 2, "[1 , ]": 3, "[\"\U0001F600\U0001F600\",]": 5, `{"session_ids":["a",]}`: 19, `{"é":1,}`: 6, "\ufeff{\"a\":1,}": 6,
		// A colon, a comma or a closing bracket is missing.
		`{"a"}`: 4, `{"ééé" 1}`: 7, `{"a","b"}`: 4, `{"revoke_all" true}`: 14, "[1,2": 4, "[[1]": 4, "[1 2]": 3, `{"a":1`: 6, "[1, 2\t": 6, `{"a":1e}`: 6,
		`{"a":[1,2}`: 9, `{"a" `: 5, "[1}": 2,
		// More text after the document.
		"01": 1, "{},": 2, "[]]": 2, "[][]": 2, "1_000": 1, "{}/**/": 2, `{"a":1}}`: 7, "1.": 1, "1e+": 1, "0x10": 1, "{} x": 3, "-01": 2, "nullx": 4, "1.e5": 1,
		// A string that is never closed.
		`"`: 0, `{"`: 1, `"abc`: 0, `{"session`: 1, `[1, 2.0, "x\`: 9, `{"user_id": "u1", "te`: 18, `"é`: 0, `"\n`: 0,
		// A control character in a string.
		"\"\x00\"": 1, "\"a\nb\"": 2, "{\"a\":\"b\nc\"}": 7, "\"\x1f": 1, "\"\\n\t\"": 3,
		// A backslash before a wrong character.
		`"\'"`: 1, `"\0"`: 1, `{"a\x":1}`: 3, `{"a":"b\q"}`: 7, `"\U0001"`: 1,
		// \u without four digits, or with four that end the text.
		`"\u"`: 2, `"\u12"`: 2, `"\u123`: 2, `"\u1234`: 2, `"\ud83d\u"`: 8, `"\ud800\u12"`: 8, `{"a":"\u00"}`: 7, `[1, 2.0, "x\ud83d`: 12, `"\u+123"`: 2,
		`"\ud83d\ude00`: 8, `"\u00e`: 2,
	} {
		t.Run(body, func(t *testing.T) {
			assert.Equal(t, []string{"body." + strconv.Itoa(want) + " json_invalid: JSON decode error"}, server.post(t, revokeAll, body).lines(t))
		})
	}
}

func TestJSONAccepted(t *testing.T) {
	server := newDialect(t)
	for body, want := range map[string]string{
		" \t\r\n[true] ": `[true]`,
		"\ufeff[false]":  `[false]`,
		"[]":             `[]`,
		"[ ]":            `[]`,
	} {
		t.Run(body, func(t *testing.T) {
			assert.JSONEq(t, `{"body":`+want+`}`, server.post(t, "/list", body).body)
		})
	}
	for literal, want := range map[string]string{
		`"\u0041\"\\\/\b\f\n\r\t"`: `"A\"\\/\b\f\n\r\t"`,
		`"\ud83d\ude00"`:           `"😀"`,
		`"\ud83dx\ude00"`:          `"\ufffdx\ufffd"`,
		`"\ud83d\ud83d\ude00"`:     `"\ufffd😀"`,
		`-0`:                       `0`,
		`1E+2`:                     `100`,
		`{"a":{"b":1,"b":2}}`:      `{"a":{"b":2}}`,
		`[NaN,1e999,-Infinity]`:    `[null,null,null]`,
		strings.Repeat("[", 9000) + strings.Repeat("]", 9000): strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
	} {
		t.Run(short(literal), func(t *testing.T) {
			got := server.post(t, "/body", `{"zeta":"","title":"a","any":`+literal+`}`)
			assert.JSONEq(t, `{"body":{"zeta":"","title":"a","any":`+want+`}}`, got.body)
		})
	}
}

func TestUndecodable(t *testing.T) {
	server := newServer(t)
	for name, body := range map[string]string{
		"a byte that is not UTF-8":        "{\"a\":\"\xff\"}",
		"what no surrogate begins with":   "{\"\xedA\x80\":1}",
		"what no surrogate goes on with":  "{\"\xed\xc0\x80\":1}",
		"what no surrogate ends with":     "{\"\xed\xa0A\":1}",
		"the same beyond the last byte":   "{\"\xed\xa0\xc0\":1}",
		"a surrogate that is cut":         "{\"a\":\"\xed\xa0",
		"a cut UTF-8 sequence":            "{\"a\":\"\xc3",
		"half a UTF-16 unit":              "\xff\xfe{\x00}",
		"a UTF-32 unit that is cut":       "\xff\xfe\x00\x00{\x00\x00",
		"a UTF-32 unit that is too large": "\x00\x00\xfe\xff\x00\x11\x00\x00",
		"more than 4300 digits":           `{"a":` + strings.Repeat("1", 4301) + `}`,
		"the same before a syntax error":  `[-` + strings.Repeat("1", 4301) + ` x`,
		"nesting in the thousands":        strings.Repeat("[", 20000),
	} {
		t.Run(name, func(t *testing.T) {
			got := server.post(t, revokeAll, body)
			assert.Equal(t, http.StatusBadRequest, got.status, got.body)
			assert.JSONEq(t, `{"detail":"`+validation.ErrUndecodable.Error()+`"}`, got.body)
		})
	}
	t.Run("a syntax error before it wins", func(t *testing.T) {
		assert.Equal(t, []string{"body.1 json_invalid: JSON decode error"}, server.post(t, revokeAll, "[x"+strings.Repeat("1", 4301)).lines(t))
		assert.Equal(t, []string{"body.1 json_invalid: JSON decode error"}, server.post(t, revokeAll, "{"+strings.Repeat("[", 20000)).lines(t))
	})
}

func TestEncodings(t *testing.T) {
	server := newServer(t)
	const wide = "{\x00\"\x00\xe9\x00\"\x00:\x001\x00}\x00"
	for name, body := range map[string]string{
		"UTF-16 little endian":           wide,
		"UTF-16 with a byte order mark":  "\xff\xfe" + wide,
		"UTF-16 big endian":              "\x00{\x00}",
		"UTF-16 big endian with mark":    "\xfe\xff\x00{\x00}",
		"UTF-32 little endian":           "{\x00\x00\x00}\x00\x00\x00",
		"UTF-32 big endian":              "\x00\x00\x00{\x00\x00\x00}",
		"UTF-32 big endian with mark":    "\x00\x00\xfe\xff\x00\x00\x00{\x00\x00\x00}",
		"UTF-32 with a byte order mark":  "\xff\xfe\x00\x00{\x00\x00\x00}\x00\x00\x00",
		"UTF-8 with a byte order mark":   "\xef\xbb\xbf{}",
		"a surrogate encoded on its own": "{\"\xed\xa0\x80\":1}",
		"the last one":                   "{\"\xed\xbf\xbf\":1}",
		"half a pair in UTF-16":          "{\x00\"\x00\x00\xd8\"\x00:\x001\x00}\x00",
	} {
		t.Run(name, func(t *testing.T) {
			got := server.post(t, revokeAll, body)
			assert.Equal(t, http.StatusOK, got.status, got.body)
		})
	}
	t.Run("offsets count characters of the text", func(t *testing.T) {
		got := server.post(t, revokeAll, "\xff\xfe{\x00\"\x00=\xd8\x00\xde\"\x00}\x00")
		assert.Equal(t, []string{"body.4 json_invalid: JSON decode error"}, got.lines(t))
	})
}
