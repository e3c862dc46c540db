// Package client calls the sessions API from Go.
//
// It is the generated client ([gen.ClientWithResponses]) with what no generator writes: a token for every request, typed
// errors instead of answers to look through, and retries of what is safe to send again.
//
// A call that returns no error had an answer of the 2xx kind, so the member of that status (JSON200) is there. Every other
// answer is an error: [*ValidationError] for 422, [*Error] for the rest. Both are found with [errors.As] and [errors.AsType].
package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/sessiond/sessiond/gen"
)

const (
	// defaultTimeout bounds one try of a request, the answer's body included.
	defaultTimeout = 30 * time.Second
	// defaultRetries is how often a request is sent again at the most.
	defaultRetries = 3
)

// TokenSource returns the access token of a request, without "Bearer". It is asked before every try, so it may return
// another token when the last one is about to expire; it should keep a token that is costly to get.
type TokenSource func(ctx context.Context) (string, error)

// Token is a source of always the same token.
func Token(token string) TokenSource {
	return func(context.Context) (string, error) { return token, nil }
}

// Option changes how requests are sent.
type Option func(*doer)

// WithHTTPClient sends requests with a client of your own: its transport, its timeout for one try. Redirects are refused
// with every client, because a redirected DELETE becomes a GET that succeeds and ends nothing (RFC 9110, section 15.4).
func WithHTTPClient(c *http.Client) Option {
	return func(d *doer) { d.http = *c }
}

// WithRetries sends a request again so often at the most, 3 times unless said otherwise. GET, PUT and DELETE are sent again, and
// the POSTs that end sessions, under an Idempotency-Key: when the answer got lost, after 502 and 504, and after 429 and 503, then
// after the time that Retry-After names (30 seconds at the most).
func WithRetries(n int) Option {
	return func(d *doer) { d.retries = uint64(max(n, 0)) }
}

// New returns a client of the API at server, an absolute URL, whose requests carry the tokens of the source.
func New(server string, tokens TokenSource, options ...Option) (*gen.ClientWithResponses, error) {
	base, err := url.Parse(server)
	switch {
	case err == nil && base.User != nil:
		return nil, errors.New("the server's URL must be without user and password")
	case err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http":
		return nil, fmt.Errorf("%q is no server: use an absolute URL, as in https://sessions.example.com", server)
	case base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("the server's URL must be without query and fragment")
	}
	d := &doer{http: http.Client{Timeout: defaultTimeout}, tokens: tokens, retries: defaultRetries}
	for _, option := range options {
		option(d)
	}
	d.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return gen.NewClientWithResponses(server, gen.WithHTTPClient(d))
}
