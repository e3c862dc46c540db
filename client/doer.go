package client

import (
	"context"
	"errors"
	"fmt"
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

// doer sends requests for the generated client, which hands its errors on unchanged.
type doer struct {
	http    http.Client
	tokens  TokenSource
	retries uint64
}

// Do sends a request, more than once when that is safe and promises something. An answer other than 2xx is an error.
func (d *doer) Do(request *http.Request) (*http.Response, error) {
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
		if refused, ok := errors.AsType[*Error](err); ok && d.worthRetrying(request, refused) {
			asked = refused.RetryAfter
			return nil, retry.RetryableError(err)
		}
		return response, err
	})
}

// endsSessions reports whether a POST to this path ends sessions. Sent again under the same key it answers what the first one
// did, though the answer to that was lost.
func endsSessions(path string) bool {
	return strings.HasSuffix(path, "/revoke-all") || strings.HasSuffix(path, "/revoke")
}

// worthRetrying reports whether the same request may be sent again (it is idempotent: RFC 9110, section 9.2.2, or by its key) and
// might be answered otherwise soon.
func (d *doer) worthRetrying(request *http.Request, refused *Error) bool {
	switch request.Method {
	case http.MethodGet, http.MethodPut, http.MethodDelete:
	default:
		if request.Header.Get(idempotencyKey) == "" {
			return false
		}
	}
	if request.Body != nil && request.GetBody == nil {
		return false // the body was read, and cannot be read again
	}
	temporary := refused.Status == http.StatusTooManyRequests || refused.Status == http.StatusServiceUnavailable
	return temporary && refused.RetryAfter <= longestWait
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
		return nil, err
	}
	if err := errorOf(response); err != nil {
		return nil, err
	}
	return response, nil
}
