package store

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"
)

// FoldChanges adds noted changes to the tallies and returns how many, in transactions of up to limit. Numbers are right without
// it: it keeps what has to be added up for them short. It returns less than limit when no changes wait any more, and then users
// are counted and chunks cut, a bounded number in each transaction (tidy). Like SweepEnded it does nothing while another instance
// is at it; call it every second or so, and again at once unless it returns less than limit.
func (s *Store) FoldChanges(ctx context.Context, limit int) (int, error) {
	f := folding{store: s, now: s.clock(), limit: limit, untidy: &s.untidy}
	for all := 0; ; {
		f.again = false
		n, err := s.writeAlone(ctx, "fold changes", tallyLock, f.run, s.oneState())
		if all += n; err != nil || !f.again {
			return all, err
		}
	}
}

// folding is one call of FoldChanges.
type folding struct {
	store  *Store
	now    time.Time
	limit  int
	untidy *untidy
	// tx is the transaction, and again says whether there has to be another one though no changes wait.
	tx    *gorm.DB
	again bool
}

// run is one transaction.
func (f *folding) run(tx *gorm.DB) (int, error) {
	f.tx, f.again = tx, false // an attempt before this one was undone
	changes, err := f.takeChanges()
	if err != nil {
		return 0, err
	}
	more := len(changes) == f.limit
	if err := f.fold(changes, more); err != nil {
		return 0, err
	}
	if !more {
		err = f.tidy()
	}
	return len(changes), err
}

const changeColumns = "seq, tenant_id, partner_id, user_id, device_type, created_at, revoked_at, open, total, revoked, " +
	"application_id, application_name, applications"

func scanChange(row rows) (change, error) {
	var c change
	err := row.Scan(&c.Seq, &c.TenantID, &c.PartnerID, &c.UserID, &c.DeviceType, &c.CreatedAt, &c.RevokedAt, &c.Open, &c.Total,
		&c.Revoked, &c.ApplicationID, &c.ApplicationName, &c.Applications)
	return c, err
}

// takeChanges removes changes, which are the caller's then.
func (f *folding) takeChanges() ([]change, error) {
	var changes []change
	st := f.store.engine.statement("DELETE FROM session_changes WHERE " + f.store.someChanges(f.limit) + " RETURNING " + changeColumns)
	err := queryIn(f.tx, st, func(row rows) error {
		c, err := scanChange(row)
		changes = append(changes, c)
		return err
	})
	// The last name given to an application stays.
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.Seq, b.Seq) })
	return changes, err
}

// someChanges is the condition of so many changes. The limit stands in the text, or PostgreSQL would plan for a tenth of the
// table; and where the rows are told by where they lie, it cannot plan to hold each row of the table against each of them, as
// it does for keys while it takes the table for empty.
func (s *Store) someChanges(limit int) string {
	some := " FROM session_changes LIMIT " + strconv.Itoa(limit)
	switch {
	case s.engine.pool == nil:
		return "seq IN (SELECT seq" + some + ")"
	case s.distributed: // there rows lie on several nodes
		return "(tenant_id, seq) IN (SELECT tenant_id, seq" + some + ")"
	default:
		return "ctid = ANY(ARRAY(SELECT ctid" + some + "))"
	}
}

// fold adds changes to the tallies. There may be more of them that are not folded.
func (f *folding) fold(changes []change, more bool) error {
	sums := tallies{}
	for _, c := range changes {
		sums.add(c, f.now.Add(-slotsKept))
	}
	users, err := f.usersToCount(sums.take(isUser), more)
	if err == nil {
		err = f.countUsers(sums, users)
	}
	if err != nil || len(sums) == 0 {
		return err
	}
	after, err := f.store.upsertTallies(f.tx, sums.take(func(tallyKey) bool { return true }))
	if err != nil {
		return err
	}
	var gone []tallyKey
	for key, now := range after {
		if key.kind == kindSessions {
			f.untidy.addScope(key.scope)
		} else if now.zero() {
			gone = append(gone, key)
		}
	}
	if err := f.dropTallies(gone); err != nil {
		return err
	}
	return f.foldChunks(changes)
}

// rowsPerUpsert bounds the rows of one statement: SQLite takes 32,766 parameters, and a tally has eight.
const rowsPerUpsert = 4000

// upsertTallies adds to tallies and returns what they say then.
func (s *Store) upsertTallies(tx *gorm.DB, more []tallyRow) (map[tallyKey]amounts, error) {
	after := make(map[tallyKey]amounts, len(more))
	for batch := range slices.Chunk(more, rowsPerUpsert) {
		st := s.engine.statement("INSERT INTO tallies (tenant_id, partner_id, kind, key, name, open, total, revoked) ")
		addTallyRows(st, batch)
		st.add(` ON CONFLICT (tenant_id, partner_id, kind, key) DO UPDATE SET
			open = tallies.open + excluded.open, total = tallies.total + excluded.total, revoked = tallies.revoked + excluded.revoked,
			name = CASE WHEN excluded.name = '' THEN tallies.name ELSE excluded.name END
			RETURNING tenant_id, partner_id, kind, key, open, total, revoked`)
		err := queryIn(tx, st, func(row rows) error {
			var r tallyRow
			err := row.Scan(&r.tenant, &r.partner, &r.kind, &r.key, &r.open, &r.total, &r.revoked)
			after[r.tallyKey] = r.amounts
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return after, nil
}

// addTallyRows appends rows as a source for an INSERT. PostgreSQL gets them as arrays: one statement for any number.
func addTallyRows(st *statement, more []tallyRow) {
	if !st.numbers {
		st.add("VALUES ")
		for i, r := range more {
			if i > 0 {
				st.add(", ")
			}
			st.add("(?, ?, ?, ?, ?, ?, ?, ?)", r.tenant, r.partner, r.kind, r.key, r.name, r.open, r.total, r.revoked)
		}
		return
	}
	var texts [5][]string
	var numbers [3][]int64
	for _, r := range more {
		for i, text := range []string{r.tenant, r.partner, r.kind, r.key, r.name} {
			texts[i] = append(texts[i], text)
		}
		for i, number := range []int64{r.open, r.total, r.revoked} {
			numbers[i] = append(numbers[i], number)
		}
	}
	st.add("SELECT * FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[], ?::bigint[], ?::bigint[])",
		texts[0], texts[1], texts[2], texts[3], texts[4], numbers[0], numbers[1], numbers[2])
}

// dropTallies deletes those that say nothing any more: the tallies must not grow with all applications that ever were.
func (f *folding) dropTallies(gone []tallyKey) error {
	for batch := range slices.Chunk(gone, rowsPerUpsert) {
		var texts [4][]string
		for _, k := range batch {
			for i, text := range []string{k.tenant, k.partner, k.kind, k.key} {
				texts[i] = append(texts[i], text)
			}
		}
		st := f.store.engine.statement("DELETE FROM tallies WHERE (tenant_id, partner_id, kind, key) IN (")
		st.addTexts([]string{"tenant", "partner", "kind", "name"}, texts[:]...)
		if err := execIn(f.tx, st.add(")")); err != nil {
			return err
		}
	}
	return nil
}
