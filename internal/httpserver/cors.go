package httpserver

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"
	"github.com/rs/cors"
)

// preflightAge is for how many seconds a browser may remember the answer to a preflight.
const preflightAge = 600

// CORS lets pages of other origins call the API (CORS, in the Fetch standard) and answers their preflights; it does nothing when
// there are no origins. Pages may send and read the named headers besides the usual ones. Credentials (cookies) are not allowed.
func CORS(origins, requestHeaders, responseHeaders []string) echo.MiddlewareFunc {
	if len(origins) == 0 {
		return passThrough
	}
	policy := cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete},
		AllowedHeaders: slices.Concat(
			[]string{echo.HeaderAuthorization, echo.HeaderContentType, echo.HeaderXRequestID}, requestHeaders, []string{"Traceparent", "Tracestate"}),
		ExposedHeaders:       slices.Concat([]string{echo.HeaderXRequestID, echo.HeaderRetryAfter, echo.HeaderWWWAuthenticate}, responseHeaders),
		MaxAge:               preflightAge,
		OptionsSuccessStatus: http.StatusNoContent,
	})
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			policy.HandlerFunc(c.Response(), c.Request())
			if c.Response().Committed {
				return nil // it was a preflight
			}
			return next(c)
		}
	}
}

// passThrough is a step that does nothing.
func passThrough(next echo.HandlerFunc) echo.HandlerFunc { return next }
