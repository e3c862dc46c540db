package store

import (
	"math/bits"
	"slices"
	"strconv"
)

// countedAtOnce is how many sessions are read in one transaction to count users, for each change that one folds; those of a single
// user may be more.
const countedAtOnce = 10

// usersToCount returns the users of folded changes who can be counted now, and the sum of what their changes add to their sessions.
//
// There is no tally of each user: whether one has sessions, and had any before, is counted (countUsers). That takes all of what is
// folded of him, so that where more changes wait, what is folded already is kept (user_deltas) and counted when none wait. To read
// what waits instead would cost each transaction as much as all that are left.
func (f *folding) usersToCount(users []tallyRow, more bool) ([]tallyRow, error) {
	waiting := more
	if !more {
		st := f.store.engine.statement("SELECT 1 FROM user_deltas LIMIT 1")
		err := queryIn(f.tx, st, func(rows) error {
			waiting = true
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if !waiting {
		return users, nil
	}
	if err := f.addUserDeltas(users); err != nil || more {
		return nil, err
	}
	return f.takeUserDeltas()
}

// addUserDeltas adds to what is folded of users who are not counted yet.
func (f *folding) addUserDeltas(users []tallyRow) error {
	for batch := range slices.Chunk(users, rowsPerUpsert) {
		st := f.store.engine.statement("INSERT INTO user_deltas (tenant_id, user_id, open) ")
		if st.numbers {
			tenants, ids := textsOf(batch)
			var open []int64
			for _, user := range batch {
				open = append(open, user.open)
			}
			st.add("SELECT * FROM unnest(?::text[], ?::text[], ?::bigint[])", tenants, ids, open)
		} else {
			comma := "VALUES "
			for _, user := range batch {
				st.add(comma+"(?, ?, ?)", user.tenant, user.key, user.open)
				comma = ", "
			}
		}
		st.add(" ON CONFLICT (tenant_id, user_id) DO UPDATE SET open = user_deltas.open + excluded.open")
		if err := execIn(f.tx, st); err != nil {
			return err
		}
	}
	return nil
}

// takeUserDeltas removes users who are not counted yet, the first ones by their key: up to limit, and no more than there is time to
// count.
func (f *folding) takeUserDeltas() ([]tallyRow, error) {
	var users []tallyRow
	st := f.store.engine.statement("SELECT tenant_id, user_id, open FROM user_deltas ORDER BY tenant_id, user_id LIMIT " + strconv.Itoa(f.limit))
	err := queryIn(f.tx, st, func(row rows) error {
		user := tallyRow{tallyKey: tallyKey{kind: kindUser}}
		err := row.Scan(&user.tenant, &user.key, &user.open)
		users = append(users, user)
		return err
	})
	if err != nil || len(users) == 0 {
		return nil, err
	}
	f.again = len(users) == f.limit
	read := int64(0)
	for i, user := range users {
		if read += sessionsToCount(user); read > int64(countedAtOnce*f.limit) && i > 0 {
			users, f.again = users[:i], true
			break
		}
	}
	last := users[len(users)-1]
	return users, f.tx.Exec("DELETE FROM user_deltas WHERE (tenant_id, user_id) <= (?, ?)", last.tenant, last.key).Error
}

// sessionsToCount is how many sessions of a user are enough to know whether there are any, now and before what was added. It is a
// power of two, so that there are few different statements, and few of each.
func sessionsToCount(user tallyRow) int64 { return 1 << bits.Len64(uint64(max(user.open, 15))) }

// countUsers adds how many users more have sessions than before the changes that are summed up in users: a user's sessions now, less
// what was added, are those before.
func (f *folding) countUsers(sums tallies, users []tallyRow) error {
	if len(users) > 0 && f.store.engine.pool != nil {
		// In a table that it takes for empty PostgreSQL would pass all sessions of the tenant for each user.
		if _, err := analyzeGrown(f.tx); err != nil {
			return err
		}
	}
	byCount := map[int64][]tallyRow{}
	for _, user := range users {
		byCount[sessionsToCount(user)] = append(byCount[sessionsToCount(user)], user)
	}
	for enough, users := range byCount {
		for batch := range slices.Chunk(users, rowsPerUpsert) {
			if err := f.countBatch(sums, batch, enough); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *folding) countBatch(sums tallies, users []tallyRow, enough int64) error {
	tenants, ids := textsOf(users)
	// The limit stands in the text, as in someChanges.
	st := f.store.engine.statement(`SELECT tenant, name, (SELECT count(*) FROM (SELECT 1 FROM sessions
		WHERE tenant_id = tenant AND user_id = name AND ended_how IS NULL LIMIT ` + strconv.FormatInt(enough, 10) + `) AS enough) FROM (`)
	st.addTexts([]string{"tenant", "name"}, tenants, ids).add(") AS users")
	has := make(map[tallyKey]int64, len(users))
	err := queryIn(f.tx, st, func(row rows) error {
		key, sessions := tallyKey{kind: kindUser}, int64(0)
		err := row.Scan(&key.tenant, &key.key, &sessions)
		has[key] = sessions
		return err
	})
	if err != nil {
		return err
	}
	for _, user := range users {
		now := has[user.tallyKey]
		sums.plus(tallyKey{user.scope, kindUsers, ""}, amounts{open: present(now) - present(now-user.open)})
	}
	return nil
}

// textsOf are the tenants and the ids of users.
func textsOf(users []tallyRow) (tenants, ids []string) {
	for _, user := range users {
		tenants, ids = append(tenants, user.tenant), append(ids, user.key)
	}
	return tenants, ids
}

// present is 1 for a user with sessions.
func present(sessions int64) int64 {
	if sessions > 0 {
		return 1
	}
	return 0
}
