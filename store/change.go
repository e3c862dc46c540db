package store

import (
	"time"

	"github.com/sessiond/sessiond/store/internal/counters"
)

// change is what happened to a session. Its event and what it adds to the counters follow from it, here and nowhere else: every operation
// records its changes with transaction.record. The fast paths append the same rows in the statement that makes the change (addRecord in
// fastpath_write.go), with the amounts of countsAs and the rule of change.ends.
type change struct {
	// action is the event's, "" for a change that has none of its own.
	action string
	// reason is the event's where it is not the actor's.
	reason string
	// at is when it happened, that of the call when it is zero.
	at time.Time
	// before is nil for a session that is created, after for one that is deleted.
	before, after *Session
	// changes are the event's.
	changes map[string]Change
}

// cameFrom is what the event of a registration tells of where it came from.
func cameFrom(session *Session) map[string]Change {
	return differences(
		difference{"ip_address", nil, session.IPAddress}, difference{"country", nil, session.Country})
}

// moved is what may have changed in where a session is used from, and with what.
func moved(before, after *Session) []difference {
	return []difference{
		{"ip_address", before.IPAddress, after.IPAddress},
		{"country", before.Country, after.Country},
		{"user_agent", before.UserAgent, after.UserAgent},
	}
}

// difference is a value before and after.
type difference struct {
	name     string
	from, to *string
}

// differences are those values that are not the same, nil when all are.
func differences(of ...difference) map[string]Change {
	var changes map[string]Change
	for _, d := range of {
		if text(d.from) == text(d.to) {
			continue
		}
		if changes == nil {
			changes = map[string]Change{}
		}
		changes[d.name] = Change{d.from, d.to}
	}
	return changes
}

// countsAs is what a session adds to the counters as it is; nothing when it is nil.
func countsAs(session *Session) counters.Amounts {
	var amounts counters.Amounts
	if session == nil {
		return amounts
	}
	amounts.Total = 1
	if session.EndCause == nil {
		amounts.Open = 1
	}
	if session.RevokedAt != nil {
		amounts.Revoked = 1
	}
	return amounts
}

// session is the one that the change is about.
func (c change) session() *Session {
	if c.after != nil {
		return c.after
	}
	return c.before
}

// deltas are what the change adds to the counters: what the session counts as afterwards, less what it counted as before.
func (c change) deltas() []counters.Delta {
	if c.before != nil && c.after != nil && countedAlike(c.before, c.after) {
		delta := deltaOf(c.after)
		delta.Amounts = delta.Minus(countsAs(c.before))
		return []counters.Delta{delta}
	}
	var deltas []counters.Delta
	if c.before != nil {
		delta := deltaOf(c.before)
		delta.Amounts = counters.Amounts{}.Minus(delta.Amounts)
		deltas = append(deltas, delta)
	}
	if c.after != nil {
		deltas = append(deltas, deltaOf(c.after))
	}
	return deltas
}

// deltaOf is what the creation of a session as it is would add.
func deltaOf(s *Session) counters.Delta {
	return counters.Delta{
		TenantID: s.TenantID, PartnerID: s.PartnerID, UserID: s.UserID, DeviceType: text(s.DeviceType), CreatedAt: &s.CreatedAt,
		RevokedAt: s.RevokedAt, Amounts: countsAs(s),
	}
}

// countedAlike reports whether two states of a session are counted under the same partner and device.
func countedAlike(a, b *Session) bool {
	return text(a.PartnerID) == text(b.PartnerID) && text(a.DeviceType) == text(b.DeviceType)
}

// ends reports whether the session is open before the change and not after it.
func (c change) ends() bool {
	return countsAs(c.before).Open > countsAs(c.after).Open
}

// record appends the events and the counter deltas of changes, and the search keys of sessions that are created, in the transaction that makes them.
func (t *transaction) record(changes ...change) error {
	events := make([]AuditEvent, 0, len(changes))
	deltas := make([]counters.Delta, 0, len(changes))
	var left []Session
	var created []*Session
	for _, c := range changes {
		session := c.session()
		if c.action != "" {
			event := t.audit.event(c.action, session.TenantID, session.ID, session.UserID)
			if !c.at.IsZero() {
				event.At = timestamp(c.at)
			}
			if c.reason != "" {
				event.Reason = c.reason
			}
			event.Changes = c.changes
			events = append(events, event)
		}
		deltas = append(deltas, c.deltas()...)
		if c.ends() && c.before.AppCount > 0 {
			left = append(left, *c.before)
		}
		if c.before == nil {
			created = append(created, c.after)
		}
	}
	applications, err := t.applicationsLeft(left)
	if err != nil {
		return err
	}
	if err := counters.Append(t.tx, append(deltas, applications...)); err != nil {
		return err
	}
	if err := t.recordKeys(created); err != nil {
		return err
	}
	return counters.Create(t.tx, events)
}

// applicationsLeft returns the deltas of the applications of sessions that have ended: an application's counter counts the open sessions in
// which it was reached.
func (t *transaction) applicationsLeft(sessions []Session) ([]counters.Delta, error) {
	type count struct {
		ApplicationID string
		Sessions      int64
	}
	var deltas []counters.Delta
	for tenantID, ids := range idsByTenant(sessions) {
		var counts []count
		err := t.tx.Model(&App{}).Select("application_id, count(*) AS sessions").Where("tenant_id = ?", tenantID).
			Scopes(t.engine.In("session_id", ids)).Group("application_id").Order("application_id").Scan(&counts).Error
		if err != nil {
			return nil, err
		}
		for _, c := range counts {
			deltas = append(deltas, counters.Delta{TenantID: tenantID, ApplicationID: c.ApplicationID, Applications: -c.Sessions})
		}
	}
	return deltas, nil
}

// recordEvent appends an event that is about no single session.
func (t *transaction) recordEvent(action, tenantID, userID, reason string) error {
	event := t.audit.event(action, tenantID, "", userID)
	if reason != "" {
		event.Reason = reason
	}
	return t.tx.Create(&event).Error
}

// recordApplication appends the event of an application of a session, and what it adds to the application's counter.
func (t *transaction) recordApplication(action string, session Session, app App, open int64) error {
	delta := counters.Delta{TenantID: session.TenantID, ApplicationID: app.ApplicationID, ApplicationName: app.ApplicationName, Applications: open}
	if err := counters.Append(t.tx, []counters.Delta{delta}); err != nil {
		return err
	}
	event := t.audit.event(action, session.TenantID, session.ID, session.UserID)
	event.Reason = app.ApplicationID
	return t.tx.Create(&event).Error
}

func idsByTenant(sessions []Session) map[string][]string {
	ids := map[string][]string{}
	for _, session := range sessions {
		ids[session.TenantID] = append(ids[session.TenantID], session.ID)
	}
	return ids
}

// idsOf are the ids of sessions.
func idsOf(sessions []Session) []string {
	all := make([]string, len(sessions))
	for i, session := range sessions {
		all[i] = session.ID
	}
	return all
}
