package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/internal/demo"
	"github.com/sessiond/sessiond/internal/maintenance"
	"github.com/sessiond/sessiond/store"
)

// progressEvery is how often the log says how many demo sessions are stored.
const progressEvery = 2 * time.Second

func demoCommand() *cobra.Command {
	db := database{mayMake: true}
	var sessions int
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Store demo data: partners, tenants, users, sessions and their audit events",
		Long: "Stores demo data until the database has as many demo sessions as --sessions says: partners, tenants, users, sessions\n" +
			"and their audit events. Migrates the schema first. A run that was interrupted is continued by the next one.",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if sessions <= 0 {
				return usageError{errors.New("--sessions must be at least 1")}
			}
			return withStore(cmd, &db, store.Options{}, func(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
				return runDemo(ctx, cmd, s, sessions)
			})
		},
	}
	cmd.Flags().IntVar(&sessions, "sessions", 5000, "number of demo sessions")
	db.flags(cmd.Flags())
	return cmd
}

func runDemo(ctx context.Context, cmd *cobra.Command, s *store.Store, sessions int) error {
	if _, err := s.Migrate(ctx); err != nil {
		return err
	}
	progress := newProgress(cmd, sessions, "sessions")
	added, err := seed(ctx, s, sessions, func(stored int) { _ = progress.Set(stored) }) // only the look of the terminal
	_ = progress.Clear()
	if err != nil {
		return err
	}
	if err := maintenance.RollUp(ctx, maintenanceStore{s}); err != nil {
		return err
	}
	before := ""
	if added < sessions {
		before = fmt.Sprintf("; %d were there before", sessions-added)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "stored %d demo sessions%s\n", added, before)
	return err
}

// seed stores demo sessions until there are n, and returns how many it added. An interruption is one sentence.
func seed(ctx context.Context, db *store.Store, n int, progress func(stored int)) (added int, err error) {
	reached := 0
	added, err = demo.Fill(ctx, demoStore{db}, n, time.Now(), func(stored int) {
		reached = stored
		progress(stored)
	})
	if err != nil && ctx.Err() != nil {
		return added, interruptedError(fmt.Sprintf("interrupted: %d of %d demo sessions are stored; run the same command again to continue", reached, n))
	}
	return added, err
}

// seedAndLog is seed for a server, which logs the progress. It leaves a database alone that has sessions but no demo sessions.
func seedAndLog(ctx context.Context, db *store.Store, n int, logger *slog.Logger) error {
	if n == 0 {
		return nil
	}
	foreign, err := hasOnlyOthers(ctx, db)
	if err != nil {
		return err
	}
	if foreign {
		logger.InfoContext(ctx, "no demo sessions are stored: the database has other sessions")
		return nil
	}
	begun, logged := time.Now(), time.Time{}
	added, err := seed(ctx, db, n, func(stored int) {
		if stored < n && time.Since(logged) >= progressEvery {
			logger.InfoContext(ctx, "storing demo sessions", "stored", stored, "of", n)
			logged = time.Now()
		}
	})
	if err == nil && added > 0 {
		logger.InfoContext(ctx, "demo sessions stored", "added", added, "took_ms", time.Since(begun).Milliseconds())
	}
	return err
}

// hasOnlyOthers reports whether a database has sessions and none of them is a demo session.
func hasOnlyOthers(ctx context.Context, db *store.Store) (bool, error) {
	_, sessions, err := db.ListSessions(ctx, store.CallerSession{}, store.AllTenants(), store.Filter{}, store.Page{Limit: 1})
	if err != nil || sessions == 0 {
		return false, err
	}
	started, err := demo.Started(ctx, demoStore{db})
	return !started, err
}

// demoStore is the store as package demo needs it.
type demoStore struct{ *store.Store }

// HasSession implements demo.Store.
func (d demoStore) HasSession(ctx context.Context, id string) (bool, error) {
	_, err := d.GetSession(ctx, store.AllTenants(), id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// interruptedError is the sentence of a command that was interrupted.
type interruptedError string

func (e interruptedError) Error() string { return string(e) }

// Unwrap says what ended the command.
func (e interruptedError) Unwrap() error { return context.Canceled }
