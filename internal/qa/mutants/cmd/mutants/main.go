// Command mutants measures whether the tests notice a change of the code; see internal/qa/mutants. Start it in the module's
// directory: make mutants.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/internal/qa/mutants"
)

func main() { os.Exit(start()) }

func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		return 1
	}
	return 0
}

func command() *cobra.Command {
	o := mutants.Options{Dir: ".", Now: time.Now}
	cmd := &cobra.Command{
		Use: "mutants", Short: "Change the code in small ways and see whether the tests notice", Args: cobra.NoArgs, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Out, o.Log = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return mutants.Run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.Packages, "packages", []string{"./internal/auth", "./internal/validation", "./handlers"}, "the packages to change")
	flags.StringVar(&o.Files, "files", "", "change only files that match this regular expression: store/fastpath")
	flags.StringSliceVar(&o.Tests, "tests", nil, "further packages whose tests are run, after the changed package's own")
	flags.StringVar(&o.Run, "run", "", "run only tests that match this pattern, as in go test -run: TestSQLite")
	flags.StringVar(&o.Skip, "skip", "", "leave out tests that match this pattern, as in go test -skip: /postgres")
	flags.StringSliceVar(&o.Operators, "operators", nil, "change only so: names as the table has them, or their beginnings (sql)")
	flags.IntVar(&o.Number, "n", 400, "how many mutants to choose; 0 is all of them")
	flags.Uint64Var(&o.Seed, "seed", 1, "which ones")
	flags.StringVar(&o.Known, "known", "internal/qa/mutants/known.yaml", "the file that lists known survivors with their reasons")
	flags.BoolVar(&o.Listed, "listed", false, "run the listed ones too, and fail when one is killed")
	flags.BoolVar(&o.List, "list", false, "print the chosen mutants and run nothing")
	flags.StringVar(&o.Cache, "cache", ".bin/mutants", "where to keep what each test reaches, for the next run")
	flags.DurationVar(&o.Patience, "patience", 10*time.Second, "a mutant is killed when its tests take four times as long as usual and this")
	return cmd
}
