package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/gen"
)

func revokeAllCommand(o *operation) *cobra.Command {
	r := &revocation{operation: o}
	cmd := &cobra.Command{
		Use:   "revoke-all",
		Short: "Revoke all sessions of a tenant (--tenant), a user (--user) or both, or your other sessions (--me)",
		Long: "Revokes all sessions of a tenant (--tenant), of a user (--user), or of a user in a tenant (both), the caller's own session\n" +
			"included. With --me, revokes all sessions of the token's user but the current one.\n" +
			"Sign-ins from before the revocation cannot be registered afterwards.",
		Args:              arguments(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !o.me && o.tenant == "" && o.user == "" {
				return usageError{errors.New("whose sessions? revoke-all needs --tenant, --user, both, or --me")}
			}
			api, err := o.open(cmd)
			if err != nil {
				return err
			}
			if r.dryRun {
				return r.previewAll(cmd, api)
			}
			return r.revokeAll(cmd, api)
		},
	}
	cmd.Flags().StringVar(&o.user, "user", "", "only sessions of this user")
	r.flags(cmd.Flags())
	return cmd
}

func (r *revocation) revokeAll(cmd *cobra.Command, api apiGroup) error {
	if !r.yes {
		total, err := r.countAll(cmd, api)
		if err != nil {
			return fmt.Errorf("the sessions that would end cannot be counted: %w", err)
		}
		question := fmt.Sprintf("End %s %s on %s?", sessionCount(total), r.sessionScope, r.server)
		if err := confirm(cmd.Context(), cmd, question); err != nil {
			return err
		}
	}
	answer, err := api.revokeAll(cmd.Context())
	if err != nil {
		return err
	}
	if r.asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	revoked, err := decode[gen.ApiResponseSessionRevokeResponse](answer)
	if err != nil {
		return err
	}
	return printCount(cmd.OutOrStdout(), revoked.Data.RevokedCount)
}

// countAll is how many sessions would end now.
func (r *revocation) countAll(cmd *cobra.Command, api apiGroup) (int, error) {
	answer, err := api.list(cmd.Context(), 1, 1)
	if err != nil {
		return 0, err
	}
	found, err := decode[gen.PaginatedResponseSessionListItem](answer)
	if err != nil {
		return 0, err
	}
	if r.me {
		return len(r.endable(found.Data)), nil
	}
	return found.Pagination.TotalItems, nil
}

// endable is the listed sessions without the current session, which --me excepts.
func (r *revocation) endable(sessions []gen.SessionListItem) []gen.SessionListItem {
	var others []gen.SessionListItem
	for _, s := range sessions {
		if !r.me || !s.IsCurrent {
			others = append(others, s)
		}
	}
	return others
}

// previewAll shows the sessions that would end now.
func (r *revocation) previewAll(cmd *cobra.Command, api apiGroup) error {
	var sessions []gen.SessionListItem
	total := 0
	err := eachPage(cmd, api, func(answer []byte, page []gen.SessionListItem) error {
		page = r.endable(page)
		total += len(page)
		if r.asJSON {
			return printJSON(cmd.OutOrStdout(), answer)
		}
		sessions = append(sessions, page...)
		return nil
	})
	if err == nil && !r.asJSON {
		err = printSessions(cmd.OutOrStdout(), sessions)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "dry run: nothing has ended; %s would\n", sessionCount(total))
	return nil
}
