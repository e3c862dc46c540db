package httpserver

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
)

// ErrNoRoute says that nothing is served at the path: 404.
var ErrNoRoute = errors.New("no route has this path")

// MethodError says that the path is served, but not with this method: 405.
type MethodError struct {
	// Allow is the header of that name.
	Allow string
}

// Error implements error.
func (e *MethodError) Error() string { return "method not allowed, use " + e.Allow }

// RedirectError says that the path is served with one slash more or less at its end: 307.
type RedirectError struct {
	// Location is the header of that name.
	Location string
}

// Error implements error.
func (e *RedirectError) Error() string { return "moved to " + e.Location }

// unroutedKey is where Routing keeps what EscapedSlash returns.
const unroutedKey = "unrouted"

// EscapedSlash reports whether a parameter of the request's path has an escaped slash, and returns the error that answers the
// request when there is nothing of that name: 404, 405 or 307.
func EscapedSlash(c echo.Context) (unrouted error, found bool) {
	unrouted, found = c.Get(unroutedKey).(error)
	return unrouted, found
}

// RouteTable knows every path that is served, by its number of segments. Echo finds the handler of a request; this table
// finds what is wrong with one that has none, by the contract's rules: a parameter is never empty, and Allow names every
// method of the path. Of two routes that match, the one with fewer parameters comes first, as in Echo.
type RouteTable map[int][]route

type route struct {
	method   string
	segments []string
	// exact: with a slash at its end it is another path, where nothing is served.
	exact bool
}

// exactExtension marks an operation whose path is another one with a slash at its end: the reference serves nothing there.
const exactExtension = "x-exact-path"

// NewRouteTable returns the table of a contract's operations.
func NewRouteTable(contract *openapi3.T) RouteTable {
	table := RouteTable{}
	for path, item := range contract.Paths.Map() {
		segments := strings.Split(echoPath(path), "/")
		for method, operation := range item.Operations() {
			table[len(segments)] = append(table[len(segments)], route{method: method, segments: segments, exact: operation.Extensions[exactExtension] == true})
		}
	}
	for _, sameLength := range table {
		slices.SortFunc(sameLength, func(a, b route) int { return a.parameters() - b.parameters() })
	}
	return table
}

// echoPath is a path of a contract as Echo spells it: ":name" for "{name}".
func echoPath(path string) string { return strings.NewReplacer("{", ":", "}", "").Replace(path) }

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

// matches reports whether the decoded segments are the route's. One line feed after a path that ends in a literal segment is
// ignored, as in the reference; after a parameter it belongs to the id.
func (r route) matches(segments []string) bool {
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
func (t RouteTable) find(method string, segments []string) (route, bool) {
	for _, r := range t[len(segments)] {
		if r.method == method && r.matches(segments) {
			return r, true
		}
	}
	return route{}, false
}

// methods returns those with which the path is served, sorted; none when it is not.
func (t RouteTable) methods(path string) []string {
	segments := strings.Split(path, "/")
	var found []string
	for _, r := range t[len(segments)] {
		if r.matches(segments) && !slices.Contains(found, r.method) {
			found = append(found, r.method)
		}
	}
	slices.Sort(found)
	return found
}

// exact reports whether the routes of a path are exact.
func (t RouteTable) exact(path string) bool {
	segments := strings.Split(path, "/")
	return slices.ContainsFunc(t[len(segments)], func(r route) bool { return r.exact && r.matches(segments) })
}

// unrouted is the error of a request that has no route: that of the reference, which decodes a path as a whole and then splits it
// at slashes, the escaped ones too. A path that only has a route when it is split so has none here.
func (t RouteTable) unrouted(method string, target *url.URL) error {
	allowed := t.methods(target.Path)
	if slices.Contains(allowed, method) {
		return ErrNoRoute
	}
	if len(allowed) > 0 {
		return &MethodError{Allow: strings.Join(allowed, ", ")}
	}
	other := strings.TrimRight(target.Path, "/")
	if other == target.Path {
		other += "/"
	}
	if len(t.methods(other)) > 0 && !t.exact(other) {
		location := url.URL{Path: other, RawQuery: target.RawQuery}
		return &RedirectError{Location: location.String()}
	}
	return ErrNoRoute
}

// segmentsOf splits a path at its slashes and decodes each segment, once: an escaped slash is data (RFC 3986, section 2.2).
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

// Routing is the step that answers 404, 405 and 307. It runs before Echo's router, and leaves the paths of other to it.
func (t RouteTable) Routing(other func(path string) bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			method, target := c.Request().Method, c.Request().URL
			if other(target.Path) {
				return next(c)
			}
			segments := segmentsOf(target)
			found, served := t.find(method, segments)
			if !served {
				return t.unrouted(method, target)
			}
			if target.RawPath != "" || strings.HasSuffix(target.Path, "\n") {
				found.rewrite(target, segments)
			}
			if target.RawPath != "" {
				c.Set(unroutedKey, t.unrouted(method, target))
			}
			return next(c)
		}
	}
}

// rewrite makes Echo's router, which splits a path at its slashes, find the route: the path becomes the decoded one, and the
// escaped one stays only where an id has a slash in it.
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
