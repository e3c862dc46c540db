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

// table is where the sessions that the filter shows are looked up.
func (f Filter) table(scope Scope) string {
	if f.ActiveOnly || scope == AllTenants() {
		return "sessions"
	}
	return activeAndEnded
}

// where selects the sessions of a scope that the filter shows.
func (f Filter) where(scope Scope, now time.Time) func(*gorm.DB) *gorm.DB {
	return func(tx *gorm.DB) *gorm.DB {
		tx = scope.where(tx)
		if f.ActiveOnly {
			tx = active(tx, scope, now)
		}
		if f.Country != "" {
			tx = tx.Where("country = ?", f.Country)
		}
		return tx
	}
}

// add appends the same condition to a hand-written statement. Without bulkRevocations it may show what it would if there were none that are
// not applied.
func (f Filter) add(st *sqlbuild.Statement, scope Scope, now time.Time, bulkRevocations bool) *sqlbuild.Statement {
	if scope.add(st); f.ActiveOnly {
		addActive(st, scope, now, bulkRevocations)
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
