package validation

import (
	"strings"
	"unicode/utf8"
)

// splitForm splits a query string or a form into the texts of the declared parameters; other names are ignored. The last of
// several values counts; only a list keeps them all. It never fails: a pair without "=" is a name with an empty value, an invalid
// escape is kept, bytes that are not UTF-8 become U+FFFD.
func splitForm(raw string, declared []parameter) [][]string {
	texts := make([][]string, len(declared))
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, text, _ := strings.Cut(pair, "=")
		i := find(declared, unescape(name))
		if i < 0 {
			continue
		}
		if declared[i].node.kind != arrayKind {
			texts[i] = texts[i][:0]
		}
		texts[i] = append(texts[i], unescape(text))
	}
	return texts
}

// repeated appends a violation for each field of a form that is there more than once (RFC 6749, section 3.2).
func repeated(violations []Violation, raw string, declared []parameter) []Violation {
	times := make([]int, len(declared))
	for pair := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(pair, "=")
		i := find(declared, unescape(name))
		if i < 0 || declared[i].node.kind == arrayKind {
			continue
		}
		if times[i]++; times[i] == 2 {
			violations = append(violations, valueError("it is given more than once").at([]any{"body", declared[i].name}))
		}
	}
	return violations
}

// find searches linearly: operations have a handful of parameters, and a map of them costs more than it saves.
func find(declared []parameter, name string) int {
	for i := range declared {
		if declared[i].name == name {
			return i
		}
	}
	return -1
}

// unescape turns "+" into a space and decodes percent-escapes, once.
func unescape(text string) string {
	if strings.ContainsAny(text, "%+") {
		text = decodeEscapes(text)
	}
	if !utf8.ValidString(text) {
		text = string([]rune(text))
	}
	return text
}

func decodeEscapes(text string) string {
	decoded := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '+':
			decoded = append(decoded, ' ')
		case c == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			decoded = append(decoded, hex(text[i+1])<<4|hex(text[i+2]))
			i += 2
		default:
			decoded = append(decoded, c)
		}
	}
	return string(decoded)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// hex is the value of a hexadecimal digit.
func hex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	default:
		return c - '0'
	}
}
