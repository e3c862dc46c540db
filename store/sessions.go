package store

import (
	"context"

	"gorm.io/gorm"
)

// Page is a part of a list.
type Page struct {
	// ActiveOnly leaves out the sessions that have ended.
	ActiveOnly bool
	// Offset is how many sessions are passed over, Limit the most that are returned; no limit when it is 0.
	Offset, Limit int
}

// GetSession returns the session with that id, ended ones too. It must answer ErrNotFound for an id outside the
// selection exactly as for one that never existed.
func (s *Store) GetSession(ctx context.Context, sel Selection, id string) (Session, error) {
	return getSession(s.read(ctx), sel, id)
}

func getSession(db *gorm.DB, sel Selection, id string) (Session, error) {
	var session Session
	if sel.empty() || !storable(id) {
		return session, mapError("get session", gorm.ErrRecordNotFound)
	}
	err := sel.where(db).Where("id = ?", id).Take(&session).Error
	return session, mapError("get session", err)
}

// GetSessionWithApps returns the session as GetSession does, and its applications, newest first.
func (s *Store) GetSessionWithApps(ctx context.Context, sel Selection, id string) (Session, []App, error) {
	session, err := s.GetSession(ctx, sel, id)
	if err != nil || session.AppCount == 0 {
		return session, []App{}, err
	}
	apps := make([]App, 0, session.AppCount)
	err = s.read(ctx).Where("tenant_id = ? AND session_id = ?", session.TenantID, session.ID).
		Order("accessed_at DESC, application_id").Find(&apps).Error
	return session, apps, mapError("list applications", err)
}

// ListSessions returns a page of the selected sessions, newest first (created_at, then id, descending), never nil, and
// the exact number of all that match. A page past the end is empty.
func (s *Store) ListSessions(ctx context.Context, sel Selection, page Page) ([]Session, int, error) {
	if sel.empty() {
		return []Session{}, 0, nil
	}
	query := func() *gorm.DB {
		db := sel.where(s.read(ctx).Model(&Session{}))
		if page.ActiveOnly {
			db = db.Where(active, s.clock())
		}
		return db
	}
	var total int64
	if err := query().Count(&total).Error; err != nil {
		return nil, 0, mapError("count sessions", err)
	}
	if int64(page.Offset) >= total {
		return []Session{}, int(total), nil
	}
	sessions := make([]Session, 0, page.Limit)
	db := query().Order("created_at DESC, id DESC").Offset(page.Offset)
	if page.Limit > 0 {
		db = db.Limit(page.Limit)
	}
	if err := db.Find(&sessions).Error; err != nil {
		return nil, 0, mapError("list sessions", err)
	}
	return sessions, int(total), nil
}

// SessionEnded reports whether the session with that id has ended; an unknown one has not. An empty tenant means that
// the tenant is not known.
func (s *Store) SessionEnded(ctx context.Context, tenantID, id string) (bool, error) {
	sel := Everywhere()
	if tenantID != "" {
		sel = InTenant(tenantID)
	}
	if sel.empty() || !storable(id) {
		return false, nil
	}
	var found []Session
	err := sel.where(s.read(ctx)).Select("ended_how", "ends_at").Where("id = ?", id).Limit(1).Find(&found).Error
	if err != nil {
		return false, mapError("look up session", err)
	}
	return len(found) == 1 && !found[0].Active(s.clock()), nil
}
