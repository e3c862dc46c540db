package store

import (
	"errors"
	"iter"
	"strings"
	"time"
)

// Selection says whose sessions an operation may see or end. Conditions combine with AND, and an empty id is a value
// that matches nothing. The zero Selection selects nothing, so a forgotten one cannot leak.
type Selection struct {
	all                   bool
	tenant, partner, user *string
	asker                 asker
}

// asker is the session of whoever asks, and who wants to know whether it has ended.
type asker struct {
	tenantID, id string
	tell         func(ended bool)
}

// AskedBy has a read of sessions look up the session of whoever asks in the same statement, and tell whether it has ended.
// It tells nothing where the statement does not find it: then SessionEnded has to be asked. It selects nothing.
func (s Selection) AskedBy(tenantID, id string, tell func(ended bool)) Selection {
	s.asker = asker{tenantID, id, tell}
	return s
}

// Everywhere selects the sessions of all tenants.
func Everywhere() Selection { return Selection{all: true} }

// InTenant selects the sessions of one tenant.
func InTenant(tenantID string) Selection { return Everywhere().InTenant(tenantID) }

// InTenant narrows the selection to one tenant.
func (s Selection) InTenant(tenantID string) Selection {
	s.narrow(&s.tenant, tenantID)
	return s
}

// OfPartner narrows the selection to the tenants of one partner.
func (s Selection) OfPartner(partnerID string) Selection {
	s.narrow(&s.partner, partnerID)
	return s
}

// OfUser narrows the selection to one user.
func (s Selection) OfUser(userID string) Selection {
	s.narrow(&s.user, userID)
	return s
}

// narrow adds a condition; two different values for the same column leave nothing.
func (s *Selection) narrow(column **string, value string) {
	if *column != nil && **column != value {
		s.all = false
	}
	*column = &value
}

// empty reports whether nothing can match, so that no statement needs to be sent.
func (s Selection) empty() bool {
	for _, id := range []*string{s.tenant, s.partner, s.user} {
		if id != nil && !storable(*id) {
			return true
		}
	}
	return !s.all
}

// named are the columns whose values the selection names, and these values.
func (s Selection) named() iter.Seq2[string, string] {
	return func(yield func(column, value string) bool) {
		for _, c := range [...]struct {
			column string
			value  *string
		}{{"tenant_id", s.tenant}, {"partner_id", s.partner}, {"user_id", s.user}} {
			if c.value != nil && !yield(c.column, *c.value) {
				return
			}
		}
	}
}

// errForeign: a statement gave what nobody asked for.
var errForeign = errors.New("the database gave another tenant's session")

// admit refuses a session that is not of the tenant selected. What is read for several tenants at a time is behind a wall around
// them all, so that none of them relies on the statement alone here either.
func (s Selection) admit(tenantID string) error {
	if s.tenant != nil && *s.tenant != tenantID {
		return errForeign
	}
	return nil
}

// storable reports whether an id can be in the database at all. PostgreSQL refuses text with NUL or invalid UTF-8 with
// an error, SQLite does not; ids with either, and empty ones, are never registered, so they match nothing.
func storable(id string) bool {
	return id != "" && !strings.ContainsRune(id, 0) && strings.ToValidUTF8(id, "") == id
}

// lasts is the condition of a session that has not come to its own end. It says IS TRUE so that no database takes the index
// on ends_at for it, and sorts, where another one has the order of the list.
const lasts = "(ends_at > ?) IS TRUE"

// active is the condition of Session.Active.
const active = "ended_how IS NULL AND " + lasts + " AND " + spared

// activeAt is the same at a time that is not an argument.
func activeAt(time string) string { return strings.Replace(active, "?", time, 1) }

// spared is the condition of a session that no ending of all sessions of its tenant has met. It says IS TRUE so that
// PostgreSQL asks it of one session after the other, and does not join the tables, which would cost a list its order.
const spared = "(NOT EXISTS (SELECT 1 FROM tenant_endings e WHERE e.tenant_id = sessions.tenant_id AND e.at >= sessions.created_at)) IS TRUE"

// addActive appends the same for many of a selection: of one tenant, the index then begins after what its ending has met.
func (st *statement) addActive(sel Selection, now time.Time) *statement {
	if sel.tenant == nil {
		return st.add(" AND "+active, now)
	}
	return st.add(" AND ended_how IS NULL AND "+lasts, now).
		add(" AND created_at > (SELECT coalesce(max(at), "+st.earliest()+") FROM tenant_endings WHERE tenant_id = ?)", *sel.tenant)
}

// earliest is before every time that a session can have, whatever its year.
func (st *statement) earliest() string {
	if st.numbers {
		return "'-infinity'::timestamptz"
	}
	return "-9000000000000000000"
}

// addAsker appends a column that says whether the session of whoever asks has ended: NULL when there is nobody to tell, or
// there is no such session in the tenant of the token. Then it may be another tenant's, or be gone: SessionEnded finds out.
func (st *statement) addAsker(by asker, wall Wall, now time.Time) *statement {
	if by.tell == nil || !storable(by.tenantID) || !storable(by.id) || !wall.sees(by.tenantID) {
		return st.add(", CAST(NULL AS boolean)")
	}
	return st.add(", (SELECT NOT ("+active+") FROM sessions", now).add(" WHERE tenant_id = ? AND id = ?)", by.tenantID, by.id)
}

// byIDAlone is the condition, which every session fulfils, of who may use the index on ids (migration 5): only one who does not
// know the tenant.
const byIDAlone = " AND (id = '') IS FALSE"

// addID appends the condition of one session of a selection.
func (st *statement) addID(sel Selection, id string) *statement {
	if sel.tenant == nil {
		st.add(byIDAlone)
	}
	return st.add(" AND id = ?", id)
}

// answer passes on what addAsker gave.
func (a asker) answer(ended *bool) {
	if a.tell != nil && ended != nil {
		a.tell(*ended)
	}
}
