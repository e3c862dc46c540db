package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/internal/validation"
	"github.com/sessiond/sessiond/store"
)

// retryAfter is how many seconds a client should wait when the database or the issuer's keys cannot be reached.
const retryAfter = 2

// errorHandler writes every answer that is not a success, in the contract's forms.
type errorHandler struct{ logger *slog.Logger }

func (h errorHandler) handle(err error, c echo.Context) {
	if c.Response().Committed {
		// Part of an answer is on its way; nothing may follow it.
		h.logger.ErrorContext(c.Request().Context(), "the answer broke off", "error", err, "request_id", requestID(c.Request().Context()))
		return
	}
	if err := h.write(err, c); err != nil {
		h.logger.WarnContext(c.Request().Context(), "the answer could not be written", "error", err, "request_id", requestID(c.Request().Context()))
	}
}

func (h errorHandler) write(err error, c echo.Context) error {
	if errors.Is(err, store.ErrCursor) {
		err = validation.ValueError("it is not a cursor of this list", "query", "cursor")
	}
	if errors.Is(err, store.ErrConfirmation) {
		err = validation.ValueError("it is not that of a dry run of this revocation within the last 15 minutes: repeat the dry run", "body", "confirmation")
	}
	if errors.Is(err, store.ErrNotActive) {
		err = validation.ValueError("only active sessions can end", "body", "filter")
	}
	if errors.Is(err, store.ErrTooWide) {
		err = validation.ValueError("more than 10,000 sessions would have to be sorted: narrow the search, or sort by created_at", "query", "sort")
	}
	if c.Path() == introspectPath {
		return h.writeOAuth(err, c)
	}
	if invalid, ok := errors.AsType[*validation.Error](err); ok {
		return c.JSON(http.StatusUnprocessableEntity, invalid)
	}
	if elsewhere, ok := errors.AsType[*httpserver.RedirectError](err); ok {
		c.Response().Header().Set(echo.HeaderLocation, elsewhere.Location)
		return c.NoContent(http.StatusTemporaryRedirect)
	}
	status, detail := h.status(err, c)
	return c.JSON(status, gen.Error{Detail: detail})
}

// jobsPath is where revocation jobs are.
const jobsPath = "/api/v1/revocation-jobs"

// introspectPath is the operation whose errors have the form of OAuth.
const introspectPath = "/oauth2/introspect"

// writeOAuth writes an error of the request or of the caller as OAuth has it (RFC 6749, section 5.2), and any other one as all operations do.
func (h errorHandler) writeOAuth(err error, c echo.Context) error {
	if invalid, ok := errors.AsType[*validation.Error](err); ok {
		return c.JSON(http.StatusBadRequest, gen.OAuthError{Error: "invalid_request", ErrorDescription: invalid.Sentence(), Detail: invalid.Sentence()})
	}
	status, detail := h.status(err, c)
	code, ofOAuth := map[int]string{
		http.StatusBadRequest: "invalid_request", http.StatusUnauthorized: "invalid_client", http.StatusForbidden: "insufficient_scope",
	}[status]
	if !ofOAuth {
		return c.JSON(status, gen.Error{Detail: detail})
	}
	return c.JSON(status, gen.OAuthError{Error: code, ErrorDescription: detail, Detail: detail})
}

