package validation_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// seen is what a binding sees of one query parameter.
func seen(t *testing.T, got answer, name string) string {
	t.Helper()
	require.Equal(t, http.StatusOK, got.status, got.body)
	var values map[string]any
	require.NoError(t, json.Unmarshal([]byte(got.body), &values))
	text, _ := values[name].(string)
	return text
}

func TestIntegersInText(t *testing.T) {
	server := newDialect(t)
	for text, want := range map[string]string{
		"1": "1", "-1": "-1", "0": "0", "-0": "0", "01": "1", "+1": "1", " 1": "1", "\t1\n": "1", "\u00a01\u2003": "1",
		"1.0": "1", "1.000": "1", "1_0": "10", "1_0.0": "10", "0__1": "1", "00": "0", "0.0": "0", "+0": "0", "-01": "-1", "000_5": "5",
		"0-1": "-1", "0_-1": "-1", "0_0": "0",
		"99999999999999999999": "9223372036854775807", "-99999999999999999999": "-9223372036854775808",
		strings.Repeat("9", 4300):       "9223372036854775807",
		strings.Repeat("0", 5000) + "1": "1",
	} {
		t.Run(short(text), func(t *testing.T) {
			assert.Equal(t, want, seen(t, server.get(t, "/text?whole="+url.QueryEscape(text)), "whole"))
		})
	}
	const parsing = "query.whole int_parsing: Input should be a valid integer, unable to parse string as an integer"
	const size = "query.whole int_parsing_size: Unable to parse input string as an integer, exceeded maximum size"
	for text, want := range map[string]string{
		"": parsing, " ": parsing, "1.5": parsing, "1.": parsing, ".0": parsing, ".": parsing, "1e3": parsing, "0x10": parsing, "1__0": parsing,
		"1_": parsing, "_1": parsing, "NaN": parsing, "true": parsing, "٣": parsing, "+-1": parsing, "-+1": parsing, "--1": parsing, "++1": parsing,
		"-0-1": parsing, "1 0": parsing, "0_": parsing, "0x": parsing, "1.0.0": parsing, "- 1": parsing, "\x1f1": parsing, "\ufeff1": parsing,
		strings.Repeat("9", 4301):         size,
		"-" + strings.Repeat("9", 4300):   size,
		strings.Repeat("9", 4301) + "x":   size,
		" " + strings.Repeat("9", 4301):   parsing,
		"+" + strings.Repeat("9", 4301):   parsing,
		"0" + strings.Repeat("9", 4301):   parsing,
		"\x00" + strings.Repeat("9", 430): parsing,
	} {
		t.Run(short(text), func(t *testing.T) {
			assert.Equal(t, []string{want}, server.get(t, "/text?whole="+url.QueryEscape(text)).lines(t))
		})
	}
}

// short is a name for a case that may be thousands of characters long.
func short(text string) string {
	if len(text) > 20 {
		return text[:10] + "…" + text[len(text)-3:]
	}
	return text
}

func TestBooleansInText(t *testing.T) {
	server := newDialect(t)
	for words, want := range map[string]string{
		"true t yes y on 1 TRUE tRuE T Yes ON":      "true",
		"false f no n off 0 FALSE False F No oFF N": "false",
	} {
		for word := range strings.FieldsSeq(words) {
			t.Run(word, func(t *testing.T) {
				assert.Equal(t, want, seen(t, server.get(t, "/text?flag="+word), "flag"))
			})
		}
	}
	for _, text := range []string{"", "2", "-1", "00", "1.0", "+1", "%201", "true%20", "%C4%B0", "null", "tru", "enabled"} {
		t.Run("not "+text, func(t *testing.T) {
			assert.Equal(t, []string{"query.flag bool_parsing: Input should be a valid boolean, unable to interpret input"},
				server.get(t, "/text?flag="+text).lines(t))
		})
	}
}

func TestNumbersInText(t *testing.T) {
	server := newDialect(t)
	for text, want := range map[string]string{"1": "1", " 1.5 ": "1.5", "+1": "1", ".5": "0.5", "1.": "1", "1e-1": "0.1", "0.1_5": "0.15"} {
		t.Run(text, func(t *testing.T) {
			assert.Equal(t, want, seen(t, server.get(t, "/text?ratio="+url.QueryEscape(text)), "ratio"))
		})
	}
	for text, want := range map[string]string{
		"":     "float_parsing: Input should be a valid number, unable to parse string as a number",
		"x":    "float_parsing: Input should be a valid number, unable to parse string as a number",
		"0x1p": "float_parsing: Input should be a valid number, unable to parse string as a number",
		"1__0": "float_parsing: Input should be a valid number, unable to parse string as a number",
		"_1":   "float_parsing: Input should be a valid number, unable to parse string as a number",
		"nan":  "finite_number: Input should be a finite number", "-inf": "finite_number: Input should be a finite number",
		"1e999": "finite_number: Input should be a finite number",
		"0":     "greater_than: Input should be greater than 0", "2.5": "less_than: Input should be less than 2.5",
	} {
		t.Run("not "+text, func(t *testing.T) {
			assert.Equal(t, []string{"query.ratio " + want}, server.get(t, "/text?ratio="+url.QueryEscape(text)).lines(t))
		})
	}
}

