package store

import (
	"strings"
	"time"
)

// Selection says whose sessions an operation may see or end. Conditions combine with AND, and an empty id is a value
// that matches nothing. The zero Selection selects nothing, so a forgotten one cannot leak.
type Selection struct {
	all                   bool
	tenant, partner, user *string
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

// storable reports whether an id can be in the database at all. PostgreSQL refuses text with NUL or invalid UTF-8 with
// an error, SQLite does not; ids with either, and empty ones, are never registered, so they match nothing.
func storable(id string) bool {
	return id != "" && !strings.ContainsRune(id, 0) && strings.ToValidUTF8(id, "") == id
}

// active is the condition of Session.Active. It says NOT so that SQLite does not take the index on ends_at for it, and
// sort, where another one has the order of the list.
const active = "ended_how IS NULL AND NOT ends_at <= ? AND " + spared

// spared is the condition of a session that no ending of all sessions of its tenant has met. It is written so that
// PostgreSQL asks it of one session after the other, and does not join the tables, which would cost a list its order.
const spared = "NOT coalesce(created_at <= (SELECT max(at) FROM tenant_endings e WHERE e.tenant_id = sessions.tenant_id), FALSE)"

// addActive appends the same for a selection: of one tenant, the index then begins after what its ending has met.
func (st *statement) addActive(sel Selection, now time.Time) *statement {
	if sel.tenant == nil {
		return st.add(" AND "+active, now)
	}
	return st.add(" AND ended_how IS NULL AND NOT ends_at <= ?", now).
		add(" AND created_at > coalesce((SELECT max(at) FROM tenant_endings WHERE tenant_id = ?), ?)", *sel.tenant, beginningOfTime)
}
