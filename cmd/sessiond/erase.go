package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/store"
)

func eraseCommand() *cobra.Command {
	var db database
	var tenantID, userID string
	maxTokenLifetime := store.DefaultMaxTokenLifetime
	cmd := &cobra.Command{
		Use:   "erase",
		Short: "End a user's sessions in a tenant, delete all that is known of the user there, and leave a receipt in the audit trail",
		Long: "Ends the active sessions of a user in a tenant, deletes all that is known of the user there, and leaves a receipt in the\n" +
			"audit trail. Digests stay, by which the ended sessions, and logins from before, are kept out.",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if tenantID == "" || userID == "" {
				return usageError{errors.New("erase needs --tenant and --user")}
			}
			return withStore(cmd, &db, store.Options{MaxTokenLifetime: maxTokenLifetime}, func(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
				erasure, err := s.EraseUser(ctx, tenantID, userID, operator())
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "ended %d sessions, erased %d and the name in %d audit events; receipt %s\n",
					erasure.Ended, erasure.Sessions, erasure.Events, erasure.Receipt)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&tenantID, "tenant", "", "tenant of the user (required)")
	cmd.Flags().StringVar(&userID, "user", "", "user to erase (required)")
	maxTokenLifetimeFlag(cmd.Flags(), &maxTokenLifetime)
	db.flags(cmd.Flags())
	return cmd
}
