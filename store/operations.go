package store

import (
	"context"
	"time"
)

// operations are the parts of the store's operations that have two implementations: plain, in GORM, on every database, and fast, in
// hand-written statements that concurrent requests share, on a single PostgreSQL server. Arguments have been checked: scopes are not empty
// and ids storable. The exported method that calls a method documents what it returns.
type operations interface {
	getSession(ctx context.Context, caller CallerSession, scope Scope, id string, withApps bool) (Session, []App, error)
	sessionActive(ctx context.Context, scope Scope, id string) (bool, error)
	sessionEnded(ctx context.Context, tenantID, id string) (bool, error)
	tenantPartner(ctx context.Context, tenantID string) (string, error)
	listSessions(ctx context.Context, caller CallerSession, l listing) ([]ListItem, int, error)
	newestActive(ctx context.Context, caller CallerSession, scope Scope, now time.Time) ([]ListItem, bool, error)
	tenantStats(ctx context.Context, scope Scope, now time.Time) (Stats, error)
	registerSession(ctx context.Context, r registration, session Session) (Session, bool, error)
	recordHeartbeat(ctx context.Context, key sessionKey, at time.Time) error
	recordHeartbeats(ctx context.Context, heartbeats map[sessionKey]time.Time) error
	revokeSession(ctx context.Context, scope Scope, id string, audit auditContext) (bool, error)
	revokeTenant(ctx context.Context, scope Scope, call idempotentCall, by Actor) ([]string, error)
}

// plain are the implementations in GORM. Each is in the file of its operation.
type plain struct{ *Store }

var _ operations = plain{}

// chooseOperations is the one place where fast paths are chosen. They need one PostgreSQL server: their statements are about several
// tenants at a time, and a transaction of several tenants would be one of several nodes where tables are distributed.
func (s *Store) chooseOperations(fastPaths bool) operations {
	if !fastPaths || !s.engine.IsPostgres() || s.engine.Distributed {
		return plain{s}
	}
	return newFast(s)
}
