package store

import (
	"math"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// Conditions that statements share, in GORM and by hand.
const (
	// notEnded is the condition of a session that has not come to its own end. It says IS TRUE so that no planner takes the index on ends_at
	// for it, and sorts, where another one has the order of the list.
	notEnded = "(ends_at > ?) IS TRUE"

	// notBulkRevoked is the condition of a session that no bulk revocation of its tenant covers. It says IS TRUE so that PostgreSQL evaluates
	// it for one session after the other, and does not join the tables, which would cost a list its order.
	notBulkRevoked = "(NOT EXISTS (SELECT 1 FROM bulk_revocations b WHERE b.tenant_id = sessions.tenant_id AND b.at >= sessions.created_at)) IS TRUE"

	// isActive is the condition of Session.Active, with the bulk revocations that have not been applied to it yet.
	isActive = "end_cause IS NULL AND " + notEnded + " AND " + notBulkRevoked

	// waitsForBulkRevocation is the condition of a session that a bulk revocation ends which has not been applied to it yet.
	waitsForBulkRevocation = `end_cause IS NULL AND EXISTS
		(SELECT 1 FROM bulk_revocations b WHERE b.tenant_id = sessions.tenant_id AND b.at >= sessions.created_at AND b.at < sessions.ends_at)`

	// isDue is the condition of a session that has ended by itself, or was bulk revoked before that, and is not recorded as ended.
	isDue = "end_cause IS NULL AND ends_at <= ?"

	// endedAt is when a session ended or will end by itself. It is no coalesce, which PostgreSQL takes for one that may reveal its arguments:
	// under row-level security the index on it would not be used.
	endedAt = "(CASE WHEN revoked_at IS NULL THEN ends_at ELSE revoked_at END)"

	// useIDIndex holds for every session, and lets a statement use the index on ids of all tenants: only one that does not know the tenant
	// says it.
	useIDIndex = "(id = '') IS FALSE"

	// useActiveIndex holds for every session, and lets a statement use the index on all active sessions by their time: only one that wants
	// those of all tenants says it.
	useActiveIndex = "(tenant_id = '') IS FALSE"

	// activeAndEnded is the table of sessions for a statement that counts both: there is an index of each.
	activeAndEnded = "(SELECT * FROM sessions WHERE end_cause IS NULL UNION ALL SELECT * FROM sessions WHERE end_cause IS NOT NULL) AS sessions"
)

// listOrder is the order of a list: newest first.
const listOrder = "created_at DESC, id DESC"

// bothInOrder selects active and ended sessions in an order, up to so many. There is an index of each that has it: both are read as far as
// need be, and merged.
func bothInOrder(tx *gorm.DB, which func(*gorm.DB) *gorm.DB, order string, most int) *gorm.DB {
	half := func(condition string) *gorm.DB {
		return tx.Model(&Session{}).Scopes(which).Where(condition).Order(order).Limit(most)
	}
	return tx.Table("(SELECT * FROM (?) AS active UNION ALL SELECT * FROM (?) AS ended) AS sessions",
		half("end_cause IS NULL"), half("end_cause IS NOT NULL")).Order(order)
}

// isActiveAt is isActive at a time that is an expression.
func isActiveAt(time string) string { return strings.Replace(isActive, "?", time, 1) }

// active selects the active sessions of a scope. Of one tenant, the scan of the index then begins behind what a bulk revocation covers.
func active(tx *gorm.DB, scope Scope, now time.Time) *gorm.DB {
	if scope == AllTenants() {
		tx = tx.Where(useActiveIndex)
	}
	if scope.tenant == nil {
		return tx.Where(isActive, now)
	}
	return tx.Where("end_cause IS NULL AND "+notEnded, now).
		Where("created_at > (SELECT coalesce(max(at), ?) FROM bulk_revocations WHERE tenant_id = ?)", earliestTime(), *scope.tenant)
}

// addActive appends the same condition, with an AND, to a hand-written statement; without bulkRevocations that of sessions that are active if
// there are none that are not applied.
func addActive(st *sqlbuild.Statement, scope Scope, now time.Time, bulkRevocations bool) *sqlbuild.Statement {
	if scope == AllTenants() {
		st.Add(" AND " + useActiveIndex)
	}
	st.Add(" AND end_cause IS NULL AND "+notEnded, now)
	switch {
	case !bulkRevocations:
		return st
	case scope.tenant == nil:
		return st.Add(" AND " + notBulkRevoked)
	default:
		return st.Add(" AND created_at > (SELECT coalesce(max(at), "+st.EarliestTime()+") FROM bulk_revocations WHERE tenant_id = ?)", *scope.tenant)
	}
}

// earliestTime is before every time that a session can have.
func earliestTime() time.Time { return time.Date(-4700, 1, 1, 0, 0, 0, 0, time.UTC) }

// byID selects one session of a scope.
func (s Scope) byID(id string) func(*gorm.DB) *gorm.DB {
	return func(tx *gorm.DB) *gorm.DB {
		if tx = s.where(tx); s.tenant == nil {
			tx = tx.Where(useIDIndex)
		}
		return tx.Where("id = ?", id)
	}
}

// addID appends the same condition to a hand-written statement.
func (s Scope) addID(st *sqlbuild.Statement, id string) *sqlbuild.Statement {
	if s.add(st); s.tenant == nil {
		st.Add(" AND " + useIDIndex)
	}
	return st.Add(" AND id = ?", id)
}

// due selects the sessions of a scope that have ended by themselves and are not recorded as ended. PostgreSQL expects fewer rows between
// two bounds than below one, and uses the index on ends_at then.
func due(tx *gorm.DB, scope Scope, now time.Time) *gorm.DB {
	if scope.partner != nil && scope.tenant == nil {
		// Of all tenants first, which are few: SQLite would read all active sessions of the partner. A limit keeps the conditions apart.
		all := tx.Session(&gorm.Session{NewDB: true}).Model(&Session{}).Select("partner_id, created_at").Limit(math.MaxInt32)
		return tx.Table("(?) AS due", due(all, AllTenants(), now)).Where("partner_id = ?", *scope.partner)
	}
	return scope.where(tx).Where(isDue+" AND ends_at > ?", now, earliestTime())
}
