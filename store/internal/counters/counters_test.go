package counters_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"pgregory.net/rapid"

	"github.com/sessiond/sessiond/internal/qa/sequential"
	"github.com/sessiond/sessiond/store/internal/counters"
	"github.com/sessiond/sessiond/store/internal/engine"
)

// row is what is counted, in memory.
type row struct {
	tenant, partner, user, device string
	created                       time.Time
	open                          bool
}

func (r row) delta() counters.Delta {
	d := counters.Delta{TenantID: r.tenant, UserID: r.user, DeviceType: r.device, CreatedAt: &r.created, Amounts: counters.Amounts{Total: 1}}
	if r.partner != "" {
		d.PartnerID = &r.partner
	}
	if r.open {
		d.Open = 1
	}
	return d
}

// table implements counters.Rows.
type table struct{ rows []row }

// listed are the rows that lists of a group show, newest first.
func (t *table) listed(of counters.Group) []row {
	var found []row
	for _, r := range t.rows {
		if of.Tenant != "" && r.tenant == of.Tenant || of.Tenant == "" && r.open && (of.Partner == "" || r.partner == of.Partner) {
			found = append(found, r)
		}
	}
	slices.SortStableFunc(found, func(a, b row) int { return b.created.Compare(a.created) })
	return found
}

func (t *table) OpenOf(_ *gorm.DB, users []counters.User, enough int64) (map[counters.User]int64, error) {
	open := map[counters.User]int64{}
	for _, r := range t.rows {
		if user := (counters.User{TenantID: r.tenant, UserID: r.user}); r.open && slices.Contains(users, user) && open[user] < enough {
			open[user]++
		}
	}
	return open, nil
}

func (t *table) Oldest(_ *gorm.DB, of counters.Group) (*time.Time, error) {
	if all := t.listed(of); len(all) > 0 {
		return &all[len(all)-1].created, nil
	}
	return nil, nil //nolint:nilnil // none
}

func (t *table) between(of counters.Group, from time.Time, before *time.Time) []row {
	return slices.DeleteFunc(t.listed(of), func(r row) bool { return r.created.Before(from) || before != nil && !r.created.Before(*before) })
}

func (t *table) NthNewest(_ *gorm.DB, of counters.Group, after time.Time, before *time.Time, n int) (*time.Time, error) {
	if found := t.between(of, after.Add(1), before); len(found) >= n {
		return &found[n-1].created, nil
	}
	return nil, nil //nolint:nilnil // fewer
}

func (t *table) CountBetween(_ *gorm.DB, of counters.Group, from time.Time, before *time.Time) (open, total int64, err error) {
	for _, r := range t.between(of, from, before) {
		if total++; r.open {
			open++
		}
	}
	return open, total, nil
}

func (t *table) AnalyzeIfGrown(*gorm.DB) error { return nil }

func (t *table) Tenants(*gorm.DB) ([]string, error) { return []string{"acme", "globex"}, nil }

func (t *table) Each(_ *gorm.DB, tenantID string, do func(counters.Delta)) error {
	for _, r := range t.rows {
		if r.tenant == tenantID {
			do(r.delta())
		}
	}
	return nil
}

func (t *table) EachListed(_ *gorm.DB, of counters.Group, do func(time.Time, bool)) error {
	for _, r := range t.listed(of) {
		do(r.created, r.open)
	}
	return nil
}

func (t *table) LockWriters(*gorm.DB) error { return nil }

// TestNumbersAreExact adds and ends rows, rolls up some deltas at a time, and compares totals, pages and the verification with a count.
func TestNumbersAreExact(t *testing.T) {
	sequential.Test(t)
	e := open(t)
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(r *rapid.T) {
		for _, model := range models() {
			require.NoError(r, e.DB.Where("true").Delete(model).Error)
		}
		rows := &table{}
		w := world{Counters: counters.New(e, rows, 3), rows: rows, db: e.DB, t: r, now: now}
		r.Repeat(map[string]func(*rapid.T){
			"add":     func(r *rapid.T) { w.t = r; w.add() },
			"end":     func(r *rapid.T) { w.t = r; w.end() },
			"roll up": func(r *rapid.T) { w.t = r; w.rollUp(rapid.SampledFrom([]int{1, 4, 100}).Draw(r, "limit")) },
			"check":   func(r *rapid.T) { w.t = r; w.check() },
		})
		w.t = r
		w.check()
		w.rollUp(1000)
		w.check()
		w.checkRolledUp()
	})
}

