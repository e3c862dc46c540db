package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/internal/qa/apifuzz"
	"github.com/sessiond/sessiond/internal/qa/chaos"
)

// errUnmoved is the error of a control that finds nothing.
var errUnmoved = errors.New("the control has found nothing wrong: the run proves nothing")

// verdict is nil when a run found what it should: nothing, or something in a control.
func verdict(err error, control bool, found ...string) error {
	switch {
	case err != nil:
		return err
	case control && len(found) == 0:
		return errUnmoved
	case !control && len(found) > 0:
		return fmt.Errorf("this is wrong:\n%s", chaos.Head(found))
	default:
		return nil
	}
}

func crashTrial(run *chaos.Crash, control *bool) trial {
	return func(ctx context.Context, dir, binary string) (string, error) {
		run.Dir, run.Binary = dir, binary
		if *control {
			run.Settings = []string{"synchronous_commit=off", "wal_writer_delay=10s"}
		}
		report, err := run.Run(ctx)
		if *control {
			return report.Text(), verdict(err, true, report.Lost...)
		}
		return report.Text(), verdict(err, false, append(report.Broken(), report.Faults...)...)
	}
}

func crashCommand() *cobra.Command {
	var run chaos.Crash
	control := false
	cmd := command("crash", "Kill the server and PostgreSQL while writers write", crashTrial(&run, &control))
	run.Progress = func(kills, acknowledged int) {
		if kills%25 == 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "%d kills, %d writes acknowledged\n", kills, acknowledged)
		}
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

func powerLossTrial(run *chaos.PowerLoss) trial {
	return func(ctx context.Context, dir, binary string) (string, error) {
		run.Dir, run.Binary = dir, binary
		report, err := run.Run(ctx)
		if run.Unflushed {
			return report.Text(), verdict(err, true, report.Lost...)
		}
		return report.Text(), verdict(err, false, append(report.Lost, report.Torn...)...)
	}
}

func powerLossCommand() *cobra.Command {
	var run chaos.PowerLoss
	cmd := command("powerloss", "Take the power away from SQLite, in a model of a disk (needs strace)", powerLossTrial(&run))
	flags := cmd.Flags()
	flags.IntVar(&run.Writers, "writers", 8, "writers at once")
	flags.IntVar(&run.Writes, "writes", 100, "requests of each")
	flags.IntVar(&run.Moments, "moments", 500, "how often the power is lost")
	flags.Uint64Var(&run.Seed, "seed", 1, "what chance begins with")
	flags.BoolVar(&run.Unflushed, "control", false, "take flushes of the log for nothing: the run must find losses")
	return cmd
}

func historyTrial(run *chaos.History) trial {
	return func(ctx context.Context, dir, binary string) (string, error) {
		run.Dir, run.Binary, run.Calm = dir, binary, run.Cached
		report, err := run.Run(ctx)
		return report.Text(), verdict(err, run.Cached, append(report.Illegal, report.Undecided...)...)
	}
}

func historyCommand() *cobra.Command {
	var run chaos.History
	cmd := command("history", "Hold what clients of two instances see against one session at a time", historyTrial(&run))
	flags := cmd.Flags()
	flags.IntVar(&run.Rounds, "rounds", 300, "rounds, each with sessions of its own")
	flags.IntVar(&run.Clients, "clients", 6, "clients at once")
	flags.IntVar(&run.Steps, "steps", 15, "requests of a client in a round")
	flags.IntVar(&run.Sessions, "sessions", 3, "sessions of a round")
	flags.Uint64Var(&run.Seed, "seed", 1, "what chance begins with")
	flags.BoolVar(&run.Cached, "control", false, "put a cache of a second before one instance: the run must notice")
	return cmd
}

func fuzzTrial(requests *int, seed *uint64) trial {
	return func(ctx context.Context, dir, _ string) (string, error) {
		dir, err := os.MkdirTemp(dir, "fuzz-")
		if err != nil {
			return "", err
		}
		fuzz, stop, err := apifuzz.OnSQLite(ctx, dir)
		if err != nil {
			return "", err
		}
		fuzz.Requests, fuzz.Seed = *requests, *seed
		report, err := fuzz.Run() //nolint:contextcheck // nothing in it waits
		return report.Text(), verdict(errors.Join(err, stop()), false, report.Failures...)
	}
}

func fuzzCommand() *cobra.Command {
	var requests int
	var seed uint64
	cmd := command("fuzz", "Make requests from the contract and hold the answers against it", fuzzTrial(&requests, &seed))
	cmd.Flags().IntVar(&requests, "requests", 200_000, "how many")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "what chance begins with")
	return cmd
}

func upgradeCommand() *cobra.Command {
	run := chaos.Upgrade{Writers: 16}
	cmd := command("upgrade", "Bring the schema up to date under a previous version that serves", func(ctx context.Context, dir, binary string) (string, error) {
		run.Dir, run.New = dir, binary
		report, err := run.Run(ctx)
		return report.Text(), verdict(err, false, append(report.Broken(), report.Faults...)...)
	})
	cmd.Flags().StringVar(&run.Old, "old", "", "the previous version's program (required)")
	cmd.Flags().IntVar(&run.Writes, "writes", 2000, "acknowledged writes before and after, about")
	if err := cmd.MarkFlagRequired("old"); err != nil {
		panic(err) // it is defined above
	}
	return cmd
}
