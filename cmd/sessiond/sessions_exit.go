package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sessiond/sessiond/client"
	"github.com/sessiond/sessiond/internal/sanitize"
)

// Exit codes, for scripts. Those from 3 on come from the sessions commands only.
const (
	exitFailed      = 1
	exitUsage       = 2 // also what the API refuses as not fitting: 422
	exitNotFound    = 3
	exitNotAllowed  = 4
	exitUnavailable = 5   // the same command may succeed later
	exitInterrupted = 130 // 128 and the number of SIGINT, as shells have it
)

// exitCode is what the program ends with because of an error.
func exitCode(err error) int {
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	if errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	switch statusOf(err) {
	case http.StatusUnprocessableEntity:
		return exitUsage
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitNotAllowed
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return exitUnavailable
	}
	if errors.As(err, new(missingError)) {
		return exitNotFound
	}
	if _, unreachable := errors.AsType[*url.Error](err); unreachable {
		return exitUnavailable
	}
	return exitFailed
}

// statusOf is the status of the API's answer that an error tells of, 0 when it tells of none.
func statusOf(err error) int {
	if refused, ok := errors.AsType[*client.Error](err); ok {
		return refused.Status
	}
	return 0
}

// missingError says which ids name no session.
type missingError struct{ error }

func notFound(missing []string, of int) error {
	if len(missing) == 0 {
		return nil
	}
	const most = 5 // a sentence, not a list
	shown := make([]string, min(len(missing), most))
	for i := range shown {
		shown[i] = sanitize.Text(missing[i])
	}
	names := strings.Join(shown, ", ")
	if more := len(missing) - len(shown); more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return missingError{fmt.Errorf("%d of %d sessions not found: %s", len(missing), of, names)}
}
