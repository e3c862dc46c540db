package counters

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// maxRowsPerUpsert bounds the rows of one statement: SQLite takes 32,766 parameters, and a counter has eight.
const maxRowsPerUpsert = 4000

// rollUp is one transaction of RollUp.
type rollUp struct {
	*Counters
	tx      *gorm.DB
	now     time.Time
	limit   int
	pending *pending
	// again: there has to be another transaction though no deltas wait.
	again bool
}

// RollUp adds up to limit deltas to the counters in a transaction, and returns how many, and whether there is more to do although that is
// less than limit. When no deltas wait any more, users are counted and the page index is maintained, a bounded number in each transaction.
// The transaction must see one state of the database, and no other roll-up may run beside it.
func (c *Counters) RollUp(tx *gorm.DB, now time.Time, limit int) (n int, again bool, err error) {
	r := rollUp{Counters: c, tx: tx, now: now, limit: limit, pending: &c.pending}
	deltas, err := r.takeDeltas()
	if err != nil {
		return 0, false, err
	}
	more := len(deltas) == limit
	if err := r.add(deltas, more); err != nil {
		return 0, false, err
	}
	if !more {
		err = r.maintain()
	}
	return len(deltas), r.again, err
}

// takeDeltas removes deltas, which are the caller's then.
func (r *rollUp) takeDeltas() ([]Delta, error) {
	var deltas []Delta
	st := r.engine.Statement("DELETE FROM counter_deltas WHERE " + r.someDeltas() + ` RETURNING seq, tenant_id, partner_id, user_id, device_type,
		created_at, revoked_at, open, total, revoked, application_id, application_name, applications`)
	err := engine.Query(r.tx, st, func(row engine.Rows) error {
		var d Delta
		err := row.Scan(&d.Seq, &d.TenantID, &d.PartnerID, &d.UserID, &d.DeviceType, &d.CreatedAt, &d.RevokedAt, &d.Open, &d.Total,
			&d.Revoked, &d.ApplicationID, &d.ApplicationName, &d.Applications)
		deltas = append(deltas, d)
		return err
	})
	// The last name given to an application stays.
	slices.SortFunc(deltas, func(a, b Delta) int { return cmp.Compare(a.Seq, b.Seq) })
	return deltas, err
}

// someDeltas is the condition of as many deltas as the limit. It stands in the text, or PostgreSQL would plan for a tenth of the table;
// and where rows are identified by their place in the table, it cannot plan to compare each row of the table with each of them, as it does
// for keys while it takes the table for empty.
func (r *rollUp) someDeltas() string {
	some := " FROM counter_deltas LIMIT " + strconv.Itoa(r.limit)
	if !r.engine.IsPostgres() {
		return "seq IN (SELECT seq" + some + ")"
	}
	if r.engine.Distributed { // there rows are on several nodes
		return "(tenant_id, seq) IN (SELECT tenant_id, seq" + some + ")"
	}
	return "ctid = ANY(ARRAY(SELECT ctid" + some + "))"
}

// add adds deltas to the counters and to the page index. There may be more deltas that are not rolled up.
func (r *rollUp) add(deltas []Delta, more bool) error {
	sums := Sums{}
	for _, d := range deltas {
		sums.Add(d, r.now.Add(-bucketsKept))
	}
	users, err := r.usersToCount(sums.Users(), more)
	if err == nil {
		err = r.countUsers(sums, users)
	}
	if err != nil || len(sums) == 0 {
		return err
	}
	after, err := r.upsert(r.tx, sums.take(anyKey))
	if err != nil {
		return err
	}
	var zero []Key
	for key, now := range after {
		if key.Kind == KindRows {
			r.pending.addGroup(key.Group)
		} else if now == (Amounts{}) {
			zero = append(zero, key)
		}
	}
	if err := r.drop(zero); err != nil {
		return err
	}
	return r.addToPageIndex(deltas)
}

// upsert adds to counters and returns what they say then.
func (c *Counters) upsert(tx *gorm.DB, more []Counter) (map[Key]Amounts, error) {
	after := make(map[Key]Amounts, len(more))
	for batch := range slices.Chunk(more, maxRowsPerUpsert) {
		var texts [5][]string
		var numbers [3][]int64
		for _, row := range batch {
			for i, text := range []string{row.TenantID, row.PartnerID, row.Kind, row.Key, row.Name} {
				texts[i] = append(texts[i], text)
			}
			for i, number := range []int64{row.Open, row.Total, row.Revoked} {
				numbers[i] = append(numbers[i], number)
			}
		}
		st := c.engine.Statement("INSERT INTO counters (tenant_id, partner_id, kind, key, name, open, total, revoked) ")
		st.Rows(len(batch), sqlbuild.Texts("tenant", texts[0]), sqlbuild.Texts("partner", texts[1]), sqlbuild.Texts("kind", texts[2]),
			sqlbuild.Texts("key", texts[3]), sqlbuild.Texts("name", texts[4]), sqlbuild.Integers("open", numbers[0]),
			sqlbuild.Integers("total", numbers[1]), sqlbuild.Integers("revoked", numbers[2]))
		// SQLite needs a WHERE to tell the conflict clause from a join's.
		st.Add(` WHERE true ON CONFLICT (tenant_id, partner_id, kind, key) DO UPDATE SET
			open = counters.open + excluded.open, total = counters.total + excluded.total, revoked = counters.revoked + excluded.revoked,
			name = CASE WHEN excluded.name = '' THEN counters.name ELSE excluded.name END
			RETURNING tenant_id, partner_id, kind, key, open, total, revoked`)
		err := engine.Query(tx, st, func(row engine.Rows) error {
			var counter Counter
			err := row.Scan(&counter.TenantID, &counter.PartnerID, &counter.Kind, &counter.Key, &counter.Open, &counter.Total, &counter.Revoked)
			after[counter.key()] = counter.Amounts
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return after, nil
}

// drop deletes counters that say nothing any more: they must not grow with all applications that there ever were.
func (r *rollUp) drop(zero []Key) error {
	for batch := range slices.Chunk(zero, maxRowsPerUpsert) {
		var texts [4][]string
		for _, k := range batch {
			for i, text := range []string{k.Tenant, k.Partner, k.Kind, k.Key} {
				texts[i] = append(texts[i], text)
			}
		}
		st := r.engine.Statement("DELETE FROM counters WHERE (tenant_id, partner_id, kind, key) IN (")
		st.Rows(len(batch), sqlbuild.Texts("tenant", texts[0]), sqlbuild.Texts("partner", texts[1]), sqlbuild.Texts("of_kind", texts[2]),
			sqlbuild.Texts("name", texts[3]))
		if err := engine.Exec(r.tx, st.Add(")")); err != nil {
			return err
		}
	}
	return nil
}
