package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sessiond/sessiond/client"
	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/store"
)

// environment looks a variable up, as os.LookupEnv does.
type environment = func(string) (string, bool)

// variableOnly is the one variable that is no flag: a token on the command line would be seen by others on the machine.
const variableOnly = "SESSIOND_TOKEN"

// sessionsCommand is the API on the command line. Its errors end the program with the codes of exitCode.
func sessionsCommand(getenv environment) *cobra.Command {
	o := &operation{getenv: getenv}
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "Find, list and revoke sessions through the API of a server",
		Long: "Finds, lists and revokes sessions through the API of a server.\n\n" +
			"Uses the tenant API with --tenant, the API of the signed-in user with --me, and the platform API otherwise.\n" +
			"The token is read from --token-file, SESSIOND_TOKEN or the profile; no flag has it, because command lines are public.\n" +
			"With --on-database the commands work on a database itself, without a server, as the platform's operator.\n" +
			"Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 not allowed, 5 unavailable (try later), 130 interrupted.",
		Args: arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("sessions needs find, list, get, history, audit, export, revoke, revoke-all, jobs or stats; see sessiond sessions --help")}
		},
	}
	o.flags(cmd.PersistentFlags())
	cmd.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if err := cmd.Root().PersistentPreRunE(cmd, args); err != nil {
			return err
		}
		return refuseEmpty(cmd)
	}
	// Completion of what is not there offers nothing, which is what an error here would come to.
	_ = cmd.RegisterFlagCompletionFunc("profile", o.completeProfiles)
	_ = cmd.MarkPersistentFlagFilename("config", "yaml", "yml")
	cmd.AddCommand(
		findCommand(o), exportCommand(o), jobsCommand(o), listCommand(o), getCommand(o), historyCommand(o), eventsCommand(o), revokeCommand(o), revokeAllCommand(o), statsCommand(o),
	)
	o.local.closing(cmd.Commands())
	return cmd
}

// refuseEmpty refuses flags without a value: one of which a variable is not set would widen what is found, and ended.
func refuseEmpty(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if value := f.Value.String(); (value == "" || value == "[]") && f.Name != "reason" {
			err = usageError{fmt.Errorf("--%s must not be empty", f.Name)}
		}
	})
	return err
}

// operation is what the sessions commands have in common: which server, whose token, whose sessions, which output.
type operation struct {
	getenv    environment
	config    string
	profile   string
	server    string
	tokenFile string
	timeout   time.Duration
	asJSON    bool
	local     localServer
	sessionScope
}

func (o *operation) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.config, "config", "", "`FILE` with profiles (default $XDG_CONFIG_HOME/sessiond/config.yaml)")
	flags.StringVar(&o.profile, "profile", "", "profile of the configuration file; its default profile when empty")
	flags.StringVar(&o.server, "server", "", "`URL` of the server, instead of the profile's")
	flags.StringVar(&o.tokenFile, "token-file", "", "`FILE` with the access token, instead of the profile's")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Second, "timeout of one request")
	flags.BoolVar(&o.asJSON, "json", false, "print the responses of the API, one per line")
	flags.StringVar(&o.tenant, "tenant", "", "sessions of this tenant, through the tenant API")
	flags.BoolVar(&o.me, "me", false, "sessions of the token's user")
	o.local.flags(flags)
}

// open returns the operations that fit the flags, on the server that they name.
func (o *operation) open(cmd *cobra.Command) (apiGroup, error) {
	api, err := o.client(cmd)
	if err != nil {
		return nil, err
	}
	return o.apiGroup(api, cmd.ErrOrStderr())
}

// client returns a client of the server that the flags name.
func (o *operation) client(cmd *cobra.Command) (*gen.ClientWithResponses, error) {
	return o.clientWith(cmd, &http.Client{Timeout: o.timeout})
}

// longClient is client for an answer that takes as long as it takes.
func (o *operation) longClient(cmd *cobra.Command) (*gen.ClientWithResponses, error) {
	return o.clientWith(cmd, &http.Client{})
}

