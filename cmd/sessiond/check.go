package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/internal/sanitize"
	"github.com/sessiond/sessiond/store"
)

// errDrift is the answer of a check that found something.
var errDrift = errors.New("counters or columns differ from what they are derived from: run `sessiond check --repair`, and report how it happened if you know")

func checkCommand() *cobra.Command {
	var db database
	repair := false
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Verify the counters against a count of all sessions",
		Long: "Counts all sessions in one snapshot of the database and prints every counter that differs, and in how many sessions a column\n" +
			"differs from the table that it is derived from, or the end from the audit log. Exits with 1 when one does.\n" +
			"With --repair a session that has ended by the audit log has ended again, and everything derived follows the tables that it is\n" +
			"derived from: read what differs before, because a wrong partner of a tenant becomes that of its sessions.\n" +
			"The server may run meanwhile; writes wait until a check with --repair is done, and on SQLite until any check is.",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withSchema(cmd, &db, store.Options{}, func(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
				return check(ctx, cmd, s, repair)
			})
		},
	}
	db.flags(cmd.Flags())
	cmd.Flags().BoolVar(&repair, "repair", false, "correct what differs")
	return cmd
}

func check(ctx context.Context, cmd *cobra.Command, s *store.Store, repair bool) error {
	drifts := 0
	n, err := s.VerifyCounters(ctx, repair, func(d store.Drift) {
		drifts++
		fmt.Fprintln(cmd.OutOrStdout(), describe(d))
	})
	if err != nil {
		return err
	}
	done := ""
	if repair && drifts > 0 {
		done = ", all corrected"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d sessions counted, %d differences%s\n", n, drifts, done)
	if drifts > 0 && !repair {
		return errDrift
	}
	return nil
}

// describe is one counter that differs, as a line.
func describe(d store.Drift) string {
	of := "all tenants"
	switch {
	case d.TenantID != "":
		of = "tenant " + sanitize.Text(d.TenantID)
	case d.PartnerID != "":
		of = "partner " + sanitize.Text(d.PartnerID)
	}
	if d.Sessions > 0 {
		return fmt.Sprintf("%s: %s is not %s in %d sessions", of, d.Kind, map[string]string{
			"tenant_id": "in the table of tenants", "partner_id": "the tenant's", "app_count": "the number of applications",
			"end_cause": "what the audit log says", "revoked_at": "there", "ends_at": "at the latest expires_at", "session_apps": "of a session",
			"search_keys": "of a user with a session",
		}[d.Kind], d.Sessions)
	}
	return fmt.Sprintf("%s, %s %q: stored %d open, %d in total, %d revoked; counted %d, %d, %d",
		of, d.Kind, d.Key, d.Kept[0], d.Kept[1], d.Kept[2], d.Counted[0], d.Counted[1], d.Counted[2])
}
