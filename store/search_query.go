package store

import (
	"errors"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"
)

// Expressions of a search.
const (
	// bulkEnd is when a bulk revocation that has not been applied has ended a session, NULL when none has.
	bulkEnd = "(SELECT min(b.at) FROM bulk_revocations b WHERE b.tenant_id = sessions.tenant_id AND b.at >= sessions.created_at AND b.at < sessions.ends_at)"
	// lastUse is the time of Session.LastActivity.
	lastUse = "(CASE WHEN last_activity_at IS NULL THEN created_at ELSE last_activity_at END)"
	// reached is the condition of a session in which an application was reached. It is no EXISTS, which PostgreSQL may answer from a hash table
	// of all applications.
	reached = "(SELECT count(*) FROM session_apps a WHERE a.tenant_id = sessions.tenant_id AND a.session_id = sessions.id AND a.application_id = ?) > 0"
	// useApplicationIndex holds for every application: only a search says it.
	useApplicationIndex = "(application_id = '') IS FALSE"
	// hasKey is the condition of a session one of whose own values begins with a text.
	hasKey = "(SELECT count(*) FROM search_keys k WHERE k.tenant_id = sessions.tenant_id AND k.user_id = sessions.user_id AND k.key >= ? AND k.key < ? " +
		"AND (CASE k.value WHEN '' THEN k.key ELSE k.value END) IN (sessions.user_id, sessions.user_email, sessions.user_display_name, sessions.id)) > 0"
	// isInNetwork is the condition of a session that came from a network.
	isInNetwork = "address_key BETWEEN ? AND ? OR login_address_key BETWEEN ? AND ?"
)

// way is how sessions that the filter finds can be looked up by an index other than that of their order.
type way struct {
	// conditions returns some of which every session that is found fulfils one, and no session two.
	conditions func(tx *gorm.DB) ([]condition, error)
	// instead selects what is counted to find out whether these are few, nil for the sessions themselves.
	instead condition
}

// ways are all that there are, the most selective first.
func (q search) ways() []way {
	var ways []way
	add := func(conditions ...condition) {
		ways = append(ways, way{conditions: func(*gorm.DB) ([]condition, error) { return conditions, nil }})
	}
	if q.scope.user != nil && (q.scope.tenant == nil || !q.ordered()) {
		add(q.ofHalves(func(tx *gorm.DB) *gorm.DB { return q.inTenant(tx).Where("user_id = ?", *q.scope.user) })...)
	}
	if q.filter.Text != "" {
		ways = append(ways, way{conditions: q.byText})
	}
	if q.filter.Network.IsValid() {
		add(q.byAddress, q.byLoginAddress)
	}
	if q.scope.tenant != nil && q.filter.ApplicationID != nil {
		add(q.byApplication)
		ways[len(ways)-1].instead = q.reachedBy
	}
	if q.scope.tenant != nil && q.filter.Ended != (Period{}) && !q.waiting && q.page.Sort != SortEnded {
		add(q.byEnd()...)
	}
	if !q.ordered() {
		add(q.ofHalves(q.scope.where)...)
	}
	return ways
}

// ordered reports whether an index has the sessions of the scope in the order of the search.
func (q search) ordered() bool {
	switch q.page.Sort {
	case SortCreated:
		return true
	case SortEnded:
		return q.scope.tenant != nil && q.scope.user == nil && !q.waiting
	case SortLastActivity:
	}
	return false
}

// inTenant selects the sessions of the scope's tenant, if it is of one.
func (q search) inTenant(tx *gorm.DB) *gorm.DB {
	if q.scope.tenant == nil {
		return tx
	}
	return tx.Where("tenant_id = ?", *q.scope.tenant)
}

// half is the open or the ended sessions.
type half struct {
	condition, endedAt string
	open               bool
}

// halves are those with sessions of a status that is looked for.
func (q search) halves() []half {
	statuses := q.statuses()
	wanted := func(among ...string) bool {
		return statuses == nil || slices.ContainsFunc(among, func(status string) bool { return slices.Contains(statuses, status) })
	}
	var halves []half
	if wanted(Active, Expired, Idle) || q.waiting && wanted(Revoked) {
		open := half{condition: "end_cause IS NULL", endedAt: "ends_at", open: true}
		if q.waiting {
			open.endedAt = "coalesce(" + bulkEnd + ", ends_at)"
		}
		halves = append(halves, open)
	}
	if wanted(Revoked, Replaced, Expired, Idle) {
		halves = append(halves, half{condition: "end_cause IS NOT NULL", endedAt: endedAt})
	}
	return halves
}

