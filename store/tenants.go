package store

import (
	"context"
	"errors"

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
	tenant, err := findTenant(s.read(ctx), tenantID)
	switch {
	case errors.Is(err, ErrNotFound):
		return "", nil
	case err != nil || tenant.PartnerID == nil:
		return "", err
	default:
		return *tenant.PartnerID, nil
	}
}
