package store

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"time"

	"gorm.io/gorm"
)

const (
	// MaxFound is the most sessions that one call of SearchSessions returns.
	MaxFound = 200
	// mostUsers is how many users the beginning of a text may have for their sessions to be looked up one user after the other.
	mostUsers = 1000
	// nearShare is of how many parts of what may be read for a page the first one is tried first.
	nearShare = 10
)

// Active is the status of a session that has not ended; the others are the causes of an end.
const Active = "active"

// Statuses are all that a session can have.
func Statuses() []string { return []string{Active, Revoked, Replaced, Expired, Idle} }

// Status is Active, or the cause of the session's end.
func (s Session) Status(at time.Time) string {
	if cause, _ := s.Ending(at); cause != "" {
		return cause
	}
	return Active
}

// Period is the times from After on and before Before; a zero time bounds nothing.
type Period struct{ After, Before time.Time }

// SessionFilter says which sessions of a scope a search finds. Its members combine with AND; the zero SessionFilter finds all.
type SessionFilter struct {
	// Text is the beginning of an e-mail, a display name, a user id or a session id, in any case.
	Text string
	// Statuses are alternatives.
	Statuses []string
	// Network has the address that the session was registered from, or the one that it was used from last.
	Network netip.Prefix
	// Country is that of the last address. Browser and OS are compared in any case.
	Country, DeviceType, Browser, OS *string
	// ApplicationID is an application that was reached in the session.
	ApplicationID *string
	// LastActivity is compared with the login where no use has been recorded; Ended finds no active session.
	Created, LastActivity, Ended Period
}

// SessionSort is by what time a search is sorted.
type SessionSort string

// The times by which a search is sorted. Sessions with one and the same time are sorted by their ids.
const (
	SortCreated      SessionSort = "created_at"
	SortLastActivity SessionSort = "last_activity_at"
	SortEnded        SessionSort = "ended_at" // only sessions that have ended
)

// SessionPage is a part of what a search finds.
type SessionPage struct {
	// Sort is SortCreated when empty.
	Sort        SessionSort
	OldestFirst bool
	// Limit is the most sessions that are returned; MaxFound when it is 0 or more than that.
	Limit int
	// Cursor is the Next of the page before, "" for the first page.
	Cursor string
	// CountAll counts up to 10,240 sessions even if many others have to be looked at for that.
	CountAll bool
}

func (p SessionPage) limit() int {
	if p.Limit <= 0 || p.Limit > MaxFound {
		return MaxFound
	}
	return p.Limit
}

// FoundSessions is one page.
type FoundSessions struct {
	Sessions []Session
	// Total is the number of all sessions that the filter found when the first page was read. If not TotalExact there are at least so many.
	Total      int
	TotalExact bool
	// Next is the cursor of the next page, "" after the last one. A page may have fewer sessions than its limit, or none, and a next one
	// nevertheless: it looked at so many others.
	Next string
	// AsOf is the time by which Status was decided.
	AsOf time.Time
}

// sessionPlace is the place of a session in a search.
type sessionPlace struct {
	At time.Time
	ID string
}

// searchCursor is what a cursor of a search has: the last session of its page, and the number that was told on the first one.
type searchCursor struct {
	sessionPlace
	Total int
	Exact bool
}

// SearchSessions returns sessions of a scope that a filter finds, by their time. What an index finds is read as a whole if it is not more
// than some 10,000 sessions; of everything else, so many are looked at in the order of the search, and the next page goes on behind them.
//
// It must answer ErrCursor for a cursor of another search, and ErrTooWide when more than some 10,000 sessions would have to be sorted.
func (s *Store) SearchSessions(ctx context.Context, scope Scope, filter SessionFilter, page SessionPage) (FoundSessions, error) {
	found := FoundSessions{Sessions: []Session{}, TotalExact: true, AsOf: s.now()}
	scope, err := s.knownPartner(ctx, scope)
	if err != nil || scope.empty() || !filter.storable() {
		return found, mapError("search sessions", err)
	}
	if page.Sort == "" {
		page.Sort = SortCreated
	}
	asked, err := json.Marshal([]any{scope.tenant, scope.partner, scope.user, filter, page.Sort, page.OldestFirst})
	if err != nil {
		return found, err
	}
	q := search{Store: s, scope: scope, filter: filter, page: page, now: found.AsOf}
	from := searchCursor{}
	if page.Cursor != "" {
		if err := s.openCursor(ctx, string(asked), page.Cursor, &from); err != nil {
			return found, mapError("search sessions", err)
		}
		q.from, found.Total, found.TotalExact = &from.sessionPlace, from.Total, from.Exact
	}
	var next *sessionPlace
	err = q.run(ctx, s.reading(scope), func(tx *gorm.DB) error {
		next, err = q.read(tx, &found)
		return err
	})
	if err == nil && next != nil {
		found.Next, err = s.sealCursor(ctx, string(asked), searchCursor{*next, found.Total, found.TotalExact})
	}
	return found, mapError("search sessions", err)
}

