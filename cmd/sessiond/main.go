// Command sessiond is a session management service: see who is signed in, from where and on which device, and end any
// session at once and for good.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/internal/sanitize"
)

func main() {
	os.Exit(start())
}

func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once: the first one has given the default behaviour back.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr, os.Environ()...); err != nil {
		printError(os.Stderr, err)
		return exitCode(err)
	}
	return 0
}

// usageError is a mistake in the command line or the environment.
type usageError struct{ error }

// Unwrap returns the mistake.
func (e usageError) Unwrap() error { return e.error }

// run is the whole program, for main and for tests: it ends when the command does or the context is done. The variables are
// all those of the environment, as os.Environ has them.
func run(ctx context.Context, args []string, getenv environment, stdout, stderr io.Writer, variables ...string) error {
	root := rootCommand(getenv, variables...) //nolint:contextcheck // cobra hands the context on
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	checkCompletionArguments(root)
	return root.ExecuteContext(ctx)
}

func rootCommand(getenv environment, variables ...string) *cobra.Command {
	root := &cobra.Command{
		Use:           "sessiond",
		Short:         "Session management: see who is signed in, from where and on which device, and end any session",
		SilenceUsage:  true,
		SilenceErrors: true,
		// A mistake is answered in one sentence.
		DisableSuggestions: true,
		// Without this cobra would call a command that it does not know a failure, not a mistake in usage.
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q for %q; see %[2]s --help", args[0], cmd.CommandPath())}
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkVariables(cmd.Root(), variables); err != nil {
				return err
			}
			return fromEnvironment(cmd.Flags(), getenv)
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(serveCommand(), migrateCommand(), tokenCommand(), demoCommand(), auditCommand(), checkCommand(), eraseCommand(), tenantCommand(), versionCommand())
	root.AddCommand(sessionsCommand(getenv), referenceCommand())
	root.SetHelpCommand(helpCommand())
	return root
}

// helpCommand is cobra's, but for an unknown command, which is a mistake in usage.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		// Help works whatever the environment is.
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usageError{fmt.Errorf("unknown command %q; see %s --help", strings.Join(args, " "), cmd.Root().CommandPath())}
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		},
	}
}

// checkCompletionArguments has cobra's own command, which prints completion scripts, refuse arguments as the others do. It prints to
// where the root command's output goes at this time.
func checkCompletionArguments(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		for _, c := range append(cmd.Commands(), cmd) {
			c.Args = arguments(cobra.NoArgs)
		}
	}
}

// printError prints an error as one line that is safe to show: it may hold text of unknown origin, and joined errors have one line
// each.
func printError(out io.Writer, err error) {
	fmt.Fprintf(out, "sessiond: %s\n", sanitize.Text(strings.ReplaceAll(err.Error(), "\n", "; ")))
}
