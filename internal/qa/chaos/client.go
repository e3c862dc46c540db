package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sessiond/sessiond/internal/auth"
)

// requestTimeout is what a client waits for an answer.
const requestTimeout = 30 * time.Second

// errNoAnswer: the request may have been carried out or not.
var errNoAnswer = errors.New("no answer")

// Client talks to a server that may be gone the next moment. It never sends a request twice.
type Client struct {
	base   func() string
	http   *http.Client
	issuer *auth.DevIssuer
	// operator may do everything.
	operator string
}

// NewClient makes a client with tokens of a server's development issuer, for the address that base gives.
func NewClient(issuer *auth.DevIssuer, base func() string) (*Client, error) {
	token, err := issuer.Mint(auth.TokenRequest{
		Subject: "chaos", ClientID: "chaos", TTL: 24 * time.Hour,
		Scope: "sessions:ingest sessions:introspect admin:sessions:read admin:sessions:write",
	}, clock())
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	return &Client{base: base, http: &http.Client{Transport: transport, Timeout: requestTimeout}, issuer: issuer, operator: token}, err
}

// client makes a client of this server.
func (s *Server) client() (*Client, error) {
	issuer, err := s.issuer()
	if err != nil {
		return nil, err
	}
	return NewClient(issuer, s.URL)
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request once, with headers by name and value. A body is a form when it is url.Values, JSON otherwise. The error is errNoAnswer.
func (c *Client) do(ctx context.Context, method, path, token string, body any, headers ...string) (answer, error) {
	content, kind, err := encode(body)
	if err != nil {
		return answer{}, err
	}
	// The body cannot be read twice, so that the transport does not send it again behind our back.
	request, err := http.NewRequestWithContext(ctx, method, c.base()+path, content)
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	return answer{response.StatusCode, response.Header, data}, nil
}

func encode(body any) (io.Reader, string, error) {
	switch body := body.(type) {
	case nil:
		return nil, "", nil
	case url.Values:
		return io.MultiReader(strings.NewReader(body.Encode())), "application/x-www-form-urlencoded", nil
	default:
		data, err := json.Marshal(body)
		return io.MultiReader(bytes.NewReader(data)), "application/json", err
	}
}

// register registers a session.
func (c *Client) register(ctx context.Context, tenant, user, id string, headers ...string) (answer, error) {
	return c.do(ctx, http.MethodPost, "/api/v1/lifecycle/sessions", c.operator, map[string]any{
		"id": id, "tenant_id": tenant, "user_id": user, "expires_at": clock().Add(24 * time.Hour),
	}, headers...)
}

// signOn records single sign-on into an application.
func (c *Client) signOn(ctx context.Context, id, application string) (answer, error) {
	return c.do(ctx, http.MethodPut, "/api/v1/lifecycle/sessions/"+id+"/apps/"+application, c.operator,
		map[string]any{"application_name": application})
}

// revoke ends a session.
func (c *Client) revoke(ctx context.Context, tenant, id string, headers ...string) (answer, error) {
	return c.do(ctx, http.MethodDelete, "/api/v1/tenants/"+tenant+"/sessions/"+id, c.operator, nil, headers...)
}

// revokeSome ends sessions of a user, all or none.
func (c *Client) revokeSome(ctx context.Context, tenant, user string, ids []string) (answer, error) {
	return c.do(ctx, http.MethodPost, "/api/v1/tenants/"+tenant+"/sessions/users/"+user+"/revoke", c.operator,
		map[string]any{"session_ids": ids})
}

// token makes an access token of a session's user.
func (c *Client) token(tenant, user, id string) (string, error) {
	return c.issuer.Mint(auth.TokenRequest{Subject: user, TenantID: tenant, SessionID: id, TTL: 24 * time.Hour}, clock())
}

// active asks by introspection whether a token's session is good. Any other answer than yes or no is an error.
func (c *Client) active(ctx context.Context, token string) (bool, error) {
	got, err := c.do(ctx, http.MethodPost, "/oauth2/introspect", c.operator, url.Values{"token": {token}})
	if err != nil {
		return false, err
	}
	var state struct{ Active *bool }
	if got.status != http.StatusOK || json.Unmarshal(got.body, &state) != nil || state.Active == nil {
		return false, fmt.Errorf("%w: %d %s", errNoAnswer, got.status, got.body)
	}
	return *state.Active, nil
}

// admitted asks by use of a token whether it is let through. Any other answer than yes or no is an error.
func (c *Client) admitted(ctx context.Context, token string) (bool, error) {
	got, err := c.do(ctx, http.MethodGet, "/api/v1/me/sessions", token, nil)
	switch {
	case err != nil:
		return false, err
	case got.status == http.StatusOK:
		return true, nil
	case got.status == http.StatusUnauthorized:
		return false, nil
	default:
		return false, fmt.Errorf("%w: %d %s", errNoAnswer, got.status, got.body)
	}
}
