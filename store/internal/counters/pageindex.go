package counters

import (
	"iter"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// Bucket counts the rows of a group that were created from a time on, until the next bucket starts.
type Bucket struct {
	TenantID  string    `gorm:"primaryKey"`
	PartnerID string    `gorm:"primaryKey"`
	StartsAt  time.Time `gorm:"primaryKey"`
	Open      int64
	Total     int64
}

// TableName names the table.
func (Bucket) TableName() string { return "page_index" }

func (b Bucket) empty() bool { return b.Open == 0 && b.Total == 0 }

// listed is what a delta adds to a bucket's total: the listed rows of the group.
func (g Group) listed(d Delta) int64 {
	if g.Tenant != "" {
		return d.Total
	}
	return d.Open
}

// tooLarge reports whether a bucket is to be split, if it can be.
func (c *Counters) tooLarge(b Bucket) bool { return b.Total > 2*int64(c.bucketSize) }

// instant is a creation time of rows of a group.
type instant struct {
	Group
	at time.Time
}

func instantOf(g Group, d Delta) instant {
	if d.CreatedAt == nil {
		return instant{Group: g}
	}
	return instant{g, d.CreatedAt.UTC()}
}

// addToPageIndex adds deltas to the buckets that they are in. Groups without buckets, and rows older than all of them, need none.
func (r *rollUp) addToPageIndex(deltas []Delta) error {
	starts, err := r.bucketsOf(deltas)
	if err != nil {
		return err
	}
	more := map[Group]map[time.Time]Bucket{}
	for _, d := range deltas {
		for _, g := range d.groups() {
			start, known := starts[instantOf(g, d)]
			if !known {
				continue
			}
			if more[g] == nil {
				more[g] = map[time.Time]Bucket{}
			}
			sum := more[g][start]
			more[g][start] = Bucket{g.Tenant, g.Partner, start, sum.Open + d.Open, sum.Total + g.listed(d)}
		}
	}
	for g, sums := range more {
		sorted := slices.SortedFunc(notEmpty(sums), func(a, b Bucket) int { return a.StartsAt.Compare(b.StartsAt) })
		if err := r.upsertBuckets(g, sorted); err != nil {
			return err
		}
	}
	return nil
}

func notEmpty(sums map[time.Time]Bucket) iter.Seq[Bucket] {
	return func(yield func(Bucket) bool) {
		for _, sum := range sums {
			if !sum.empty() && !yield(sum) {
				return
			}
		}
	}
}

// bucketsOf finds where the buckets start that deltas are in. It looks for these alone: there are a thousandth as many buckets as rows.
func (r *rollUp) bucketsOf(deltas []Delta) (map[instant]time.Time, error) {
	wanted := map[instant]bool{}
	for _, d := range deltas {
		for _, g := range d.groups() {
			if d.CreatedAt != nil && (d.Open != 0 || g.listed(d) != 0) {
				wanted[instantOf(g, d)] = true
			}
		}
	}
	starts := make(map[instant]time.Time, len(wanted))
	for batch := range slices.Chunk(slices.Collect(maps.Keys(wanted)), maxRowsPerUpsert) {
		var numbers []int64
		var tenants, partners []string
		var times []time.Time
		for i, w := range batch {
			numbers, tenants, partners, times = append(numbers, int64(i)), append(tenants, w.Tenant), append(partners, w.Partner), append(times, w.at)
		}
		st := r.engine.Statement(`SELECT nr, (SELECT starts_at FROM page_index
			WHERE tenant_id = tenant AND partner_id = partner AND starts_at <= at ORDER BY starts_at DESC LIMIT 1) FROM (`)
		st.Rows(len(batch), sqlbuild.Integers("nr", numbers), sqlbuild.Texts("tenant", tenants), sqlbuild.Texts("partner", partners),
			sqlbuild.Times("at", times))
		err := engine.Query(r.tx, st.Add(") AS wanted"), func(row engine.Rows) error {
			var nr int
			var start any
			err := row.Scan(&nr, &start)
			switch start := start.(type) {
			case time.Time:
				starts[batch[nr]] = start.UTC()
			case int64: // SQLite's driver knows a time by its column only
				starts[batch[nr]] = time.UnixMicro(start).UTC()
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return starts, nil
}

// upsertBuckets adds to a group's buckets, and collects those that are to be split or dropped.
func (r *rollUp) upsertBuckets(g Group, more []Bucket) error {
	for batch := range slices.Chunk(more, maxRowsPerInsert) {
		var tenants, partners []string
		var starts []time.Time
		var open, total []int64
		for _, b := range batch {
			tenants, partners, starts = append(tenants, g.Tenant), append(partners, g.Partner), append(starts, b.StartsAt)
			open, total = append(open, b.Open), append(total, b.Total)
		}
		st := r.engine.Statement("INSERT INTO page_index (tenant_id, partner_id, starts_at, open, total) ")
		st.Rows(len(batch), sqlbuild.Texts("tenant", tenants), sqlbuild.Texts("partner", partners), sqlbuild.Times("starts", starts),
			sqlbuild.Integers("open", open), sqlbuild.Integers("total", total))
		st.Add(` WHERE true ON CONFLICT (tenant_id, partner_id, starts_at) DO UPDATE SET
			open = page_index.open + excluded.open, total = page_index.total + excluded.total RETURNING starts_at, open, total`)
		err := engine.Query(r.tx, st, func(row engine.Rows) error {
			var b Bucket
			err := row.Scan(&b.StartsAt, &b.Open, &b.Total)
			if r.tooLarge(b) || b.empty() {
				r.pending.addBucket(instant{g, b.StartsAt.UTC()})
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// maxBuckets bounds how many buckets are read to find a page: those of 64 million rows.
const maxBuckets = 1 << 16

// BucketsBefore is how many of the newest buckets have to be read to find a page: twice as many as there are before it when all are full.
// To read more might find a start nearer to the page where many buckets are hollow, but would slow down every list.
func (c *Counters) BucketsBefore(offset int) int { return min(offset/c.bucketSize*2+16, maxBuckets) }

// Seek finds the oldest bucket from whose start on a group has no more listed rows than the offset, and how many these are, with what is
// not rolled up. A page at the offset is then found among the rows created before the start. It reports false when there is no such bucket.
func (c *Counters) Seek(tx *gorm.DB, of Group, open bool, offset int) (start time.Time, newer int64, found bool, err error) {
	column := "total"
	if open {
		column = "open"
	}
	type step struct {
		At time.Time
		N  int64
	}
	var buckets, waiting []step
	err = tx.Model(&Bucket{}).Select("starts_at AS at", column+" AS n").Where("tenant_id = ? AND partner_id = ?", of.Tenant, of.Partner).
		Order("starts_at DESC").Limit(c.BucketsBefore(offset)).Scan(&buckets).Error
	if err != nil || len(buckets) == 0 {
		return start, 0, false, err
	}
	err = tx.Model(&Delta{}).Scopes(of.in).Select("created_at AS at", column+" AS n").Where(column + " <> 0").
		Order("created_at DESC").Scan(&waiting).Error
	sum := int64(0)
	for _, b := range buckets {
		for sum += b.N; len(waiting) > 0 && !waiting[0].At.Before(b.At); waiting = waiting[1:] {
			sum += waiting[0].N
		}
		if sum > int64(offset) {
			break
		}
		start, newer, found = b.At.UTC(), sum, true
	}
	return start, newer, found, err
}
