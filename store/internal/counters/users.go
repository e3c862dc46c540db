package counters

import (
	"math/bits"
	"slices"
	"strconv"

	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// countedAtOnce is how many rows are read in one transaction to count users, for each delta that one rolls up; those of a single user may
// be more.
const countedAtOnce = 10

// usersToCount returns the users of rolled-up deltas who can be counted now, and what their deltas add to their open rows.
//
// There is no counter of each user: whether one has rows, and had any before, is counted (countUsers). That takes all deltas of a user, so
// that where more deltas wait, what is rolled up already is kept (user_counter_deltas) and counted when none wait. To read what waits
// instead would cost each transaction as much as all that are left.
func (r *rollUp) usersToCount(users []UserDelta, more bool) ([]UserDelta, error) {
	waiting := more
	if !more {
		var kept []UserDelta
		if err := r.tx.Limit(1).Find(&kept).Error; err != nil {
			return nil, err
		}
		waiting = len(kept) > 0
	}
	if !waiting {
		return users, nil
	}
	if err := r.keepUsers(users); err != nil || more {
		return nil, err
	}
	return r.takeUsers()
}

// keepUsers adds to what is rolled up of users who are not counted yet.
func (r *rollUp) keepUsers(users []UserDelta) error {
	for batch := range slices.Chunk(users, maxRowsPerUpsert) {
		var tenants, ids []string
		var open []int64
		for _, user := range batch {
			tenants, ids, open = append(tenants, user.TenantID), append(ids, user.UserID), append(open, user.Open)
		}
		st := r.engine.Statement("INSERT INTO user_counter_deltas (tenant_id, user_id, open) ")
		st.Rows(len(batch), sqlbuild.Texts("tenant", tenants), sqlbuild.Texts("name", ids), sqlbuild.Integers("open", open))
		st.Add(" WHERE true ON CONFLICT (tenant_id, user_id) DO UPDATE SET open = user_counter_deltas.open + excluded.open")
		if err := engine.Exec(r.tx, st); err != nil {
			return err
		}
	}
	return nil
}

// takeUsers removes users who are not counted yet, the first ones by their key: up to limit, and no more than there is time to count.
func (r *rollUp) takeUsers() ([]UserDelta, error) {
	var users []UserDelta
	st := r.engine.Statement("SELECT tenant_id, user_id, open FROM user_counter_deltas ORDER BY tenant_id, user_id LIMIT " + strconv.Itoa(r.limit))
	err := engine.Query(r.tx, st, func(row engine.Rows) error {
		var user UserDelta
		err := row.Scan(&user.TenantID, &user.UserID, &user.Open)
		users = append(users, user)
		return err
	})
	if err != nil || len(users) == 0 {
		return nil, err
	}
	r.again = len(users) == r.limit
	read := int64(0)
	for i, user := range users {
		if read += enough(user); read > int64(countedAtOnce*r.limit) && i > 0 {
			users, r.again = users[:i], true
			break
		}
	}
	last := users[len(users)-1]
	return users, r.tx.Where("(tenant_id, user_id) <= (?, ?)", last.TenantID, last.UserID).Delete(&UserDelta{}).Error
}

// enough is how many rows of a user are enough to know whether there are any, now and before what was added. It is a power of two, so that
// there are few different statements, and few of each.
func enough(user UserDelta) int64 { return 1 << bits.Len64(uint64(max(user.Open, 15))) }

// countUsers adds how many more users have open rows than before the deltas that are summed up in users: a user's rows now, less what was
// added, are those before.
func (r *rollUp) countUsers(sums Sums, users []UserDelta) error {
	if len(users) > 0 {
		// For a table that it takes for empty, PostgreSQL would plan to read all rows of the tenant for each user.
		if err := r.rows.AnalyzeIfGrown(r.tx); err != nil {
			return err
		}
	}
	byEnough := map[int64][]UserDelta{}
	for _, user := range users {
		byEnough[enough(user)] = append(byEnough[enough(user)], user)
	}
	for enough, users := range byEnough {
		for batch := range slices.Chunk(users, maxRowsPerUpsert) {
			if err := r.countBatch(sums, batch, enough); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *rollUp) countBatch(sums Sums, users []UserDelta, enough int64) error {
	var of []User
	for _, user := range users {
		of = append(of, User{user.TenantID, user.UserID})
	}
	rows, err := r.rows.OpenOf(r.tx, of, enough)
	if err != nil {
		return err
	}
	for i, user := range users {
		now := rows[of[i]]
		sums.plus(Key{Group{Tenant: user.TenantID}, KindUsers, ""}, Sum{Amounts: Amounts{Open: Present(now) - Present(now-user.Open)}})
	}
	return nil
}