func (o *operation) clientWith(cmd *cobra.Command, by *http.Client) (*gen.ClientWithResponses, error) {
	if o.timeout <= 0 {
		return nil, usageError{errors.New("--timeout must be positive")}
	}
	if o.local.url != "" {
		return o.localClient(cmd, by.Timeout)
	}
	chosen, err := o.chosen(cmd)
	if err != nil {
		return nil, err
	}
	tokens, err := o.tokens(cmd, chosen)
	if err != nil {
		return nil, err
	}
	if o.server == "" {
		o.server = chosen.Server
	}
	if o.server == "" {
		return nil, usageError{errors.New("which server? set --server, SESSIOND_SERVER, or a profile in the configuration")}
	}
	api, err := client.New(o.server, tokens, client.WithHTTPClient(by))
	if err != nil {
		return nil, usageError{err}
	}
	if readable(o.server) {
		fmt.Fprintf(cmd.ErrOrStderr(), "sessiond: warning: the token goes to %s unencrypted; use https\n", o.server)
	}
	return api, nil
}

// localClient returns a client of the API on a database.
func (o *operation) localClient(cmd *cobra.Command, timeout time.Duration) (*gen.ClientWithResponses, error) {
	if !o.local.serving() {
		if o.server != "" || o.profile != "" || o.tokenFile != "" || o.me {
			return nil, usageError{errors.New("--on-database works without a server: leave --server, --profile, --token-file, SESSIOND_SERVER and --me away")}
		}
		if err := o.local.serve(cmd.Context(), cmd.ErrOrStderr()); err != nil {
			return nil, err
		}
		o.server = store.Redact(o.local.url) // for questions
	}
	return o.local.client(timeout)
}

// readable reports whether others on the network could read what is sent to a server.
func readable(server string) bool {
	base, err := url.Parse(server)
	return err != nil || base.Scheme == "http" && !loopback(net.JoinHostPort(base.Hostname(), "0"))
}

// chosen is the profile that the flags name.
func (o *operation) chosen(cmd *cobra.Command) (profile, error) {
	path := o.config
	if path == "" {
		path = configFile(o.getenv)
	}
	if path == "" {
		if o.profile != "" {
			return profile{}, usageError{errors.New("--profile needs --config: there is no home directory to look in")}
		}
		return profile{}, nil
	}
	written, err := readProfiles(path, o.config != "" || o.profile != "", cmd.ErrOrStderr())
	if err != nil {
		return profile{}, err
	}
	return written.choose(o.profile)
}

// tokens is where the token comes from; what is nearest to the command wins.
func (o *operation) tokens(cmd *cobra.Command, chosen profile) (client.TokenSource, error) {
	if o.tokenFile != "" {
		return fileTokens(o.tokenFile), nil
	}
	if text, found := o.getenv(variableOnly); found && text != "" {
		token, err := readToken(text)
		if err != nil {
			return nil, usageError{fmt.Errorf("SESSIOND_TOKEN: %w", err)}
		}
		return client.Token(token), nil
	}
	// A profile's token is for the profile's server only.
	if o.server != "" && chosen.Server != "" && o.server != chosen.Server {
		return nil, usageError{fmt.Errorf("the profile's token is for %s, not for %s: set SESSIOND_TOKEN or --token-file", chosen.Server, o.server)}
	}
	if source := chosen.tokens(cmd.ErrOrStderr()); source != nil {
		return source, nil
	}
	return nil, usageError{errors.New("whose token? set SESSIOND_TOKEN, --token-file, or token-command in a profile")}
}

// completeProfiles offers the configuration's profiles to the shell.
func (o *operation) completeProfiles(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if fromEnvironment(cmd.Flags(), o.getenv) != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	path := o.config
	if path == "" {
		path = configFile(o.getenv)
	}
	written, err := readProfiles(path, true, io.Discard)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return written.names(), cobra.ShellCompDirectiveNoFileComp
}

// arguments makes a wrong number of arguments a mistake in usage.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
		}
		return nil
	}
}
