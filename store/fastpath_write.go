package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// input are the columns of the input row in which a statement finds the call that it is part of.
func (c auditContext) input() []sqlbuild.Value {
	return []sqlbuild.Value{
		{Name: "operation", Type: "uuid", Value: c.operation},
		{Name: "at", Type: "timestamptz", Value: c.at},
		{Name: "by_sub", Type: "text", Value: c.by.Subject},
		{Name: "by_client", Type: "text", Value: c.by.ClientID},
		{Name: "because", Type: "text", Value: c.by.Reason},
		{Name: "request", Type: "text", Value: c.by.RequestID},
	}
}

// addRecord appends what transaction.record does for sessions in a table that has their columns and those of the input: their events, and
// the counter deltas of a change from one state to another. A session that ends takes its applications with it; of one that is registered the
// column came_from has the event's changes, and found_by the search keys.
func addRecord(st *sqlbuild.Statement, table, action string, before, after *Session) *sqlbuild.Statement {
	amounts := countsAs(after).Minus(countsAs(before))
	revokedAt := "NULL"
	if amounts.Revoked != 0 {
		revokedAt = "revoked_at"
	}
	st.Add(fmt.Sprintf(`deltas AS (INSERT INTO counter_deltas (tenant_id, partner_id, user_id, device_type, created_at, revoked_at, open, total, revoked)
		SELECT tenant_id, partner_id, user_id, coalesce(device_type, ''), created_at, %s, %d, %d, %d FROM %s), `,
		revokedAt, amounts.Open, amounts.Total, amounts.Revoked, table))
	if (change{before: before, after: after}).ends() {
		st.Add(fmt.Sprintf(`applications AS (INSERT INTO counter_deltas (tenant_id, application_id, applications)
			SELECT %[1]s.tenant_id, a.application_id, %[2]d FROM %[1]s JOIN session_apps a ON a.tenant_id = %[1]s.tenant_id AND a.session_id = %[1]s.id
			WHERE %[1]s.app_count > 0), `, table, amounts.Open))
	}
	changes := "NULL"
	if before == nil {
		changes = "came_from"
		st.Add(fmt.Sprintf(`keys AS (INSERT INTO search_keys (tenant_id, key, user_id, value)
			SELECT tenant_id, k ->> 0 AS key, user_id, k ->> 1 AS value FROM %s CROSS JOIN jsonb_array_elements(found_by::jsonb) AS k
			ORDER BY tenant_id, (k ->> 0) COLLATE "C", user_id, (k ->> 1) COLLATE "C" ON CONFLICT DO NOTHING), `, table))
	}
	return st.Add(fmt.Sprintf(`events AS (INSERT INTO audit_events (tenant_id, operation_id, session_id, action, at, user_id, actor_sub, actor_client,
		reason, request_id, changes) SELECT tenant_id, operation, id, '%s', at, user_id, by_sub, by_client, because, request, %s FROM %s) `,
		action, changes, table))
}

// registerSession registers a session in the common case. In the others (a new tenant, a known id, a late login) its statement changes
// nothing, and plain decides.
func (f fast) registerSession(ctx context.Context, r registration, session Session) (Session, bool, error) {
	if r.limits.MaxSessions > 0 { // the user's other sessions have to be counted
		return f.plain.registerSession(ctx, r, session)
	}
	created := false
	locks := []string{
		lockName(session.TenantID, ""), lockName("", session.UserID), lockName(session.TenantID, session.UserID), idStripe(r.sessionDigest),
	}
	if session.PartnerID == nil {
		locks = append(locks, tenantsPartner(session.TenantID))
	}
	partnerID := session.PartnerID
	err := f.write(ctx, "register session", sessionKey{session.TenantID, session.ID}, insertStatement(session, r), locks,
		func() { created = false }, func(row engine.Rows) error {
			created = true
			return row.Scan(&partnerID)
		})
	if err != nil {
		return session, false, err
	}
	if !created {
		return f.plain.registerSession(ctx, r, session)
	}
	session.PartnerID = partnerID
	return session, true, nil
}

