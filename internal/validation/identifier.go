package validation

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// PathProblem says why an id cannot stand in a path, "" when it can. Clients and proxies take "." and ".." for steps (RFC 3986,
// section 5.2.4), and many drop, cut at or refuse control characters.
func PathProblem(id string) string {
	switch {
	case id == "." || id == "..":
		return "must not be . or .."
	case !utf8.ValidString(id):
		return "is not UTF-8"
	case strings.ContainsFunc(id, unicode.IsControl):
		return "must not have control characters"
	default:
		return ""
	}
}
