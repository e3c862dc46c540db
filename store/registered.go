package store

import "context"

// Registered reports whether a session has ever been registered for a tenant or, when userID is not empty, whether a session
// of that user is kept in it, an ended one too.
func (s *Store) Registered(ctx context.Context, tenantID, userID string) (bool, error) {
	if !storable(tenantID) || userID != "" && !storable(userID) {
		return false, nil
	}
	st := s.engine.statement("SELECT 1 FROM tenants WHERE tenant_id = ?", tenantID)
	if userID != "" {
		st = s.engine.statement("SELECT 1 FROM sessions WHERE tenant_id = ? AND user_id = ? LIMIT 1", tenantID, userID)
	}
	ctx = WithWall(ctx, Behind(tenantID, "")) // the request has not been bound yet
	found := false
	err := s.ask(ctx, st, func(rows) error {
		found = true
		return nil
	})
	return found, mapError("look for a tenant or user", err)
}
