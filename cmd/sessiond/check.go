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
var errDrift = errors.New("numbers differ from what a count gives: run `sessiond check --repair`, and tell how it came about if you know")

func checkCommand() *cobra.Command {
	var db database
	repair := false
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Count all sessions and compare with the numbers that are kept",
		Long: "Counts all sessions, in one state of the database, and names every number that is kept and differs. Exits with 1 when\n" +
			"one does. The server may run meanwhile; a repair makes its writers wait until it is done, and so does any check on SQLite.",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withSchema(cmd, &db, store.Options{}, func(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
				return check(ctx, cmd, s, repair)
			})
		},
	}
	db.flags(cmd.Flags())
	cmd.Flags().BoolVar(&repair, "repair", false, "put the counted numbers in the place of those that differ")
	return cmd
}

func check(ctx context.Context, cmd *cobra.Command, s *store.Store, repair bool) error {
	drifts := 0
	n, err := s.CheckTallies(ctx, repair, func(d store.Drift) {
		drifts++
		fmt.Fprintln(cmd.OutOrStdout(), describe(d))
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d sessions counted, %d numbers differed\n", n, drifts)
	if drifts > 0 && !repair {
		return errDrift
	}
	return nil
}

// describe is one drift in one line.
func describe(d store.Drift) string {
	of := "all tenants"
	switch {
	case d.TenantID != "":
		of = "tenant " + sanitize.Text(d.TenantID)
	case d.PartnerID != "":
		of = "partner " + sanitize.Text(d.PartnerID)
	}
	return fmt.Sprintf("%s, %s %q: kept %d open, %d in all, %d revoked; counted %d, %d, %d",
		of, d.Kind, d.Key, d.Kept[0], d.Kept[1], d.Kept[2], d.Counted[0], d.Counted[1], d.Counted[2])
}
