package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/internal/demo"
	"github.com/sessiond/sessiond/store"
)

func demoCommand() *cobra.Command {
	db := database{mayMake: true}
	var sessions int
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Fill a database with realistic partners, tenants, users and sessions",
		Args:  arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if sessions <= 0 {
				return usageError{errors.New("--sessions must be at least 1")}
			}
			return withStore(cmd, &db, store.Options{}, func(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
				// Who wants demo data wants a database to try out, so a fresh one is made ready too.
				if _, err := s.Migrate(ctx); err != nil {
					return err
				}
				if err := demo.Fill(ctx, s, sessions, time.Now()); err != nil {
					return err
				}
				if err := fold(ctx, s); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "stored %d demo sessions\n", sessions)
				return err
			})
		},
	}
	cmd.Flags().IntVar(&sessions, "sessions", 5000, "how many sessions")
	db.flags(cmd.Flags())
	return cmd
}
