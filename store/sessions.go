package store

import (
	"context"
	"time"
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
	return querier{Store: s, ctx: ctx}.session(sel, id)
}

func (q querier) session(sel Selection, id string) (Session, error) {
	if sel.empty() || !storable(id) {
		return Session{}, mapError("get session", ErrNotFound)
	}
	for {
		session, isSpared, err := q.readSession(sel, id)
		if err != nil || isSpared {
			return session, mapError("get session", err)
		}
		told, err := q.endWithTenant(&session)
		if err != nil || told {
			return session, mapError("get session", err)
		}
		// Meanwhile the session was brought up to date.
	}
}

// readSession returns a session as it is kept, and whether no ending of all sessions of its tenant has met it.
func (q querier) readSession(sel Selection, id string) (Session, bool, error) {
	var session Session
	found, isSpared := false, true
	st := q.engine.statement("SELECT "+sessionColumns+", "+spared+" FROM sessions WHERE ").selected(sel).add(" AND id = ?", id)
	err := q.run(st, func(row rows) error {
		found = true
		return scanSession(row, &session, &isSpared)
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	return session, isSpared, err
}

// endWithTenant fills in how a session ended that did so with all of its tenant and does not say so yet. It reports
// whether that ending is still there to tell.
func (q querier) endWithTenant(session *Session) (bool, error) {
	told := false
	st := q.engine.statement("SELECT at FROM tenant_endings WHERE tenant_id = ? AND at >= ? ORDER BY at", session.TenantID, session.CreatedAt)
	err := q.run(st, func(row rows) error {
		told = true
		var at time.Time
		err := row.Scan(&at)
		if at = at.UTC(); session.Active(at) {
			session.EndedHow, session.RevokedAt = new(Revoked), &at
		}
		return err
	})
	return told, err
}

// GetSessionWithApps returns the session as GetSession does, and its applications, newest first.
func (s *Store) GetSessionWithApps(ctx context.Context, sel Selection, id string) (Session, []App, error) {
	session, err := s.GetSession(ctx, sel, id)
	if err != nil || session.AppCount == 0 {
		return session, []App{}, err
	}
	apps := make([]App, 0, session.AppCount)
	st := s.engine.statement(`SELECT tenant_id, session_id, application_id, application_name, accessed_at FROM session_apps
		WHERE tenant_id = ? AND session_id = ? ORDER BY accessed_at DESC, application_id`, session.TenantID, session.ID)
	err = s.query(ctx, st, func(row rows) error {
		var app App
		err := row.Scan(&app.TenantID, &app.SessionID, &app.ApplicationID, &app.ApplicationName, &app.AccessedAt)
		app.AccessedAt = app.AccessedAt.UTC()
		apps = append(apps, app)
		return err
	})
	return session, apps, mapError("list applications", err)
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
	ended := false
	st := s.engine.statement("SELECT NOT ("+active+") FROM sessions WHERE ", s.clock()).selected(sel).add(" AND id = ?", id)
	err := s.query(ctx, st, func(row rows) error { return row.Scan(&ended) })
	return ended, mapError("look up session", err)
}
