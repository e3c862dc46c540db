package store

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// RecordApp records single sign-on into an application, which is an activity of the session too. An empty AccessedAt is now; again for the
// same application it keeps the latest access and takes the name, with an event when that is another. It must answer ErrNotFound for a
// session outside the scope and ErrEnded for one that has ended. TenantID of the App is not looked at.
func (s *Store) RecordApp(ctx context.Context, scope Scope, app App, by Actor) error {
	if app.AccessedAt.IsZero() {
		app.AccessedAt = s.now()
	}
	app.AccessedAt = timestamp(app.AccessedAt)
	session, err := s.GetSession(ctx, scope, app.SessionID)
	if err != nil {
		return err
	}
	app.TenantID = session.TenantID
	return s.transactOne(ownedBy(ctx, app.TenantID), "record application", by, func(t *transaction) error {
		return t.recordApp(app)
	})
}

func (t *transaction) recordApp(app App) error {
	key := sessionKey{app.TenantID, app.SessionID}
	// The session's row is locked first: that orders this against revocations and other applications.
	session, err := t.lockActive(key)
	if err != nil {
		return err
	}
	if err := t.update(Activity{}.apply(session, t.now(), t.limits(app.TenantID)), nil); err != nil {
		return err
	}
	inserted := t.tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&app)
	if inserted.Error != nil || inserted.RowsAffected == 0 {
		return t.updateApp(session, app, inserted.Error)
	}
	err = t.tx.Model(&Session{}).Where("tenant_id = ? AND id = ?", app.TenantID, app.SessionID).
		Update("app_count", gorm.Expr("app_count + 1")).Error
	if err != nil {
		return err
	}
	return t.recordApplication(ActionApp, session, app, 1)
}

// updateApp records another access. Hardly any has a new name, so the first statement is for one that has not.
func (t *transaction) updateApp(session Session, app App, err error) error {
	if err != nil {
		return err
	}
	known := t.tx.Model(&App{}).
		Where("tenant_id = ? AND session_id = ? AND application_id = ?", app.TenantID, app.SessionID, app.ApplicationID).
		Session(&gorm.Session{})
	latest := gorm.Expr("CASE WHEN accessed_at > ? THEN accessed_at ELSE ? END", app.AccessedAt, app.AccessedAt)
	accessed := known.Where("application_name = ?", app.ApplicationName).Update("accessed_at", latest)
	if accessed.Error != nil || accessed.RowsAffected > 0 {
		return accessed.Error
	}
	err = known.Updates(map[string]any{"application_name": app.ApplicationName, "accessed_at": latest}).Error
	if err != nil {
		return err
	}
	return t.recordApplication(ActionAppRenamed, session, app, 0)
}
