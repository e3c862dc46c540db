package store

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// rowsPerInsert bounds the parameters of one statement.
const rowsPerInsert = 500

// Import is what ImportSessions stores in one transaction.
type Import struct {
	Tenants  []Tenant
	Sessions []Session
	Apps     []App
}

// ImportSessions stores rows as they are, ended sessions too, all or nothing. It is for data from elsewhere: it keeps none
// of the rules of registration but that what exists already stays as it is. A session without EndsAt gets its ExpiresAt, a
// revoked one without EndedHow counts as Revoked. The caller must not repeat a key.
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
		tx = tx.Clauses(clause.OnConflict{DoNothing: true}).Session(&gorm.Session{CreateBatchSize: rowsPerInsert})
		if len(rows.Tenants) > 0 {
			if err := tx.Create(&rows.Tenants).Error; err != nil {
				return err
			}
		}
		if len(rows.Sessions) > 0 {
			if err := tx.Create(&rows.Sessions).Error; err != nil {
				return err
			}
		}
		if len(rows.Apps) > 0 {
			return tx.Create(&rows.Apps).Error
		}
		return nil
	})
}
