package auth

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// maxInstant is the last second of the year 9999: later times have no RFC 3339 form, and far later ones overflow.
const maxInstant = 253402300799

// claimSet is a token's payload as JSON values. A claim of the wrong type invalidates the token instead of counting as absent: an
// empty or null tenant would otherwise widen the authorized scope.
type claimSet map[string]any

func (c claimSet) has(name string) bool {
	_, present := c[name]
	return present
}

// text returns a claim that must be a non-empty text when it is present.
func (c claimSet) text(name string) (string, bool) {
	value, present := c[name]
	if !present {
		return "", true
	}
	text, ok := value.(string)
	return text, ok && text != "" && clean(text)
}

// clean reports whether a text can be stored and compared: PostgreSQL takes no NUL, and U+FFFD is what a decoder makes of
// bytes that are no UTF-8 and of half a surrogate pair, so that two different claims would become one.
func clean(text string) bool {
	return !strings.ContainsRune(text, 0) && !strings.ContainsRune(text, utf8.RuneError)
}

// list returns a claim that must be a text or a list of texts, as aud is.
func (c claimSet) list(name string) ([]string, bool) {
	switch value := c[name].(type) {
	case string:
		return []string{value}, clean(value)
	case []any:
		texts := make([]string, 0, len(value))
		for _, item := range value {
			text, ok := item.(string)
			if !ok || !clean(text) {
				return nil, false
			}
			texts = append(texts, text)
		}
		return texts, true
	default:
		return nil, false
	}
}

// scopes returns the scopes: a text with spaces between (RFC 8693), or a list as some issuers have it in scp.
func (c claimSet) scopes(name string) ([]string, bool) {
	value, present := c[name]
	if !present {
		return nil, true
	}
	texts, ok := c.list(name)
	if !ok {
		return nil, false
	}
	if text, single := value.(string); single {
		return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' }), true
	}
	return texts, true
}

// instant returns a claim that must be a number of seconds since 1970 when it is there, the zero time when it is not.
func (c claimSet) instant(name string) (time.Time, bool) {
	value, present := c[name]
	if !present {
		return time.Time{}, true
	}
	seconds, ok := value.(float64)
	if !ok || seconds < 0 || seconds > maxInstant {
		return time.Time{}, false
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*float64(time.Second))).UTC(), true
}
