package store

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// RecordApp notes single sign-on into an application, which is a use of the session too. An empty AccessedAt is now;
// again for the same application it keeps the latest access and takes the name, with an event when that is another. It must
// answer ErrNotFound for a session outside the selection and ErrEnded for one that has ended. TenantID of the App is not
// looked at.
func (s *Store) RecordApp(ctx context.Context, sel Selection, app App, by Actor) error {
	if app.AccessedAt.IsZero() {
		app.AccessedAt = s.clock()
	}
	app.AccessedAt = timestamp(app.AccessedAt)
	return s.write(ctx, "record application", func(tx *gorm.DB) error {
		q := querier{Store: s, ctx: ctx, tx: tx}
		session, err := q.session(sel, app.SessionID)
		if err != nil {
			return err
		}
		// The session's row is changed first: its lock orders this against revocations and other applications.
		if err := q.touch(session, s.clock(), Activity{}); err != nil {
			return err
		}
		app.TenantID = session.TenantID
		inserted := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&app)
		switch {
		case inserted.Error != nil:
			return inserted.Error
		case inserted.RowsAffected == 0:
			return s.updateApp(tx, session, app, by)
		default:
			return s.countApp(tx, session, app, by)
		}
	})
}

// countApp keeps the session's number of applications, and the trail.
func (s *Store) countApp(tx *gorm.DB, session Session, app App, by Actor) error {
	err := tx.Model(&Session{}).Where("tenant_id = ? AND id = ?", app.TenantID, app.SessionID).
		Update("app_count", gorm.Expr("app_count + 1")).Error
	if err != nil {
		return err
	}
	return s.recordAppEvent(tx, ActionApp, session, app, by)
}

// recordAppEvent appends an event about an application to the audit log.
func (s *Store) recordAppEvent(tx *gorm.DB, action string, session Session, app App, by Actor) error {
	trail, err := s.trail(by)
	if err != nil {
		return err
	}
	event := trail.event(action, session.TenantID, session.ID, session.UserID)
	event.Reason = app.ApplicationID
	return tx.Create(&event).Error
}

// updateApp notes another access. Hardly any has a new name, so the first statement is for one that has not.
func (s *Store) updateApp(tx *gorm.DB, session Session, app App, by Actor) error {
	known := tx.Model(&App{}).
		Where("tenant_id = ? AND session_id = ? AND application_id = ?", app.TenantID, app.SessionID, app.ApplicationID).
		Session(&gorm.Session{})
	latest := gorm.Expr("CASE WHEN accessed_at > ? THEN accessed_at ELSE ? END", app.AccessedAt, app.AccessedAt)
	accessed := known.Where("application_name = ?", app.ApplicationName).Update("accessed_at", latest)
	if accessed.Error != nil || accessed.RowsAffected > 0 {
		return accessed.Error
	}
	err := known.Updates(map[string]any{"application_name": app.ApplicationName, "accessed_at": latest}).Error
	if err != nil {
		return err
	}
	return s.recordAppEvent(tx, ActionAppRenamed, session, app, by)
}
