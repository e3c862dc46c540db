package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/gen"
)

// mostPerPage is the largest page that the API gives.
const mostPerPage = 100

func listCommand(o *operation) *cobra.Command {
	var page, size int
	var all bool
	cmd := &cobra.Command{
		Use:               "list",
		Short:             "List sessions, newest first",
		Args:              arguments(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := o.open(cmd)
			if err != nil {
				return err
			}
			if all {
				return o.listAll(cmd, api)
			}
			return o.listPage(cmd, api, page, size)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.user, "user", "", "only sessions of this user")
	flags.StringVar(&o.partner, "partner", "", "only sessions of tenants of this partner")
	flags.BoolVar(&o.ended, "ended", false, "include ended sessions; needs --tenant")
	flags.IntVar(&page, "page", 1, "page number, from 1")
	flags.IntVar(&size, "per-page", 20, "sessions per page, at most 100")
	flags.BoolVar(&all, "all", false, "all pages")
	return cmd
}

func (o *operation) listPage(cmd *cobra.Command, api apiGroup, page, size int) error {
	answer, err := api.list(cmd.Context(), page, size)
	if err != nil {
		return err
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	found, err := decode[gen.PaginatedResponseSessionListItem](answer)
	if err != nil {
		return err
	}
	if err := printSessions(cmd.OutOrStdout(), found.Data); err != nil {
		return err
	}
	if p := found.Pagination; p.TotalPages > 1 {
		fmt.Fprintf(cmd.ErrOrStderr(), "page %d of %d, %d sessions in all; --all shows every page\n", p.Page, p.TotalPages, p.TotalItems)
	}
	return nil
}

// listAll prints every page. As JSON each is printed when it comes; a table has to wait, for its columns to fit.
func (o *operation) listAll(cmd *cobra.Command, api apiGroup) error {
	var sessions []gen.SessionListItem
	err := eachPage(cmd, api, func(answer []byte, page []gen.SessionListItem) error {
		if o.asJSON {
			return printJSON(cmd.OutOrStdout(), answer)
		}
		sessions = append(sessions, page...)
		return nil
	})
	if err != nil || o.asJSON {
		return err
	}
	return printSessions(cmd.OutOrStdout(), sessions)
}

// eachPage asks for one page after the other.
func eachPage(cmd *cobra.Command, api apiGroup, use func(answer []byte, page []gen.SessionListItem) error) error {
	progress := newProgress(cmd, 1, "pages")
	defer func() { _ = progress.Clear() }() // only the look of the terminal, as below
	for number := 1; ; number++ {
		answer, err := api.list(cmd.Context(), number, mostPerPage)
		if err != nil {
			return err
		}
		found, err := decode[gen.PaginatedResponseSessionListItem](answer)
		if err != nil {
			return err
		}
		if err := use(answer, found.Data); err != nil {
			return err
		}
		if number == 1 && found.Pagination.TotalPages > 1 {
			progress = newProgress(cmd, found.Pagination.TotalPages, "pages")
		}
		_ = progress.Add(1)
		if number >= found.Pagination.TotalPages {
			return nil
		}
	}
}

func getCommand(o *operation) *cobra.Command {
	return &cobra.Command{
		Use:               "get SESSION",
		Short:             "Show a session and its applications",
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkID(args[0]); err != nil {
				return err
			}
			api, err := o.open(cmd)
			if err != nil {
				return err
			}
			answer, err := api.get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if o.asJSON {
				return printJSON(cmd.OutOrStdout(), answer)
			}
			found, err := decode[gen.ApiResponseSessionResponse](answer)
			if err != nil {
				return err
			}
			return printSession(cmd.OutOrStdout(), found.Data)
		},
	}
}

func statsCommand(o *operation) *cobra.Command {
	return &cobra.Command{
		Use:               "stats",
		Short:             "Show a tenant's statistics",
		Args:              arguments(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := o.open(cmd)
			if err != nil {
				return err
			}
			tenant, ok := api.(tenantAPI)
			if !ok {
				return usageError{errors.New("statistics are a tenant's: stats needs --tenant")}
			}
			return o.stats(cmd.Context(), cmd, tenant)
		},
	}
}

func (o *operation) stats(ctx context.Context, cmd *cobra.Command, tenant tenantAPI) error {
	answer, err := body(tenant.GetTenantSessionStats(ctx, tenant.tenant))
	if err != nil {
		return err
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	found, err := decode[struct{ Data tenantStats }](answer)
	if err != nil {
		return err
	}
	return printStats(cmd.OutOrStdout(), found.Data)
}
