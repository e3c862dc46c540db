// The command oapi-codegen tells the story that every client tells, with the client in gen/.
// Arguments: address, tenant, a token of the tenant's administrator, a token of the platform's.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"

	"github.com/sessiond/sessiond/gen"
)

func main() {
	ctx := context.Background() //nolint:forbidigo // a program begins here
	if err := story(ctx, os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func story(ctx context.Context, address, tenant, tenantToken, platformToken string) error {
	api, err := connect(address, tenantToken)
	if err != nil {
		return err
	}
	platform, err := connect(address, platformToken)
	if err != nil {
		return err
	}
	second, err := endOne(ctx, api, tenant)
	if err != nil {
		return err
	}
	return errors.Join(invalidRequests(ctx, api, tenant), untyped(ctx, platform, api, tenant, second))
}

// connect makes a client that sends a token and follows no redirection.
func connect(address, token string) (*gen.ClientWithResponses, error) {
	bearer := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
	direct := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return gen.NewClientWithResponses(address, gen.WithHTTPClient(direct), gen.WithRequestEditorFn(bearer))
}

// endOne lists, gets the first session, ends it, sees that it is gone, and returns the second.
func endOne(ctx context.Context, api *gen.ClientWithResponses, tenant string) (gen.SessionListItem, error) {
	var none gen.SessionListItem
	list, err := api.ListTenantSessionsWithResponse(ctx, tenant, &gen.ListTenantSessionsParams{PerPage: new(2), ActiveOnly: new(true)})
	if err != nil || list.JSON200 == nil || len(list.JSON200.Data) != 2 || list.JSON200.Pagination.TotalItems <= 2 {
		return none, unexpected("list", err, list)
	}
	first, second := list.JSON200.Data[0], list.JSON200.Data[1]
	one, err := api.GetTenantSessionWithResponse(ctx, tenant, first.Id)
	if err != nil || one.JSON200 == nil || one.JSON200.Data.UserId != first.UserId || one.JSON200.Data.SsoApps == nil {
		return none, unexpected("get", err, one)
	}
	revoked, err := api.RevokeTenantSessionWithResponse(ctx, tenant, first.Id)
	if err != nil || revoked.StatusCode() != http.StatusNoContent {
		return none, unexpected("revoke", err, revoked)
	}
	after, err := api.ListTenantSessionsWithResponse(ctx, tenant, &gen.ListTenantSessionsParams{})
	if err != nil || after.JSON200 == nil || after.JSON200.Pagination.TotalItems != list.JSON200.Pagination.TotalItems-1 ||
		slices.ContainsFunc(after.JSON200.Data, func(item gen.SessionListItem) bool { return item.Id == first.Id }) {
		return none, unexpected("list after the end", err, after)
	}
	return second, nil
}

// invalidRequests expects a 422 that names each member, and a 404.
func invalidRequests(ctx context.Context, api *gen.ClientWithResponses, tenant string) error {
	invalid, err := api.ListTenantSessionsWithResponse(ctx, tenant, &gen.ListTenantSessionsParams{PerPage: new(101)})
	if err != nil || invalid.JSON422 == nil || len(invalid.JSON422.Detail) != 1 || len(invalid.JSON422.Detail[0].Loc) != 2 {
		return unexpected("invalid", err, invalid)
	}
	entry := invalid.JSON422.Detail[0]
	where, err := entry.Loc[1].AsValidationErrorLoc0()
	if err != nil || where != "per_page" || entry.Type != "less_than_equal" {
		return unexpected("invalid", err, entry)
	}
	missing, err := api.GetTenantSessionWithResponse(ctx, tenant, "nothing")
	if err != nil || missing.JSON404 == nil || missing.JSON404.Detail != "Session not found." {
		return unexpected("missing", err, missing)
	}
	return nil
}

// untyped is the path that ends in a slash, answers that the contract declares as any value, and a body of no declared members.
func untyped(ctx context.Context, platform, api *gen.ClientWithResponses, tenant string, last gen.SessionListItem) error {
	everywhere, err := platform.ListSessionsWithResponse(ctx, &gen.ListSessionsParams{TenantId: &tenant, PerPage: new(1)})
	if err != nil || everywhere.JSON200 == nil {
		return unexpected("list everywhere", err, everywhere)
	}
	ended, err := platform.RevokeAllSessionsWithResponse(ctx, nil, gen.RevokeAllSessionsJSONRequestBody{
		"user_id": last.UserId, "tenant_id": tenant,
	})
	if err != nil || ended.JSON200 == nil {
		return unexpected("revoke a user's", err, ended)
	}
	stats, err := api.GetTenantSessionStatsWithResponse(ctx, tenant)
	if err != nil || stats.JSON200 == nil || stats.JSON200.Data.TotalSessions == 0 {
		return unexpected("statistics", err, stats)
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
