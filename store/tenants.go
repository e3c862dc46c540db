package store

import (
	"context"

	"gorm.io/gorm"
)

func findTenant(tx *gorm.DB, tenantID string) (Tenant, error) {
	var tenant Tenant
	err := tx.Where("tenant_id = ?", tenantID).Take(&tenant).Error
	return tenant, mapError("get tenant", err)
}

// TenantPartner returns the partner that the tenant belongs to, "" when it has none or nobody has registered a session
// for it.
func (s *Store) TenantPartner(ctx context.Context, tenantID string) (string, error) {
	if !storable(tenantID) {
		return "", nil
	}
	// It is asked before anybody has decided what the request may touch, too.
	ctx = WithWall(ctx, Behind(tenantID, ""))
	partnerID := ""
	st := s.engine.statement("SELECT coalesce(partner_id, '') FROM tenants WHERE tenant_id = ?", tenantID)
	err := s.ask(ctx, st, func(row rows) error { return row.Scan(&partnerID) })
	return partnerID, mapError("get tenant", err)
}
