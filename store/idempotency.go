package store

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm/clause"
)

// idempotencyWindow is how long a call may be repeated under its key.
const idempotencyWindow = 24 * time.Hour

// idempotencyKey is a call that ended sessions.
type idempotencyKey struct {
	KeyDigest   string `gorm:"primaryKey"`
	OperationID string
	// TenantIDs is JSON: the tenants in which sessions ended.
	TenantIDs string
	At        time.Time
}

// TableName names the table.
func (idempotencyKey) TableName() string { return "idempotency_keys" }

// callDigest is by which a repeated call is recognized: by its actor, by what it asks for and by the key that the actor gave it.
// It is empty for a call without a key.
func (s *Store) callDigest(ctx context.Context, sel Selection, variant string, by Actor) (string, error) {
	if by.IdempotencyKey == "" {
		return "", nil
	}
	selected := make([]*string, 0, 3)
	selected = append(selected, sel.tenant, sel.partner, sel.user)
	// JSON tells what is absent from what is empty, and where each text ends.
	call, err := json.Marshal([]any{by.Subject, by.ClientID, by.IdempotencyKey, selected, variant})
	if err != nil {
		return "", err
	}
	return s.digest(ctx, digestOfCall, string(call))
}

// once ends sessions, if no call with the same key has done it; otherwise it returns what that call ended, and true. Of two such
// calls at the same time one waits for the other.
func (r *revocation) once(key string, do func(*revocation) ([]string, error)) (ids []string, repeated bool, err error) {
	if key == "" {
		ids, err = do(r)
		return ids, false, err
	}
	call := idempotencyKey{KeyDigest: key, OperationID: r.trail.operation, TenantIDs: "[]", At: r.trail.at}
	claimed := r.tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&call)
	if claimed.Error != nil {
		return nil, false, claimed.Error
	}
	if claimed.RowsAffected == 0 {
		ids, err = r.repeat(key)
		return ids, true, err
	}
	if ids, err = do(r); err != nil {
		return nil, false, err
	}
	if r.sel.tenant != nil {
		r.tenants = map[string]bool{*r.sel.tenant: true}
	}
	names, err := json.Marshal(slices.Sorted(maps.Keys(r.tenants)))
	if err != nil {
		return nil, false, err
	}
	return ids, false, r.tx.Model(&call).Where("key_digest = ?", key).Update("tenant_ids", string(names)).Error
}

// repeat returns what the first call with a key has ended: by the audit trail, and, of all sessions of a tenant, by those that
// are not brought up to date yet.
func (r *revocation) repeat(key string) ([]string, error) {
	var call idempotencyKey
	var tenantIDs, ids []string
	if err := r.tx.Where("key_digest = ?", key).Take(&call).Error; err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(call.TenantIDs), &tenantIDs); err != nil {
		return nil, err
	}
	for _, tenantID := range tenantIDs {
		st := r.engine.statement("SELECT session_id FROM audit_events WHERE tenant_id = ? AND operation_id = ? AND action = ?",
			tenantID, call.OperationID, ActionRevoked)
		st.add(` UNION ALL SELECT s.id FROM tenant_endings AS e JOIN sessions AS s ON s.tenant_id = e.tenant_id
			WHERE e.tenant_id = ? AND e.operation_id = ? AND s.ended_how IS NULL AND s.created_at <= e.at AND s.ends_at > e.at
			AND s.created_at > (SELECT coalesce(max(at), `+st.earliest()+`) FROM tenant_endings AS earlier
				WHERE earlier.tenant_id = ? AND earlier.at < e.at)`, tenantID, call.OperationID, tenantID)
		err := r.run(st, func(row rows) error {
			ids = append(ids, "")
			return row.Scan(&ids[len(ids)-1])
		})
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}
