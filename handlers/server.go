// Package handlers serves the contract over HTTP: one method per operation, named after its operationId, and the chain
// of middleware around them.
//
// A handler takes the caller and the authorized scope from the context, calls the store once and converts the result. It answers an expected result as a typed response and everything else as an error: errors.go alone knows
// statuses, and is the only file that writes an error.
package handlers

import (
	"context"
	"log/slog"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"go.opentelemetry.io/otel/trace"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/device"
	"github.com/sessiond/sessiond/internal/geo"
	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/internal/telemetry"
	"github.com/sessiond/sessiond/store"
)

// Store is what the handlers need of store.Store; its contract stands there.
type Store interface {
	auth.SessionChecker
	auth.TenantPartners
	Ready(ctx context.Context) error
	Registered(ctx context.Context, tenantID, userID string) (bool, error)
	SessionActive(ctx context.Context, scope store.Scope, id string) (bool, error)
	GetSessionWithApps(ctx context.Context, caller store.CallerSession, scope store.Scope, id string) (store.Session, []store.App, error)
	ListSessions(ctx context.Context, caller store.CallerSession, scope store.Scope, filter store.Filter, page store.Page) ([]store.ListItem, int, error)
	NewestActive(ctx context.Context, caller store.CallerSession, scope store.Scope) ([]store.ListItem, bool, error)
	TenantStats(ctx context.Context, scope store.Scope) (store.Stats, error)
	ListEvents(ctx context.Context, scope store.Scope, filter store.EventFilter, page store.EventPage) (store.Events, error)
	SearchSessions(ctx context.Context, scope store.Scope, filter store.SessionFilter, page store.SessionPage) (store.FoundSessions, error)
	PreviewRevocation(ctx context.Context, revocation store.Revocation) (store.RevocationPreview, error)
	CreateRevocationJob(
		ctx context.Context, revocation store.Revocation, confirmation string, tolerance int, blockLoginsBefore *time.Time, by store.Actor,
	) (store.RevocationJob, bool, error)
	GetRevocationJob(ctx context.Context, scope store.Scope, id string) (store.RevocationJob, error)
	ListRevocationJobs(ctx context.Context, scope store.Scope, states []string, limit int, cursor string) (store.RevocationJobs, error)
	SetRevocationJobState(ctx context.Context, scope store.Scope, id, state string) (store.RevocationJob, error)
	EachSession(ctx context.Context, scope store.Scope, filter store.SessionFilter, page store.SessionPage, do func(store.Session) error) error
	EachEvent(ctx context.Context, scope store.Scope, filter store.EventFilter, do func(store.AuditEvent) error) error
	SessionHistory(ctx context.Context, scope store.Scope, id string, filter store.EventFilter, page store.EventPage) (store.Events, error)
	RevokeSession(ctx context.Context, scope store.Scope, id string, by store.Actor) (bool, error)
	RevokeSessions(ctx context.Context, scope store.Scope, ids []string, by store.Actor) ([]string, error)
	RevokeAllSessions(ctx context.Context, scope store.Scope, except string, by store.Actor) ([]string, error)
	RevokeDevice(ctx context.Context, scope store.Scope, device store.Device, except string, by store.Actor) ([]string, error)
	SessionApps(ctx context.Context, sessions []store.Session) ([]store.App, error)
	RegisterSession(ctx context.Context, scope store.Scope, session store.Session, by store.Actor) (store.Session, bool, error)
	RecordActivity(ctx context.Context, scope store.Scope, id string, activity store.Activity, by store.Actor) error
	RecordApp(ctx context.Context, scope store.Scope, app store.App, by store.Actor) error
}

// Config is what a server is made of.
type Config struct {
	Store    Store
	Verifier *auth.Verifier
	Now      func() time.Time
	Logger   *slog.Logger
	// OpenAPI is the contract as YAML, and OpenAPIForSDKs what of it generators of clients read.
	OpenAPI, OpenAPIForSDKs []byte
	// Locate returns the place of an address, an empty one when it is not known. It may be nil.
	Locate func(address string) geo.Place
	// Metrics counts the requests. It may be nil.
	Metrics *telemetry.Metrics
	// Tracer makes a span of each request and of each call of the store. It may be nil.
	Tracer trace.Tracer
	// HTTP is what an operator may set: timeout, rate limits, trusted proxies, other origins.
	HTTP httpserver.Options
}

// Server has one method for each operation.
type Server struct {
	store    Store
	verifier *auth.Verifier
	devices  *device.Parser
	locate   func(address string) geo.Place
	now      func() time.Time
	// reserved are the ids that no session can have; see reservedSegments.
	reserved []string
	// followed are the streams of jobs.
	followed streamCount
}

var _ gen.StrictServerInterface = (*Server)(nil)

// newServer makes the operations' server; see NewHandler.
func newServer(config Config, contract *openapi3.T) *Server {
	if config.Locate == nil {
		config.Locate = func(string) geo.Place { return geo.Place{} }
	}
	return &Server{
		store: config.Store, verifier: config.Verifier, devices: device.NewParser(), locate: config.Locate, now: config.Now,
		reserved: reservedSegments(contract, "session_id"),
	}
}

// authorizedScope returns the scope that the policy has authorized; it is empty where nothing was decided.
func authorizedScope(ctx context.Context) store.Scope {
	granted, ok := auth.GrantFromContext(ctx)
	if !ok {
		return store.Scope{}
	}
	return scopeOf(granted)
}

func scopeOf(granted auth.Grant) store.Scope {
	scope := store.AllTenants()
	if granted.TenantID != "" {
		scope = scope.InTenant(granted.TenantID)
	}
	if granted.PartnerID != "" {
		scope = scope.OfPartner(granted.PartnerID)
	}
	if granted.UserID != "" {
		scope = scope.OfUser(granted.UserID)
	}
	return scope
}

// callerSession is the session of the caller's token. An operation whose rule has ChecksSession passes it to the store, which fails when it
// has ended: to look it up in the operation's own statement costs a tenth of what it costs before.
func callerSession(ctx context.Context) store.CallerSession {
	who := caller(ctx)
	return store.CallerSession{TenantID: who.TenantID, ID: who.SessionID}
}

// caller returns the authenticated caller. It is the zero Caller where nobody was authenticated, for whom no scope is authorized.
func caller(ctx context.Context) auth.Caller {
	who, _ := auth.FromContext(ctx)
	return who
}
