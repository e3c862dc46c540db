package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/client"
	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/handlers"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/maintenance"
	"github.com/sessiond/sessiond/store"
)

// localServer is the API in this process, on a database: the same operations, checks and audit log as on a server, for who may read the
// database anyhow.
type localServer struct {
	database
	maxTokenLifetime time.Duration
	opened           closers
	db               *store.Store
	socket           string // "" before it serves
	issuer           *auth.DevIssuer
}

const (
	// inProcess stands for the address of a server in this process.
	inProcess = "http://localhost"
	// jobPause is how long to wait where there is no job to do.
	jobPause = 200 * time.Millisecond
)

func (l *localServer) flags(flags *pflag.FlagSet) {
	l.flag = "--on-database"
	flags.StringVar(&l.url, "on-database", "", "`URL` of a database to work on, instead of a server, as the platform's operator: sqlite://FILE or postgres://…")
	flags.IntVar(&l.maxConns, "database-max-conns", 4, "maximum number of connections to PostgreSQL, with --on-database")
	maxTokenLifetimeFlag(flags, &l.maxTokenLifetime)
}

func (l *localServer) serving() bool { return l.socket != "" }

// serve begins to serve, on a socket in a directory that only this user may enter; the end of the command ends it. What fails is logged.
func (l *localServer) serve(ctx context.Context, log io.Writer) error {
	db, err := l.open(ctx, store.Options{MaxTokenLifetime: l.maxTokenLifetime})
	if err != nil {
		return err
	}
	l.db = db
	l.opened.add(db.Close)
	if err := requireSchema(ctx, db, l.url); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sessiond-")
	if err != nil {
		return err
	}
	l.opened.add(func() error { return os.RemoveAll(dir) })
	if l.issuer, err = auth.OpenDevIssuer(dir); err != nil {
		return err
	}
	verifier, err := auth.NewVerifier(l.issuer.Config(), l.issuer.Keys(), time.Now)
	if err != nil {
		return err
	}
	handler, err := handlers.NewHandler(handlers.Config{ //nolint:contextcheck // requests bring their own
		Store: db, Verifier: verifier, Now: time.Now, Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError})),
		OpenAPI: sessiond.OpenAPI, OpenAPIForSDKs: sessiond.OpenAPIForSDKs,
	})
	if err != nil {
		return err
	}
	socket := filepath.Join(dir, "s")
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	l.opened.add(server.Close)
	l.socket = socket
	return nil
}

// runJobs runs revocation jobs, as slowly as a server does, until stop is called, for there may be no server. The context ends when a job
// cannot go on.
func (l *localServer) runJobs(ctx context.Context) (while context.Context, stop func()) {
	if !l.serving() {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	jobs := maintenance.New(maintenanceStore{l.db}, maintenance.Config{}, time.Now, slog.New(slog.DiscardHandler))
	_, end := inBackground(ctx, func(ctx context.Context) error {
		for ctx.Err() == nil {
			if err := jobs.RunRevocationJobs(ctx); err != nil && !errors.Is(err, store.ErrUnavailable) {
				cancel(err)
			}
			select {
			case <-time.After(jobPause):
			case <-ctx.Done():
			}
		}
		return nil
	})
	return ctx, func() { cancel(nil); _ = end() }
}

// client is one of this server. The audit log has the account on this machine as who acts.
func (l *localServer) client(timeout time.Duration) (*gen.ClientWithResponses, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", l.socket)
	}
	by := operator()
	token := func(context.Context) (string, error) {
		return l.issuer.Mint(auth.TokenRequest{Subject: by.Subject, ClientID: by.ClientID, Scope: "admin:sessions:read admin:sessions:write"}, time.Now())
	}
	through := &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: timeout}
	return client.New(inProcess, token, client.WithHTTPClient(through), client.WithRetries(0))
}

// closing makes the commands close the database when they end.
func (l *localServer) closing(commands []*cobra.Command) {
	for _, cmd := range commands {
		l.closing(cmd.Commands())
		if run := cmd.RunE; run != nil {
			cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
				defer func() { err = errors.Join(err, l.opened.close()) }()
				return run(cmd, args)
			}
		}
	}
}
