package store

import (
	"cmp"
	"slices"
	"time"
)

// Kinds of tallies. Those of a tenant are of every kind; of a partner and of all sessions, only the number is kept.
const (
	kindSessions = "sessions"    // open, total, revoked
	kindUsers    = "users"       // open: users with a session that has not been ended
	kindDevice   = "device"      // open: sessions on that kind of device
	kindApp      = "application" // open: sessions in which it was reached
	kindCreated  = "created"     // total: sessions made in a slot of the last day
	kindRevoked  = "revoked"     // revoked: sessions ended by somebody in a slot of the last day

	// kindUser is not kept: open are the sessions of the user that is the key.
	kindUser = "user"
)

// foldedInSteps is the name of the tallies of kindSessions since migration 14, without which PostgreSQL takes none: a previous version
// would count the users of user_deltas twice.
const foldedInSteps = "2"

func isUser(k tallyKey) bool { return k.kind == kindUser }

const (
	// day is how far the statistics look back.
	day = 24 * time.Hour
	// slotsKept is how far back slots are kept: twice as far as the statistics look, for clocks may go back.
	slotsKept = 2 * day
	// slot is how finely what happened in the last day is tallied; the rest is counted.
	slot = 15 * time.Minute
)

// change is a row of session_changes: what one change of a session or of its applications adds to the numbers.
type change struct {
	Seq                  int64
	TenantID             string
	PartnerID            *string
	UserID, DeviceType   string
	CreatedAt, RevokedAt *time.Time
	Open, Total, Revoked int64
	// ApplicationID is set in a change of an application, and then nothing else counts but Applications.
	ApplicationID, ApplicationName string
	Applications                   int64
}

// scopes are those whose numbers the change concerns, the tenant first.
func (c change) scopes() []scope {
	scopes := []scope{{tenant: c.TenantID}, {}}
	if c.PartnerID != nil {
		scopes = append(scopes, scope{partner: *c.PartnerID})
	}
	return scopes
}

// tallyKey names a tally.
type tallyKey struct {
	scope
	kind, key string
}

func (k tallyKey) compare(other tallyKey) int {
	return cmp.Or(cmp.Compare(k.tenant, other.tenant), cmp.Compare(k.partner, other.partner),
		cmp.Compare(k.kind, other.kind), cmp.Compare(k.key, other.key))
}

// amounts are what a tally says.
type amounts struct {
	name                 string
	open, total, revoked int64
}

func (a amounts) zero() bool { return a.open == 0 && a.total == 0 && a.revoked == 0 }

// tallies are sums of changes.
type tallies map[tallyKey]amounts

func (t tallies) plus(key tallyKey, more amounts) {
	sum := t[key]
	sum.open, sum.total, sum.revoked = sum.open+more.open, sum.total+more.total, sum.revoked+more.revoked
	if more.name != "" {
		sum.name = more.name
	}
	t[key] = sum
}

// add adds a change. What happened before since is not tallied by its time.
func (t tallies) add(c change, since time.Time) {
	own := scope{tenant: c.TenantID}
	if c.ApplicationID != "" {
		t.plus(tallyKey{own, kindApp, c.ApplicationID}, amounts{name: c.ApplicationName, open: c.Applications})
		return
	}
	for _, sc := range c.scopes() {
		t.plus(tallyKey{sc, kindSessions, ""}, amounts{name: foldedInSteps, open: c.Open, total: c.Total, revoked: c.Revoked})
	}
	if c.Open != 0 {
		t.plus(tallyKey{own, kindUser, c.UserID}, amounts{open: c.Open})
		t.plus(tallyKey{own, kindDevice, c.DeviceType}, amounts{open: c.Open})
	}
	if c.Total != 0 && c.CreatedAt != nil && !c.CreatedAt.Before(since) {
		t.plus(tallyKey{own, kindCreated, slotKey(*c.CreatedAt)}, amounts{total: c.Total})
	}
	if c.Revoked != 0 && c.RevokedAt != nil && !c.RevokedAt.Before(since) {
		t.plus(tallyKey{own, kindRevoked, slotKey(*c.RevokedAt)}, amounts{revoked: c.Revoked})
	}
}

// take removes the tallies that fit, in the order of their keys: two transactions that write the same would otherwise
// wait for each other.
func (t tallies) take(fits func(tallyKey) bool) []tallyRow {
	var taken []tallyRow
	for key, sum := range t {
		if fits(key) {
			taken = append(taken, tallyRow{key, sum})
			delete(t, key)
		}
	}
	slices.SortFunc(taken, func(a, b tallyRow) int { return a.compare(b.tallyKey) })
	return taken
}

// tallyRow is a tally as the database keeps it.
type tallyRow struct {
	tallyKey
	amounts
}

// slotStart is the beginning of the slot that a time is in.
func slotStart(at time.Time) time.Time { return at.UTC().Truncate(slot) }

// slotKey names a slot, so that names sort as times do.
func slotKey(at time.Time) string { return slotStart(at).Format("2006-01-02T15:04Z") }
