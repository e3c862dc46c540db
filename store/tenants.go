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

// SetTenantPartner moves a tenant, with all of its sessions, to a partner, or to none when that is empty. It is the operator's:
// in one transaction, which grows with the tenant's sessions, and its logins and revocations wait for it. It must answer
// ErrNotFound for a tenant that nobody has registered a session for.
func (s *Store) SetTenantPartner(ctx context.Context, tenantID, partnerID string, by Actor) error {
	trail, err := s.trail(by)
	if err != nil {
		return err
	}
	if !storable(tenantID) {
		return mapError("set the tenant's partner", ErrNotFound)
	}
	return s.write(ctx, "set the tenant's partner", func(tx *gorm.DB) error {
		holds := []hold{{watermark{TenantID: tenantID}, exclusive}, {partnerMark(tenantID), exclusive}}
		var to *string
		if partnerID != "" {
			to = &partnerID
			holds = append(holds, hold{joining(partnerID), shared})
		}
		if err := s.lock(tx, holds...); err != nil {
			return err
		}
		tenant, err := findTenant(tx, tenantID)
		if err != nil || text(tenant.PartnerID) == partnerID {
			return err
		}
		if tenant.PartnerID != nil {
			if err := keepCutoffs(tx, *tenant.PartnerID, tenantID); err != nil {
				return err
			}
		}
		return setPartner(tx, trail, tenantID, to)
	})
}

// keepCutoffs makes the cutoffs of a partner those of a tenant that leaves it.
func keepCutoffs(tx *gorm.DB, partnerID, tenantID string) error {
	var cutoffs []partnerCutoff
	if err := tx.Where("partner_id = ?", partnerID).Find(&cutoffs).Error; err != nil {
		return err
	}
	for _, c := range cutoffs {
		if err := advance(tx, &watermark{tenantID, c.UserID, c.NotBefore, c.KeepUntil}, "watermarks", "tenant_id"); err != nil {
			return err
		}
	}
	return nil
}

// setPartner makes a tenant, and its sessions, a partner's, or nobody's.
func setPartner(tx *gorm.DB, trail trail, tenantID string, partnerID *string) error {
	for _, table := range []any{&Tenant{}, &Session{}} {
		err := tx.Model(table).Where("tenant_id = ?", tenantID).Update("partner_id", partnerID).Error
		if err != nil {
			return err
		}
	}
	return recordPartner(tx, trail, tenantID, text(partnerID))
}

func recordPartner(tx *gorm.DB, trail trail, tenantID, partnerID string) error {
	event := trail.event(ActionPartner, tenantID, "", "")
	event.Reason = partnerID
	return tx.Create(&event).Error
}
