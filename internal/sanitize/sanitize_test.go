package sanitize_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessiond/sessiond/internal/sanitize"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "",
		"Firefox/140.0 (Linux)":   "Firefox/140.0 (Linux)",
		"Zoë 李 🦊":                 "Zoë 李 🦊",
		"\x1b[31mred\x1b[0m":      `\x1b[31mred\x1b[0m`,
		"\x1b]0;title\a":          `\x1b]0;title\a`,
		"a\tb\nc\rd\x00\x7f":      `a\tb\nc\rd\x00\x7f`,
		"\u009b2J":                `\u009b2J`,
		"\x9b2J":                  `\x9b2J`,
		"user\u202egnp.exe\u2066": `user\u202egnp.exe\u2066`,
		"\ufffd":                  "\ufffd",
	} {
		assert.Equal(t, want, sanitize.Text(in), "%q", in)
	}
}

func TestJSON(t *testing.T) {
	for in, want := range map[string]string{
		"{\n  \"a\": \"\u009b2J\"}": "{\n  \"a\": \"\\u009b2J\"}",
		"\"\x7f\u202e\"":            `"\u007f\u202e"`,
		"\"\U000e0001\"":            `"\udb40\udc01"`,
		"\"\x9b\"":                  `"\ufffd"`,
		`"Zoë 🦊"`:                   `"Zoë 🦊"`,
	} {
		assert.Equal(t, want, string(sanitize.JSON([]byte(in))), "%q", in)
	}
}

// TestJSONKeepsTheMeaning holds the escaped text against the original: both decode to the same string.
func TestJSONKeepsTheMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		encoded, err := json.Marshal(text)
		require.NoError(t, err)
		var decoded string
		require.NoError(t, json.Unmarshal(sanitize.JSON(encoded), &decoded))
		assert.Equal(t, text, decoded)
		assert.NotRegexp(t, `[\p{Cc}\p{Cf}]`, string(sanitize.JSON(encoded)))
		assert.NotRegexp(t, `[\p{Cc}\p{Cf}]`, sanitize.Text(text))
	})
}
