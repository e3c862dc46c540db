package store

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"
)

// Page is a part of a list.
type Page struct {
	// ActiveOnly leaves out the sessions that have ended.
	ActiveOnly bool
	// Offset is how many sessions are passed over, Limit the most that are returned; MostListed when it is 0 or more than that.
	Offset, Limit int
}

// GetSession returns the session with that id, ended ones too. It must answer ErrNotFound for an id outside the
// selection exactly as for one that never existed.
func (s *Store) GetSession(ctx context.Context, sel Selection, id string) (Session, error) {
	return querier{Store: s, ctx: ctx}.session(sel, id)
}

func (q querier) session(sel Selection, id string) (Session, error) {
	var nothing *string
	return q.sessionAnd(sel, id, "NULL", &nothing)
}

// sessionAnd is session with one column more.
func (q querier) sessionAnd(sel Selection, id, column string, into **string) (Session, error) {
	if sel.empty() || !storable(id) {
		return Session{}, mapError("get session", ErrNotFound)
	}
	for {
		session, isSpared, err := q.readSession(sel, id, column, into)
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
func (q querier) readSession(sel Selection, id, column string, into **string) (Session, bool, error) {
	var session Session
	found, isSpared := false, true
	var askerEnded *bool
	err := q.run(q.getStatement(sel, id, column), func(row rows) error {
		found = true
		if err := scanSession(row, &session, &isSpared, into, &askerEnded); err != nil {
			return err
		}
		return sel.admit(session.TenantID)
	})
	sel.asker.answer(askerEnded)
	if err == nil && !found {
		err = ErrNotFound
	}
	return session, isSpared, err
}

func (q querier) getStatement(sel Selection, id, column string) *statement {
	return q.engine.statement("SELECT "+sessionColumns+", "+spared+", "+column).addAsker(sel.asker, wallIn(q.ctx), q.clock()).
		add(" FROM sessions WHERE ").selected(sel).addID(sel, id)
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
	var list *string
	session, err := querier{Store: s, ctx: ctx}.sessionAnd(sel, id, s.engine.appsColumn(), &list)
	if err != nil || list == nil {
		return session, []App{}, err
	}
	apps, err := parseApps(session, *list)
	return session, apps, mapError("read applications", err)
}

// parseApps reads what appsColumn gives.
func parseApps(session Session, list string) ([]App, error) {
	var rows [][3]json.RawMessage
	if err := json.Unmarshal([]byte(list), &rows); err != nil {
		return nil, err
	}
	apps := make([]App, len(rows))
	for i, row := range rows {
		apps[i] = App{TenantID: session.TenantID, SessionID: session.ID}
		var accessed int64
		for column, into := range [3]any{&apps[i].ApplicationID, &apps[i].ApplicationName, &accessed} {
			if err := json.Unmarshal(row[column], into); err != nil {
				return nil, err
			}
		}
		apps[i].AccessedAt = time.UnixMicro(accessed).UTC()
	}
	slices.SortFunc(apps, func(a, b App) int {
		return cmp.Or(b.AccessedAt.Compare(a.AccessedAt), cmp.Compare(a.ApplicationID, b.ApplicationID))
	})
	return apps, nil
}

// appsColumn gives a session's applications with it, for the few that have any: one exchange with the database less.
func (e engine) appsColumn() string {
	list, item, at := "json_agg", "json_build_array", "(extract(epoch FROM accessed_at) * 1000000)::bigint"
	if e.pool == nil {
		list, item, at = "json_group_array", "json_array", "accessed_at"
	}
	return "CASE WHEN app_count > 0 THEN (SELECT CAST(" + list + "(" + item + "(application_id, application_name, " + at + ")) AS text) " +
		"FROM session_apps a WHERE a.tenant_id = sessions.tenant_id AND a.session_id = sessions.id) END"
}

// SessionActive reports whether the session with that id is active, false when it is not in the selection.
func (s *Store) SessionActive(ctx context.Context, sel Selection, id string) (bool, error) {
	if sel.empty() || !storable(id) {
		return false, nil
	}
	isActive := false
	st := s.engine.statement("SELECT tenant_id, "+active+" FROM sessions WHERE ", s.clock()).selected(sel).addID(sel, id)
	err := s.ask(ctx, st, func(row rows) error {
		tenantID := ""
		if err := row.Scan(&tenantID, &isActive); err != nil {
			return err
		}
		return sel.admit(tenantID)
	})
	return isActive, mapError("look up session", err)
}
