package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/engine"
)

// Tenant is known from its first registration on.
type Tenant struct {
	TenantID string `gorm:"primaryKey"`
	// PartnerID is decided by the first registration that names one, and final.
	PartnerID *string
	CreatedAt time.Time `gorm:"autoCreateTime:false"`
}

func findTenant(tx *gorm.DB, tenantID string) (Tenant, error) {
	var tenant Tenant
	err := tx.Where("tenant_id = ?", tenantID).Take(&tenant).Error
	return tenant, mapError("get tenant", err)
}

// TenantPartner returns the partner that the tenant belongs to, "" when it has none or nobody has registered a session for it.
func (s *Store) TenantPartner(ctx context.Context, tenantID string) (string, error) {
	if !storable(tenantID) {
		return "", nil
	}
	// The policy calls it before the request's scope is decided.
	partnerID, err := s.operations.tenantPartner(WithScope(ctx, InTenant(tenantID)), tenantID)
	return partnerID, mapError("get tenant", err)
}

func (p plain) tenantPartner(ctx context.Context, tenantID string) (partnerID string, err error) {
	err = p.read(ctx, func(tx *gorm.DB) error {
		return tx.Model(&Tenant{}).Select("coalesce(partner_id, '')").Where("tenant_id = ?", tenantID).Scan(&partnerID).Error
	})
	return partnerID, err
}

// SetTenantPartner moves a tenant, with all of its sessions, to a partner, or to none when that is empty. It is the operator's: in one
// transaction, which grows with the tenant's sessions, and its logins and revocations wait for it. It must answer ErrNotFound for a tenant
// that nobody has registered a session for.
func (s *Store) SetTenantPartner(ctx context.Context, tenantID, partnerID string, by Actor) error {
	if !storable(tenantID) {
		return mapError("set the tenant's partner", ErrNotFound)
	}
	return s.transact(ctx, "set the tenant's partner", by, func(t *transaction) error {
		locks := []engine.Lock{exclusive(lockName(tenantID, "")), exclusive(tenantsPartner(tenantID))}
		var to *string
		if partnerID != "" {
			to = &partnerID
			locks = append(locks, shared(joiningPartner(partnerID)))
		}
		if err := s.engine.Lock(t.tx, locks...); err != nil {
			return err
		}
		tenant, err := findTenant(t.tx, tenantID)
		if err != nil || text(tenant.PartnerID) == partnerID {
			return err
		}
		if tenant.PartnerID != nil {
			if err := keepCutoffs(t.tx, *tenant.PartnerID, tenantID); err != nil {
				return err
			}
		}
		return t.setPartner(tenantID, to)
	})
}

// keepCutoffs makes the cutoffs of a partner those of a tenant that leaves it.
func keepCutoffs(tx *gorm.DB, partnerID, tenantID string) error {
	var cutoffs []cutoff
	if err := tx.Where("tenant_id = '' AND partner_id = ?", partnerID).Find(&cutoffs).Error; err != nil {
		return err
	}
	for _, c := range cutoffs {
		c.TenantID, c.PartnerID = tenantID, ""
		if err := advance(tx, c); err != nil {
			return err
		}
	}
	return nil
}

// sessionsAtOnce is how many sessions are read at once to move a tenant.
const sessionsAtOnce = 500

// setPartner makes a tenant, and its sessions, a partner's, or nobody's.
func (t *transaction) setPartner(tenantID string, partnerID *string) error {
	if err := t.tx.Model(&Tenant{}).Where("tenant_id = ?", tenantID).Update("partner_id", partnerID).Error; err != nil {
		return err
	}
	var sessions []Session
	// Their rows are locked: a revocation under way, or a job, would count for the partner that they had.
	moved := lockCounted(t.tx.Where("tenant_id = ?", tenantID)).FindInBatches(&sessions, sessionsAtOnce, func(*gorm.DB, int) error {
		changes := make([]change, len(sessions))
		for i := range sessions {
			after := sessions[i]
			after.PartnerID = partnerID
			changes[i] = change{before: &sessions[i], after: &after}
		}
		return t.record(changes...)
	})
	if moved.Error != nil {
		return moved.Error
	}
	if err := t.tx.Model(&Session{}).Where("tenant_id = ?", tenantID).Update("partner_id", partnerID).Error; err != nil {
		return err
	}
	return t.recordEvent(ActionPartner, tenantID, "", text(partnerID))
}
