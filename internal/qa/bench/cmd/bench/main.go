// Command bench measures sessiond's speed; see internal/qa/bench. Start it in the module's directory: make bench.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sessiond/sessiond/internal/qa/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	c := bench.Config{Progress: os.Stderr}
	flag.IntVar(&c.Shape.Sessions, "sessions", 1_000_000, "sessions in PostgreSQL")
	flag.IntVar(&c.Shape.Tenants, "tenants", 1000, "tenants in PostgreSQL")
	flag.IntVar(&c.Shape.Largest, "largest", 200_000, "sessions of the largest tenant")
	flag.IntVar(&c.SQLite.Sessions, "sqlite-sessions", 100_000, "sessions in SQLite, in proportion; 0 leaves it out")
	concurrency := flag.String("concurrency", "", "requests under way at a time, separated by commas (default 1,2,4,16,64; 1,16 with --flat and --old)")
	flag.StringVar(&c.JSON, "json", "", "file for what was measured")
	flag.DurationVar(&c.Round, "round", 2*time.Second, "length of a round")
	flag.IntVar(&c.Rounds, "rounds", 0, "rounds of each operation and server (default 3; 9 with --old)")
	only := flag.String("only", "", "operations to measure, separated by commas")
	flag.StringVar(&c.PostgresURL, "postgres-url", "", "server on which databases may be made; started when not given")
	flag.StringVar(&c.Sessiond, "sessiond", "", "program to measure; built when not given")
	before := flag.String("old", "", "program or revision to measure --new against, instead of the baseline")
	after := flag.String("new", "HEAD", "with --old: program or revision")
	flat := flag.Bool("flat", false, "measure tenants of different sizes against each other, without the baseline")
	sizes := flag.String("flat-sizes", "300,200000,2000000", "with --flat: sessions of the tenants, smallest first")
	flag.IntVar(&c.Flat.RevokeAll, "flat-revoke", 200_000, "with --flat: sessions of the tenant that is revoked all at once")
	fairness := flag.Bool("fairness", false, "measure tenants while another one misbehaves")
	flag.IntVar(&c.Fairness.Tenant, "fairness-tenant", 2000, "with --fairness: sessions of each tenant")
	flag.IntVar(&c.Fairness.User, "fairness-user", 100_000, "with --fairness: sessions of the user whose pages are listed")
	flag.IntVar(&c.Fairness.Revoked, "fairness-revoked", 20_000, "with --fairness: sessions of the tenants that are revoked all at once")
	search := flag.Bool("search", false, "measure the first page of searches, and what they cost other tenants")
	footprint := flag.Bool("footprint", false, "measure bytes a session, fresh and after a day of use, and what a change writes")
	smoke := flag.Bool("smoke", false, "run everything once on few sessions, to see that it runs")
	flag.Parse()
	if *smoke {
		given := c
		c = bench.Smoke()
		c.PostgresURL, c.Sessiond, c.JSON, c.Progress = given.PostgresURL, given.Sessiond, given.JSON, given.Progress
	} else {
		if c.Rounds == 0 {
			c.Rounds = 3
			if *before != "" {
				c.Rounds = 9
			}
		}
		if *concurrency == "" && (*flat || *before != "") {
			*concurrency = "1,16"
		}
		var err error
		if c.Concurrency, err = numbers("--concurrency", cmp.Or(*concurrency, "1,2,4,16,64")); err != nil {
			return err
		}
		if c.Flat.Sizes, err = numbers("--flat-sizes", *sizes); err != nil {
			return err
		}
		c.Flat.Smallest = 200
		c.SQLite.Tenants = c.Shape.Tenants * c.SQLite.Sessions / max(c.Shape.Sessions, 1)
		c.SQLite.Largest = c.Shape.Largest * c.SQLite.Sessions / max(c.Shape.Sessions, 1)
	}
	for name := range strings.SplitSeq(*only, ",") {
		if name = strings.TrimSpace(name); name != "" {
			c.Only = append(c.Only, name)
		}
	}
	if err := check(c, *before, *flat, *fairness, *footprint, *search); err != nil {
		return err
	}
	switch {
	case *before != "":
		return bench.RunBuilds(ctx, c, *before, *after, os.Stdout)
	case *footprint:
		return bench.RunFootprint(ctx, c, os.Stdout)
	case *search:
		return bench.RunSearch(ctx, c, os.Stdout)
	case *fairness:
		return bench.RunFairness(ctx, c, os.Stdout)
	case *flat:
		return bench.RunFlat(ctx, c, os.Stdout)
	default:
		return bench.Run(ctx, c, os.Stdout)
	}
}

// check refuses what could only fail, or mean nothing, after the databases have been filled.
func check(c bench.Config, before string, flat, fairness, footprint, search bool) error {
	modes := 0
	for _, chosen := range []bool{before != "", flat, fairness, footprint, search} {
		if chosen {
			modes++
		}
	}
	newGiven := false
	flag.Visit(func(f *flag.Flag) { newGiven = newGiven || f.Name == "new" })
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("%q is no flag", flag.Arg(0))
	case modes > 1:
		return errors.New("--old, --flat, --fairness, --footprint and --search are one run each")
	case newGiven && before == "":
		return errors.New("--new needs --old")
	case c.Shape.Tenants < 2 || c.Shape.Largest < 1 || c.Shape.Sessions-c.Shape.Largest < c.Shape.Tenants-1:
		return errors.New("every tenant needs a session: set --sessions higher, or --tenants (2 at least) or --largest (1 at least) lower")
	case c.SQLite.Sessions < 0:
		return errors.New("--sqlite-sessions must not be negative")
	case c.Rounds < 1 || c.Round <= 0 && c.Requests == 0:
		return errors.New("--rounds and --round must be above 0")
	case (footprint || search) && (len(c.Only) > 0 || c.JSON != ""):
		return errors.New("--footprint and --search have neither --only nor --json")
	default:
		return nil
	}
}

// numbers reads a flag that is a list of them.
func numbers(name, text string) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%s: %q is not a number above 0", name, part)
		}
		all = append(all, n)
	}
	return all, nil
}
