package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// RegisterSession stores a session at login and reports whether it is new. An empty ID is made here, an empty CreatedAt
// is now, and PartnerID may be left out where the tenant's partner is known.
//
// The same id with the same tenant and user again returns what was registered first and changes nothing. It must answer
// ErrTaken when the id belongs to somebody else, ErrEnded when that session has ended, and ErrOtherPartner when the
// tenant belongs to another partner.
func (s *Store) RegisterSession(ctx context.Context, session Session) (Session, bool, error) {
	if session.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return Session{}, false, fmt.Errorf("make a session id: %w", err)
		}
		session.ID = id.String()
	}
	if session.CreatedAt.IsZero() {
		session.CreatedAt = s.now()
	}
	session.CreatedAt, session.ExpiresAt = timestamp(session.CreatedAt), timestamp(session.ExpiresAt)
	created := false
	err := s.write(ctx, "register session", func(tx *gorm.DB) error {
		var err error
		session, created, err = s.registerSession(tx, session)
		return err
	})
	return session, created, err
}

func (s *Store) registerSession(tx *gorm.DB, session Session) (Session, bool, error) {
	partnerID, err := s.assignPartner(tx, session.TenantID, session.PartnerID)
	if err != nil {
		return session, false, err
	}
	session.PartnerID = partnerID
	if s.distributed {
		known, err := s.knownSession(tx, session)
		if !errors.Is(err, ErrNotFound) {
			return known, false, err
		}
	}
	inserted := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&session)
	if inserted.Error != nil || inserted.RowsAffected == 1 {
		return session, true, inserted.Error
	}
	session, err = s.knownSession(tx, session)
	return session, false, err
}

// knownSession returns the session that was registered under this id before.
func (s *Store) knownSession(tx *gorm.DB, session Session) (Session, error) {
	known, err := getSession(tx, Everywhere(), session.ID)
	switch {
	case err != nil:
		return session, err
	case known.TenantID != session.TenantID || known.UserID != session.UserID:
		return session, ErrTaken
	case !known.Active(s.clock()):
		return session, ErrEnded
	default:
		return known, nil
	}
}

// assignPartner returns the tenant's partner after a registration that names one, or none.
func (s *Store) assignPartner(tx *gorm.DB, tenantID string, named *string) (*string, error) {
	tenant, err := findTenant(tx, tenantID)
	if errors.Is(err, ErrNotFound) {
		// Of several first registrations one makes the tenant, and the others wait for it here.
		fresh := Tenant{TenantID: tenantID, PartnerID: named, CreatedAt: s.clock()}
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&fresh).Error; err != nil {
			return nil, err
		}
		tenant, err = findTenant(tx, tenantID)
	}
	if err != nil {
		return nil, err
	}
	if tenant.PartnerID == nil {
		return decidePartner(tx, tenantID, named)
	}
	if named != nil && *named != *tenant.PartnerID {
		return nil, ErrOtherPartner
	}
	return tenant.PartnerID, nil
}

// decidePartner settles a tenant that had no partner when it was read. The row's lock keeps a registration without a
// partner from adding a session behind the back of one that names it.
func decidePartner(tx *gorm.DB, tenantID string, named *string) (*string, error) {
	strength := clause.LockingStrengthShare
	if named != nil {
		strength = clause.LockingStrengthUpdate
	}
	tenant, err := findTenant(tx.Clauses(clause.Locking{Strength: strength}), tenantID)
	if err != nil {
		return nil, err
	}
	switch {
	case named == nil:
		return tenant.PartnerID, nil
	case tenant.PartnerID == nil:
		err := tx.Model(&Tenant{}).Where("tenant_id = ?", tenantID).Update("partner_id", *named).Error
		if err != nil {
			return nil, err
		}
		return named, tx.Model(&Session{}).Where("tenant_id = ?", tenantID).Update("partner_id", *named).Error
	case *tenant.PartnerID != *named:
		return nil, ErrOtherPartner
	default:
		return named, nil
	}
}

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
	if errors.Is(err, ErrNotFound) || tenant.PartnerID == nil {
		return "", nil
	}
	return *tenant.PartnerID, err
}

// Activity is a use of a session. Nil members leave what is known unchanged.
type Activity struct {
	IPAddress, UserAgent, DeviceType, Location *string
	// ExpiresAt is the session's new end.
	ExpiresAt *time.Time
}

// RecordActivity notes that a session was used now. It must answer ErrNotFound for an id outside the selection, and
// ErrEnded for a session that has ended, however it races with a revocation.
func (s *Store) RecordActivity(ctx context.Context, sel Selection, id string, activity Activity) error {
	return s.write(ctx, "record activity", func(tx *gorm.DB) error {
		return s.touch(tx, sel, id, activity)
	})
}

// touch changes an active session, and nothing else.
func (s *Store) touch(tx *gorm.DB, sel Selection, id string, activity Activity) error {
	if sel.empty() || !storable(id) {
		return ErrNotFound
	}
	now := s.clock()
	changes := map[string]any{
		// Instances' clocks differ a little; the latest use stays.
		"last_activity_at": gorm.Expr("CASE WHEN last_activity_at > ? THEN last_activity_at ELSE ? END", now, now),
	}
	for column, value := range map[string]*string{
		"ip_address": activity.IPAddress, "user_agent": activity.UserAgent,
		"device_type": activity.DeviceType, "location": activity.Location,
	} {
		if value != nil {
			changes[column] = *value
		}
	}
	if activity.ExpiresAt != nil {
		changes["expires_at"] = timestamp(*activity.ExpiresAt)
	}
	changed := sel.where(tx.Model(&Session{})).Where("id = ? AND "+active, id, now).Updates(changes)
	if changed.Error != nil || changed.RowsAffected == 1 {
		return changed.Error
	}
	if _, err := getSession(tx, sel, id); err != nil {
		return err
	}
	return ErrEnded
}
