// Command chaos puts sessiond under faults for as long as it is told to; see internal/qa/chaos. Start it in the module's
// directory: make chaos.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/internal/qa/chaos"
)

func main() { os.Exit(start()) }

func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{Use: "chaos", Short: "Put sessiond under faults", SilenceUsage: true}
	root.AddCommand(crashCommand(), powerLossCommand(), historyCommand(), fuzzCommand(), upgradeCommand(), assuranceCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		return 1
	}
	return 0
}

// inDirectory builds sessiond in a fresh directory that is removed afterwards.
func inDirectory(ctx context.Context, do func(dir, binary string) error) error {
	dir, err := os.MkdirTemp("", "sessiond-chaos-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// PostgreSQL runs as a user of its own and has to reach what it keeps here.
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // as said
		return err
	}
	binary, err := chaos.Build(ctx, dir)
	if err != nil {
		return err
	}
	return do(dir, binary)
}

// trial is a run, made ready in a directory for a program. It returns its figures as a line.
type trial func(ctx context.Context, dir, binary string) (string, error)

// command makes a command of a trial.
func command(name, short string, try trial) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return inDirectory(cmd.Context(), func(dir, binary string) error {
				figures, err := try(cmd.Context(), dir, binary)
				fmt.Fprintln(cmd.OutOrStdout(), figures)
				return err
			})
		},
	}
}
