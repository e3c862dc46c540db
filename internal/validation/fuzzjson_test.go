package validation

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzJSON holds the decoder to encoding/json wherever the two follow the same rules, and its offsets to the text.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"session_ids":["a","é"],"revoke_all":true}`, `[1,2.0,-3e4,"\ud83d\ude00\ud800x",null]`, `{"a":1,}`, `[1,]`, `"\u12`, `01`, `{"a" 1}`, `NaN`,
		"\xff\xfe{\x00}\x00", "\x00\x00\x00{", "\xef\xbb\xbf{}", "\xed\xa0\x80", "[[[[", `{"a":{"a":1,"a":2}}`, "1e999", "\"\x01\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		doc, err := decodeJSON(body, true)
		var syntax *syntaxError
		switch {
		case errors.As(err, &syntax):
			text, decoding := decodeText(body)
			require.NoError(t, decoding)
			require.GreaterOrEqual(t, syntax.offset, 0)
			require.LessOrEqual(t, syntax.offset, utf8.RuneCountInString(text))
		case err != nil:
			require.ErrorIs(t, err, ErrUndecodable)
		}
		text, decoding := decodeText(body)
		if decoding != nil || text != string(body) || errors.Is(err, ErrUndecodable) {
			return // Another encoding, or a limit that encoding/json does not have.
		}
		if err == nil && doc.nonFinite {
			return // NaN and its like.
		}
		if bytes.Contains(body, []byte("NaN")) || bytes.Contains(body, []byte("Infinity")) {
			return
		}
		require.Equal(t, json.Valid(body), err == nil, "%q: %v", body, err)
		if err == nil {
			sameValue(t, body, doc)
		}
	})
}

func sameValue(t *testing.T, body []byte, doc *document) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var want any
	require.NoError(t, decoder.Decode(&want))
	if !hasLargeNumber(want) {
		require.Equal(t, want, doc.value)
	}
}

// hasLargeNumber finds integers beyond float64, of which the decoder keeps the nearest that float64 holds.
func hasLargeNumber(value any) bool {
	switch value := value.(type) {
	case json.Number:
		_, err := value.Float64()
		return err != nil
	case []any:
		return slices.ContainsFunc(value, hasLargeNumber)
	case map[string]any:
		for _, member := range value {
			if hasLargeNumber(member) {
				return true
			}
		}
	}
	return false
}
