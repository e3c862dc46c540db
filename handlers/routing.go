package handlers

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// errNoPath: nothing is served at this path.
var errNoPath = errors.New("no such path")

// methodError: the path is served, but not with this method.
type methodError struct{ allow string }

func (e *methodError) Error() string { return "method not allowed, use " + e.allow }

// redirectError: the path is served with one slash more or less at its end.
type redirectError struct{ location string }

func (e *redirectError) Error() string { return "moved to " + e.location }

// refusalKey is where the answer to a request whose path may name nothing is kept; see Server.escapedSlashes.
const refusalKey = "refusal"

// routeTable knows every path that is served, by its number of segments. Echo finds the handler of a request; this table
// finds what is wrong with one that has none, by the contract's rules: a parameter is never empty, and Allow names every
// method of the path. Of two routes that fit, the one with fewer parameters comes first, as in Echo.
type routeTable map[int][]route

type route struct {
	method   string
	segments []string
}

func newRouteTable(routes []*echo.Route) routeTable {
	table := routeTable{}
	for _, r := range routes {
		segments := strings.Split(r.Path, "/")
		table[len(segments)] = append(table[len(segments)], route{method: r.Method, segments: segments})
	}
	for _, alike := range table {
		slices.SortFunc(alike, func(a, b route) int { return a.parameters() - b.parameters() })
	}
	return table
}

func isParameter(pattern string) bool { return strings.HasPrefix(pattern, ":") }

func (r route) parameters() int {
	n := 0
	for _, pattern := range r.segments {
		if isParameter(pattern) {
			n++
		}
	}
	return n
}

// fits reports whether the decoded segments are the route's. One line feed behind a path that ends in a literal segment is
// nothing, as in the reference; behind a parameter it belongs to the id.
func (r route) fits(segments []string) bool {
	for i, pattern := range r.segments {
		segment := segments[i]
		switch {
		case isParameter(pattern):
			if segment == "" {
				return false
			}
		case pattern == segment:
		case i == len(segments)-1 && pattern == strings.TrimSuffix(segment, "\n"):
		default:
			return false
		}
	}
	return true
}

// find returns the route of a method and decoded segments.
func (t routeTable) find(method string, segments []string) (route, bool) {
	for _, r := range t[len(segments)] {
		if r.method == method && r.fits(segments) {
			return r, true
		}
	}
	return route{}, false
}

// methods returns those with which the path is served, sorted; none when it is not.
func (t routeTable) methods(path string) []string {
	segments := strings.Split(path, "/")
	var found []string
	for _, r := range t[len(segments)] {
		if r.fits(segments) && !slices.Contains(found, r.method) {
			found = append(found, r.method)
		}
	}
	slices.Sort(found)
	return found
}

// refusal is the answer to a request that names nothing: that of the reference, which decodes a path as a whole and then
// cuts it at slashes, the escaped ones too. A path that is served when it is cut so is still none here.
func (t routeTable) refusal(method string, target *url.URL) error {
	allowed := t.methods(target.Path)
	if slices.Contains(allowed, method) {
		return errNoPath
	}
	if len(allowed) > 0 {
		return &methodError{allow: strings.Join(allowed, ", ")}
	}
	other := strings.TrimRight(target.Path, "/")
	if other == target.Path {
		other += "/"
	}
	if len(t.methods(other)) > 0 {
		location := url.URL{Path: other, RawQuery: target.RawQuery}
		return &redirectError{location: location.String()}
	}
	return errNoPath
}

// segmentsOf cuts a path at its slashes and decodes each segment, once: an escaped slash is data (RFC 3986, section 2.2).
func segmentsOf(target *url.URL) []string {
	if target.RawPath == "" { // no slash is escaped, or net/url would have kept how the path was written
		return strings.Split(target.Path, "/")
	}
	segments := strings.Split(target.RawPath, "/")
	for i, segment := range segments {
		segments[i], _ = url.PathUnescape(segment) // the whole was unescaped before
	}
	return segments
}

// routing refuses what is not served. It runs before Echo's router, and other tells which paths are somebody else's.
func (t routeTable) routing(other func(path string) bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			method, target := c.Request().Method, c.Request().URL
			if other(target.Path) {
				return next(c)
			}
			segments := segmentsOf(target)
			found, served := t.find(method, segments)
			if !served {
				return t.refusal(method, target)
			}
			if target.RawPath != "" || strings.HasSuffix(target.Path, "\n") {
				found.rewrite(target, segments)
			}
			if target.RawPath != "" {
				c.Set(refusalKey, t.refusal(method, target))
			}
			return next(c)
		}
	}
}

// rewrite makes Echo's router, which cuts a path at its slashes, find the route: it takes the decoded path, and the escaped one
// only where an id has a slash in it.
func (r route) rewrite(target *url.URL, segments []string) {
	escaped, slash := make([]string, len(segments)), false
	for i, pattern := range r.segments {
		if !isParameter(pattern) {
			segments[i] = pattern // without a line feed
		}
		escaped[i], slash = url.PathEscape(segments[i]), slash || strings.Contains(segments[i], "/")
	}
	target.Path, target.RawPath = strings.Join(segments, "/"), ""
	if slash {
		target.RawPath = strings.Join(escaped, "/")
	}
}
