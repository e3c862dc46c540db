// The command ogen tells the story that every client tells, with the client that ogen generates. It is a module of its
// own, so that its dependencies stay out of the service's.
// Arguments: address, tenant, a token of the tenant's administrator, a token of the platform's.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"

	"github.com/sessiond/sessiond/internal/qa/sdkcheck/ogen/api"
)

func main() {
	if err := story(context.Background(), os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func story(ctx context.Context, address, tenant, tenantToken, platformToken string) error {
	client, err := connect(address, tenantToken)
	if err != nil {
		return err
	}
	platform, err := connect(address, platformToken)
	if err != nil {
		return err
	}
	second, err := endOne(ctx, client, tenant)
	if err != nil {
		return err
	}
	return errors.Join(invalidRequests(ctx, client, tenant), loose(ctx, platform, client, tenant, second))
}

// bearer is the token of every request.
type bearer string

// BearerAuth implements api.SecuritySource.
func (b bearer) BearerAuth(context.Context, api.OperationName) (api.BearerAuth, error) {
	return api.BearerAuth{Token: string(b)}, nil
}

// connect makes a client that sends a token and follows no redirection.
func connect(address, token string) (*api.Client, error) {
	direct := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return api.NewClient(address, bearer(token), api.WithClient(direct))
}

// endOne lists, gets the first session, ends it, sees that it is gone, and returns the second.
func endOne(ctx context.Context, client *api.Client, tenant string) (api.SessionListItem, error) {
	var none api.SessionListItem
	answer, err := client.ListTenantSessions(ctx, api.ListTenantSessionsParams{
		TenantID: tenant, PerPage: api.NewOptInt(2), ActiveOnly: api.NewOptBool(true),
	})
	list, ok := answer.(*api.PaginatedResponseSessionListItemHeaders)
	if !ok || len(list.Response.Data) != 2 || list.Response.Pagination.TotalItems <= 2 {
		return none, unexpected("list", err, answer)
	}
	first, second := list.Response.Data[0], list.Response.Data[1]
	gotten, err := client.GetTenantSession(ctx, api.GetTenantSessionParams{TenantID: tenant, SessionID: first.ID})
	one, ok := gotten.(*api.ApiResponseSessionResponseHeaders)
	if !ok || one.Response.Data.UserID != first.UserID || one.Response.Data.SSOApps == nil {
		return none, unexpected("get", err, gotten)
	}
	revoked, err := client.RevokeTenantSession(ctx, api.RevokeTenantSessionParams{TenantID: tenant, SessionID: first.ID})
	if _, ok := revoked.(*api.RevokeTenantSessionNoContent); !ok {
		return none, unexpected("revoke", err, revoked)
	}
	answer, err = client.ListTenantSessions(ctx, api.ListTenantSessionsParams{TenantID: tenant})
	after, ok := answer.(*api.PaginatedResponseSessionListItemHeaders)
	if !ok || after.Response.Pagination.TotalItems != list.Response.Pagination.TotalItems-1 ||
		slices.ContainsFunc(after.Response.Data, func(item api.SessionListItem) bool { return item.ID == first.ID }) {
		return none, unexpected("list after the end", err, answer)
	}
	return second, nil
}

// invalidRequests expects a 422 that names each member, and a 404. ogen's client holds a request against the contract itself, so the
// invalid request is one that the contract's schema does not show.
func invalidRequests(ctx context.Context, client *api.Client, tenant string) error {
	answer, err := client.RevokeUserSessions(ctx, &api.SessionRevokeRequest{}, api.RevokeUserSessionsParams{TenantID: tenant, UserID: "x"})
	invalid, ok := answer.(*api.HTTPValidationErrorHeaders)
	if !ok || len(invalid.Response.Detail) != 1 || len(invalid.Response.Detail[0].Loc) != 1 {
		return unexpected("invalid", err, answer)
	}
	entry := invalid.Response.Detail[0]
	if where, ok := entry.Loc[0].GetString(); !ok || where != "body" || entry.Type != "value_error" {
		return unexpected("invalid", err, entry)
	}
	gotten, err := client.GetTenantSession(ctx, api.GetTenantSessionParams{TenantID: tenant, SessionID: "nothing"})
	if missing, ok := gotten.(*api.NotFoundHeaders); !ok || missing.Response.Detail != "Session not found." {
		return unexpected("missing", err, gotten)
	}
	return nil
}

// loose is the path that ends in a slash, and what the reference declares as any value or any object.
func loose(ctx context.Context, platform, client *api.Client, tenant string, last api.SessionListItem) error {
	everywhere, err := platform.ListSessions(ctx, api.ListSessionsParams{TenantID: api.NewOptNilString(tenant), PerPage: api.NewOptInt(1)})
	if list, ok := everywhere.(*api.PaginatedResponseSessionListItemHeaders); !ok || len(list.Response.Data) != 1 {
		return unexpected("list everywhere", err, everywhere)
	}
	selection := api.SessionSelection{UserID: api.NewOptNilString(last.UserID), TenantID: api.NewOptNilString(tenant)}
	ended, err := platform.RevokeAllSessions(ctx, &selection, api.RevokeAllSessionsParams{XRevokeReason: api.NewOptString("left")})
	if _, ok := ended.(*api.ApiResponseSessionRevokeResponseHeaders); !ok {
		return unexpected("revoke a user's", err, ended)
	}
	answer, err := client.GetTenantSessionStats(ctx, api.GetTenantSessionStatsParams{TenantID: tenant})
	if stats, ok := answer.(*api.ApiResponseDictStrAnyHeaders); !ok || stats.Response.Data.ActiveSessions == 0 {
		return unexpected("statistics", err, answer)
	}
	return nil
}

// unexpected is the error of a step whose request failed or was answered otherwise.
func unexpected(step string, err error, got any) error {
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return fmt.Errorf("%s: unexpected answer: %+v", step, got)
}