// TestThePageIndexLeadsToEachPage: a bucket is made, and split until each has at most twice the size; and it goes when it is empty.
func TestThePageIndexLeadsToEachPage(t *testing.T) {
	const size, rows = 4, 100
	e := open(t)
	all := &table{}
	c := counters.New(e, all, size)
	assert.Equal(t, size, c.BucketSize())
	assert.Equal(t, counters.DefaultBucketSize, counters.New(e, all, 0).BucketSize())
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	rollUp := func() {
		for again := true; again; {
			var err error
			_, again, err = c.RollUp(e.DB, now, 1000)
			require.NoError(t, err)
		}
	}
	for i := range rows {
		all.rows = append(all.rows, row{tenant: "acme", user: "ada", created: now.Add(time.Duration(i) * time.Minute), open: true})
		require.NoError(t, counters.Append(e.DB, []counters.Delta{all.rows[i].delta()}))
	}
	rollUp()
	for _, of := range []counters.Group{{Tenant: "acme"}, {}} {
		for offset := 2 * size; offset < rows; offset++ {
			_, newer, found, err := c.Seek(e.DB, of, false, offset)
			require.NoError(t, err)
			require.True(t, found)
			assert.LessOrEqual(t, int(newer), offset)
			assert.Less(t, offset-int(newer), 2*size)
		}
		_, _, found, err := c.Seek(e.DB, of, false, 0)
		require.NoError(t, err)
		assert.False(t, found, "the newest bucket has the page")
	}
	for i := range rows {
		all.rows[i].open = false
		d := all.rows[i].delta()
		d.Amounts = counters.Amounts{Open: -1, Total: -1}
		require.NoError(t, counters.Append(e.DB, []counters.Delta{d}))
	}
	all.rows = nil
	rollUp()
	left := int64(0)
	require.NoError(t, e.DB.Model(&counters.Bucket{}).Count(&left).Error)
	assert.Zero(t, left)
}

// TestWhoIsNamed: a user is named by deltas that wait, and of whom something is rolled up that is not counted.
func TestWhoIsNamed(t *testing.T) {
	e := open(t)
	all := &table{rows: []row{{tenant: "acme", user: "ada", open: true}, {tenant: "acme", user: "bob", open: true}}}
	c := counters.New(e, all, 0)
	named := func() (named []string) {
		for _, tenantID := range []string{"acme", "globex"} {
			for _, userID := range []string{"ada", "bob", "eve"} {
				waiting, err := c.Waiting(e.DB, tenantID, userID)
				require.NoError(t, err)
				if waiting {
					named = append(named, tenantID+" "+userID)
				}
			}
		}
		return named
	}
	assert.Empty(t, named())
	require.NoError(t, counters.Append(e.DB, []counters.Delta{all.rows[0].delta(), all.rows[1].delta()}))
	assert.Equal(t, []string{"acme ada", "acme bob"}, named())
	n, _, err := c.RollUp(e.DB, time.Now(), 2) // there may be more, so that nobody is counted
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	assert.Equal(t, []string{"acme ada", "acme bob"}, named())
	_, _, err = c.RollUp(e.DB, time.Now(), 2)
	require.NoError(t, err)
	_, _, err = c.RollUp(e.DB, time.Now(), 2)
	require.NoError(t, err)
	assert.Empty(t, named())
}

// models are the tables of the package.
func models() []any {
	return []any{&counters.Counter{}, &counters.Delta{}, &counters.UserDelta{}, &counters.Bucket{}}
}