// status is the one table from an error to its status and sentence; a header that belongs to it is set on the way.
func (h errorHandler) status(err error, c echo.Context) (int, string) {
	header := c.Response().Header()
	var (
		refused  *auth.Error
		method   *httpserver.MethodError
		tooLarge *http.MaxBytesError
		tooOften *httpserver.RateLimitError
		echoed   *echo.HTTPError
		drifted  store.DriftedError
	)
	switch {
	case errors.Is(err, validation.ErrUndecodable):
		return http.StatusBadRequest, "There was an error parsing the body"
	case errors.As(err, &refused):
		if challenge := refused.Challenge(); challenge != "" {
			header.Set(echo.HeaderWWWAuthenticate, challenge)
		}
		if refused.Forbidden() {
			return http.StatusForbidden, refused.Detail()
		}
		httpserver.SetAuthFailure(c.Request().Context(), string(refused.Reason()))
		return http.StatusUnauthorized, refused.Detail()
	case errors.Is(err, store.ErrCallerEnded):
		return h.status(auth.SessionEnded(), c)
	case errors.Is(err, store.ErrOutOfScope):
		return h.status(auth.NotYourTenant(), c)
	case errors.Is(err, httpserver.ErrNoRoute):
		return http.StatusNotFound, "Not Found"
	case errors.Is(err, errNoDevice):
		return http.StatusNotFound, "Device not found."
	case errors.Is(err, store.ErrNotFound):
		if strings.HasPrefix(c.Path(), jobsPath) {
			return http.StatusNotFound, "Revocation job not found."
		}
		return http.StatusNotFound, "Session not found."
	case errors.As(err, &method):
		header.Set(echo.HeaderAllow, method.Allow)
		return http.StatusMethodNotAllowed, "Method Not Allowed"
	case errors.Is(err, store.ErrTaken):
		return http.StatusConflict, "The session id belongs to another user or tenant."
	case errors.Is(err, store.ErrEnded):
		return http.StatusConflict, "The session has ended."
	case errors.Is(err, store.ErrTooOld):
		return http.StatusConflict, "The login is older than a revocation of all sessions of its user or tenant."
	case errors.Is(err, store.ErrTooMany):
		return http.StatusConflict, "The user has as many sessions as the tenant allows."
	case errors.Is(err, store.ErrOtherPartner):
		return http.StatusConflict, "The tenant belongs to another partner."
	case errors.Is(err, store.ErrJobFinished):
		return http.StatusConflict, "The revocation job is finished."
	case errors.Is(err, store.ErrOtherJob):
		return http.StatusConflict, "The confirmation has created a job with another reason or cutoff."
	case errors.Is(err, store.ErrTooManyJobs):
		return http.StatusConflict, "As many revocation jobs as may be are not finished."
	case errors.As(err, &drifted):
		return http.StatusConflict, fmt.Sprintf("The dry run found %d sessions, now there are %d: repeat it, or set a tolerance.", drifted.Shown, drifted.Now)
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is larger than %d bytes.", tooLarge.Limit)
	case errors.As(err, &tooOften):
		header.Set(echo.HeaderRetryAfter, strconv.Itoa(tooOften.RetryAfter))
		return http.StatusTooManyRequests, "Too many requests."
	case unavailable(err, c):
		h.log(err, c, slog.LevelWarn, "unavailable")
		header.Set(echo.HeaderRetryAfter, strconv.Itoa(retryAfter))
		return http.StatusServiceUnavailable, "The service is temporarily unavailable."
	case errors.As(err, &echoed) && echoed.Code < http.StatusInternalServerError:
		return echoed.Code, http.StatusText(echoed.Code)
	default:
		h.log(err, c, slog.LevelError, "unexpected error")
		return http.StatusInternalServerError, http.StatusText(http.StatusInternalServerError)
	}
}

// unavailable reports whether a request failed because the database or the issuer was not available in time. Any failure after the
// request's deadline counts as that, except a panic.
func unavailable(err error, c echo.Context) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, auth.ErrKeysUnavailable) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		c.Request().Context().Err() != nil && !errors.Is(err, httpserver.ErrPanic) && !errors.As(err, new(*echo.HTTPError))
}

// log writes the details of a failure, which the response leaves out, to the log.
func (h errorHandler) log(err error, c echo.Context, level slog.Level, message string) {
	ctx := c.Request().Context()
	h.logger.Log(ctx, level, message, "error", err, "request_id", requestID(ctx), "route", c.Path())
}
