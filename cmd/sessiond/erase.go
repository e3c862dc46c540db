package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/store"
)

// eraseOptions are the flags of erase.
type eraseOptions struct {
	tenantID, userID string
	dryRun, yes      bool
}

func eraseCommand() *cobra.Command {
	var db database
	var e eraseOptions
	options := store.Options{}
	cmd := &cobra.Command{
		Use:   "erase",
		Short: "Erase a user of a tenant: end the sessions and delete the user's data",
		Long: "Ends the active sessions of a user in a tenant, deletes the user's data there, and records a receipt in the audit log.\n" +
			"Keyed digests (HMAC-SHA-256) stay, so that tokens of the ended sessions stay refused and logins from before the erasure\n" +
			"cannot be registered. Set --max-token-lifetime to the value of the server, if that is not the default.",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if e.tenantID == "" || e.userID == "" {
				return usageError{errors.New("erase needs --tenant and --user")}
			}
			if err := checkPositive("max-token-lifetime", options.MaxTokenLifetime); err != nil {
				return err
			}
			return withSchema(cmd, &db, options, e.run)
		},
	}
	cmd.Flags().StringVar(&e.tenantID, "tenant", "", "tenant of the user (required)")
	cmd.Flags().StringVar(&e.userID, "user", "", "user to erase (required)")
	cmd.Flags().BoolVar(&e.dryRun, "dry-run", false, "print what would be erased, and erase nothing")
	cmd.Flags().BoolVar(&e.yes, "yes", false, "do not ask for confirmation")
	maxTokenLifetimeFlag(cmd.Flags(), &options.MaxTokenLifetime)
	db.flags(cmd.Flags())
	return cmd
}

func (e *eraseOptions) run(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
	known, err := s.PreviewErasure(ctx, e.tenantID, e.userID)
	switch {
	case err != nil:
		return err
	case known == store.Erasure{}:
		return fmt.Errorf("nothing is known of the user %q in the tenant %q: check both names", e.userID, e.tenantID)
	case e.dryRun:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "would end %d sessions, delete %d, and remove the name from %d audit events\n",
			known.Ended, known.Sessions, known.Events)
		return err
	case !e.yes:
		question := fmt.Sprintf("End %s of the user %q in the tenant %q and erase all that is known of the user there?",
			sessionCount(known.Ended), e.userID, e.tenantID)
		if err := confirm(ctx, cmd, question); err != nil {
			return err
		}
	}
	done, err := s.EraseUser(ctx, e.tenantID, e.userID, operator())
	if done.Receipt != "" { // the user is erased, though something may be left for a moment
		fmt.Fprintf(cmd.OutOrStdout(), "ended %d sessions, deleted %d, and removed the name from %d audit events; receipt %s\n",
			done.Ended, done.Sessions, done.Events, done.Receipt)
	}
	return err
}
