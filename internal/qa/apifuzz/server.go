package apifuzz

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/handlers"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/store"
)

// OnSQLite prepares a run against the whole chain on a file in a directory. The returned function closes it.
func OnSQLite(ctx context.Context, dir string) (Fuzz, func() error, error) {
	db, err := store.Open(ctx, "sqlite://"+filepath.Join(dir, "sessiond.db"), store.Options{})
	if err != nil {
		return Fuzz{}, nil, err
	}
	if _, err := db.Migrate(ctx); err != nil {
		return Fuzz{}, nil, errors.Join(err, db.Close())
	}
	issuer, err := auth.OpenDevIssuer(dir)
	if err != nil {
		return Fuzz{}, nil, errors.Join(err, db.Close())
	}
	now := time.Now //nolint:forbidigo // the one clock of the run
	verifier, err := auth.NewVerifier(issuer.Config(), issuer.Keys(), now)
	if err != nil {
		return Fuzz{}, nil, errors.Join(err, db.Close())
	}
	handler, err := handlers.NewHandler(handlers.Config{ //nolint:contextcheck // requests bring their own
		Store: db, Verifier: verifier, Now: now, Logger: slog.New(slog.DiscardHandler), OpenAPI: sessiond.OpenAPI, OpenAPIForSDKs: sessiond.OpenAPIForSDKs,
	})
	if err != nil {
		return Fuzz{}, nil, errors.Join(err, db.Close())
	}
	mint := func(request auth.TokenRequest) string {
		request.TTL = 24 * time.Hour
		token, err := issuer.Mint(request, now())
		if err != nil {
			panic(err) // the generator's names are plain text
		}
		return token
	}
	jobs, err := createJobs(ctx, db)
	if err != nil {
		return Fuzz{}, nil, errors.Join(err, db.Close())
	}
	return Fuzz{Handler: handler, OpenAPI: sessiond.OpenAPI, Tokens: Tokens{
		Jobs:     jobs,
		Operator: mint(auth.TokenRequest{Subject: "operator", Scope: "admin:sessions:read admin:sessions:write"}),
		Service:  mint(auth.TokenRequest{Subject: "idp", ClientID: "idp", Scope: "sessions:ingest"}),
		Session: func(tenant, user, session string) string {
			return mint(auth.TokenRequest{Subject: user, TenantID: tenant, SessionID: session})
		},
	}}, db.Close, nil
}

// createJobs creates jobs that nobody runs, and returns their ids.
func createJobs(ctx context.Context, db *store.Store) ([]string, error) {
	const jobs = 15
	all := store.Revocation{Authorized: store.AllTenants(), Scope: store.AllTenants(), Filter: store.SessionFilter{Text: "nobody"}}
	ids := make([]string, jobs)
	for i := range ids {
		preview, err := db.PreviewRevocation(ctx, all)
		if err != nil {
			return nil, err
		}
		job, _, err := db.CreateRevocationJob(ctx, all, preview.Confirmation, 0, nil, store.Actor{Subject: "operator"})
		if err != nil {
			return nil, err
		}
		ids[i] = job.ID
	}
	return ids, nil
}
