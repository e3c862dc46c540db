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

// routeTable knows every path that is served, by its number of segments. Echo finds the handler of a request; this table
// finds what is wrong with one that has none, by the contract's rules: a parameter is never empty and never has a slash
// in it, and Allow names every method of the path.
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
	return table
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

func (r route) fits(segments []string) bool {
	for i, pattern := range r.segments {
		if strings.HasPrefix(pattern, ":") {
			if segments[i] == "" {
				return false
			}
		} else if pattern != segments[i] {
			return false
		}
	}
	return true
}

// check is the first question about a request: is there something at this path, with this method?
func (t routeTable) check(method, path string) error {
	allowed := t.methods(path)
	if slices.Contains(allowed, method) {
		return nil
	}
	if len(allowed) > 0 {
		return &methodError{allow: strings.Join(allowed, ", ")}
	}
	other := strings.TrimRight(path, "/")
	if other == path {
		other += "/"
	}
	if len(t.methods(other)) > 0 {
		return &redirectError{location: other}
	}
	return errNoPath
}

// routing decodes the path as a whole, as the contract wants it, and refuses what is not served. It runs before Echo's
// router, and other tells which paths are somebody else's.
func (t routeTable) routing(other func(path string) bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			target := c.Request().URL
			if other(target.Path) {
				return next(c)
			}
			// The escapes of a path are undone before it is cut at slashes: %2F is one. One line feed at the end is nothing.
			path := strings.TrimSuffix(strings.ToValidUTF8(target.Path, "\uFFFD"), "\n")
			target.Path, target.RawPath = path, ""
			err := t.check(c.Request().Method, path)
			if moved := (*redirectError)(nil); errors.As(err, &moved) {
				location := url.URL{Path: moved.location, RawQuery: target.RawQuery}
				moved.location = location.String()
			}
			if err != nil {
				return err
			}
			return next(c)
		}
	}
}
