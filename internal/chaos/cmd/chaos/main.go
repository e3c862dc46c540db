// Command chaos puts sessiond under faults for as long as it is told to; see internal/chaos. Start it in the module's
// directory: make chaos.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/internal/chaos"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{Use: "chaos", Short: "Put sessiond under faults", SilenceUsage: true}
	root.AddCommand(crashCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
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

func crashCommand() *cobra.Command {
	var run chaos.Crash
	control := false
	cmd := &cobra.Command{
		Use: "crash", Short: "Kill the server and PostgreSQL while writers write", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			run.Progress = func(kills, acknowledged int) {
				if kills%25 == 0 {
					fmt.Fprintf(cmd.ErrOrStderr(), "%d kills, %d writes acknowledged\n", kills, acknowledged)
				}
			}
			if control {
				run.Settings = []string{"synchronous_commit=off", "wal_writer_delay=10s"}
			}
			return inDirectory(cmd.Context(), func(dir, binary string) error {
				run.Dir, run.Binary = dir, binary
				report, err := run.Run(cmd.Context())
				fmt.Fprintln(cmd.OutOrStdout(), report.Text())
				return errors.Join(err, judge(report, control))
			})
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&run.Kills, "kills", 300, "how often to kill")
	flags.IntVar(&run.Writes, "writes", 3500, "acknowledged writes between two kills, about")
	flags.IntVar(&run.Writers, "writers", 32, "writers at once")
	flags.Uint64Var(&run.Seed, "seed", 1, "what chance begins with")
	flags.BoolVar(&run.SQLite, "sqlite", false, "on a SQLite file, killing the server only")
	flags.BoolVar(&control, "control", false, "let PostgreSQL acknowledge before it has written: the run must find losses")
	return cmd
}

// judge is nil when the run found what it should: nothing, or losses in a control.
func judge(report chaos.CrashReport, control bool) error {
	broken := report.Broken()
	switch {
	case control && len(report.Lost) == 0:
		return errors.New("the control has lost nothing: the run proves nothing")
	case !control && len(broken) > 0:
		return fmt.Errorf("promises are broken:\n%s", chaos.Head(broken))
	case !control && len(report.Faults) > 0:
		return fmt.Errorf("nothing is lost, but there were errors that the server did not expect:\n%s", chaos.Head(report.Faults))
	default:
		return nil
	}
}
