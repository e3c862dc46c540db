package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/handlers"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/geo"
	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/store"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	trust
	addr         string
	demoSessions int
	logLevel     slog.Level
	db           database
	maintenance  maintenanceOptions
	limits       limits
	geoip        string
	telemetry    telemetryOptions
	http         httpOptions
}

func serveCommand() *cobra.Command {
	var s serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the API",
		Long: "Serves the API until SIGINT or SIGTERM. SIGHUP reads the files of --tenant-limits, --tls-cert and --tls-key again.\n" +
			"Each flag is an environment variable too: --database-url is SESSIOND_DATABASE_URL.",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.run(cmd.Context(), cmd)
		},
	}
	s.flags(cmd.Flags())
	return cmd
}

func (s *serveOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&s.addr, "addr", "127.0.0.1:8080", "address to listen on, as `HOST:PORT`")
	s.trust.flags(flags)
	flags.IntVar(&s.demoSessions, "demo-sessions", 0, "number of demo sessions to store, unless the database has other sessions")
	flags.TextVar(&s.logLevel, "log-level", slog.LevelInfo, "log lines of this `LEVEL` and above: debug, info, warn or error")
	s.db.flags(flags)
	s.db.fastPathsFlag(flags)
	flags.StringVar(&s.geoip, "geoip-database", "", "`FILE` in MaxMind format (.mmdb) with the locations of IP addresses; no locations when empty")
	s.limits.flags(flags)
	s.maintenance.flags(flags)
	s.telemetry.flags(flags)
	s.http.flags(flags)
}

// check refuses what cannot work before anything is opened.
func (s *serveOptions) check() error {
	if err := s.trust.check(); err != nil {
		return err
	}
	switch {
	case s.addr == "":
		return usageError{errors.New("--addr is empty: use HOST:PORT, as in 127.0.0.1:8080")}
	case s.dev && !loopback(s.addr):
		return usageError{fmt.Errorf("--dev trusts tokens that anybody with the data directory can make, so it serves "+
			"loopback addresses only, and %q is not one with its port: use 127.0.0.1:8080, or --issuer", s.addr)}
	case s.demoSessions < 0:
		return usageError{errors.New("--demo-sessions must not be negative")}
	}
	if err := s.limits.check(); err != nil {
		return err
	}
	if err := s.maintenance.check(); err != nil {
		return err
	}
	return s.http.check()
}

func (s *serveOptions) run(ctx context.Context, cmd *cobra.Command) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	var opened closers
	defer func() { err = errors.Join(err, opened.close()) }()
	logger, endLog := openLog(ctx, cmd.ErrOrStderr(), s.logLevel)
	opened.add(endLog)
	again := openReloads()
	opened.add(again.close)
	setGCPercent()
	config, keys, dev, err := s.open()
	if err != nil {
		return err
	}
	verifier, err := auth.NewVerifier(config, keys, time.Now)
	if err != nil {
		return usageError{err}
	}
	places, err := s.places()
	if err != nil {
		return err
	}
	opened.add(places.Close)
	// The addresses are taken first: a second server must not change the database of the one that runs.
	listener, err := listen(ctx, "--addr", s.addr)
	if err != nil {
		return err
	}
	opened.add(func() error { return ignoreClosed(listener.Close()) })
	server, err := s.http.server(ctx, logger, &opened, again)
	if err != nil {
		return err
	}
	starting := &startupHandler{}
	server.Handler = httpserver.CloseAmbiguous{Next: starting}
	logger.InfoContext(ctx, "starting", "addr", listener.Addr().String())
	served, stopServing := inBackground(ctx, func(ctx context.Context) error { return httpserver.Serve(ctx, listener, server, logger) })
	opened.add(stopServing)
	telemetry, err := s.telemetry.open(ctx, logger)
	if err != nil {
		return err
	}
	opened.add(func() error { return telemetry.close(ctx) })
	db, err := s.database(ctx, logger, telemetry.onEnded())
	if err != nil {
		return err
	}
	opened.add(db.Close)
	handler, err := handlers.NewHandler(handlers.Config{ //nolint:contextcheck // requests bring their own
		Store: db, Verifier: verifier, Now: time.Now, Logger: logger, OpenAPI: sessiond.OpenAPI, OpenAPIForSDKs: sessiond.OpenAPIForSDKs, Locate: places.Locate,
		Metrics: telemetry.metrics, Tracer: telemetry.tracer(), HTTP: s.http.options(),
	})
	if err != nil {
		return err
	}
	starting.setReady(handler)
	if dev != nil {
		if err := printTour(ctx, cmd.OutOrStdout(), db, dev, s.http.scheme()+"://"+listener.Addr().String()); err != nil {
			return err
		}
	}
	logger.InfoContext(ctx, "serving", "addr", listener.Addr().String(), "metrics", telemetry.addr(), "engine", db.Engine(), "version", version())
	telemetry.serve(ctx, db)
	opened.add(s.maintenance.start(ctx, db, logger))
	again.add(func(ctx context.Context) { s.limits.reload(ctx, logger) })
	opened.add(again.start(ctx, logger))
	_, endGivingBack := inBackground(ctx, func(ctx context.Context) error { return giveBackMemory(ctx, giveBackEvery) })
	opened.add(endGivingBack)
	return served()
}

// places opens the location database; without one every place is unknown.
func (s *serveOptions) places() (*geo.Database, error) {
	if s.geoip == "" {
		return nil, nil //nolint:nilnil // a nil database is one that knows no place
	}
	return geo.Open(s.geoip)
}

// database opens the store with an up-to-date schema.
func (s *serveOptions) database(ctx context.Context, logger *slog.Logger, onEnded func(how string, n int)) (*store.Store, error) {
	of, err := s.limits.load()
	if err != nil {
		return nil, err
	}
	s.db.mayMake = s.dev
	db, err := s.db.open(ctx, store.Options{
		Logger: logger, Limits: of, ActivityInterval: s.maintenance.activityInterval, ChangeInterval: s.maintenance.changeInterval, OnEnded: onEnded, MaxTokenLifetime: s.maintenance.maxTokenLifetime,
	})
	if err != nil {
		return nil, err
	}
	if s.dev {
		_, err = db.Migrate(ctx)
	} else {
		err = requireSchema(ctx, db, s.db.url)
	}
	if err == nil {
		err = seedAndLog(ctx, db, s.demoSessions, logger)
	}
	if err == nil {
		err = warnOfRole(ctx, db, logger)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// warnOfRole tells the operator when row-level security does not apply to the database role.
func warnOfRole(ctx context.Context, db *store.Store, logger *slog.Logger) error {
	if db.Engine() != "postgres" {
		return nil
	}
	bypasses, err := db.BypassesRowSecurity(ctx)
	if bypasses && err == nil {
		logger.WarnContext(ctx, "the database role passes row-level security, which would keep tenants apart even if a query forgot to: "+
			"connect as a role that is not a superuser and does not have BYPASSRLS")
	}
	return err
}