// insertStatement inserts the sessions of the input, if their tenant is known, their partner is the tenant's, no cutoff refuses them and
// nothing has, or had, their id.
func insertStatement(n Session, r registration) *sqlbuild.Statement {
	st := sqlbuild.Bulk(append(r.audit.input(),
		sqlbuild.Value{Name: "of_tenant", Type: "text", Value: n.TenantID}, sqlbuild.Value{Name: "session", Type: "text", Value: n.ID},
		sqlbuild.Value{Name: "of_user", Type: "text", Value: n.UserID}, sqlbuild.Value{Name: "of_partner", Type: "text", Value: n.PartnerID},
		sqlbuild.Value{Name: "email", Type: "text", Value: n.UserEmail}, sqlbuild.Value{Name: "display_name", Type: "text", Value: n.UserDisplayName},
		sqlbuild.Value{Name: "address", Type: "text", Value: n.IPAddress}, sqlbuild.Value{Name: "agent", Type: "text", Value: n.UserAgent},
		sqlbuild.Value{Name: "device", Type: "text", Value: n.DeviceType}, sqlbuild.Value{Name: "place", Type: "text", Value: n.Location},
		sqlbuild.Value{Name: "of_country", Type: "text", Value: n.Country}, sqlbuild.Value{Name: "created", Type: "timestamptz", Value: n.CreatedAt},
		sqlbuild.Value{Name: "expires", Type: "timestamptz", Value: n.ExpiresAt}, sqlbuild.Value{Name: "ends", Type: "timestamptz", Value: n.EndsAt},
		sqlbuild.Value{Name: "session_digest", Type: "text", Value: r.sessionDigest},
		sqlbuild.Value{Name: "user_digest", Type: "text", Value: r.userDigest}, sqlbuild.Value{Name: "came_from", Type: "text", Value: jsonOf(cameFrom(&n))},
		sqlbuild.Value{Name: "agent_browser", Type: "text", Value: n.Browser}, sqlbuild.Value{Name: "agent_os", Type: "text", Value: n.OS},
		sqlbuild.Value{Name: "key_of_address", Type: "text", Value: addressKey(n.IPAddress)},
		sqlbuild.Value{Name: "found_by", Type: "text", Value: jsonOfKeys(searchKeys(&n))})...)
	st.Add(`inserted AS (INSERT INTO sessions (tenant_id, id, user_id, partner_id, user_email, user_display_name, ip_address, user_agent,
			device_type, location, country, created_at, expires_at, ends_at, login_ip_address, browser, os, address_key)
		SELECT t.tenant_id, session, of_user, t.partner_id, email, display_name, address, agent, device, place, of_country, created, expires, ends, address,
			agent_browser, agent_os, key_of_address
		FROM input JOIN tenants t ON t.tenant_id = of_tenant AND t.partner_id IS NOT DISTINCT FROM coalesce(of_partner, t.partner_id)
		WHERE (NOT EXISTS (SELECT FROM not_before_cutoffs c WHERE c.tenant_id IN ('', of_tenant) AND c.partner_id IN ('', coalesce(t.partner_id, ''))
				AND c.user_id IN ('', of_user, user_digest) AND c.not_before >= created)) IS TRUE
			AND (NOT EXISTS (SELECT FROM session_tombstones d WHERE d.session_digest = input.session_digest)) IS TRUE
		ORDER BY nr
		ON CONFLICT DO NOTHING RETURNING tenant_id, id, user_id, partner_id, device_type, created_at), `)
	st.Add("registered AS (SELECT inserted.*, input.* FROM inserted JOIN input ON tenant_id = of_tenant AND id = session), ")
	return addRecord(st, "registered", ActionRegistered, nil, &n).Add("SELECT nr, partner_id FROM registered")
}

// jsonOfKeys is the text of search keys: an array of each one's key and value.
func jsonOfKeys(keys []SearchKey) string {
	all := make([][2]string, len(keys))
	for i, key := range keys {
		all[i] = [2]string{key.Key, key.Value}
	}
	text, _ := json.Marshal(all) // of texts it does not fail
	return string(text)
}

// jsonOf is the text of an event's changes, nil for none.
func jsonOf(changes map[string]Change) *string {
	if changes == nil {
		return nil
	}
	text, _ := json.Marshal(changes) // of texts it does not fail
	return new(string(text))
}

