package store

import (
	"time"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/counters"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// Filter says which sessions of a scope a list shows. The zero Filter shows all, ended ones too.
type Filter struct {
	// ActiveOnly leaves out the sessions that have ended.
	ActiveOnly bool
	// Country is an ISO 3166-1 alpha-2 code; every country when it is empty.
	Country string
}

// counted is whose counters count what a list shows, and false where sessions have to be counted.
func (f Filter) counted(scope Scope) (counters.Group, bool) {
	if f.Country != "" {
		return counters.Group{}, false
	}
	return scope.counted()
}

// where selects the sessions of a scope that the filter shows.
func (f Filter) where(scope Scope, now time.Time) func(*gorm.DB) *gorm.DB {
	return func(tx *gorm.DB) *gorm.DB {
		switch tx = scope.where(tx); {
		case f.ActiveOnly:
			tx = active(tx, scope, now)
		case scope.user != nil:
			tx = tx.Where(useUserAll)
		}
		if f.Country != "" {
			tx = tx.Where("country = ?", f.Country)
		}
		return tx
	}
}

// add appends the same condition to a hand-written statement. Without bulkRevocations it may show what it would if there were none that are
// not applied; not of a tenant as a whole, because without a bound PostgreSQL may take the index of all its sessions, and pass over those that
// have ended. There is no such index of a user's sessions for a statement that does not ask for it (useUserAll), nor of several tenants'.
func (f Filter) add(st *sqlbuild.Statement, scope Scope, now time.Time, bulkRevocations bool) *sqlbuild.Statement {
	switch scope.add(st); {
	case f.ActiveOnly && (bulkRevocations || scope.tenant != nil && scope.user == nil):
		addActive(st, scope, now)
	case f.ActiveOnly:
		st.Add(" AND end_cause IS NULL AND "+notEnded, now)
	case scope.user != nil:
		st.Add(" AND " + useUserAll)
	}
	if f.Country != "" {
		st.Add(" AND country = ?", f.Country)
	}
	return st
}

// Page is a part of a list.
type Page struct {
	// Offset is how many sessions are passed over, Limit the most that are returned; MaxListed when it is 0 or more than that.
	Offset, Limit int
}

// limit is the most that are returned.
func (p Page) limit() int {
	if p.Limit <= 0 || p.Limit > MaxListed {
		return MaxListed
	}
	return p.Limit
}
