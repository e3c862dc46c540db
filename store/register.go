package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// RegisterSession stores a session at login and reports whether it is new. An empty ID is made here, an empty CreatedAt
// is now, and PartnerID may be left out where the tenant's partner is known. The tenant's Limits bound ExpiresAt and, by
// ending the user's oldest sessions or by ErrTooMany, the number of sessions.
//
// The same id with the same tenant and user again returns what was registered first and changes nothing. It must answer
// ErrTaken when the id belongs to somebody else, ErrEnded when that session has ended, ErrOtherPartner when the tenant
// belongs to another partner, and ErrTooOld for a login from before a revocation of everything of its user or tenant.
func (s *Store) RegisterSession(ctx context.Context, session Session, by Actor) (Session, bool, error) {
	if session.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return Session{}, false, fmt.Errorf("make a session id: %w", err)
		}
		session.ID = id.String()
	}
	now := s.clock()
	if session.CreatedAt.IsZero() {
		session.CreatedAt = now
	}
	limits := s.limits(session.TenantID)
	session.CreatedAt = timestamp(session.CreatedAt)
	session.ExpiresAt = timestamp(limits.cap(session.CreatedAt, session.ExpiresAt))
	// To register a session is to use it, whenever the login was.
	session.EndsAt = timestamp(limits.end(now, session.ExpiresAt))
	var registered Session
	created := false
	err := s.write(ctx, "register session", func(tx *gorm.DB) error {
		trail, err := s.trail(by)
		if err != nil {
			return err
		}
		r := registration{store: s, tx: tx, trail: trail, limits: limits}
		registered, created, err = r.register(session)
		return err
	})
	return registered, created && err == nil, err
}

// registration is one transaction of RegisterSession.
type registration struct {
	store  *Store
	tx     *gorm.DB
	trail  trail
	limits Limits
}

func (r registration) register(session Session) (Session, bool, error) {
	if err := r.lock(session); err != nil {
		return session, false, err
	}
	partnerID, err := r.assignPartner(session.TenantID, session.PartnerID)
	if err != nil {
		return session, false, err
	}
	session.PartnerID = partnerID
	old, err := tooOld(r.tx, session)
	if err != nil {
		return session, false, err
	}
	if old || r.store.distributed {
		known, err := r.known(session)
		if !errors.Is(err, ErrNotFound) {
			return known, false, err
		}
	}
	if old {
		return session, false, ErrTooOld
	}
	inserted := r.tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&session)
	switch {
	case inserted.Error != nil:
		return session, false, inserted.Error
	case inserted.RowsAffected == 0:
		session, err = r.known(session)
		return session, false, err
	}
	if err := r.trail.record(r.tx, ActionRegistered, session); err != nil {
		return session, false, err
	}
	return session, true, r.endSurplus(session)
}

// lock keeps revocations of everything away until this registration is there to be revoked. Where a user's sessions are
// counted, registrations of the same user follow each other too.
func (r registration) lock(session Session) error {
	marks := covering(session.TenantID, session.UserID)
	if r.limits.MaxSessions == 0 {
		return r.store.lock(r.tx, shared, marks...)
	}
	own := marks[2]
	if err := r.store.lock(r.tx, exclusive, own); err != nil {
		return err
	}
	return r.store.lock(r.tx, shared, marks[0], marks[1])
}

// known returns the session that was registered under this id before.
func (r registration) known(session Session) (Session, error) {
	known, err := getSession(r.tx, Everywhere(), session.ID)
	switch {
	case err != nil:
		return session, err
	case known.TenantID != session.TenantID || known.UserID != session.UserID:
		return session, ErrTaken
	case !known.Active(r.store.clock()):
		return session, ErrEnded
	default:
		return known, nil
	}
}

// endSurplus keeps a user within the most sessions that the tenant allows.
func (r registration) endSurplus(session Session) error {
	now := r.store.clock()
	if r.limits.MaxSessions == 0 || !session.Active(now) {
		return nil
	}
	var others []Session
	err := r.tx.Select("tenant_id", "id", "user_id").
		Where("tenant_id = ? AND user_id = ? AND id <> ? AND "+active, session.TenantID, session.UserID, session.ID, now).
		Order("created_at, id").Find(&others).Error
	surplus := len(others) + 1 - r.limits.MaxSessions
	if err != nil || surplus <= 0 {
		return err
	}
	if r.limits.RefuseSurplus {
		return ErrTooMany
	}
	for _, oldest := range others[:surplus] {
		err := r.tx.Model(&Session{}).Where("tenant_id = ? AND id = ? AND "+active, oldest.TenantID, oldest.ID, now).
			Updates(r.trail.ending(Replaced)).Error
		if err != nil {
			return err
		}
	}
	return r.trail.record(r.tx, ActionReplaced, others[:surplus]...)
}

// assignPartner returns the tenant's partner after a registration that names one, or none.
func (r registration) assignPartner(tenantID string, named *string) (*string, error) {
	tenant, err := findTenant(r.tx, tenantID)
	if errors.Is(err, ErrNotFound) {
		// Of several first registrations one makes the tenant, and the others wait for it here.
		fresh := Tenant{TenantID: tenantID, CreatedAt: r.trail.at}
		if err := r.tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&fresh).Error; err != nil {
			return nil, err
		}
		tenant, err = findTenant(r.tx, tenantID)
	}
	if err != nil {
		return nil, err
	}
	if tenant.PartnerID == nil {
		return r.decidePartner(tenantID, named)
	}
	if named != nil && *named != *tenant.PartnerID {
		return nil, ErrOtherPartner
	}
	return tenant.PartnerID, nil
}

// decidePartner settles a tenant that had no partner when it was read. The row's lock keeps a registration without a
// partner from adding a session behind the back of one that names it.
func (r registration) decidePartner(tenantID string, named *string) (*string, error) {
	strength := clause.LockingStrengthShare
	if named != nil {
		strength = clause.LockingStrengthUpdate
	}
	tenant, err := findTenant(r.tx.Clauses(clause.Locking{Strength: strength}), tenantID)
	switch {
	case err != nil:
		return nil, err
	case named == nil:
		return tenant.PartnerID, nil
	case tenant.PartnerID == nil:
		return named, r.setPartner(tenantID, *named)
	case *tenant.PartnerID != *named:
		return nil, ErrOtherPartner
	default:
		return named, nil
	}
}

func (r registration) setPartner(tenantID, partnerID string) error {
	for _, table := range []any{&Tenant{}, &Session{}} {
		err := r.tx.Model(table).Where("tenant_id = ?", tenantID).Update("partner_id", partnerID).Error
		if err != nil {
			return err
		}
	}
	event := r.trail.event(ActionPartner, tenantID, "", "")
	event.Reason = partnerID
	return r.tx.Create(&event).Error
}