func open(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.Open(t.Context(), "sqlite://"+t.TempDir()+"/x.db", &gorm.Config{Logger: logger.Discard}, engine.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	require.NoError(t, e.DB.AutoMigrate(models()...))
	return e
}

type world struct {
	*counters.Counters
	rows *table
	db   *gorm.DB
	t    *rapid.T
	now  time.Time
}

func (w *world) add() {
	for range rapid.IntRange(1, 6).Draw(w.t, "rows") {
		n := rapid.IntRange(0, 30).Draw(w.t, "age")
		fresh := row{
			tenant: rapid.SampledFrom([]string{"acme", "globex"}).Draw(w.t, "tenant"), user: fmt.Sprint("u", n%3), device: fmt.Sprint("d", n%2),
			created: w.now.Add(-time.Duration(n) * time.Hour), open: true,
		}
		if fresh.tenant == "acme" {
			fresh.partner = "north"
		}
		w.rows.rows = append(w.rows.rows, fresh)
		require.NoError(w.t, counters.Append(w.db, []counters.Delta{fresh.delta()}))
	}
}

func (w *world) end() {
	if len(w.rows.rows) == 0 {
		return
	}
	r := &w.rows.rows[rapid.IntRange(0, len(w.rows.rows)-1).Draw(w.t, "row")]
	if r.open {
		r.open = false
		d := r.delta()
		d.Amounts = counters.Amounts{Open: -1}
		require.NoError(w.t, counters.Append(w.db, []counters.Delta{d}))
	}
}

func (w *world) rollUp(limit int) {
	for again := true; again; {
		var err error
		_, again, err = w.RollUp(w.db, w.now, limit)
		require.NoError(w.t, err)
	}
}

func (w *world) check() {
	for _, of := range []counters.Group{{Tenant: "acme"}, {Tenant: "globex"}, {Partner: "north"}, {}} {
		all := w.rows.listed(of)
		open := slices.DeleteFunc(slices.Clone(all), func(r row) bool { return !r.open })
		total, err := w.Total(w.db, of, true)
		require.NoError(w.t, err)
		require.EqualValues(w.t, len(open), total, "%+v", of)
		if of.Tenant != "" {
			total, err = w.Total(w.db, of, false)
			require.NoError(w.t, err)
			require.EqualValues(w.t, len(all), total, "%+v", of)
		}
		for offset := range len(open) {
			start, newer, found, err := w.Seek(w.db, of, true, offset)
			require.NoError(w.t, err)
			if !found {
				continue
			}
			before := slices.IndexFunc(open, func(r row) bool { return r.created.Before(start) })
			if before < 0 {
				before = len(open)
			}
			require.EqualValues(w.t, before, newer, "%+v, offset %d", of, offset)
			require.LessOrEqual(w.t, before, offset)
		}
	}
	n, err := w.Verify(w.db, w.now, false, func(d counters.Drift) { w.t.Errorf("%+v", d) })
	require.NoError(w.t, err)
	require.Equal(w.t, len(w.rows.rows), n)
}

// checkRolledUp compares, when no deltas wait, what there is only then.
func (w *world) checkRolledUp() {
	for _, tenantID := range []string{"acme", "globex"} {
		users, devices := map[string]bool{}, map[string]int64{}
		for _, r := range w.rows.rows {
			if r.tenant == tenantID && r.open {
				users[r.user] = true
				devices[r.device]++
			}
		}
		counted, waiting, err := w.OfTenant(w.db, tenantID, []string{counters.KindUsers, counters.KindDevice})
		require.NoError(w.t, err)
		require.Empty(w.t, waiting)
		var open int64
		kept := map[string]int64{}
		for _, c := range counted {
			if c.Kind == counters.KindUsers {
				open += c.Open
			} else {
				kept[c.Key] = c.Open
			}
		}
		require.EqualValues(w.t, len(users), open, tenantID)
		require.Equal(w.t, devices, kept, "with none that says nothing")
	}
}
