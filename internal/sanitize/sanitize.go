// Package sanitize makes text of unknown origin safe to show: what a terminal, a log viewer or the Unicode bidirectional
// algorithm would act on is written as an escape. User agents, names and ids are chosen by whoever signs in.
package sanitize

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Text returns s with every character that is not printable (unicode.IsPrint) as Go writes it in a string: \x1b, \u202e.
// Bytes that are no UTF-8 are escaped too, among them the one-byte control sequence introducer 0x9B.
func Text(s string) string {
	var out strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if unicode.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			out.WriteString(s[:size])
		} else {
			quoted := strconv.Quote(s[:size])
			out.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return out.String()
}

// JSON returns a JSON text that means the same, with every character that is not printable as \uXXXX. JSON itself asks
// for that below U+0020 only (RFC 8259, section 7). White space between the values stays.
func JSON(text []byte) []byte {
	var out []byte
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			out = append(out, `\ufffd`...)
		case unicode.IsPrint(r) || r == '\n' || r == '\r' || r == '\t':
			out = append(out, text[:size]...)
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
		}
		text = text[size:]
	}
	return out
}
