package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/store"
)

func migrateCommand() *cobra.Command {
	db := database{mayMake: true}
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Migrate the database schema, or show its state",
		Args:  arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{errors.New("migrate needs up or status; see sessiond migrate --help")}
		},
	}
	db.flags(cmd.PersistentFlags())
	cmd.AddCommand(
		&cobra.Command{
			Use: "up", Short: "Apply all pending migrations", Args: arguments(cobra.NoArgs),
			RunE: func(cmd *cobra.Command, _ []string) error { return withStore(cmd, &db, store.Options{}, migrateUp) },
		},
		&cobra.Command{
			Use: "status", Short: "List the migrations and whether they are applied", Args: arguments(cobra.NoArgs),
			RunE: func(cmd *cobra.Command, _ []string) error {
				db.mayMake = false
				return withStore(cmd, &db, store.Options{}, migrateStatus)
			},
		},
	)
	return cmd
}

// withStore opens the database for the length of a command.
func withStore(
	cmd *cobra.Command, db *database, options store.Options, do func(context.Context, *cobra.Command, *store.Store) error,
) error {
	s, err := db.open(cmd.Context(), options)
	if err != nil {
		return err
	}
	return errors.Join(do(cmd.Context(), cmd, s), s.Close())
}

// withSchema is withStore for a command that needs an up-to-date schema.
func withSchema(
	cmd *cobra.Command, db *database, options store.Options, do func(context.Context, *cobra.Command, *store.Store) error,
) error {
	return withStore(cmd, db, options, func(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
		if err := requireSchema(ctx, s, db.url); err != nil {
			return err
		}
		return do(ctx, cmd, s)
	})
}

func migrateUp(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
	steps, err := s.Migrate(ctx)
	if err != nil {
		return err
	}
	for _, step := range steps {
		fmt.Fprintf(cmd.OutOrStdout(), "applied %s\n", step.Name)
	}
	if len(steps) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "the schema is up to date")
	}
	return nil
}

func migrateStatus(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
	steps, err := s.MigrationStatus(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, step := range steps {
		state := "pending"
		if !step.AppliedAt.IsZero() {
			state = "applied " + step.AppliedAt.UTC().Format("2006-01-02 15:04:05")
		}
		fmt.Fprintf(table, "%s\t%s\n", step.Name, state)
	}
	return table.Flush()
}

// requireSchema says which command to run on a database whose schema is older than the program.
func requireSchema(ctx context.Context, s *store.Store, url string) error {
	err := s.CheckSchema(ctx)
	if errors.Is(err, store.ErrSchema) {
		return fmt.Errorf("%w: run `sessiond migrate up --database-url %s`", err, store.Redact(url))
	}
	return err
}
