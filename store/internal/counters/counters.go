// Package counters keeps exact numbers of the rows of a table without counting them.
//
// Each change of a row appends a delta in its own transaction: what it adds to the numbers. Roll-ups add deltas to counters soon after,
// in the background. A number is its counter plus the deltas that are not rolled up yet, so it is exact at any time, and writers do not
// wait for each other at a counter's row.
//
// Rows belong to a tenant, a tenant perhaps to a partner. A row is open until it ends. Counted are the open rows, all rows and the
// revoked ones of each tenant, of each partner and of all; of each tenant also its users with open rows, open rows by device and by
// application, and rows created and revoked by time. The page index counts rows by creation time, so that a page far from the beginning
// of a list is found without passing over all rows before it.
//
// What is counted is known through the interface Rows only.
package counters

import (
	"time"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/engine"
)

// DefaultBucketSize is how many rows a bucket of the page index has when it is split off another one, which is done at twice the size.
// Smaller ones are more to add up, larger ones more to pass over. Rows of one creation time stay in one bucket, however many they are.
const DefaultBucketSize = 1024

// Group is whose rows a number counts: a tenant's, a partner's, or all when both are empty.
type Group struct{ Tenant, Partner string }

// User is a user of a tenant.
type User struct{ TenantID, UserID string }

// Rows is the table that is counted. Lists of a tenant show all its rows, lists of a partner and of all show the open ones only: the rows
// that lists of a group show are its listed rows.
type Rows interface {
	// OpenOf counts the open rows of each user, up to enough of each.
	OpenOf(tx *gorm.DB, users []User, enough int64) (map[User]int64, error)
	// Oldest is when the oldest listed row of a group was created, nil when it has none.
	Oldest(tx *gorm.DB, of Group) (*time.Time, error)
	// NthNewest is when the n-th newest of the listed rows was created that were created after a time and before another, nil when there
	// are fewer. There is no upper bound when before is nil.
	NthNewest(tx *gorm.DB, of Group, after time.Time, before *time.Time, n int) (*time.Time, error)
	// CountBetween counts the listed rows of a group that were created from a time on and before another: open ones and all.
	CountBetween(tx *gorm.DB, of Group, from time.Time, before *time.Time) (open, total int64, err error)

	// AnalyzeIfGrown has the database collect statistics about the table when there are far more rows than it plans for.
	AnalyzeIfGrown(tx *gorm.DB) error

	// Tenants are all that there are, for a verification.
	Tenants(tx *gorm.DB) ([]string, error)
	// Each gives each row of a tenant, and each application of its open rows, as the delta of its creation.
	Each(tx *gorm.DB, tenantID string, do func(Delta)) error
	// EachListed gives the creation time of each listed row of a group, and whether it is open.
	EachListed(tx *gorm.DB, of Group, do func(created time.Time, open bool)) error
	// LockWriters keeps everybody from writing rows until the end of the transaction.
	LockWriters(tx *gorm.DB) error
}

// Counters are the counters of a table. They are safe for concurrent use.
type Counters struct {
	engine     *engine.Engine
	rows       Rows
	bucketSize int
	pending    pending
}

// New returns the counters of a table. The bucket size is DefaultBucketSize when it is zero.
func New(e *engine.Engine, rows Rows, bucketSize int) *Counters {
	if bucketSize <= 0 {
		bucketSize = DefaultBucketSize
	}
	return &Counters{engine: e, rows: rows, bucketSize: bucketSize}
}

// BucketSize is the size at which buckets of the page index are split off.
func (c *Counters) BucketSize() int { return c.bucketSize }

// Total is the exact number of a group's rows: of the open ones, or of all.
func (c *Counters) Total(tx *gorm.DB, of Group, open bool) (int64, error) {
	column := "total"
	if open {
		column = "open"
	}
	var counted, waiting int64
	err := tx.Model(&Counter{}).Select(column).
		Where("tenant_id = ? AND partner_id = ? AND kind = ? AND key = ''", of.Tenant, of.Partner, KindRows).Scan(&counted).Error
	if err != nil {
		return 0, err
	}
	err = tx.Model(&Delta{}).Scopes(of.in).Select("coalesce(sum(" + column + "), 0)").Scan(&waiting).Error
	return counted + waiting, err
}

// in are the deltas of a group.
func (g Group) in(tx *gorm.DB) *gorm.DB {
	switch {
	case g.Tenant != "":
		return tx.Where("tenant_id = ?", g.Tenant)
	case g.Partner != "":
		return tx.Where("partner_id = ?", g.Partner)
	default:
		return tx
	}
}

// OfTenant returns a tenant's counters, and the deltas of the tenant that are not rolled up.
func (c *Counters) OfTenant(tx *gorm.DB, tenantID string, kinds []string) ([]Counter, []Delta, error) {
	var counted []Counter
	var waiting []Delta
	err := tx.Where("tenant_id = ? AND partner_id = '' AND kind IN ?", tenantID, kinds).Find(&counted).Error
	if err == nil {
		err = tx.Where("tenant_id = ?", tenantID).Order("seq").Find(&waiting).Error
	}
	return counted, waiting, err
}

// UsersWaiting are the users of a tenant of whom something is rolled up that is not counted yet, with what it adds to their open rows.
func (c *Counters) UsersWaiting(tx *gorm.DB, tenantID string) ([]UserDelta, error) {
	var users []UserDelta
	return users, tx.Where("tenant_id = ?", tenantID).Find(&users).Error
}

// Waiting reports whether any delta that is not rolled up names a user of a tenant.
func (c *Counters) Waiting(tx *gorm.DB, tenantID, userID string) (bool, error) {
	for _, model := range []any{&Delta{}, &UserDelta{}} {
		named := int64(0)
		err := tx.Model(model).Where("tenant_id = ? AND user_id = ?", tenantID, userID).Count(&named).Error
		if err != nil || named > 0 {
			return true, err
		}
	}
	return false, nil
}