func TestConstraintsInText(t *testing.T) {
	server := newDialect(t)
	for query, want := range map[string]string{
		"zone=abcde":               "zone string_too_long: String should have at most 4 characters",
		"zone=a":                   "zone string_too_short: String should have at least 2 characters",
		"zone=AB":                  "zone string_pattern_mismatch: String should match pattern '^[a-z]+$'",
		"bounded=0":                "bounded greater_than_equal: Input should be greater than or equal to 1",
		"bounded=101":              "bounded multiple_of: Input should be a multiple of 5",
		"bounded=105":              "bounded less_than_equal: Input should be less than or equal to 100",
		"bounded=7":                "bounded multiple_of: Input should be a multiple of 5",
		"maybe=null":               "maybe int_parsing: Input should be a valid integer, unable to parse string as an integer",
		"either=":                  "either int_parsing: Input should be a valid integer, unable to parse string as an integer",
		"colour=pink":              "colour literal_error: Input should be 'red', 'green' or 'blue'",
		"level=mid":                "level enum: Input should be 'low' or 'high'",
		"tags=1":                   "tags too_short: List should have at least 2 items after validation, not 1",
		"tags=x":                   "tags.0 int_parsing: Input should be a valid integer, unable to parse string as an integer",
		"tags=x&tags=1&tags=10":    "tags.0 int_parsing: Input should be a valid integer, unable to parse string as an integer|query.tags.2 less_than_equal: Input should be less than or equal to 9",
		"tags=x&tags=&tags&tags=1": "tags too_long: List should have at most 3 items after validation, not 4",
		"at=1768464000":            "at datetime_from_date_parsing: Input should be a valid datetime or date, invalid date separator, expected `-`",
		"day=today":                "day date_from_datetime_parsing: Input should be a valid date or datetime, input is too short",
	} {
		t.Run(query, func(t *testing.T) {
			assert.Equal(t, strings.Split("query."+want, "|"), server.get(t, "/text?"+query).lines(t))
		})
	}
	t.Run("canonical texts of all kinds", func(t *testing.T) {
		got := server.get(t, "/text?tags=+1&zone=AB&tags=2.0&bounded=+10&maybe=01&unknown=1&at=2026-01-15T08:00:00%2B01:00&zone=ab&either=2&level=low")
		assert.JSONEq(t, `{"tags":"1|2","zone":"ab","bounded":"10","maybe":"1","at":"2026-01-15T08:00:00+01:00","either":"2","level":"low"}`, got.body)
	})
}

func TestQuerySplitting(t *testing.T) {
	server := newServer(t)
	for query, want := range map[string]string{
		"":                        "page=1&per_page=20",
		"user_id":                 "page=1&per_page=20&user_id=",
		"user_id=":                "page=1&per_page=20&user_id=",
		"user_id=a=b":             "page=1&per_page=20&user_id=a%3Db",
		"user_id=a;page=0":        "page=1&per_page=20&user_id=a%3Bpage%3D0",
		"user_id=a+b%20c":         "page=1&per_page=20&user_id=a+b+c",
		"user_id=%zz%":            "page=1&per_page=20&user_id=%25zz%25",
		"user_id=%2":              "page=1&per_page=20&user_id=%252",
		"user_id=%41%ff":          "page=1&per_page=20&user_id=A%EF%BF%BD",
		"user_id=%2541":           "page=1&per_page=20&user_id=%2541",
		"user_id=?#":              "page=1&per_page=20&user_id=%3F%23",
		"&&user_id=1&user_id=2&":  "page=1&per_page=20&user_id=2",
		"page=x&page=2":           "page=2&per_page=20",
		"%70age=3&pa+ge=x":        "page=3&per_page=20",
		"Page=x&page%5B%5D=x&=x":  "page=1&per_page=20",
		"page=%2B2&per_page=1_0":  "page=2&per_page=10",
		"user_id=%00&tenant_id=,": "page=1&per_page=20&tenant_id=%2C&user_id=%00",
	} {
		t.Run(query, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
			r.URL = &url.URL{Path: "/api/v1/admin/sessions/", RawQuery: query}
			got := server.answer(r)
			require.Equal(t, http.StatusOK, got.status, got.body)
			assert.Equal(t, want, r.URL.RawQuery)
		})
	}
	for query, name := range map[string]string{"page=2&page=x": "page", "page&page=": "page", "per_page=0;": "per_page", "a&%70age=x": "page"} {
		t.Run("not "+query, func(t *testing.T) {
			assert.Equal(t, []string{"query." + name + " int_parsing: Input should be a valid integer, unable to parse string as an integer"},
				server.get(t, "/api/v1/admin/sessions/?"+query).lines(t))
		})
	}
}
