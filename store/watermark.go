package store

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// watermark says that no login from before a time may be registered: for a user in a tenant, for all users of a tenant
// ("" as the user) or for a user in all tenants ("" as the tenant).
type watermark struct {
	TenantID  string `gorm:"primaryKey"`
	UserID    string `gorm:"primaryKey"`
	NotBefore time.Time
}

// TableName names the table.
func (watermark) TableName() string { return "watermarks" }

// key is the number of the watermark's lock.
func (w watermark) key() int64 {
	digest := sha256.Sum256([]byte(w.TenantID + "\x00" + w.UserID))
	return int64(binary.BigEndian.Uint64(digest[:])) //nolint:gosec // every bit counts, none as a sign
}

// covering are the watermarks that a login of that user is held against.
func covering(tenantID, userID string) []watermark {
	return []watermark{{TenantID: tenantID}, {UserID: userID}, {TenantID: tenantID, UserID: userID}}
}

// Functions of PostgreSQL that hold a lock until the end of the transaction.
const (
	shared    = "pg_advisory_xact_lock_shared"
	exclusive = "pg_advisory_xact_lock"
)

// hold is a lock on a watermark.
type hold struct {
	watermark
	function string
}

// lock makes registrations and revocations of everything at once follow each other: without it a login that is being
// registered would be invisible to a revocation, and the watermark to the login. SQLite has one writer anyhow.
func (s *Store) lock(tx *gorm.DB, holds ...hold) error {
	if s.engine.serial != nil || len(holds) == 0 {
		return nil
	}
	return execIn(tx, s.engine.statement("SELECT ").addLocks(holds))
}

// addLocks takes the locks in one order, so that nobody waits in a circle.
func (st *statement) addLocks(holds []hold) *statement {
	slices.SortFunc(holds, func(a, b hold) int { return cmp.Compare(a.key(), b.key()) })
	for i, h := range holds {
		if i > 0 {
			st.add(", ")
		}
		st.add(h.function+"(?)", h.key())
	}
	return st
}

// tooOld reports whether a login is from before a revocation of everything of its user or tenant.
func tooOld(tx *gorm.DB, session Session) (bool, error) {
	var found int64
	err := tx.Model(&watermark{}).
		Where("tenant_id IN ? AND user_id IN ?", []string{"", session.TenantID}, []string{"", session.UserID}).
		Where("not_before >= ?", session.CreatedAt).Count(&found).Error
	return found > 0, err
}

// raise sets the watermarks of a revocation of everything in a selection, under their locks, and returns their time.
func (s *Store) raise(tx *gorm.DB, sel Selection) (time.Time, error) {
	marks, err := sel.watermarks(tx)
	if err != nil || len(marks) == 0 {
		return s.clock(), err
	}
	holds := make([]hold, len(marks))
	for i, mark := range marks {
		holds[i] = hold{mark, exclusive}
	}
	if sel.tenant != nil && sel.user != nil {
		// Who ends all sessions of the tenant meanwhile would lock the same rows in another order.
		holds = append(holds, hold{watermark{TenantID: *sel.tenant}, shared})
	}
	if err := s.lock(tx, holds...); err != nil {
		return time.Time{}, err
	}
	now := s.clock()
	for i := range marks {
		marks[i].NotBefore = now
	}
	return now, tx.Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "tenant_id"}, {Name: "user_id"}},
		// A clock that was set back, or another instance's, must not let in again whom an earlier call has kept out.
		DoUpdates: clause.Assignments(map[string]any{"not_before": gorm.Expr(
			"CASE WHEN excluded.not_before > watermarks.not_before THEN excluded.not_before ELSE watermarks.not_before END")}),
	}).CreateInBatches(&marks, rowsPerInsert).Error
}

// watermarks are those of a selection. A partner's are set in each of its tenants.
func (s Selection) watermarks(tx *gorm.DB) ([]watermark, error) {
	var mark watermark
	if s.tenant != nil {
		mark.TenantID = *s.tenant
	}
	if s.user != nil {
		mark.UserID = *s.user
	}
	if s.partner == nil {
		if mark.TenantID == "" && mark.UserID == "" {
			return nil, nil
		}
		return []watermark{mark}, nil
	}
	query := tx.Model(&Tenant{}).Where("partner_id = ?", *s.partner)
	if s.tenant != nil {
		query = query.Where("tenant_id = ?", *s.tenant)
	}
	var tenantIDs []string
	if err := query.Pluck("tenant_id", &tenantIDs).Error; err != nil {
		return nil, err
	}
	marks := make([]watermark, len(tenantIDs))
	for i, tenantID := range tenantIDs {
		marks[i] = watermark{TenantID: tenantID, UserID: mark.UserID}
	}
	return marks, nil
}
