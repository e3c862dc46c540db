package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/sessiond/sessiond/client"
	"github.com/sessiond/sessiond/gen"
)

// A 422 names every violation: where it is, what is wrong in a sentence, and a name for programs.
func ExampleValidationError() {
	ctx := context.Background()
	server, err := newSessionsAPI(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.stop()

	api, err := client.New(server.URL, client.Token(server.token("admin:sessions:read")))
	if err != nil {
		fmt.Println(err)
		return
	}
	page, perPage := 0, 1000
	_, err = api.ListTenantSessionsWithResponse(ctx, "acme", &gen.ListTenantSessionsParams{Page: &page, PerPage: &perPage})

	if invalid, ok := errors.AsType[*client.ValidationError](err); ok {
		for _, entry := range invalid.Entries {
			fmt.Println(entry.Field(), entry.Type, "-", entry.Msg)
		}
	}
	// Output:
	// query.page greater_than_equal - Input should be greater than or equal to 1
	// query.per_page less_than_equal - Input should be less than or equal to 100
}

// Every other answer that is no success is an Error; its text has the request's id, for whoever reads the server's log.
func ExampleError() {
	ctx := context.Background()
	server, err := newSessionsAPI(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.stop()

	api, err := client.New(server.URL, client.Token(server.token("admin:sessions:read")))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = api.GetSessionWithResponse(ctx, "s-1", nil)

	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Status == http.StatusNotFound {
		fmt.Println("no such session")
	}
	fmt.Println(err)
	// Output:
	// no such session
	// 404 Not Found: Session not found. (request r-1)
}

// A token source is asked before every request: here it would fetch a token of the client credentials grant.
func ExampleNew() {
	ctx := context.Background()
	server, err := newSessionsAPI(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.stop()

	tokens := func(context.Context) (string, error) { return server.token("admin:sessions:read"), nil }
	api, err := client.New(server.URL, tokens, client.WithRetries(5))
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := api.ListTenantSessionsWithResponse(ctx, "acme", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.JSON200.Pagination.TotalItems, "sessions")
	// Output: 0 sessions
}
