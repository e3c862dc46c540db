package store

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// RecordApp notes single sign-on into an application, which is a use of the session too. An empty AccessedAt is now;
// again for the same application it brings the name up to date and keeps the latest access. It must answer ErrNotFound
// for a session outside the selection and ErrEnded for one that has ended. TenantID of the App is not looked at.
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
			return updateApp(tx, app)
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
	trail, err := s.trail(by)
	if err != nil {
		return err
	}
	event := trail.event(ActionApp, session.TenantID, session.ID, session.UserID)
	event.Reason = app.ApplicationID
	return tx.Create(&event).Error
}

func updateApp(tx *gorm.DB, app App) error {
	return tx.Model(&App{}).
		Where("tenant_id = ? AND session_id = ? AND application_id = ?", app.TenantID, app.SessionID, app.ApplicationID).
		Updates(map[string]any{
			"application_name": app.ApplicationName,
			"accessed_at": gorm.Expr("CASE WHEN accessed_at > ? THEN accessed_at ELSE ? END",
				app.AccessedAt, app.AccessedAt),
		}).Error
}
