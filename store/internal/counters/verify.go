package counters

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"
)

// Drift is a number that is not what a count of the rows gives. It can only come from a fault, or from a hand that changed rows or counters.
type Drift struct {
	// TenantID and PartnerID say whose number it is: a tenant's, a partner's, or that of all when both are empty.
	TenantID, PartnerID string
	// Kind and Key say what is counted.
	Kind, Key string
	// Kept is what the counters say, Counted what there is: open rows, all, revoked ones.
	Kept, Counted [3]int64
	// Sessions is in how many rows a column, which is the Kind, is not what another table says. It is 0 for a number.
	Sessions int64
}

// Verify counts all rows in a transaction, compares every number that is kept with the count, and hands report each that differs. With
// repair it then puts the counted numbers in the place of those that are kept. It returns how many rows it counted. The transaction must
// see one state of the database, and keep roll-ups away and, for a repair, everybody who writes.
func (c *Counters) Verify(tx *gorm.DB, now time.Time, repair bool, report func(Drift)) (int, error) {
	v := verification{Counters: c, tx: tx, now: now, all: Sums{}, report: report}
	err := v.run()
	if err == nil && repair {
		err = v.repair()
	}
	return v.counted, err
}

// verification is one transaction of Verify.
type verification struct {
	*Counters
	tx      *gorm.DB
	now     time.Time
	counted int
	report  func(Drift)
	// all are the counted numbers of partners and of all.
	all Sums
	// tenants are the counted numbers of all tenants, for a repair.
	tenants []Counter
}

func (v *verification) run() error {
	tenantIDs, err := v.rows.Tenants(v.tx)
	if err != nil {
		return err
	}
	var counted []string // of a tenant that was deleted by hand something may be left
	if err := v.tx.Model(&Counter{}).Where("tenant_id <> ''").Distinct().Pluck("tenant_id", &counted).Error; err != nil {
		return err
	}
	tenantIDs = append(tenantIDs, counted...)
	slices.Sort(tenantIDs)
	for _, tenantID := range slices.Compact(tenantIDs) {
		if err := v.tenant(tenantID); err != nil {
			return fmt.Errorf("tenant %s: %w", tenantID, err)
		}
	}
	return v.wide()
}

// tenant counts one tenant. Its users are in memory meanwhile, and those of no other.
func (v *verification) tenant(tenantID string) error {
	counted, kept := Sums{}, Sums{}
	err := v.rows.Each(v.tx, tenantID, func(d Delta) {
		counted.Add(d, v.now.Add(-bucketsKept))
		v.counted += int(d.Total)
	})
	if err != nil {
		return err
	}
	own := Key{Group{Tenant: tenantID}, KindUsers, ""}
	rows := map[string]int64{}
	for _, user := range counted.Users() {
		rows[user.UserID] = user.Open
		counted.plus(own, Sum{Amounts: Amounts{Open: Present(user.Open)}})
	}
	if err := v.kept("tenant_id = ?", tenantID, kept); err != nil {
		return err
	}
	waiting, err := v.waiting("tenant_id = ?", tenantID)
	if err != nil {
		return err
	}
	rolledUp, err := v.UsersWaiting(v.tx, tenantID)
	if err != nil {
		return err
	}
	for _, user := range rolledUp {
		waiting.plus(Key{Group{Tenant: tenantID}, kindUser, user.UserID}, Sum{Amounts: Amounts{Open: user.Open}})
	}
	for _, user := range waiting.Users() {
		now := rows[user.UserID]
		kept.plus(own, Sum{Amounts: Amounts{Open: Present(now) - Present(now-user.Open)}})
	}
	for _, counter := range waiting.take(func(k Key) bool { return k.Tenant != "" }) {
		kept.AddCounter(counter)
	}
	for _, counter := range counted.take(func(k Key) bool { return k.Tenant == "" }) {
		v.all.AddCounter(counter)
	}
	v.compare(kept, counted)
	if err := v.pageIndex(Group{Tenant: tenantID}); err != nil {
		return err
	}
	v.tenants = append(v.tenants, counted.take(anyKey)...)
	return nil
}

// kept adds the counters that fulfil a condition.
func (v *verification) kept(condition, arg string, into Sums) error {
	var kept []Counter
	err := v.tx.Where(condition, arg).Find(&kept).Error
	for _, counter := range kept {
		into.AddCounter(counter)
	}
	return err
}

