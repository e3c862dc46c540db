package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"
)

// Drift is a number that is not what a count of the sessions gives. It can only come from a fault, or from a hand that
// changed the tallies.
type Drift struct {
	// TenantID and PartnerID say whose number it is: a tenant's, a partner's, or that of all when both are empty.
	TenantID, PartnerID string
	// Kind and Key say what is counted.
	Kind, Key string
	// Kept is what the tallies say, Counted what there is: sessions not ended, all, ended by somebody.
	Kept, Counted [3]int64
}

// CheckTallies counts all sessions, holds every number that is kept against the count, and hands report each that
// differs. With repair it then puts the counted ones in their place. It returns how many sessions it counted.
//
// It sees one state of the database however long it takes. It keeps folding away meanwhile, and while it repairs,
// writing too.
func (s *Store) CheckTallies(ctx context.Context, repair bool, report func(Drift)) (int, error) {
	sessions := 0
	err := s.write(ctx, "check the tallies", func(tx *gorm.DB) error {
		if err := s.lockTallies(tx, repair); err != nil {
			return err
		}
		c := recount{store: s, tx: tx, now: s.clock(), all: tallies{}, report: report}
		err := c.run()
		sessions = c.sessions
		if err == nil && repair {
			err = c.repair()
		}
		return err
	}, s.oneState())
	return sessions, err
}

// lockTallies keeps folding away and, for a repair, everybody who writes: what they note would be lost.
func (s *Store) lockTallies(tx *gorm.DB, repair bool) error {
	if s.engine.serial != nil {
		return nil
	}
	if repair {
		if err := tx.Exec("LOCK TABLE sessions, session_apps, session_changes IN SHARE ROW EXCLUSIVE MODE").Error; err != nil {
			return err
		}
	}
	return tx.Exec("SELECT pg_advisory_xact_lock(?)", int64(tallyLock)).Error
}

// recount is one transaction of CheckTallies.
type recount struct {
	store    *Store
	tx       *gorm.DB
	now      time.Time
	sessions int
	report   func(Drift)
	// all are the counted numbers of partners and of all.
	all tallies
	// counted are those of all tenants, for a repair.
	counted []tallyRow
}

func (c *recount) run() error {
	var tenantIDs []string
	// A tenant that was deleted by hand may have left something.
	err := c.tx.Raw(`SELECT tenant_id FROM tenants UNION SELECT tenant_id FROM sessions UNION SELECT tenant_id FROM tallies
		WHERE tenant_id <> '' ORDER BY 1`).Scan(&tenantIDs).Error
	if err != nil {
		return err
	}
	for _, tenantID := range tenantIDs {
		if err := c.tenant(tenantID); err != nil {
			return fmt.Errorf("tenant %s: %w", tenantID, err)
		}
	}
	return c.wide()
}

// tenant counts one tenant. Its users are in memory meanwhile, and those of no other.
func (c *recount) tenant(tenantID string) error {
	counted, kept := tallies{}, tallies{}
	st := c.store.engine.statement(`SELECT 0, tenant_id, partner_id, user_id, coalesce(device_type, ''), created_at, revoked_at,
		CASE WHEN ended_how IS NULL THEN 1 ELSE 0 END, 1, CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END, '', '', 0
		FROM sessions WHERE tenant_id = ?`, tenantID)
	if err := c.sum(st, counted, &c.sessions); err != nil {
		return err
	}
	st = c.store.engine.statement(`SELECT 0, a.tenant_id, NULL, '', '', NULL, NULL, 0, 0, 0, a.application_id, max(a.application_name), count(*)
		FROM session_apps a JOIN sessions s ON s.tenant_id = a.tenant_id AND s.id = a.session_id
		WHERE a.tenant_id = ? AND s.ended_how IS NULL GROUP BY a.tenant_id, a.application_id`, tenantID)
	if err := c.sum(st, counted, nil); err != nil {
		return err
	}
	has := map[tallyKey]int64{}
	for _, user := range counted.take(isUser) {
		has[user.tallyKey] = user.open
		counted.plus(tallyKey{user.scope, kindUsers, ""}, amounts{open: present(user.open)})
	}
	if err := c.kept("tenant_id = ?", []any{tenantID}, kept); err != nil {
		return err
	}
	st = c.store.engine.statement("SELECT "+changeColumns+" FROM session_changes WHERE tenant_id = ?", tenantID)
	before := tallies{}
	if err := c.sum(st, before, nil); err != nil {
		return err
	}
	st = c.store.engine.statement("SELECT user_id, open FROM user_deltas WHERE tenant_id = ?", tenantID)
	err := queryIn(c.tx, st, func(row rows) error {
		user := tallyRow{tallyKey: tallyKey{scope{tenant: tenantID}, kindUser, ""}}
		err := row.Scan(&user.key, &user.open)
		before.plus(user.tallyKey, user.amounts)
		return err
	})
	if err != nil {
		return err
	}
	for _, user := range before.take(isUser) {
		now := has[user.tallyKey]
		kept.plus(tallyKey{user.scope, kindUsers, ""}, amounts{open: present(now) - present(now-user.open)})
	}
	for _, row := range before.take(func(k tallyKey) bool { return k.tenant != "" }) {
		kept.plus(row.tallyKey, row.amounts)
	}
	// What partners and all have is summed up, with the noted changes taken off again: those are added at the end.
	for _, row := range counted.take(func(k tallyKey) bool { return k.tenant == "" }) {
		c.all.plus(row.tallyKey, row.amounts)
	}
	c.compare(kept, counted)
	if err := c.chunks(scope{tenant: tenantID}); err != nil {
		return err
	}
	c.counted = append(c.counted, counted.take(func(tallyKey) bool { return true })...)
	return nil
}