// of selects those of the half that a condition holds for.
func (h half) of(q search, which condition) condition {
	return func(tx *gorm.DB) *gorm.DB {
		tx = which(tx).Where(h.condition)
		if q.scope == AllTenants() {
			tx = tx.Where(useActiveIndex)
		}
		if h.open && q.page.Sort == SortEnded && !q.waiting { // the others have not ended
			tx = tx.Where("ends_at <= ?", q.now)
		}
		return tx
	}
}

// ofHalves selects the sessions that a condition holds for, each half by its own indexes.
func (q search) ofHalves(which condition) []condition {
	var conditions []condition
	for _, h := range q.halves() {
		conditions = append(conditions, h.of(q, which))
	}
	return conditions
}

// byEnd selects the tenant's sessions that ended in the period that is looked for.
func (q search) byEnd() []condition {
	var conditions []condition
	for _, h := range q.halves() {
		conditions = append(conditions, h.of(q, func(tx *gorm.DB) *gorm.DB { return q.filter.Ended.where(q.inTenant(tx), h.endedAt) }))
	}
	return conditions
}

// where selects what has a time in the period.
func (p Period) where(tx *gorm.DB, time string) *gorm.DB {
	if !p.After.IsZero() {
		tx = tx.Where(time+" >= ?", timestamp(p.After))
	}
	if !p.Before.IsZero() {
		tx = tx.Where(time+" < ?", timestamp(p.Before))
	}
	return tx
}

// after is greater than every text that begins with a text, but for those that go on with the last code point, which is no character.
func after(text string) string { return text + "\U0010FFFF" }

// byText selects the sessions of users with a key that begins with the text, and those whose id does; nil when these are too many users.
func (q search) byText(tx *gorm.DB) ([]condition, error) {
	text := fold(q.filter.Text)
	keys := q.inTenant(tx.Model(&SearchKey{})).Where("key >= ? AND key < ?", text, after(text))
	if q.scope.tenant == nil {
		keys = keys.Where("(tenant_id = '') IS FALSE")
	}
	var users []string
	if err := keys.Limit(mostUsers+1).Pluck("user_id", &users).Error; err != nil || len(users) > mostUsers {
		return nil, err
	}
	slices.Sort(users)
	users = slices.Compact(users)
	found := q.engine.In("user_id", users)
	ofUsers := q.ofHalves(func(tx *gorm.DB) *gorm.DB { return found(q.inTenant(tx)) })
	return append(ofUsers, func(tx *gorm.DB) *gorm.DB {
		if q.scope.tenant == nil {
			tx = tx.Where(useIDIndex)
		}
		return q.inTenant(tx).Where("id >= ? AND id < ?", text, after(text)).Not(q.engine.In("user_id", users)(tx.Session(&gorm.Session{NewDB: true})))
	}), nil
}

// byAddress selects the sessions that were used from the network last.
func (q search) byAddress(tx *gorm.DB) *gorm.DB {
	first, last := keysOfNetwork(q.filter.Network)
	return q.byKeyOfAddress(tx).Where("address_key BETWEEN ? AND ?", first, last)
}

// byLoginAddress selects the others that were registered from it.
func (q search) byLoginAddress(tx *gorm.DB) *gorm.DB {
	first, last := keysOfNetwork(q.filter.Network)
	return q.byKeyOfAddress(tx).Where("login_address_key BETWEEN ? AND ? AND (address_key BETWEEN ? AND ?) IS NOT TRUE", first, last, first, last)
}

// byKeyOfAddress is what the indexes on keys of addresses need.
func (q search) byKeyOfAddress(tx *gorm.DB) *gorm.DB {
	if q.scope.tenant == nil {
		tx = tx.Where(useActiveIndex)
	}
	return q.inTenant(tx)
}