func (f fast) revokeSession(ctx context.Context, scope Scope, id string, audit auditContext) (ended bool, err error) {
	key := sessionKey{*scope.tenant, id}
	err = f.write(ctx, "revoke session", key, revokeStatement(scope, id, audit), []string{lockName(*scope.tenant, "")},
		func() { ended = false }, func(engine.Rows) error {
			ended = true
			return nil
		})
	return ended && err == nil, err
}

// revokeStatement ends the sessions of the input, if they are active. It waits for another change of one, such as a single sign-on, but sees
// the applications as they were before it: a session that has more by then is left to plain.
func revokeStatement(scope Scope, id string, audit auditContext) *sqlbuild.Statement {
	input, where := append(audit.input(), sqlbuild.Value{Name: "session", Type: "text", Value: id}), ""
	for column, value := range scope.columns() {
		input = append(input, sqlbuild.Value{Name: "of_" + column, Type: "text", Value: value})
		where += column + " = of_" + column + " AND "
	}
	st := sqlbuild.Bulk(input...).Add(`ended AS (UPDATE sessions SET revoked_at = input.at, end_cause = '` + Revoked + `',
			ended_by_sub = by_sub, ended_by_client = by_client, end_reason = because
		FROM input WHERE ` + where + `id = session AND ` + isActiveAt("input.at") + ` AND (app_count = 0 OR app_count =
			(SELECT count(*) FROM session_apps a WHERE a.tenant_id = sessions.tenant_id AND a.session_id = sessions.id))
		RETURNING tenant_id, id, user_id, partner_id, device_type, created_at, revoked_at, app_count, input.*), `)
	before, after := &Session{}, &Session{EndCause: new(Revoked), RevokedAt: &audit.at}
	return addRecord(st, "ended", ActionRevoked, before, after).Add("SELECT nr FROM ended")
}

func (f fast) recordHeartbeat(ctx context.Context, key sessionKey, at time.Time) error {
	recorded := false
	err := f.write(ctx, "record activity", key, f.heartbeatStatement(key, at), nil, func() { recorded = false }, func(engine.Rows) error {
		recorded = true
		return nil
	})
	if err == nil && !recorded {
		err = mapError("record activity", ErrEnded)
	}
	return err
}

// heartbeatStatement writes heartbeats of the sessions of the input, if they are active.
func (f fast) heartbeatStatement(key sessionKey, at time.Time) *sqlbuild.Statement {
	var idle *time.Time
	if limits := f.limits(key.tenantID); limits.Idle > 0 {
		idle = new(timestamp(at.Add(limits.Idle)))
	}
	return sqlbuild.Bulk(
		sqlbuild.Value{Name: "of_tenant", Type: "text", Value: key.tenantID}, sqlbuild.Value{Name: "session", Type: "text", Value: key.id},
		sqlbuild.Value{Name: "active_at", Type: "timestamptz", Value: at}, sqlbuild.Value{Name: "now", Type: "timestamptz", Value: f.now()},
		sqlbuild.Value{Name: "idle", Type: "timestamptz", Value: idle},
	).Add(`updated AS (UPDATE sessions SET last_activity_at = greatest(last_activity_at, active_at),
			ends_at = CASE WHEN idle IS NULL OR expires_at < idle THEN expires_at ELSE greatest(ends_at, idle) END
		FROM input WHERE tenant_id = of_tenant AND id = session AND ` + isActiveAt("input.now") + ` RETURNING nr) SELECT nr FROM updated`)
}

// recordHeartbeats sends all heartbeats concurrently, so that they are merged into one statement.
func (f fast) recordHeartbeats(ctx context.Context, heartbeats map[sessionKey]time.Time) error {
	errs := make(chan error, len(heartbeats))
	var group sync.WaitGroup
	for key, at := range heartbeats {
		group.Go(func() {
			if err := f.recordHeartbeat(ctx, key, at); !errors.Is(err, ErrEnded) {
				errs <- err
			}
		})
	}
	group.Wait()
	close(errs)
	var all error
	for err := range errs {
		all = errors.Join(all, err)
	}
	return all
}
