package store

import (
	"context"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// idsPerStatement bounds the parameters of one statement; both engines take more.
const idsPerStatement = 1000

// RevokeSession ends one session and reports whether this call did: false when it had already ended. It must answer
// ErrNotFound for an id outside the selection exactly as for one that never existed.
func (s *Store) RevokeSession(ctx context.Context, sel Selection, id string, by Actor) (bool, error) {
	if sel.empty() || !storable(id) {
		return false, mapError("revoke session", ErrNotFound)
	}
	revoked := false
	err := s.write(ctx, "revoke session", func(tx *gorm.DB) error {
		r, err := s.revocation(tx, sel, by)
		if err != nil {
			return err
		}
		ended, err := r.end("id = ?", id)
		revoked = len(ended) == 1
		if err != nil || revoked {
			return err
		}
		_, err = getSession(tx, sel, id)
		return err
	})
	return revoked && err == nil, err
}

// RevokeAllSessions ends every active session of the selection but the one with the id except ("" spares none), all or
// nothing, and returns the ids of those that this call ended, sorted, never nil. Of concurrent calls each reports a
// session exactly once. A login of the selection from before the call cannot be registered after it.
func (s *Store) RevokeAllSessions(ctx context.Context, sel Selection, except string, by Actor) ([]string, error) {
	return s.revoke(ctx, sel, by, func(r revocation) ([]string, error) {
		if err := s.raise(r.tx, sel); err != nil {
			return nil, err
		}
		if except == "" || !storable(except) {
			return r.endInOrder("1 = 1")
		}
		return r.endInOrder("id <> ?", except)
	})
}

// RevokeSessions ends those of the named sessions that are active and in the selection, and passes over all others in
// silence; otherwise as RevokeAllSessions, but other logins are not concerned.
func (s *Store) RevokeSessions(ctx context.Context, sel Selection, ids []string, by Actor) ([]string, error) {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !storable(id) })
	// One order for all calls, so that two of them cannot wait for each other.
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return s.revoke(ctx, sel, by, func(r revocation) ([]string, error) {
		var all []string
		for chunk := range slices.Chunk(ids, idsPerStatement) {
			revoked, err := r.endInOrder("id IN ?", chunk)
			if err != nil {
				return nil, err
			}
			all = append(all, revoked...)
		}
		return all, nil
	})
}

func (s *Store) revoke(ctx context.Context, sel Selection, by Actor, do func(revocation) ([]string, error)) ([]string, error) {
	if sel.empty() {
		return []string{}, nil
	}
	var ids []string
	err := s.write(ctx, "revoke sessions", func(tx *gorm.DB) error {
		r, err := s.revocation(tx, sel, by)
		if err != nil {
			return err
		}
		ids, err = do(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	return append([]string{}, ids...), nil
}

// revocation is one transaction that ends sessions of a selection.
type revocation struct {
	tx    *gorm.DB
	sel   Selection
	trail trail
}

func (s *Store) revocation(tx *gorm.DB, sel Selection, by Actor) (revocation, error) {
	trail, err := s.trail(by)
	return revocation{tx: tx, sel: sel, trail: trail}, err
}

// ending is what a session's row gets when somebody ends it.
func (t trail) ending(how string) map[string]any {
	return map[string]any{
		"revoked_at": t.at, "ended_how": how, "ended_by_sub": t.by.Subject, "ended_by_client": t.by.ClientID,
		"ended_reason": t.by.Reason,
	}
}

// end ends the active sessions of the selection that fulfil the condition, and records it.
func (r revocation) end(condition string, args ...any) ([]Session, error) {
	var revoked []Session
	err := r.sel.where(r.tx.Model(&revoked)).
		Clauses(clause.Returning{Columns: []clause.Column{{Name: "tenant_id"}, {Name: "id"}, {Name: "user_id"}}}).
		Where(condition, args...).Where(active, r.trail.at).
		Updates(r.trail.ending(Revoked)).Error
	if err != nil {
		return nil, err
	}
	return revoked, r.trail.record(r.tx, ActionRevoked, revoked...)
}

// endInOrder is end for many sessions. Their rows are locked in the order of their key before they change: two calls that
// meet would otherwise lock in different orders and deadlock.
func (r revocation) endInOrder(condition string, args ...any) ([]string, error) {
	due := r.sel.where(r.tx.Session(&gorm.Session{NewDB: true}).Model(&Session{})).
		Where(active, r.trail.at).Where(condition, args...).
		Select("tenant_id", "id").Order("tenant_id, id").
		Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate})
	revoked, err := r.end("(tenant_id, id) IN (?)", due)
	ids := make([]string, len(revoked))
	for i := range revoked {
		ids[i] = revoked[i].ID
	}
	return ids, err
}
