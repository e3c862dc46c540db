package store

import (
	"context"
	"errors"

	"gorm.io/gorm"
)

// CallerSession is the session of the caller's own token. An operation that takes one answers ErrCallerEnded when that session has ended,
// in whatever tenant it is, so that it need not be looked up before: the fast paths look it up in the operation's own statement. An answer
// without an error says that it has not ended; with any other error nothing is said about it. The zero value is a caller without a session.
type CallerSession struct{ TenantID, ID string }

// GetSession returns the session with that id, ended ones too. It must answer ErrNotFound for an id outside the scope exactly as for one
// that never existed.
func (s *Store) GetSession(ctx context.Context, scope Scope, id string) (Session, error) {
	session, _, err := s.get(ctx, CallerSession{}, scope, id, false)
	return session, err
}

// GetSessionWithApps returns the session as GetSession does, and its applications, the latest access first.
func (s *Store) GetSessionWithApps(ctx context.Context, caller CallerSession, scope Scope, id string) (Session, []App, error) {
	return s.get(ctx, caller, scope, id, true)
}

func (s *Store) get(ctx context.Context, caller CallerSession, scope Scope, id string, withApps bool) (Session, []App, error) {
	if scope.empty() || !storable(id) {
		return Session{}, nil, mapError("get session", ErrNotFound)
	}
	session, apps, err := s.operations.getSession(ctx, caller, scope, id, withApps)
	return session, apps, mapError("get session", err)
}

func (p plain) getSession(ctx context.Context, caller CallerSession, scope Scope, id string, withApps bool) (Session, []App, error) {
	var session Session
	apps := []App{}
	err := p.checkCaller(ctx, caller)
	if err != nil {
		return session, apps, err
	}
	err = p.read(ctx, func(tx *gorm.DB) error {
		if err := tx.Scopes(scope.byID(id)).Take(&session).Error; err != nil {
			return err
		}
		if withApps && session.AppCount > 0 {
			err := tx.Where("tenant_id = ? AND session_id = ?", session.TenantID, session.ID).
				Order("accessed_at DESC, application_id").Find(&apps).Error
			if err != nil {
				return err
			}
		}
		return applyBulkRevocations(tx, &session)
	})
	return session, apps, err
}

// applyBulkRevocations fills in how a session ended that a bulk revocation covers that has not been applied to its row.
func applyBulkRevocations(tx *gorm.DB, session *Session) error {
	if session.EndCause != nil {
		return nil
	}
	var revocations []bulkRevocation
	err := tx.Where("tenant_id = ? AND at >= ?", session.TenantID, session.CreatedAt).Order("at").Find(&revocations).Error
	for _, r := range revocations {
		r.applyTo(session)
	}
	return err
}

// checkCaller answers ErrCallerEnded when the caller's own session has ended.
func (s *Store) checkCaller(ctx context.Context, caller CallerSession) error {
	if caller.ID == "" {
		return nil
	}
	ended, err := s.SessionEnded(ctx, caller.TenantID, caller.ID)
	if err == nil && ended {
		return ErrCallerEnded
	}
	return err
}

// SessionActive reports whether the session with that id is active, false when it is not in the scope.
func (s *Store) SessionActive(ctx context.Context, scope Scope, id string) (bool, error) {
	if scope.empty() || !storable(id) {
		return false, nil
	}
	isActive, err := s.operations.sessionActive(ctx, scope, id)
	return isActive, mapError("look up session", err)
}

func (p plain) sessionActive(ctx context.Context, scope Scope, id string) (bool, error) {
	found := int64(0)
	err := p.read(ctx, func(tx *gorm.DB) error {
		return tx.Model(&Session{}).Scopes(scope.byID(id)).Where(isActive, p.now()).Count(&found).Error
	})
	return found > 0, err
}

// SessionEnded reports whether the session with that id has ended, in whatever tenant it is: a user who works for two tenants has tokens of
// one session that name either. An empty tenant means that it is not known. One that was never registered has not ended; one whose row was
// deleted has, as long as a token of it can live.
func (s *Store) SessionEnded(ctx context.Context, tenantID, id string) (bool, error) {
	if !storable(id) {
		return false, nil
	}
	if !storable(tenantID) {
		tenantID = ""
	}
	ended, err := s.operations.sessionEnded(ctx, tenantID, id)
	return ended, mapError("look up session", err)
}

func (p plain) sessionEnded(ctx context.Context, tenantID, id string) (bool, error) {
	digest, err := p.digest(ctx, digestOfSession, id)
	if err != nil {
		return false, err
	}
	if tenantID != "" {
		session, err := p.endOf(WithScope(ctx, InTenant(tenantID)), InTenant(tenantID), id)
		if !errors.Is(err, gorm.ErrRecordNotFound) {
			return err == nil && !session.Active(p.now()), err
		}
	}
	ctx = WithScope(ctx, AllTenants())
	session, err := p.endOf(ctx, AllTenants(), id)
	if !errors.Is(err, gorm.ErrRecordNotFound) {
		return err == nil && !session.Active(p.now()), err
	}
	tombstones := int64(0)
	err = p.engine.DB.WithContext(ctx).Model(&tombstone{}).Where("session_digest = ?", digest).Count(&tombstones).Error
	return tombstones > 0, err
}

// endOf reads of a session what tells whether it is active.
func (p plain) endOf(ctx context.Context, scope Scope, id string) (session Session, err error) {
	err = p.read(ctx, func(tx *gorm.DB) error {
		err := tx.Select("tenant_id", "id", "created_at", "expires_at", "ends_at", "end_cause", "revoked_at").
			Scopes(scope.byID(id)).Take(&session).Error
		if err != nil {
			return err
		}
		return applyBulkRevocations(tx, &session)
	})
	return session, err
}

// Registered reports whether a session has ever been registered for a tenant or, when userID is not empty, whether a session of that user
// is kept in it, an ended one too.
func (s *Store) Registered(ctx context.Context, tenantID, userID string) (bool, error) {
	if !storable(tenantID) || userID != "" && !storable(userID) {
		return false, nil
	}
	found := int64(0)
	ctx = WithScope(ctx, InTenant(tenantID)) // this is called before the request's scope is decided
	err := s.read(ctx, func(tx *gorm.DB) error {
		if userID == "" {
			return tx.Model(&Tenant{}).Where("tenant_id = ?", tenantID).Count(&found).Error
		}
		return tx.Table("(?) AS one", tx.Model(&Session{}).Table(activeAndEnded).Select("1").Where("tenant_id = ? AND user_id = ?", tenantID, userID).
			Limit(1)).Count(&found).Error
	})
	return found > 0, mapError("look for a tenant or user", err)
}