// storable reports whether there can be such sessions at all.
func (f SessionFilter) storable() bool {
	texts := []*string{f.Country, f.DeviceType, f.Browser, f.OS, f.ApplicationID}
	if f.Text != "" {
		texts = append(texts, &f.Text)
	}
	return !slices.ContainsFunc(texts, func(text *string) bool { return text != nil && !storable(*text) })
}

// statuses are those that are found, nil for all.
func (q search) statuses() []string {
	wanted := q.filter.Statuses
	if len(wanted) == 0 {
		wanted = nil
	}
	if q.page.Sort != SortEnded && q.filter.Ended == (Period{}) {
		return wanted
	}
	if wanted == nil {
		wanted = Statuses()
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(status string) bool { return status == Active })
}

// search is one call of SearchSessions.
type search struct {
	*Store
	scope  Scope
	filter SessionFilter
	page   SessionPage
	now    time.Time
	// from is the last session of the page before, nil at the beginning.
	from *sessionPlace
	// except is a session that is not found, and createdUntil is when those that are were registered at the latest.
	except       string
	createdUntil *time.Time
	// waiting: a bulk revocation of a tenant of the scope has not been applied to every session.
	waiting bool
	// candidates select the sessions that are read, by their indexes; nil where sessions are read in their order.
	candidates []condition
}

// reader runs something in a transaction that only reads.
type reader = func(ctx context.Context, do func(tx *gorm.DB) error) error

// reading is the reader of a search, which takes long.
func (s *Store) reading(scope Scope) reader {
	return func(ctx context.Context, do func(tx *gorm.DB) error) error {
		return s.readLong(ctx, scope.tenantID(), do)
	}
}

// errPlanAgain: a bulk revocation has come, or been applied, since the search was planned.
var errPlanAgain = errors.New("bulk revocations have changed")

// run plans the search, and then runs do in a transaction for which the plan is right.
func (q *search) run(ctx context.Context, read reader, do func(tx *gorm.DB) error) error {
	for {
		if err := q.plan(ctx); err != nil {
			return err
		}
		err := read(ctx, func(tx *gorm.DB) error {
			waiting, err := bulkRevocationsIn(tx, q.scope)
			if err == nil && waiting != q.waiting {
				err = errPlanAgain
			}
			if err != nil {
				return err
			}
			return do(tx)
		})
		if !errors.Is(err, errPlanAgain) {
			return err
		}
	}
}

// condition selects sessions.
type condition func(tx *gorm.DB) *gorm.DB

// plan chooses how the sessions are found. Row-level security would read all sessions of others to count none: nothing is learnt of them here
// but whether they are many, and the ids of users that begin alike.
func (q *search) plan(ctx context.Context) error {
	return q.readLong(unrestricted(ctx), q.scope.tenantID(), func(tx *gorm.DB) (err error) {
		if q.waiting, err = bulkRevocationsIn(tx, q.scope); err != nil {
			return err
		}
		if q.candidates = nil; len(q.halves()) == 0 {
			return nil
		}
		for _, way := range q.ways() {
			conditions, err := way.conditions(tx)
			if err != nil {
				return err
			}
			few, err := q.areFew(tx, way, conditions)
			if err != nil {
				return err
			}
			if few {
				q.candidates = conditions
				return nil
			}
		}
		if !q.ordered() {
			return ErrTooWide
		}
		return nil
	})
}

// most is how many sessions are read for a page, whether the filter finds them or not.
func (q search) most() int { return scannedBuckets * q.counters.BucketSize() }

// near is of how many of these it is tried first whether they have enough for a page.
func (q search) near() int { return max(q.most()/nearShare, 1) }

// areFew reports whether a way selects no more sessions than may be read, and some conditions at all.
func (q search) areFew(tx *gorm.DB, of way, conditions []condition) (bool, error) {
	if len(conditions) == 0 {
		return false, nil
	}
	all := int64(0)
	for _, select1 := range conditions {
		n := int64(0)
		query := tx.Model(&Session{}).Select("1").Scopes(select1)
		if of.instead != nil {
			query = of.instead(tx)
		}
		if err := tx.Table(limited(q.most()+1)+" AS selected", query).Count(&n).Error; err != nil {
			return false, err
		}
		if all += n; all > int64(q.most()) {
			return false, nil
		}
	}
	return true, nil
}