// reachedBy selects the ids of the tenant's sessions in which the application was reached.
func (q search) reachedBy(tx *gorm.DB) *gorm.DB {
	return tx.Session(&gorm.Session{NewDB: true}).Model(&App{}).Select("session_id").
		Where("tenant_id = ? AND application_id = ? AND "+useApplicationIndex, *q.scope.tenant, *q.filter.ApplicationID)
}

// byApplication selects these sessions.
func (q search) byApplication(tx *gorm.DB) *gorm.DB {
	return q.inTenant(tx).Where("id IN (?)", q.reachedBy(tx))
}

// sortedBy is the time by which the search is sorted, of sessions that have ended at a time.
func (q search) sortedBy(endedAt string) string {
	switch q.page.Sort {
	case SortLastActivity:
		return lastUse
	case SortEnded:
		return endedAt
	case SortCreated:
	}
	return "created_at"
}

// endedAt is when a session has ended, or will, whichever half it is of.
func (q search) endedAt() string {
	if !q.waiting {
		return endedAt
	}
	return "(CASE WHEN end_cause IS NULL THEN coalesce(" + bulkEnd + ", ends_at) ELSE " + endedAt + " END)"
}

// order is the order by a time.
func (q search) order(time string) string {
	if q.page.OldestFirst {
		return time + ", id"
	}
	return time + " DESC, id DESC"
}

// behind selects the sessions behind a place, or up to it.
func (q search) behind(tx *gorm.DB, time string, place *sessionPlace, upTo bool) *gorm.DB {
	if place == nil {
		return tx
	}
	operator := ">"
	if q.page.OldestFirst == upTo {
		operator = "<"
	}
	if upTo {
		operator += "="
	}
	return tx.Where("("+time+", id) "+operator+" (?, ?)", timestamp(place.At), place.ID)
}

// part is a part of what a search looks at.
type part struct {
	// columns are those that are selected, until is the last session that is looked at, nil for all, and most how many are selected.
	columns string
	until   *sessionPlace
	most    int
	// which selects sessions.
	which condition
}

// part selects sessions behind the last page, in their order: of the candidates, or of the halves, which have indexes in that order.
func (q search) part(tx *gorm.DB, p part) *gorm.DB {
	if q.candidates != nil {
		time := q.sortedBy(q.endedAt())
		return q.behind(p.which(q.among(tx)), time, q.from, false).Select(p.columns)
	}
	tables, halves := []string{}, []any{}
	for _, h := range q.halves() {
		time := q.sortedBy(h.endedAt)
		of := p.which(q.filter.Created.where(h.of(q, q.scope.where)(tx.Model(&Session{})), "created_at"))
		of = q.behind(q.behind(of, time, q.from, false), time, p.until, true).Order(q.order(time))
		halves = append(halves, of.Select(p.columns))
		tables = append(tables, "SELECT * FROM "+limited(p.most)+" AS half_"+strconv.Itoa(len(halves)))
	}
	if len(halves) == 0 {
		return tx.Model(&Session{}).Where("1 = 0")
	}
	return tx.Table("("+strings.Join(tables, " UNION ALL ")+") AS sessions", halves...)
}

// limited is a subquery with a limit in its text: PostgreSQL takes one that is an argument for a tenth of the rows. It is rounded up, so that there
// are few texts, and each is prepared once.
func limited(limit int) string {
	return "(? LIMIT " + strconv.Itoa(min(1<<bits.Len(uint(limit-1)), allRows)) + ")"
}

// among is the table of the candidates. Each condition has an index. The limit keeps the planner from putting other conditions beside these.
func (q search) among(tx *gorm.DB) *gorm.DB {
	tables, selected := make([]string, len(q.candidates)), make([]any, len(q.candidates))
	for i, condition := range q.candidates {
		tables[i], selected[i] = "SELECT * FROM (?) AS candidates_"+strconv.Itoa(i+1), tx.Model(&Session{}).Scopes(condition)
	}
	return tx.Table("("+strings.Join(tables, " UNION ALL ")+" LIMIT "+strconv.Itoa(allRows)+") AS sessions", selected...)
}

