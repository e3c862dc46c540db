package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
)

// Upgrade is a run in which the schema is brought up to date under the previous version of the program while that serves,
// and both serve for a while, as in a rolling update.
type Upgrade struct {
	// Old and New are the programs, Dir a directory for everything.
	Old, New, Dir string
	// Writes are acknowledged before, and again after, by each of Writers.
	Writes, Writers int
}

// Run does it, and judges as a Crash does.
func (u Upgrade) Run(ctx context.Context) (CrashReport, error) {
	run := &crash{
		Crash:  Crash{Binary: u.Old, Dir: u.Dir, Kills: 2, Writes: u.Writes, Writers: u.Writers},
		random: rand.New(rand.NewPCG(1, 0)), //nolint:gosec // repeatable
		acks:   make(chan struct{}, 1024),
	}
	var newer *Server
	run.strike = func(ctx context.Context, n int) error {
		if n == 0 {
			newer = &Server{Binary: u.New, Dir: run.server.Dir, Database: run.server.Database, log: "newer.log"}
			return newer.Start(ctx) // it brings the schema up to date first
		}
		// The older one goes on serving what was asked of it; what is asked from now goes to the newer one.
		older := run.server
		run.server = newer
		run.target.Store(newer)
		return older.Stop()
	}
	report, err := run.run(ctx)
	if err != nil && newer == nil {
		err = fmt.Errorf("before the newer program started: %w", err)
	}
	if faults, failed := (&Server{Dir: run.server.Dir}).faults(); len(faults) > 0 || failed != nil {
		report.Faults = append(report.Faults, faults...)
		err = errors.Join(err, failed)
	}
	return report, err
}
