// Command bench measures sessiond's speed; see internal/qa/bench. Start it in the module's directory: make bench.
package main

import (
	"context"
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
	flag.IntVar(&c.Concurrency, "concurrency", 16, "requests under way at a time")
	flag.DurationVar(&c.Round, "round", 2*time.Second, "length of a round")
	flag.IntVar(&c.Rounds, "rounds", 3, "rounds of each operation and server")
	only := flag.String("only", "", "operations to measure, separated by commas")
	flag.StringVar(&c.PostgresURL, "postgres-url", "", "server on which databases may be made; started when not given")
	flag.StringVar(&c.Sessiond, "sessiond", "", "program to measure; built when not given")
	flat := flag.Bool("flat", false, "measure tenants of different sizes against each other, without the baseline")
	sizes := flag.String("flat-sizes", "300,200000,2000000", "with --flat: sessions of the tenants, smallest first")
	flag.IntVar(&c.Flat.RevokeAll, "flat-revoke", 200_000, "with --flat: sessions of the tenant that is revoked all at once")
	fairness := flag.Bool("fairness", false, "measure tenants while another one misbehaves")
	flag.IntVar(&c.Fairness.Tenant, "fairness-tenant", 2000, "with --fairness: sessions of each tenant")
	flag.IntVar(&c.Fairness.User, "fairness-user", 100_000, "with --fairness: sessions of the user whose pages are listed")
	flag.IntVar(&c.Fairness.Revoked, "fairness-revoked", 20_000, "with --fairness: sessions of the tenants that are revoked all at once")
	smoke := flag.Bool("smoke", false, "run everything once on few sessions, to see that it runs")
	flag.Parse()
	if *smoke {
		given := c
		c = bench.Smoke()
		c.PostgresURL, c.Sessiond, c.Progress = given.PostgresURL, given.Sessiond, given.Progress
	} else {
		c.Flat.Smallest = 200
		c.SQLite.Tenants = c.Shape.Tenants * c.SQLite.Sessions / max(c.Shape.Sessions, 1)
		c.SQLite.Largest = c.Shape.Largest * c.SQLite.Sessions / max(c.Shape.Sessions, 1)
		for size := range strings.SplitSeq(*sizes, ",") {
			n, err := strconv.Atoi(size)
			if err != nil {
				return fmt.Errorf("--flat-sizes: %q is no number", size)
			}
			c.Flat.Sizes = append(c.Flat.Sizes, n)
		}
	}
	if *only != "" {
		c.Only = strings.Split(*only, ",")
	}
	switch {
	case *fairness:
		return bench.RunFairness(ctx, c, os.Stdout)
	case *flat:
		return bench.RunFlat(ctx, c, os.Stdout)
	default:
		return bench.Run(ctx, c, os.Stdout)
	}
}