// until is the last one of the next so many sessions, nil when it is known that there are not more.
func (q search) until(tx *gorm.DB, among int) (*sessionPlace, error) {
	if q.candidates != nil || len(q.halves()) == 0 {
		return nil, nil //nolint:nilnil // none, and nothing is wrong
	}
	columns := "created_at, id" // no more: these are read from the index alone
	if q.page.Sort == SortEnded {
		columns = "expires_at, ends_at, end_cause, revoked_at, id"
	}
	var last Session
	first := q.part(tx, part{columns: columns, most: among, which: func(tx *gorm.DB) *gorm.DB { return tx }})
	err := first.Order(q.order(q.sortedBy(endedAt))).Offset(among - 1).Take(&last).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil //nolint:nilnil // as above
	}
	return new(q.placeOf(last)), err
}

// sessions reads sessions that the filter finds, in their order.
func (q search) sessions(tx *gorm.DB, until *sessionPlace, most int) ([]Session, error) {
	found := []Session{}
	query := q.part(tx, part{columns: "*", until: until, most: most, which: q.matching})
	if err := query.Order(q.order(q.sortedBy(q.endedAt()))).Limit(most).Find(&found).Error; err != nil {
		return nil, err
	}
	return found, withEnds(tx, found)
}

// count counts sessions that the filter finds, up to so many.
func (q search) count(tx *gorm.DB, until *sessionPlace, most int) (int, error) {
	n := int64(0)
	query := q.part(tx, part{columns: "id", until: until, most: most, which: q.matching})
	err := tx.Table("(?) AS found", query.Limit(most)).Count(&n).Error
	return int(n), err
}

// matching selects the sessions that the filter finds. Conditions for which there is an index say IS TRUE, so that a scan in the order of
// the search stays one.
func (q search) matching(tx *gorm.DB) *gorm.DB {
	f := q.filter
	tx = q.scope.where(tx)
	if statuses := q.statuses(); statuses != nil {
		tx = tx.Where(q.statusIn(tx, statuses))
	}
	if f.Text != "" {
		text := fold(f.Text)
		tx = tx.Where("("+hasKey+" OR id >= ? AND id < ?) IS TRUE", text, after(text), text, after(text))
	}
	if f.Network.IsValid() {
		first, last := keysOfNetwork(f.Network)
		tx = tx.Where("("+isInNetwork+") IS TRUE", first, last, first, last)
	}
	for _, is := range [...]struct {
		condition string
		value     *string
	}{
		{"country = ?", f.Country},
		{"device_type = ?", f.DeviceType},
		{"lower(browser) = ?", folded(f.Browser)},
		{"lower(os) = ?", folded(f.OS)},
		{reached, f.ApplicationID},
	} {
		if is.value != nil {
			tx = tx.Where("("+is.condition+") IS TRUE", *is.value)
		}
	}
	if q.except != "" {
		tx = tx.Where("id <> ?", q.except)
	}
	if q.createdUntil != nil {
		tx = tx.Where("created_at <= ?", *q.createdUntil)
	}
	tx = f.Created.where(tx, "created_at")
	tx = f.LastActivity.where(tx, lastUse)
	if f.Ended != (Period{}) {
		tx = f.Ended.where(tx, q.endedAt())
	}
	return tx
}

// statusIn is the condition of sessions with one of the statuses; see Session.Ending.
func (q search) statusIn(tx *gorm.DB, statuses []string) *gorm.DB {
	selected := tx.Session(&gorm.Session{NewDB: true}).Where("1 = 0")
	notBulk := ""
	if q.waiting {
		notBulk = " AND " + bulkEnd + " IS NULL"
	}
	for _, status := range statuses {
		switch status {
		case Active:
			selected = selected.Or("end_cause IS NULL AND "+notEnded+notBulk, q.now)
		case Expired:
			selected = selected.Or("end_cause IS NULL AND ends_at <= ? AND NOT ends_at < expires_at"+notBulk, q.now)
		case Idle:
			selected = selected.Or("end_cause IS NULL AND ends_at <= ? AND ends_at < expires_at"+notBulk, q.now)
		case Revoked:
			if q.waiting {
				selected = selected.Or("end_cause IS NULL AND " + bulkEnd + " IS NOT NULL")
			}
		}
		if status != Active {
			selected = selected.Or("end_cause = ?", status)
		}
	}
	return selected
}
