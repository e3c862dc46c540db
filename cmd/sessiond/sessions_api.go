package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/sanitize"
)

// sessionScope is whose sessions a command is about.
type sessionScope struct {
	tenant  string
	user    string
	partner string
	me      bool
	ended   bool   // list ended sessions too
	reason  string // why sessions are ended, for the audit log
}

// String names the sessions in a question or a report.
func (s sessionScope) String() string {
	switch {
	case s.me:
		return "of your own but the current one"
	case s.user != "" && s.tenant != "":
		return "of user " + sanitize.Text(s.user) + " in tenant " + sanitize.Text(s.tenant)
	case s.user != "":
		return "of user " + sanitize.Text(s.user) + " in every tenant"
	default:
		return "of tenant " + sanitize.Text(s.tenant)
	}
}

// apiGroup is one of the three groups of operations that the API has. The answers are the API's own JSON.
type apiGroup interface {
	// list returns a page, counted from 1, of so many sessions.
	list(ctx context.Context, page, size int) ([]byte, error)
	get(ctx context.Context, id string) ([]byte, error)
	// revoke ends a session; one that has ended already is a success.
	revoke(ctx context.Context, id string) error
	// revokeAll ends the selected sessions, all or none.
	revokeAll(ctx context.Context) ([]byte, error)
}

// apiGroup is the narrowest one that the flags allow.
func (o *operation) apiGroup(api *gen.ClientWithResponses, stderr io.Writer) (apiGroup, error) {
	switch {
	case o.me && (o.tenant != "" || o.user != "" || o.partner != ""):
		return nil, usageError{errors.New("--me is about the token's user: leave --tenant, --user and --partner away")}
	case o.tenant != "" && o.partner != "":
		return nil, usageError{errors.New("--partner is about every tenant of a partner: leave --tenant away")}
	case o.ended && o.tenant == "":
		return nil, usageError{errors.New("only a tenant's list has ended sessions: --ended needs --tenant")}
	}
	for _, id := range []string{o.tenant, o.user, o.partner} {
		if err := checkID(id); id != "" && err != nil {
			return nil, err
		}
	}
	switch {
	case o.me:
		return userAPI{api, o.sessionScope, stderr}, nil
	case o.tenant != "":
		return tenantAPI{api, o.sessionScope}, nil
	default:
		return platformAPI{api, o.sessionScope}, nil
	}
}

// checkID refuses what cannot be a segment of a path: it would be the address of another operation (RFC 3986, section
// 5.2.4).
func checkID(id string) error {
	if id == "" || id == "." || id == ".." {
		return usageError{fmt.Errorf("%q is not an id", id)}
	}
	return nil
}

// because sends the reason along.
func (s sessionScope) because(_ context.Context, request *http.Request) error {
	if s.reason != "" {
		request.Header.Set("X-Revoke-Reason", s.reason)
	}
	return nil
}

// body reads the answer of a call, whose errors the client has returned already.
func body(response *http.Response, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

// optional is a parameter that is left out when it is empty.
func optional(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

// platformAPI is the operations for the platform's operators and for partners.
type platformAPI struct {
	*gen.ClientWithResponses
	sessionScope
}

func (f platformAPI) list(ctx context.Context, page, size int) ([]byte, error) {
	return body(f.ListSessions(ctx, &gen.ListSessionsParams{
		Page: &page, PerPage: &size, UserId: optional(f.user), PartnerId: optional(f.partner),
	}))
}

func (f platformAPI) get(ctx context.Context, id string) ([]byte, error) {
	return body(f.GetSession(ctx, id, nil))
}

func (f platformAPI) revoke(ctx context.Context, id string) error {
	_, err := body(f.RevokeSession(ctx, id, nil, f.because))
	return err
}

func (f platformAPI) revokeAll(ctx context.Context) ([]byte, error) {
	return body(f.RevokeAllSessions(ctx, nil, map[string]any{"user_id": f.user}, f.because))
}

// tenantAPI is the operations for a tenant's administrators.
type tenantAPI struct {
	*gen.ClientWithResponses
	sessionScope
}

func (f tenantAPI) list(ctx context.Context, page, size int) ([]byte, error) {
	active := !f.ended
	if f.user != "" {
		return body(f.ListUserSessions(ctx, f.tenant, f.user, &gen.ListUserSessionsParams{ActiveOnly: &active, Page: &page, PerPage: &size}))
	}
	return body(f.ListTenantSessions(ctx, f.tenant, &gen.ListTenantSessionsParams{ActiveOnly: &active, Page: &page, PerPage: &size}))
}

func (f tenantAPI) get(ctx context.Context, id string) ([]byte, error) {
	return body(f.GetTenantSession(ctx, f.tenant, id))
}

func (f tenantAPI) revoke(ctx context.Context, id string) error {
	_, err := body(f.RevokeTenantSession(ctx, f.tenant, id, f.because))
	return err
}

func (f tenantAPI) revokeAll(ctx context.Context) ([]byte, error) {
	if f.user == "" {
		return body(f.RevokeAllTenantSessions(ctx, f.tenant, f.because))
	}
	// All means all, as in the other revocations: what was counted is what ends.
	all, exceptCurrent := true, false
	request := gen.SessionRevokeRequest{RevokeAll: &all, ExceptCurrent: &exceptCurrent}
	return body(f.RevokeUserSessions(ctx, f.tenant, f.user, request, f.because))
}

// userAPI is the operations for the signed-in user.
type userAPI struct {
	*gen.ClientWithResponses
	sessionScope
	// stderr is where to say what the answer does not.
	stderr io.Writer
}

// list returns the newest sessions, for the API does not page this list, and says when there are more.
func (f userAPI) list(ctx context.Context, _, _ int) ([]byte, error) {
	response, err := f.ListMySessions(ctx, nil)
	answer, err := body(response, err)
	if err == nil && response.Header.Get("X-Has-More") == "true" {
		fmt.Fprintln(f.stderr, "these are the newest sessions, and there are more")
	}
	return answer, err
}

func (f userAPI) get(context.Context, string) ([]byte, error) {
	return nil, usageError{errors.New("the API does not show a user a single session: use sessiond sessions list --me")}
}

func (f userAPI) revoke(ctx context.Context, id string) error {
	_, err := body(f.RevokeMySession(ctx, id, nil, f.because))
	return err
}

func (f userAPI) revokeAll(ctx context.Context) ([]byte, error) {
	return body(f.RevokeMyOtherSessions(ctx, nil, f.because))
}
