package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sessiond/sessiond/store"
)

// connectTimeout bounds how long a command waits for the database to answer at first.
const connectTimeout = 10 * time.Second

// variablePrefix begins the names of all variables of the environment that are looked at.
const variablePrefix = "SESSIOND_"

// variable is the name of a flag in the environment.
func variable(flag *pflag.Flag) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
}

// serviceVariable is what Kubernetes sets beside a Service whose name is, or begins with, sessiond; it is nobody's setting.
var serviceVariable = regexp.MustCompile(
	`^SESSIOND_(\w+_)?(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT=(tcp|udp|sctp)://|PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?=)`)

// checkVariables refuses a variable, written NAME=VALUE, that is no flag of any command: it can only be a mistake.
func checkVariables(root *cobra.Command, variables []string) error {
	known := []string{variableOnly}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, flags := range []*pflag.FlagSet{cmd.LocalFlags(), cmd.PersistentFlags()} {
			flags.VisitAll(func(flag *pflag.Flag) {
				if flag.Name != "help" {
					known = append(known, variable(flag))
				}
			})
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root)
	for _, text := range variables {
		name, _, _ := strings.Cut(text, "=")
		if strings.HasPrefix(name, variablePrefix) && !slices.Contains(known, name) && !serviceVariable.MatchString(text) {
			return usageError{fmt.Errorf("the environment variable %s is not a setting of sessiond: unset it, or see --help for the flags "+
				"that each are a variable too", name)}
		}
	}
	return nil
}

// fromEnvironment sets every flag that the command line leaves alone from SESSIOND_ and its name in capitals.
func fromEnvironment(flags *pflag.FlagSet, getenv func(string) (string, bool)) error {
	var err error
	flags.VisitAll(func(flag *pflag.Flag) {
		name := variable(flag)
		value, found := getenv(name)
		if !found || flag.Changed || flag.Name == "help" {
			return
		}
		if failed := flags.Set(flag.Name, value); failed != nil {
			err = errors.Join(err, usageError{fmt.Errorf("%s: %w", name, failed)})
		}
	})
	return err
}

// database is where the sessions are.
type database struct {
	url      string
	maxConns int
	fast     string
	flag     string // the flag that names the database, --database-url when empty
	mayMake  bool   // a SQLite file that is not there is made, else it is a mistake in its name
}

func (d *database) flags(flags *pflag.FlagSet) {
	flags.StringVar(&d.url, "database-url", "sqlite://data/sessiond.db", "`URL` of the database: sqlite://FILE or postgres://USER:PASSWORD@HOST:PORT/NAME")
	flags.IntVar(&d.maxConns, "database-max-conns", 16, "maximum number of connections to PostgreSQL")
}

// fastPathsFlag is for a command that serves.
func (d *database) fastPathsFlag(flags *pflag.FlagSet) {
	flags.StringVar(&d.fast, "store-fast-paths", "on",
		"`MODE`, on or off: send frequent operations to PostgreSQL as hand-written statements that requests share, or as the plain ones that SQLite and Citus get")
}

func (d *database) flagName() string { return cmp.Or(d.flag, "--database-url") }

// open connects, and says in one sentence what to do when it cannot.
func (d *database) open(ctx context.Context, options store.Options) (*store.Store, error) {
	if d.maxConns < 1 {
		return nil, usageError{errors.New("--database-max-conns must be at least 1")}
	}
	if scheme, rest, _ := strings.Cut(d.url, "://"); rest == "" || !slices.Contains([]string{"sqlite", "postgres", "postgresql"}, scheme) {
		return nil, usageError{fmt.Errorf("%s %q: use sqlite://FILE or postgres://USER:PASSWORD@HOST:PORT/NAME", d.flagName(), store.Redact(d.url))}
	}
	if !slices.Contains([]string{"", "on", "off"}, d.fast) {
		return nil, usageError{fmt.Errorf("--store-fast-paths is %q: it must be on or off", d.fast)}
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	options.NoFastPaths = d.fast == "off"
	options.Now, options.MaxConns, options.MustExist = time.Now, d.maxConns, !d.mayMake
	s, err := store.Open(ctx, d.url, options)
	if errors.Is(err, fs.ErrNotExist) && options.MustExist {
		return nil, fmt.Errorf("database %s does not exist: check %s, or run `sessiond migrate up --database-url %[1]s` to make it",
			store.Redact(d.url), d.flagName())
	}
	if errors.Is(err, store.ErrConnect) {
		// A driver names every address that it tried, one a line; the last one says enough.
		lines := strings.Split(err.Error(), "\n")
		return nil, fmt.Errorf("database %s cannot be reached: check that it runs and that %s is right (%s)",
			store.Redact(d.url), d.flagName(), strings.TrimSpace(lines[len(lines)-1]))
	}
	return s, err
}

// oneLine is an error's text without the line breaks that libraries put into it.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func dataDirFlag(flags *pflag.FlagSet, dir *string) {
	flags.StringVar(dir, "data-dir", "data", "`DIRECTORY` of the development issuer's signing key")
}
