package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/sethvargo/go-retry"
)

const (
	// firstWait is how long to wait before the first retry when the server does not say; it doubles from then on.
	firstWait = 500 * time.Millisecond
	// longestWait is the longest Retry-After that is waited for. A caller is better off knowing of a longer one.
	longestWait = 30 * time.Second
)

// idempotencyKey is the header by which the server recognizes a call that is sent again.
const idempotencyKey = "Idempotency-Key"

// jobsPath is where revocation jobs are. A call that is sent again is about the same job: its confirmation names it.
const jobsPath = "/api/v1/revocation-jobs"

// preferHeader has the caller's preferences (RFC 7240).
const preferHeader = "Prefer"

// doer sends requests for the generated client, which hands its errors on unchanged.
type doer struct {
	http    http.Client
	tokens  TokenSource
	retries uint64
}

// Do sends a request, more than once when that is safe and promises something. An answer other than 2xx is an error.
func (d *doer) Do(request *http.Request) (*http.Response, error) {
	if request.Header.Get(preferHeader) == "" {
		request.Header.Set(preferHeader, "handling=strict") // what the server does not know is an error, and not ignored
	}
	if request.Method == http.MethodPost && endsSessions(request.URL.Path) && request.Header.Get(idempotencyKey) == "" {
		request.Header.Set(idempotencyKey, uuid.NewString())
	}
	asked := time.Duration(0)
	exponential := retry.WithJitterPercent(20, retry.NewExponential(firstWait))
	backoff := retry.WithMaxRetries(d.retries, retry.BackoffFunc(func() (time.Duration, bool) {
		wait, stop := exponential.Next()
		return max(wait, asked), stop
	}))
	return retry.DoValue(request.Context(), backoff, func(ctx context.Context) (*http.Response, error) {
		response, err := d.try(ctx, request)
		if err == nil || !mayRepeat(request) || ctx.Err() != nil {
			return response, err
		}
		if wait, worth := worthRetrying(err); worth {
			asked = wait
			return nil, retry.RetryableError(err)
		}
		return nil, err
	})
}

// endsSessions reports whether a POST to this path ends sessions. Sent again under the same key it answers what the first one
// did, though the answer to that was lost.
func endsSessions(path string) bool {
	return strings.HasSuffix(path, "/revoke-all") || strings.HasSuffix(path, "/revoke")
}

// mayRepeat reports whether the same request may be sent again: it is idempotent (RFC 9110, section 9.2.2), or is by its key.
func mayRepeat(request *http.Request) bool {
	switch request.Method {
	case http.MethodGet, http.MethodPut, http.MethodDelete:
	default:
		if request.Header.Get(idempotencyKey) == "" && !strings.Contains(request.URL.Path, jobsPath) {
			return false
		}
	}
	return request.Body == nil || request.GetBody != nil // or the body was read, and cannot be read again
}

// errLost: there was an answer, or a part of it, that did not arrive.
var errLost = errors.New("no answer")

// worthRetrying reports whether the same request might be answered otherwise soon, and for how long the server wants to be left
// alone. An answer that got lost, also in a gateway, may come the next time.
func worthRetrying(err error) (wait time.Duration, worth bool) {
	if errors.Is(err, errLost) {
		return 0, true
	}
	refused, ok := errors.AsType[*Error](err)
	if !ok || refused.RetryAfter > longestWait {
		return 0, false
	}
	switch refused.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return refused.RetryAfter, true
	default:
		return 0, false
	}
}

// try sends the request once, with a token.
func (d *doer) try(ctx context.Context, request *http.Request) (*http.Response, error) {
	again := request.Clone(ctx)
	if request.GetBody != nil {
		body, err := request.GetBody()
		if err != nil {
			return nil, fmt.Errorf("body of the request: %w", err)
		}
		again.Body = body
	}
	token, err := d.tokens(ctx)
	if err != nil {
		return nil, fmt.Errorf("access token: %w", err)
	}
	again.Header.Set("Authorization", "Bearer "+token)
	response, err := d.http.Do(again) //nolint:gosec // G704: which server to call is the caller's to say
	if err != nil {
		return nil, lost(err)
	}
	if err := errorOf(response); err != nil {
		return nil, err
	}
	// The whole body is read here, where the request can be sent again when it breaks off.
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, lost(err)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// lost marks an answer that did not arrive; one that was not in time has had its time, and where nobody listens there is none.
func lost(err error) error {
	if connecting, ok := errors.AsType[*net.OpError](err); ok && connecting.Op == "dial" {
		return err
	}
	if timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && timeout.Timeout() {
		return err
	}
	return fmt.Errorf("%w: %w", errLost, err)
}
