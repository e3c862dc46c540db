package store

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"
)

// FoldChanges adds up to limit noted changes to the tallies and returns how many. Numbers are right without it: it keeps
// what has to be added up for them short. Like SweepEnded it does nothing while another instance is at it; call it every
// second or so, and again at once while it returns limit.
func (s *Store) FoldChanges(ctx context.Context, limit int) (int, error) {
	return s.writeAlone(ctx, "fold changes", tallyLock, func(tx *gorm.DB) (int, error) {
		f := folding{store: s, tx: tx, now: s.clock()}
		changes, err := f.takeChanges(limit)
		if err != nil || len(changes) == 0 {
			return 0, err
		}
		if err := f.fold(changes, len(changes) == limit); err != nil {
			return 0, err
		}
		if len(changes) < limit {
			err = f.tidy()
		}
		return len(changes), err
	}, s.oneState())
}

// folding is one transaction of FoldChanges.
type folding struct {
	store *Store
	tx    *gorm.DB
	now   time.Time
	// touched are the scopes whose numbers changed.
	touched map[scope]amounts
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
func (f *folding) takeChanges(limit int) ([]change, error) {
	var changes []change
	st := f.store.engine.statement("DELETE FROM session_changes WHERE " + f.store.someChanges(limit) + " RETURNING " + changeColumns)
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
	if err := f.foldUsers(sums, len(changes), more); err != nil {
		return err
	}
	after, err := f.store.upsertTallies(f.tx, sums.take(func(tallyKey) bool { return true }))
	if err != nil {
		return err
	}
	var gone []tallyKey
	f.touched = map[scope]amounts{}
	for key, now := range after {
		if key.kind == kindSessions {
			f.touched[key.scope] = now
		} else if now.zero() {
			gone = append(gone, key)
		}
	}
	if err := f.dropTallies(gone); err != nil {
		return err
	}
	return f.foldChunks(changes)
}

// foldUsers adds how many users more have sessions. There is no tally of each: the sessions that a user has now, less what
// is noted of him, are those that are folded, before and after this batch.
func (f *folding) foldUsers(sums tallies, changes int, more bool) error {
	users := sums.take(isUser)
	notes, left := 0, map[tallyKey]int64{}
	if more {
		var err error
		if notes, left, err = f.unfolded(users); err != nil {
			return err
		}
	}
	for batch := range slices.Chunk(users, rowsPerUpsert) {
		tenants, ids := make([]string, len(batch)), make([]string, len(batch))
		for i, user := range batch {
			tenants[i], ids[i] = user.tenant, user.key
		}
		// Nobody needs to be counted beyond what all notes together could take away.
		st := f.store.engine.statement(`SELECT tenant, name, (SELECT count(*) FROM (SELECT 1 FROM sessions
			WHERE tenant_id = tenant AND user_id = name AND ended_how IS NULL LIMIT ?) AS enough) FROM (`, changes+notes+1)
		st.addTexts([]string{"tenant", "name"}, tenants, ids).add(") AS users")
		has := make(map[tallyKey]int64, len(batch))
		err := queryIn(f.tx, st, func(row rows) error {
			key, sessions := tallyKey{kind: kindUser}, int64(0)
			err := row.Scan(&key.tenant, &key.key, &sessions)
			has[key] = sessions
			return err
		})
		if err != nil {
			return err
		}
		for _, user := range batch {
			folded := has[user.tallyKey] - left[user.tallyKey]
			sums.plus(tallyKey{user.scope, kindUsers, ""}, amounts{open: present(folded) - present(folded-user.open)})
		}
	}
	return nil
}

// unfolded returns how many notes there still are of the users' tenants, and what they add to the users' sessions.
func (f *folding) unfolded(users []tallyRow) (int, map[tallyKey]int64, error) {
	notes, left := 0, map[tallyKey]int64{}
	var tenants []string
	for i, user := range users {
		if left[user.tallyKey] = 0; i == 0 || user.tenant != users[i-1].tenant {
			tenants = append(tenants, user.tenant)
		}
	}
	st := f.store.engine.statement("SELECT tenant_id, user_id, open FROM session_changes WHERE open <> 0 AND ").in("tenant_id", tenants)
	err := queryIn(f.tx, st, func(row rows) error {
		key, open := tallyKey{kind: kindUser}, int64(0)
		err := row.Scan(&key.tenant, &key.key, &open)
		if _, known := left[key]; known {
			notes++
			left[key] += open
		}
		return err
	})
	return notes, left, err
}

// present is 1 for a user with sessions.
func present(sessions int64) int64 {
	if sessions > 0 {
		return 1
	}
	return 0
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

// tidy is done when no changes wait: it forgets yesterday's slots, and cuts chunks that have grown.
func (f *folding) tidy() error {
	var tenants []string
	for sc := range f.touched {
		if sc.tenant != "" {
			tenants = append(tenants, sc.tenant)
		}
	}
	for _, kind := range []string{kindCreated, kindRevoked} { // one after the other, so that the index gives each
		st := f.store.engine.statement("DELETE FROM tallies WHERE ").in("tenant_id", tenants).
			add(" AND partner_id = '' AND kind = ? AND key < ?", kind, slotKey(f.now.Add(-slotsKept)))
		if err := execIn(f.tx, st); err != nil {
			return err
		}
	}
	return f.cutChunks()
}
