package counters

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"gorm.io/gorm"
)

// Kinds of counters. A tenant has those of every kind; a partner and all have KindRows only.
const (
	KindRows        = "sessions"    // open, total, revoked
	KindUsers       = "users"       // open: users with an open row
	KindDevice      = "device"      // open: rows of that kind of device
	KindApplication = "application" // open: rows in which it was reached
	KindCreated     = "created"     // total: rows created in a time bucket of the last day
	KindRevoked     = "revoked"     // revoked: rows revoked in a time bucket of the last day

	// kindUser is not kept: open are the rows of the user that is the key.
	kindUser = "user"
)

const (
	// Day is how far the counters by time look back.
	Day = 24 * time.Hour
	// bucketsKept is how far back time buckets are kept: twice as far as anybody looks, for clocks may go back.
	bucketsKept = 2 * Day
	// TimeBucket is how finely the last day is counted by time.
	TimeBucket = 15 * time.Minute
)

// Amounts are what a counter says, or what a change adds to it.
type Amounts struct{ Open, Total, Revoked int64 }

// Plus is the sum.
func (a Amounts) Plus(b Amounts) Amounts {
	return Amounts{a.Open + b.Open, a.Total + b.Total, a.Revoked + b.Revoked}
}

// Minus is the difference.
func (a Amounts) Minus(b Amounts) Amounts {
	return Amounts{a.Open - b.Open, a.Total - b.Total, a.Revoked - b.Revoked}
}

// Delta is what one change of a row, or of its applications, adds to the numbers.
type Delta struct {
	Seq                  int64 `gorm:"primaryKey;autoIncrement"`
	TenantID             string
	PartnerID            *string
	UserID, DeviceType   string
	CreatedAt, RevokedAt *time.Time `gorm:"autoCreateTime:false"`
	Amounts              `gorm:"embedded"`
	// ApplicationID is set in the delta of an application, in which only Applications counts: the open rows in which it was reached.
	ApplicationID, ApplicationName string
	Applications                   int64
}

// TableName names the table.
func (Delta) TableName() string { return "counter_deltas" }

// Zero reports whether the delta adds nothing.
func (d Delta) Zero() bool {
	return d.Amounts == Amounts{} && d.Applications == 0 && d.ApplicationName == ""
}

// Append stores deltas. They take effect with the transaction.
func Append(tx *gorm.DB, deltas []Delta) error {
	return Create(tx, slices.DeleteFunc(deltas, Delta.Zero))
}

// maxRowsPerInsert bounds the parameters of one statement.
const maxRowsPerInsert = 256

// Create inserts rows in batches whose numbers are powers of four: every connection keeps each statement prepared, so that there must be
// few texts.
func Create[T any](tx *gorm.DB, rows []T) error {
	for len(rows) > 0 {
		n := min(1<<((bits.Len(uint(len(rows)))-1)&^1), maxRowsPerInsert)
		batch := rows[:n]
		if err := tx.Create(&batch).Error; err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// groups are those whose numbers the delta changes, the tenant first.
func (d Delta) groups() []Group {
	groups := []Group{{Tenant: d.TenantID}, {}}
	if d.PartnerID != nil {
		groups = append(groups, Group{Partner: *d.PartnerID})
	}
	return groups
}

// Key names a counter.
type Key struct {
	Group
	Kind, Key string
}

func (k Key) compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Tenant, other.Tenant), cmp.Compare(k.Partner, other.Partner),
		cmp.Compare(k.Kind, other.Kind), cmp.Compare(k.Key, other.Key))
}

func isUser(k Key) bool { return k.Kind == kindUser }

func anyKey(Key) bool { return true }

// Counter is a number of a group: the kind says what is counted, the key of what.
type Counter struct {
	TenantID  string `gorm:"primaryKey"`
	PartnerID string `gorm:"primaryKey"`
	Kind      string `gorm:"primaryKey"`
	Key       string `gorm:"primaryKey"`
	// Name is the application's, the last one given.
	Name    string
	Amounts `gorm:"embedded"`
}

// TableName names the table.
func (Counter) TableName() string { return "counters" }

func (c Counter) key() Key { return Key{Group{c.TenantID, c.PartnerID}, c.Kind, c.Key} }

// UserDelta is what deltas that are rolled up add to the open rows of a user who is not counted yet.
type UserDelta struct {
	TenantID string `gorm:"primaryKey"`
	UserID   string `gorm:"primaryKey"`
	Open     int64
}

// TableName names the table.
func (UserDelta) TableName() string { return "user_counter_deltas" }

// Sum is the sum of what several deltas add to one counter.
type Sum struct {
	Name string
	Amounts
}

// Sums are sums of deltas by counter.
type Sums map[Key]Sum

func (s Sums) plus(key Key, more Sum) {
	sum := s[key]
	sum.Amounts = sum.Plus(more.Amounts)
	if more.Name != "" {
		sum.Name = more.Name
	}
	s[key] = sum
}

// Add adds a delta. What happened before since is not counted by its time.
func (s Sums) Add(d Delta, since time.Time) {
	own := Group{Tenant: d.TenantID}
	if d.ApplicationID != "" {
		s.plus(Key{own, KindApplication, d.ApplicationID}, Sum{d.ApplicationName, Amounts{Open: d.Applications}})
		return
	}
	for _, group := range d.groups() {
		s.plus(Key{group, KindRows, ""}, Sum{Amounts: d.Amounts})
	}
	if d.Open != 0 {
		s.plus(Key{own, kindUser, d.UserID}, Sum{Amounts: Amounts{Open: d.Open}})
		s.plus(Key{own, KindDevice, d.DeviceType}, Sum{Amounts: Amounts{Open: d.Open}})
	}
	if d.Total != 0 && d.CreatedAt != nil && !d.CreatedAt.Before(since) {
		s.plus(Key{own, KindCreated, BucketKey(*d.CreatedAt)}, Sum{Amounts: Amounts{Total: d.Total}})
	}
	if d.Revoked != 0 && d.RevokedAt != nil && !d.RevokedAt.Before(since) {
		s.plus(Key{own, KindRevoked, BucketKey(*d.RevokedAt)}, Sum{Amounts: Amounts{Revoked: d.Revoked}})
	}
}

// AddCounter adds a counter.
func (s Sums) AddCounter(c Counter) { s.plus(c.key(), Sum{c.Name, c.Amounts}) }

// Users removes and returns what is added to the open rows of each user.
func (s Sums) Users() []UserDelta {
	var users []UserDelta
	for _, user := range s.take(isUser) {
		users = append(users, UserDelta{user.TenantID, user.Key, user.Open})
	}
	return users
}

// take removes the counters that match, in the order of their keys: two transactions that write the same would otherwise wait for each
// other.
func (s Sums) take(match func(Key) bool) []Counter {
	var taken []Counter
	for key, sum := range s {
		if match(key) {
			taken = append(taken, Counter{key.Tenant, key.Partner, key.Kind, key.Key, sum.Name, sum.Amounts})
			delete(s, key)
		}
	}
	slices.SortFunc(taken, func(a, b Counter) int { return a.key().compare(b.key()) })
	return taken
}

// BucketKey names the time bucket that a time is in, so that names sort as times do.
func BucketKey(at time.Time) string { return at.UTC().Truncate(TimeBucket).Format("2006-01-02T15:04Z") }

// Present is 1 for a user with rows, and 0 for one without.
func Present(rows int64) int64 {
	if rows > 0 {
		return 1
	}
	return 0
}