// sum adds changes that a statement gives, and counts them.
func (c *recount) sum(st *statement, into tallies, n *int) error {
	return queryIn(c.tx, st, func(row rows) error {
		change, err := scanChange(row)
		into.add(change, c.now.Add(-slotsKept))
		if n != nil {
			*n++
		}
		return err
	})
}

// wide compares the numbers of partners and of all.
func (c *recount) wide() error {
	kept := tallies{}
	if err := c.kept("tenant_id = ''", nil, kept); err != nil {
		return err
	}
	noted := tallies{}
	if err := c.sum(c.store.engine.statement("SELECT "+changeColumns+" FROM session_changes"), noted, nil); err != nil {
		return err
	}
	for _, row := range noted.take(func(k tallyKey) bool { return k.tenant == "" }) {
		kept.plus(row.tallyKey, row.amounts)
	}
	c.compare(kept, c.all)
	for key := range c.all {
		if err := c.chunks(key.scope); err != nil {
			return err
		}
	}
	return nil
}

// chunks counts the sessions of a scope chunk by chunk.
func (c *recount) chunks(sc scope) error {
	kept, err := c.store.loadChunks(c.tx, sc)
	if err != nil || len(kept) == 0 {
		return err
	}
	noted := c.store.engine.statement("SELECT " + changeColumns + " FROM session_changes WHERE ").selected(sc.selection())
	err = queryIn(c.tx, noted, func(row rows) error {
		change, err := scanChange(row)
		if i := chunkOf(kept, change.CreatedAt); i >= 0 {
			kept[i].open, kept[i].total = kept[i].open+change.Open, kept[i].total+sc.listed(change)
		}
		return err
	})
	if err != nil {
		return err
	}
	counted := make([]chunk, len(kept))
	err = c.store.eachListed(c.tx, sc, func(created time.Time, open int64) {
		if i := chunkOf(kept, &created); i >= 0 {
			counted[i].open, counted[i].total = counted[i].open+open, counted[i].total+1
		}
	})
	for i, was := range kept {
		if is := counted[i]; was.open != is.open || was.total != is.total {
			c.report(Drift{
				TenantID: sc.tenant, PartnerID: sc.partner, Kind: "chunk", Key: was.startsAt.UTC().Format(time.RFC3339Nano),
				Kept: [3]int64{was.open, was.total}, Counted: [3]int64{is.open, is.total},
			})
		}
	}
	return err
}

// kept reads tallies.
func (c *recount) kept(condition string, args []any, into tallies) error {
	st := c.store.engine.statement("SELECT tenant_id, partner_id, kind, key, name, open, total, revoked FROM tallies WHERE "+condition, args...)
	return queryIn(c.tx, st, func(row rows) error {
		var r tallyRow
		err := row.Scan(&r.tenant, &r.partner, &r.kind, &r.key, &r.name, &r.open, &r.total, &r.revoked)
		into.plus(r.tallyKey, r.amounts)
		return err
	})
}

// compare reports what differs. Slots before the last day are not kept to be right.
func (c *recount) compare(kept, counted tallies) {
	edge := slotKey(c.now.Add(-day))
	keys := map[tallyKey]bool{}
	for _, side := range []tallies{kept, counted} {
		for key := range side {
			keys[key] = true
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(keys), tallyKey.compare) {
		was, is := kept[key], counted[key]
		was.name, is.name = "", ""
		past := (key.kind == kindCreated || key.kind == kindRevoked) && key.key < edge
		if was != is && !past {
			c.report(Drift{
				TenantID: key.tenant, PartnerID: key.partner, Kind: key.kind, Key: key.key,
				Kept: [3]int64{was.open, was.total, was.revoked}, Counted: [3]int64{is.open, is.total, is.revoked},
			})
		}
	}
}

// repair puts the counted numbers in the place of those that are kept.
func (c *recount) repair() error {
	for _, table := range []string{"session_changes", "user_deltas", "tallies", "session_chunks"} {
		if err := c.tx.Exec("DELETE FROM " + table).Error; err != nil {
			return err
		}
	}
	c.counted = append(c.counted, c.all.take(func(tallyKey) bool { return true })...)
	f := folding{store: c.store, tx: c.tx, now: c.now, untidy: &untidy{}}
	for start := 0; start < len(c.counted); start += rowsPerInsert {
		batch := c.counted[start:min(start+rowsPerInsert, len(c.counted))]
		if _, err := c.store.upsertTallies(c.tx, batch); err != nil {
			return err
		}
		for _, row := range batch {
			if row.kind == kindSessions {
				f.untidy.addScope(row.scope)
			}
		}
	}
	for {
		if err := f.tidy(); err != nil || !f.again {
			return err
		}
		f.again = false
	}
}

// chunkOf is the index of the chunk that a time is in, -1 when it is in none.
func chunkOf(chunks []chunk, at *time.Time) int {
	if at == nil {
		return -1
	}
	i, found := slices.BinarySearchFunc(chunks, *at, func(c chunk, at time.Time) int { return c.startsAt.Compare(at) })
	if !found {
		i--
	}
	return i
}
