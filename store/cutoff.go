package store

import (
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// cutoff is a not-before cutoff: no login from before a time may be registered, of what the ids say. An empty id stands for all. At most one
// of TenantID and PartnerID is set: a partner's cutoff covers the tenants that join it later, too.
type cutoff struct {
	TenantID  string `gorm:"primaryKey"`
	PartnerID string `gorm:"primaryKey"`
	// UserID is a digest where the user was erased.
	UserID    string `gorm:"primaryKey"`
	NotBefore time.Time
	// KeepUntil is when no token lives any more of what the cutoff keeps out; see Store.keepUntil.
	KeepUntil time.Time
}

// TableName names the table.
func (cutoff) TableName() string { return "not_before_cutoffs" }

// keepUntil is how long it must be known that a session has ended, or that a login is too old: until no token lives that was issued for
// it. A token may live as long as its session, or for the configured time after the end.
func (s *Store) keepUntil(ended, expires time.Time) time.Time {
	if latest := ended.Add(s.maxTokenLifetime); latest.After(expires) {
		return latest
	}
	return expires
}

// refusedByCutoff is the condition of a cutoff that a login of a tenant of a partner, of a user who may be known by a digest, from a time
// is not after. All ids are in the primary key, in its order.
const refusedByCutoff = "tenant_id IN ('', ?) AND partner_id IN ('', ?) AND user_id IN ('', ?, ?) AND not_before >= ?"

// tooOld reports whether a cutoff refuses a login. The digest is that of the user.
func tooOld(tx *gorm.DB, session Session, userDigest string) (bool, error) {
	found := int64(0)
	err := tx.Model(&cutoff{}).
		Where(refusedByCutoff, session.TenantID, text(session.PartnerID), session.UserID, userDigest, session.CreatedAt).Count(&found).Error
	return found > 0, err
}

// advance stores a cutoff, or advances the one that there is. A clock that was set back, or another instance's, must not let in again
// whom an earlier call has kept out.
func advance(tx *gorm.DB, c cutoff) error {
	later := func(column string) any {
		old, given := "not_before_cutoffs."+column, "excluded."+column
		return gorm.Expr("CASE WHEN " + old + " > " + given + " THEN " + old + " ELSE " + given + " END")
	}
	return tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "tenant_id"}, {Name: "partner_id"}, {Name: "user_id"}},
		DoUpdates: clause.Assignments(map[string]any{"not_before": later("not_before"), "keep_until": later("keep_until")}),
	}).Create(&c).Error
}
