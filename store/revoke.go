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
func (s *Store) RevokeSession(ctx context.Context, sel Selection, id string) (bool, error) {
	revoked := false
	err := s.write(ctx, "revoke session", func(tx *gorm.DB) error {
		if sel.empty() || !storable(id) {
			return ErrNotFound
		}
		now := s.clock()
		ended := sel.where(tx.Model(&Session{})).Where("id = ? AND "+active, id, now).Update("revoked_at", now)
		revoked = ended.RowsAffected == 1
		if ended.Error != nil || revoked {
			return ended.Error
		}
		_, err := getSession(tx, sel, id)
		return err
	})
	return revoked && err == nil, err
}

// RevokeAllSessions ends every active session of the selection but the one with the id except ("" spares none), all or
// nothing, and returns the ids of those that this call ended, sorted, never nil. Of concurrent calls each reports a
// session exactly once.
func (s *Store) RevokeAllSessions(ctx context.Context, sel Selection, except string) ([]string, error) {
	return s.revoke(ctx, sel, func(tx *gorm.DB) ([]string, error) {
		if except == "" || !storable(except) {
			return s.revokeWhere(tx, sel, "1 = 1")
		}
		return s.revokeWhere(tx, sel, "id <> ?", except)
	})
}

// RevokeSessions ends those of the named sessions that are active and in the selection, and passes over all others in
// silence; otherwise as RevokeAllSessions.
func (s *Store) RevokeSessions(ctx context.Context, sel Selection, ids []string) ([]string, error) {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !storable(id) })
	// One order for all calls, so that two of them cannot wait for each other.
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return s.revoke(ctx, sel, func(tx *gorm.DB) ([]string, error) {
		var all []string
		for chunk := range slices.Chunk(ids, idsPerStatement) {
			revoked, err := s.revokeWhere(tx, sel, "id IN ?", chunk)
			if err != nil {
				return nil, err
			}
			all = append(all, revoked...)
		}
		return all, nil
	})
}

func (s *Store) revoke(ctx context.Context, sel Selection, do func(*gorm.DB) ([]string, error)) ([]string, error) {
	if sel.empty() {
		return []string{}, nil
	}
	var ids []string
	err := s.write(ctx, "revoke sessions", func(tx *gorm.DB) error {
		var err error
		ids, err = do(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	return append([]string{}, ids...), nil
}

// revokeWhere ends the active sessions of the selection that fulfil the condition. The rows are locked in the order of
// their key before they change: two calls that meet would otherwise lock in different orders and deadlock.
func (s *Store) revokeWhere(tx *gorm.DB, sel Selection, condition string, args ...any) ([]string, error) {
	now := s.clock()
	due := sel.where(tx.Session(&gorm.Session{NewDB: true}).Model(&Session{})).
		Where(active, now).Where(condition, args...).
		Select("tenant_id", "id").Order("tenant_id, id").
		Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate})
	var revoked []Session
	err := sel.where(tx.Model(&revoked)).
		Clauses(clause.Returning{Columns: []clause.Column{{Name: "id"}}}).
		Where("(tenant_id, id) IN (?)", due).Where(active, now).
		Update("revoked_at", now).Error
	ids := make([]string, len(revoked))
	for i := range revoked {
		ids[i] = revoked[i].ID
	}
	return ids, err
}