// waiting sums the deltas up that fulfil a condition.
func (v *verification) waiting(condition string, args ...any) (Sums, error) {
	sums := Sums{}
	var deltas []Delta
	query := v.tx.Order("seq")
	if condition != "" {
		query = query.Where(condition, args...)
	}
	err := query.Find(&deltas).Error
	for _, d := range deltas {
		sums.Add(d, v.now.Add(-bucketsKept))
	}
	return sums, err
}

// wide compares the numbers of partners and of all.
func (v *verification) wide() error {
	kept := Sums{}
	if err := v.kept("tenant_id = ?", "", kept); err != nil {
		return err
	}
	waiting, err := v.waiting("")
	if err != nil {
		return err
	}
	for _, counter := range waiting.take(func(k Key) bool { return k.Tenant == "" }) {
		kept.AddCounter(counter)
	}
	v.compare(kept, v.all)
	for key := range v.all {
		if err := v.pageIndex(key.Group); err != nil {
			return err
		}
	}
	return nil
}

// pageIndex counts the rows of a group bucket by bucket.
func (v *verification) pageIndex(g Group) error {
	var kept []Bucket
	err := v.tx.Where("tenant_id = ? AND partner_id = ?", g.Tenant, g.Partner).Order("starts_at").Find(&kept).Error
	if err != nil || len(kept) == 0 {
		return err
	}
	var waiting []Delta
	if err := v.tx.Scopes(g.in).Find(&waiting).Error; err != nil {
		return err
	}
	for _, d := range waiting {
		if i := bucketAt(kept, d.CreatedAt); i >= 0 {
			kept[i].Open, kept[i].Total = kept[i].Open+d.Open, kept[i].Total+g.listed(d)
		}
	}
	counted := make([]Bucket, len(kept))
	err = v.rows.EachListed(v.tx, g, func(created time.Time, open bool) {
		if i := bucketAt(kept, &created); i >= 0 {
			counted[i].Total++
			if open {
				counted[i].Open++
			}
		}
	})
	for i, was := range kept {
		if is := counted[i]; was.Open != is.Open || was.Total != is.Total {
			v.report(Drift{
				TenantID: g.Tenant, PartnerID: g.Partner, Kind: "page index", Key: was.StartsAt.UTC().Format(time.RFC3339Nano),
				Kept: [3]int64{was.Open, was.Total}, Counted: [3]int64{is.Open, is.Total},
			})
		}
	}
	return err
}

// compare reports what differs. Time buckets before the last day are not kept to be right.
func (v *verification) compare(kept, counted Sums) {
	oldest := BucketKey(v.now.Add(-Day))
	keys := map[Key]bool{}
	for _, side := range []Sums{kept, counted} {
		for key := range side {
			keys[key] = true
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(keys), Key.compare) {
		was, is := kept[key].Amounts, counted[key].Amounts
		past := (key.Kind == KindCreated || key.Kind == KindRevoked) && key.Key < oldest
		if was != is && !past {
			v.report(Drift{
				TenantID: key.Tenant, PartnerID: key.Partner, Kind: key.Kind, Key: key.Key,
				Kept: [3]int64{was.Open, was.Total, was.Revoked}, Counted: [3]int64{is.Open, is.Total, is.Revoked},
			})
		}
	}
}

// repair puts the counted numbers in the place of those that are kept.
func (v *verification) repair() error {
	for _, model := range []any{&Delta{}, &UserDelta{}, &Counter{}, &Bucket{}} {
		if err := v.tx.Where("true").Delete(model).Error; err != nil {
			return err
		}
	}
	counted := append(v.tenants, v.all.take(anyKey)...)
	r := rollUp{Counters: v.Counters, tx: v.tx, now: v.now, pending: &pending{}}
	for batch := range slices.Chunk(counted, maxRowsPerUpsert) {
		if _, err := v.upsert(v.tx, batch); err != nil {
			return err
		}
		for _, counter := range batch {
			if counter.Kind == KindRows {
				r.pending.addGroup(counter.key().Group)
			}
		}
	}
	for {
		if err := r.maintain(); err != nil || !r.again {
			return err
		}
		r.again = false
	}
}

// bucketAt is the index of the bucket that a time is in, -1 when it is in none.
func bucketAt(buckets []Bucket, at *time.Time) int {
	if at == nil {
		return -1
	}
	i, found := slices.BinarySearchFunc(buckets, *at, func(b Bucket, at time.Time) int { return b.StartsAt.Compare(at) })
	if !found {
		i--
	}
	return i
}
