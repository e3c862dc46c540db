package store

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"
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
	// At is the time of the call's events.
	At time.Time
}

// idempotentCall is what a call asks for. What differs between calls for the same scope is in the variant.
type idempotentCall struct {
	scope   Scope
	variant string
}

// callDigest identifies a repeated call: by its actor, by what it asks for and by the key that the actor gave it. It is empty for a call
// without a key.
func (s *Store) callDigest(ctx context.Context, call idempotentCall, by Actor) (string, error) {
	if by.IdempotencyKey == "" {
		return "", nil
	}
	scope := []*string{call.scope.tenant, call.scope.partner, call.scope.user}
	// JSON tells what is absent from what is empty, and where each text ends.
	content, err := json.Marshal([]any{by.Subject, by.ClientID, by.IdempotencyKey, scope, call.variant})
	if err != nil {
		return "", err
	}
	return s.digest(ctx, digestOfCall, string(content))
}

// once ends sessions, if no call with the same key has done it; otherwise it takes what that call ended for its own, and reports true. Of
// two such calls at the same time one waits for the other.
func (r *revocation) once(key string, do func(*revocation) error) (repeated bool, err error) {
	if key == "" {
		return false, do(r)
	}
	call := idempotencyKey{KeyDigest: key, OperationID: r.audit.operation, TenantIDs: "[]", At: r.audit.at}
	// A key that is older than the window is free again.
	claimed := r.tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "key_digest"}},
		Where:     clause.Where{Exprs: []clause.Expression{gorm.Expr("idempotency_keys.at <= ?", timestamp(call.At.Add(-idempotencyWindow)))}},
		DoUpdates: clause.AssignmentColumns([]string{"operation_id", "tenant_ids", "at"}),
	}).Create(&call)
	if claimed.Error != nil {
		return false, claimed.Error
	}
	if claimed.RowsAffected == 0 {
		return true, r.repeat(key)
	}
	if err := do(r); err != nil {
		return false, err
	}
	if r.scope.tenant != nil {
		r.tenants = map[string]bool{*r.scope.tenant: true}
	}
	names, err := json.Marshal(append([]string{}, slices.Sorted(maps.Keys(r.tenants))...)) // [] for none, and not null
	if err != nil {
		return false, err
	}
	return false, r.tx.Model(&idempotencyKey{}).Where("key_digest = ?", key).
		Updates(idempotencyKey{TenantIDs: string(names), At: r.audit.at}).Error
}

// repeat finds what the first call with a key has ended: by the audit log and, of a bulk revocation, among the sessions to which it has not
// been applied yet.
func (r *revocation) repeat(key string) error {
	var call idempotencyKey
	var tenantIDs []string
	if err := r.tx.Where("key_digest = ?", key).Take(&call).Error; err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(call.TenantIDs), &tenantIDs); err != nil {
		return err
	}
	if r.scope.partner != nil { // a tenant that has left the partner is none of its business any more
		named := r.tx.Model(&Tenant{}).Where("partner_id = ?", *r.scope.partner).Scopes(r.engine.In("tenant_id", tenantIDs))
		if err := named.Order("tenant_id").Pluck("tenant_id", &tenantIDs).Error; err != nil {
			return err
		}
	}
	for _, tenantID := range tenantIDs {
		var recorded []string
		err := r.tx.Model(&AuditEvent{}).
			Where("tenant_id = ? AND at = ? AND operation_id = ? AND action = ?", tenantID, call.At, call.OperationID, ActionRevoked).Pluck("session_id", &recorded).Error
		if err != nil {
			return err
		}
		waiting, err := waitingFor(r.tx, tenantID, call.OperationID)
		if err != nil {
			return err
		}
		r.ids = append(append(r.ids, recorded...), waiting...)
	}
	return nil
}

// waitingFor returns the sessions of a tenant to which a bulk revocation has not been applied, without those that an earlier one covers.
func waitingFor(tx *gorm.DB, tenantID, operationID string) ([]string, error) {
	var revocations []bulkRevocation
	if err := tx.Where("tenant_id = ?", tenantID).Order("at, operation_id").Find(&revocations).Error; err != nil {
		return nil, err
	}
	earlier := earliestTime()
	for _, b := range revocations {
		if b.OperationID != operationID {
			if b.At.After(earlier) {
				earlier = b.At
			}
			continue
		}
		var ids []string
		err := tx.Model(&Session{}).Where("tenant_id = ? AND end_cause IS NULL", tenantID).
			Where("created_at <= ? AND created_at > ? AND ends_at > ?", b.At, earlier, b.At).Pluck("id", &ids).Error
		return ids, err
	}
	return nil, nil
}
