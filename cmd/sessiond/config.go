package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sessiond/sessiond/store"
)

// connectTimeout bounds how long a command waits for the database to answer at first.
const connectTimeout = 10 * time.Second

// fromEnvironment sets every flag that the command line leaves alone from SESSIOND_ and its name in capitals.
func fromEnvironment(flags *pflag.FlagSet, getenv func(string) (string, bool)) error {
	var err error
	flags.VisitAll(func(flag *pflag.Flag) {
		name := "SESSIOND_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
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
}

func (d *database) flags(flags *pflag.FlagSet) {
	flags.StringVar(&d.url, "database-url", "sqlite://data/sessiond.db", "sqlite://FILE or postgres://USER:PASSWORD@HOST:PORT/NAME")
	flags.IntVar(&d.maxConns, "database-max-conns", 16, "connections to PostgreSQL at the most")
}

// open connects, and says in one sentence what to do when it cannot.
func (d *database) open(ctx context.Context, options store.Options) (*store.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	options.Now, options.MaxConns = time.Now, d.maxConns
	s, err := store.Open(ctx, d.url, options)
	if errors.Is(err, store.ErrConnect) {
		// A driver names every address that it tried, one a line; the last one says enough.
		lines := strings.Split(err.Error(), "\n")
		return nil, fmt.Errorf("database %s cannot be reached: check that it runs and that --database-url is right (%s)",
			store.Redact(d.url), strings.TrimSpace(lines[len(lines)-1]))
	}
	return s, err
}

// oneLine is an error's text without the line breaks that libraries put into it.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func dataDirFlag(flags *pflag.FlagSet, dir *string) {
	flags.StringVar(dir, "data-dir", "data", "directory of the development issuer's key")
}
