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
	// What there is to decide by is anybody's: ids are unique service-wide, and a tenant may get its partner here.
	ctx = WithWall(ctx, wallIn(ctx).lifted())
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
	trail, err := s.trail(by)
	if err != nil {
		return session, false, err
	}
	if s.onOneServer() && limits.MaxSessions == 0 {
		if made, err := s.registerAtOnce(ctx, &session, trail); made || err != nil {
			return session, made, err
		}
	}
	var registered Session
	created, replaced := false, 0
	err = s.write(ctx, "register session", func(tx *gorm.DB) error {
		r := registration{querier: querier{Store: s, ctx: ctx, tx: tx}, trail: trail, limits: limits}
		var err error
		registered, created, err = r.register(session)
		replaced = r.replaced
		return err
	})
	if err == nil {
		s.onEnded(Replaced, replaced)
	}
	return registered, created && err == nil, err
}

// registration is one transaction of RegisterSession.
type registration struct {
	querier
	trail  trail
	limits Limits
	// replaced is how many sessions had to give way.
	replaced int
}

func (r *registration) register(session Session) (Session, bool, error) {
	if err := r.lock(r.tx, holds(session, r.limits.MaxSessions)...); err != nil {
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
	if old || r.distributed {
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

// holds are the locks of a registration. They keep revocations of everything away until it is there to be revoked.
func holds(session Session, maxSessions int) []hold {
	var holds []hold
	for _, mark := range watermarks(session) {
		holds = append(holds, hold{mark, shared})
	}
	if maxSessions > 0 {
		holds[2].function = exclusive // registrations of the same user follow each other, to be counted
	}
	return holds
}

// watermarks are those of its locks: of what covers the login, the user's in the tenant third, and of the tenant's partner.
func watermarks(session Session) []watermark {
	marks := covering(session.TenantID, session.UserID)
	if session.PartnerID == nil {
		marks = append(marks, partnerMark(session.TenantID))
	}
	return marks
}

// partnerMark is the lock under which a tenant gets its partner. Who registers a session without one holds it, so as not
// to add it behind the back of one who names a partner.
func partnerMark(tenantID string) watermark {
	return watermark{TenantID: tenantID, UserID: "\x00partner"}
}

// known returns the session that was registered under this id before.
func (r *registration) known(session Session) (Session, error) {
	known, err := r.session(Everywhere(), session.ID)
	switch {
	case err != nil:
		return session, err
	case known.TenantID != session.TenantID || known.UserID != session.UserID:
		return session, ErrTaken
	case !known.Active(r.clock()):
		return session, ErrEnded
	default:
		return known, nil
	}
}

// endSurplus keeps a user within the most sessions that the tenant allows.
func (r *registration) endSurplus(session Session) error {
	now := r.clock()
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
	ids := make([]string, surplus)
	for i := range ids {
		ids[i] = others[i].ID
	}
	ending := revocation{querier: r.querier, sel: InTenant(session.TenantID), trail: r.trail}
	ended, err := ending.end(Replaced, func(st *statement) { st.add(" AND ").in("id", ids) })
	r.replaced = len(ended)
	return err
}

// assignPartner returns the tenant's partner after a registration that names one, or none.
func (r *registration) assignPartner(tenantID string, named *string) (*string, error) {
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

// decidePartner settles a tenant that had no partner when it was read.
func (r *registration) decidePartner(tenantID string, named *string) (*string, error) {
	if named != nil {
		if err := r.lock(r.tx, hold{partnerMark(tenantID), exclusive}); err != nil {
			return nil, err
		}
	}
	tenant, err := findTenant(r.tx, tenantID)
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

func (r *registration) setPartner(tenantID, partnerID string) error {
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
