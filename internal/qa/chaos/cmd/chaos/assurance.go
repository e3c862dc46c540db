package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/internal/qa/chaos"
)

// assuranceCommand runs everything at a size that fits into a few minutes. Each run has its control beside it.
func assuranceCommand() *cobra.Command {
	requests, seed, no, yes := 20_000, uint64(1), false, true
	small := func() *chaos.Crash { return &chaos.Crash{Kills: 20, Writes: 600, Writers: 16, Seed: 1} }
	file := small()
	file.SQLite = true
	trials := []struct {
		what string
		try  trial
	}{
		{"kills, PostgreSQL", crashTrial(small(), &no)},
		{"kills, PostgreSQL, control", crashTrial(small(), &yes)},
		{"kills, SQLite", crashTrial(file, &no)},
		{"power loss, SQLite", powerLossTrial(&chaos.PowerLoss{Writers: 4, Writes: 60, Moments: 100, Seed: 1})},
		{"power loss, SQLite, control", powerLossTrial(&chaos.PowerLoss{Writers: 4, Writes: 60, Moments: 20, Seed: 1, Unflushed: true})},
		{"two instances", historyTrial(&chaos.History{Rounds: 60, Clients: 6, Steps: 15, Sessions: 3, Seed: 1})},
		{"two instances, control", historyTrial(&chaos.History{Rounds: 20, Clients: 6, Steps: 15, Sessions: 3, Seed: 1, Cached: true})},
		{"requests from the contract", fuzzTrial(&requests, &seed)},
	}
	return &cobra.Command{
		Use: "assurance", Short: "Run everything at a small size and print one table", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			var errs error
			for _, t := range trials {
				began := time.Now()
				var figures string
				err := inDirectory(cmd.Context(), func(dir, binary string) (err error) {
					figures, err = t.try(cmd.Context(), dir, binary)
					return err
				})
				says := "as it should be"
				if err != nil {
					says = "WRONG"
					errs = errors.Join(errs, fmt.Errorf("%s: %w", t.what, err))
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", t.what, says, time.Since(began).Round(time.Second), figures)
			}
			return errors.Join(table.Flush(), errs)
		},
	}
}