// read reads the page, and says where the next one begins.
func (q search) read(tx *gorm.DB, found *FoundSessions) (next *sessionPlace, err error) {
	limit := q.page.limit()
	until, err := q.lookAt(tx, found, q.near(), limit+1)
	if err == nil && until != nil && len(found.Sessions) <= limit {
		until, err = q.lookAt(tx, found, q.most(), limit+1)
	}
	if err != nil {
		return nil, err
	}
	if q.from == nil {
		if err := q.total(tx, found, until); err != nil {
			return nil, err
		}
	}
	if len(found.Sessions) > limit {
		found.Sessions = found.Sessions[:limit]
		return new(q.placeOf(found.Sessions[limit-1])), nil
	}
	return until, nil
}

// lookAt reads sessions that the filter finds among the next so many, and returns the last one that it has looked at, nil when these are all.
func (q search) lookAt(tx *gorm.DB, found *FoundSessions, among, limit int) (until *sessionPlace, err error) {
	if until, err = q.until(tx, among); err == nil {
		found.Sessions, err = q.sessions(tx, until, limit)
	}
	return until, err
}

// placeOf is the place of a session that the search has found.
func (q search) placeOf(session Session) sessionPlace {
	at := session.CreatedAt
	switch q.page.Sort {
	case SortLastActivity:
		at = session.LastActivity()
	case SortEnded:
		_, at = session.Ending(q.now)
	case SortCreated:
	}
	return sessionPlace{at, session.ID}
}

// total counts what the filter finds. It is exact where there are counters, where all that is found is read for one page, or where
// everything is looked at.
func (q search) total(tx *gorm.DB, found *FoundSessions, until *sessionPlace) (err error) {
	if activeOnly, counted := q.counted(); counted {
		found.Total, err = plain{q.Store}.count(tx, listing{scope: q.scope, filter: Filter{ActiveOnly: activeOnly}, now: q.now}, 0)
		return err
	}
	if until != nil {
		few, err := q.ofFew(tx)
		if err != nil {
			return err
		}
		if few || q.page.CountAll {
			until = nil
		}
	}
	found.Total, err = q.count(tx, until, q.most()+1)
	found.TotalExact = until == nil && found.Total <= q.most()
	found.Total = min(found.Total, q.most())
	return err
}

// ofFew reports whether the tenant has no more sessions than may be read.
func (q search) ofFew(tx *gorm.DB) (bool, error) {
	group, counted := q.scope.counted()
	if !counted || q.scope.tenant == nil {
		return false, nil
	}
	n, err := q.counters.Total(tx, group, false)
	return n <= int64(q.most()), err
}

// counted reports whether the store's counters count what is found, and whether that is active sessions only.
func (q search) counted() (activeOnly, counted bool) {
	filter := q.filter
	filter.Statuses = nil
	statuses := q.statuses()
	if !filter.IsZero() || q.page.Sort == SortEnded {
		return false, false
	}
	activeOnly = slices.Equal(slices.Compact(slices.Sorted(slices.Values(statuses))), []string{Active})
	_, hasCounters := q.scope.counted()
	return activeOnly, hasCounters && (activeOnly || len(statuses) == 0 && q.scope.tenant != nil)
}

// IsZero reports whether the filter finds all.
func (f SessionFilter) IsZero() bool {
	return f.Text == "" && len(f.Statuses) == 0 && f.Network == netip.Prefix{} && f.Country == nil && f.DeviceType == nil && f.Browser == nil &&
		f.OS == nil && f.ApplicationID == nil && f.Created == Period{} && f.LastActivity == Period{} && f.Ended == Period{}
}

// withEnds fills in the ends by bulk revocations that have not been applied.
func withEnds(tx *gorm.DB, sessions []Session) error {
	tenants := map[string][]bulkRevocation{}
	for i := range sessions {
		if sessions[i].EndCause != nil {
			continue
		}
		revocations, known := tenants[sessions[i].TenantID]
		if !known {
			if err := tx.Where("tenant_id = ?", sessions[i].TenantID).Order("at").Find(&revocations).Error; err != nil {
				return err
			}
			tenants[sessions[i].TenantID] = revocations
		}
		for _, b := range revocations {
			if b.applyTo(&sessions[i]); sessions[i].EndCause != nil {
				sessions[i].EndedBySub, sessions[i].EndedByClient, sessions[i].EndReason = &b.EndedBySub, &b.EndedByClient, &b.EndReason
				break
			}
		}
	}
	return nil
}
