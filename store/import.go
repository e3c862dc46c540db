package store

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

// rowsPerInsert bounds the parameters of one statement.
const rowsPerInsert = 500

// Import is what ImportSessions stores in one transaction.
type Import struct {
	Tenants  []Tenant
	Sessions []Session
	Apps     []App
	// Events are the audit events of the sessions' past. An import itself is no event.
	Events []AuditEvent
}

// ImportSessions stores rows as they are, ended sessions too, all or nothing. It is for data from elsewhere: it keeps none
// of the rules of registration but that what exists already stays as it is. A session without EndsAt gets its ExpiresAt, a
// revoked one without EndedHow counts as Revoked. The caller must not repeat a key. Its statements are not logged: each has
// the placeholders of hundreds of rows, and the error is the caller's.
func (s *Store) ImportSessions(ctx context.Context, rows Import) error {
	for i := range rows.Sessions {
		session := &rows.Sessions[i]
		if session.EndsAt.IsZero() {
			session.EndsAt = session.ExpiresAt
		}
		if session.RevokedAt != nil && session.EndedHow == nil {
			session.EndedHow = new(Revoked)
		}
	}
	return s.write(ctx, "import", func(tx *gorm.DB) error {
		tx = tx.Clauses(clause.OnConflict{DoNothing: true}).
			Session(&gorm.Session{CreateBatchSize: rowsPerInsert, Logger: logger.Discard})
		for _, insert := range []func(*gorm.DB) error{
			inserting(rows.Tenants), inserting(rows.Sessions), inserting(rows.Apps), inserting(rows.Events),
		} {
			if err := insert(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

// inserting returns the function that inserts rows of one table, if there are any.
func inserting[Row any](rows []Row) func(*gorm.DB) error {
	return func(tx *gorm.DB) error {
		if len(rows) == 0 {
			return nil
		}
		return tx.Create(&rows).Error
	}
}
