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

	"github.com/sessiond/sessiond/internal/apifuzz"
	"github.com/sessiond/sessiond/internal/chaos"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{Use: "chaos", Short: "Put sessiond under faults", SilenceUsage: true}
	root.AddCommand(crashCommand(), historyCommand(), fuzzCommand())
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

func historyCommand() *cobra.Command {
	var run chaos.History
	cmd := &cobra.Command{
		Use: "history", Short: "Hold what clients of two instances see against one session at a time", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			run.Calm = run.Cached
			return inDirectory(cmd.Context(), func(dir, binary string) error {
				run.Dir, run.Binary = dir, binary
				report, err := run.Run(cmd.Context())
				fmt.Fprintln(cmd.OutOrStdout(), report.Text())
				switch wrong := append(report.Illegal, report.Undecided...); {
				case err == nil && run.Cached && len(report.Illegal) == 0:
					return errors.New("the control's stale answers were not noticed: the run proves nothing")
				case err == nil && !run.Cached && len(wrong) > 0:
					return fmt.Errorf("histories that one instance cannot have:\n%s", chaos.Head(wrong))
				default:
					return err
				}
			})
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&run.Rounds, "rounds", 300, "rounds, each with sessions of its own")
	flags.IntVar(&run.Clients, "clients", 6, "clients at once")
	flags.IntVar(&run.Steps, "steps", 15, "requests of a client in a round")
	flags.IntVar(&run.Sessions, "sessions", 3, "sessions of a round")
	flags.Uint64Var(&run.Seed, "seed", 1, "what chance begins with")
	flags.BoolVar(&run.Cached, "control", false, "put a cache of a second before one instance: the run must notice")
	return cmd
}

func fuzzCommand() *cobra.Command {
	requests, seed := 200_000, uint64(1)
	cmd := &cobra.Command{
		Use: "fuzz", Short: "Make requests from the contract and hold the answers against it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := os.MkdirTemp("", "sessiond-fuzz-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			fuzz, stop, err := apifuzz.OnSQLite(cmd.Context(), dir)
			if err != nil {
				return err
			}
			fuzz.Requests, fuzz.Seed = requests, seed
			report, err := fuzz.Run()
			fmt.Fprintln(cmd.OutOrStdout(), report.Text())
			if err == nil && len(report.Failures) > 0 {
				err = fmt.Errorf("answers that break the contract:\n%s", chaos.Head(report.Failures))
			}
			return errors.Join(err, stop())
		},
	}
	cmd.Flags().IntVar(&requests, "requests", requests, "how many")
	cmd.Flags().Uint64Var(&seed, "seed", seed, "what chance begins with")
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
