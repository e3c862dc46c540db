package counters

import (
	"sync"
	"time"
)

const (
	// groupsAtOnce is how many groups, and bucketsAtOnce how many buckets, are looked at in one transaction. Each bucket that is split
	// costs reading about three times its new size in an index.
	groupsAtOnce  = 500
	bucketsAtOnce = 8
)

// pending is the groups and buckets that roll-ups have changed and that have to be checked when no deltas wait. It may be lost with the
// process: a bucket that is too large stays so until it changes again.
type pending struct {
	mu      sync.Mutex
	groups  map[Group]bool
	buckets map[instant]bool
}

func (p *pending) addGroup(g Group) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.groups == nil {
		p.groups = map[Group]bool{}
	}
	p.groups[g] = true
}

func (p *pending) addBucket(start instant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.buckets == nil {
		p.buckets = map[instant]bool{}
	}
	p.buckets[start] = true
}

// take removes what one transaction looks at.
func (p *pending) take() ([]Group, []instant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return takeSome(p.groups, groupsAtOnce), takeSome(p.buckets, bucketsAtOnce)
}

func (p *pending) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.groups)+len(p.buckets) == 0
}

func takeSome[K comparable](from map[K]bool, most int) []K {
	var taken []K
	for key := range from {
		if len(taken) == most {
			break
		}
		taken = append(taken, key)
		delete(from, key)
	}
	return taken
}

// maintain runs when no deltas wait, so that counts of the rows agree with counters and buckets. It deletes time buckets that are not read
// any more, makes the first page index bucket of groups that have grown, and splits the buckets that have.
func (r *rollUp) maintain() error {
	groups, buckets := r.pending.take()
	if len(groups) > 0 {
		if err := r.maintainGroups(groups); err != nil {
			return err
		}
	}
	for _, start := range buckets {
		if err := r.maintainBucket(start); err != nil {
			return err
		}
	}
	r.again = r.again || !r.pending.empty()
	return nil
}

func (r *rollUp) maintainGroups(groups []Group) error {
	old := BucketKey(r.now.Add(-bucketsKept))
	for _, g := range groups {
		if g.Tenant == "" {
			continue
		}
		for _, kind := range []string{KindCreated, KindRevoked} { // one after the other, so that the index gives each
			err := r.tx.Where("tenant_id = ? AND partner_id = '' AND kind = ? AND key < ?", g.Tenant, kind, old).Delete(&Counter{}).Error
			if err != nil {
				return err
			}
		}
	}
	for _, g := range groups {
		var all Counter
		err := r.tx.Where("tenant_id = ? AND partner_id = ? AND kind = ? AND key = ''", g.Tenant, g.Partner, KindRows).Limit(1).Find(&all).Error
		if err != nil {
			return err
		}
		first := Bucket{TenantID: g.Tenant, PartnerID: g.Partner, Open: all.Open, Total: g.listed(Delta{Amounts: all.Amounts})}
		if !r.tooLarge(first) {
			continue
		}
		if err := r.makeFirstBucket(g, first); err != nil {
			return err
		}
	}
	return nil
}

// makeFirstBucket makes a bucket of all listed rows of a group that has none.
func (r *rollUp) makeFirstBucket(g Group, first Bucket) error {
	var known []Bucket
	err := r.tx.Where("tenant_id = ? AND partner_id = ?", g.Tenant, g.Partner).Limit(1).Find(&known).Error
	if err != nil || len(known) > 0 {
		return err
	}
	oldest, err := r.rows.Oldest(r.tx, g)
	if err != nil || oldest == nil {
		return err
	}
	first.StartsAt = *oldest
	return r.upsertBuckets(g, []Bucket{first})
}

// maintainBucket splits a bucket that is too large, or drops it if nothing is left of it: then its span belongs to the bucket before it.
func (r *rollUp) maintainBucket(start instant) error {
	var b Bucket // stays empty when there is none any more
	at := r.tx.Where("tenant_id = ? AND partner_id = ? AND starts_at = ?", start.Tenant, start.Partner, start.at)
	if err := at.Limit(1).Find(&b).Error; err != nil {
		return err
	}
	if b.empty() {
		return r.tx.Where("tenant_id = ? AND partner_id = ? AND starts_at = ?", start.Tenant, start.Partner, start.at).Delete(&Bucket{}).Error
	}
	if !r.tooLarge(b) {
		return nil
	}
	split, err := r.newest(start)
	if err != nil || split.empty() {
		return err
	}
	return r.upsertBuckets(start.Group, []Bucket{{StartsAt: start.at, Open: -split.Open, Total: -split.Total}, split})
}

// newest counts the newest rows of a bucket, as many as the bucket size, with all that were created at the time of the oldest of them. It is
// empty when the bucket has not so many after the time at which it starts: then it cannot be split, and nothing but these few is read.
func (r *rollUp) newest(start instant) (Bucket, error) {
	var next []Bucket
	err := r.tx.Where("tenant_id = ? AND partner_id = ? AND starts_at > ?", start.Tenant, start.Partner, start.at).
		Order("starts_at").Limit(1).Find(&next).Error
	if err != nil {
		return Bucket{}, err
	}
	var end *time.Time
	if len(next) > 0 {
		end = &next[0].StartsAt
	}
	from, err := r.rows.NthNewest(r.tx, start.Group, start.at, end, r.bucketSize)
	if err != nil || from == nil {
		return Bucket{}, err
	}
	open, total, err := r.rows.CountBetween(r.tx, start.Group, *from, end)
	return Bucket{StartsAt: *from, Open: open, Total: total}, err
}
