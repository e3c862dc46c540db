package store

import (
	"context"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// idsPerStatement bounds the parameters of one statement; both engines take more.
const idsPerStatement = 1000

// RevokeSession ends one session and reports whether this call did: false when it had already ended. It must answer
// ErrNotFound for an id outside the selection exactly as for one that never existed.
func (s *Store) RevokeSession(ctx context.Context, sel Selection, id string, by Actor) (bool, error) {
	if sel.empty() || !storable(id) {
		return false, mapError("revoke session", ErrNotFound)
	}
	trail, err := s.trail(by)
	if err != nil {
		return false, err
	}
	if sel.tenant == nil {
		// By its tenant the statement finds its node, and its lock.
		session, err := s.GetSession(ctx, sel, id)
		if err != nil {
			return false, err
		}
		sel = sel.InTenant(session.TenantID)
	}
	for {
		ended, err := s.revokeOne(ctx, sel, id, trail)
		if err != nil || ended {
			return ended, err
		}
		session, err := s.GetSession(ctx, sel, id)
		if err != nil || !session.Active(s.clock()) {
			return false, err
		}
		// It was registered after the revocation had looked for it. To say that it has ended would be wrong.
	}
}

// revokeOne ends a session and reports whether there was one to end.
func (s *Store) revokeOne(ctx context.Context, sel Selection, id string, trail trail) (bool, error) {
	ended := false
	what := changing{*sel.tenant, id, []watermark{{TenantID: *sel.tenant}}}
	err := s.change(ctx, "revoke session", what, func(q querier) (err error) {
		if s.onOneServer() {
			ended, err = q.found(s.revokeStatement(sel, id, trail))
			return err
		}
		r := &revocation{querier: q, sel: sel, trail: trail}
		ids, err := r.endWhere(Revoked, func(st *statement) {
			st.selected(sel).addID(sel, id).add(" AND "+active, trail.at)
		})
		ended = len(ids) > 0
		return err
	})
	if err != nil || !ended {
		return false, err
	}
	s.onEnded(Revoked, 1)
	return true, nil
}

// revokeStatement ends the sessions that are asked for, if they are active, and appends their events.
func (s *Store) revokeStatement(sel Selection, id string, trail trail) *statement {
	values, where := append(trail.values(), value{"session", "text", id}), ""
	for column, of := range sel.named() {
		values = append(values, value{"of_" + column, "text", of})
		where += column + " = of_" + column + " AND "
	}
	st := s.engine.asking(values...).add(`ended AS (UPDATE sessions SET revoked_at = asked.at, ended_how = '` + Revoked + `',
			ended_by_sub = by_sub, ended_by_client = by_client, ended_reason = because, notes = notes + 1
		FROM asked WHERE ` + where + `id = session AND ` + activeAt("asked.at") + `
		RETURNING tenant_id, id, user_id, partner_id, device_type, created_at, revoked_at, asked.*), `)
	st.add("noted AS (").addEndingNotes("ended").add("), told AS (").addEventsOf(ActionRevoked, "ended")
	return st.add(") SELECT nr FROM ended")
}

// RevokeAllSessions ends every active session of the selection but the one with the id except ("" spares none), all or
// nothing, and returns the ids of those that this call ended, sorted, never nil. Of concurrent calls each reports a
// session exactly once; one with the IdempotencyKey of an earlier call by the same actor for the same selection is that call,
// and returns what it did. A login of the selection from before the call cannot be registered after it.
func (s *Store) RevokeAllSessions(ctx context.Context, sel Selection, except string, by Actor) ([]string, error) {
	sel, err := s.settlePartner(ctx, sel)
	if err != nil || sel.empty() {
		return []string{}, err
	}
	if sel.tenant != nil && sel.partner == nil && sel.user == nil && except == "" {
		return s.endTenant(ctx, sel, by)
	}
	return s.revoked(s.end(ctx, sel, "all but\x00"+except, by, func(r *revocation) ([]string, error) {
		if err := r.lockAll(); err != nil {
			return nil, err
		}
		also := every
		if except != "" && storable(except) {
			also = func(st *statement) { st.add(" AND id <> ?", except) }
		}
		ids, err := r.endAll(also)
		if err != nil {
			return nil, err
		}
		if err := r.advanceCutoff(); err != nil || sel.user == nil {
			return ids, err
		}
		event := r.trail.event(ActionUserRevoked, text(sel.tenant), "", *sel.user)
		return ids, r.tx.Create(&event).Error
	}))
}

// endAll ends all active sessions of the selection that fulfil the condition as well.
func (r *revocation) endAll(also condition) ([]string, error) {
	if r.sel.user == nil && (r.sel.tenant != nil || r.sel.partner != nil) {
		// Nobody else has many sessions of these tenants under way: the watermarks' locks keep them away.
		return r.end(Revoked, also)
	}
	return r.endInOrder(Revoked, also)
}

// RevokeSessions ends those of the named sessions that are active and in the selection, and passes over all others in
// silence; otherwise as RevokeAllSessions, but other logins are not concerned.
func (s *Store) RevokeSessions(ctx context.Context, sel Selection, ids []string, by Actor) ([]string, error) {
	if sel.empty() {
		return []string{}, nil
	}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !storable(id) })
	// One order for all calls, so that two of them cannot wait for each other.
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return s.revoked(s.end(ctx, sel, "named\x00"+strings.Join(ids, "\x00"), by, func(r *revocation) ([]string, error) {
		var all []string
		for chunk := range slices.Chunk(ids, idsPerStatement) {
			revoked, err := r.endNamed(chunk)
			if err != nil {
				return nil, err
			}
			all = append(all, revoked...)
		}
		return all, nil
	}))
}

// endNamed ends the named sessions, while nobody ends all of one of their tenants.
func (r *revocation) endNamed(ids []string) ([]string, error) {
	named := func(st *statement) {
		if r.sel.tenant == nil {
			st.add(byIDAlone)
		}
		st.add(" AND ").in("id", ids)
	}
	tenants, err := r.tenantsMet(named)
	if err != nil {
		return nil, err
	}
	if err := r.lock(r.tx, ofTenantsMet(tenants, shared)...); err != nil {
		return nil, err
	}
	return r.endInOrder(Revoked, named)
}

// end ends sessions in one transaction and returns their ids, or those that an earlier call with the same IdempotencyKey has
// ended. What differs between calls for the same selection is told by the variant.
func (s *Store) end(ctx context.Context, sel Selection, variant string, by Actor, do func(*revocation) ([]string, error)) ([]string, error) {
	key, err := s.callDigest(ctx, sel, variant, by)
	if err != nil {
		return nil, err
	}
	var ids []string
	if sel.tenant != nil {
		ctx = ownedBy(ctx, *sel.tenant)
	}
	repeated := false
	err = s.write(ctx, "revoke sessions", func(tx *gorm.DB) error {
		trail, err := s.trail(by)
		if err != nil {
			return err
		}
		r := &revocation{querier: querier{Store: s, ctx: ctx, tx: tx}, sel: sel, trail: trail}
		ids, repeated, err = r.once(key, do)
		return err
	})
	if err == nil && !repeated {
		s.onEnded(Revoked, len(ids))
	}
	return ids, err
}

// revoked sorts the ids of sessions that were ended.
func (s *Store) revoked(ids []string, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	sortGently(ids)
	return append([]string{}, ids...), nil
}
