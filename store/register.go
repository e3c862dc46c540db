package store

import (
	"cmp"
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
// The selection is what the service may register for. A service confined to a partner makes new tenants its partner's, also one
// confined to a tenant of that partner; only one that is not confined gives a partner to a tenant that is already known.
//
// The same id with the same tenant and user again returns what was registered first and changes nothing. It must answer
// ErrOutOfScope when the tenant, or the partner that is named for it, is not in the selection, ErrTaken when the id belongs to
// somebody else, ErrEnded when that session has ended, also when its row is deleted, ErrOtherPartner when the tenant belongs to
// another partner, and ErrTooOld for a login from before a revocation of everything of its user, tenant or partner.
func (s *Store) RegisterSession(ctx context.Context, sel Selection, session Session, by Actor) (Session, bool, error) {
	if !sel.all || sel.tenant != nil && *sel.tenant != session.TenantID {
		return session, false, mapError("register session", ErrOutOfScope)
	}
	if sel.partner != nil && session.PartnerID != nil && *session.PartnerID != *sel.partner {
		return session, false, mapError("register session", ErrOutOfScope)
	}
	if sel.partner != nil && sel.tenant == nil {
		session.PartnerID = sel.partner
	}
	// What there is to decide by is anybody's: ids are unique service-wide, and a tenant may get its partner here.
	ctx = ownedBy(WithWall(ctx, wallIn(ctx).lifted()), session.TenantID)
	limits := s.limits(session.TenantID)
	if err := s.prepare(&session, limits); err != nil {
		return Session{}, false, err
	}
	r := registration{querier: querier{Store: s, ctx: ctx}, sel: sel, limits: limits}
	if err := r.identify(session, by); err != nil {
		return session, false, err
	}
	if s.onOneServer() && limits.MaxSessions == 0 {
		if made, err := s.registerAtOnce(ctx, &session, r); made || err != nil {
			return session, made, err
		}
	}
	var registered Session
	created := false
	err := s.write(ctx, "register session", func(tx *gorm.DB) error {
		r.tx, r.replaced = tx, 0 // an attempt before this one was undone
		var err error
		registered, created, err = r.register(session)
		return err
	})
	if err == nil {
		s.onEnded(Replaced, r.replaced)
	}
	return registered, created && err == nil, err
}

// prepare fills in what a registration may leave out, and what follows from the tenant's limits.
func (s *Store) prepare(session *Session, limits Limits) error {
	if session.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make a session id: %w", err)
		}
		session.ID = id.String()
	}
	now := s.clock()
	if session.CreatedAt.IsZero() {
		session.CreatedAt = now
	}
	session.CreatedAt = timestamp(session.CreatedAt)
	session.ExpiresAt = timestamp(limits.cap(session.CreatedAt, session.ExpiresAt))
	// To register a session is to use it, whenever the login was.
	session.EndsAt = timestamp(limits.end(now, session.ExpiresAt))
	return nil
}

// registration is one call of RegisterSession, and its transaction.
type registration struct {
	querier
	sel    Selection
	trail  trail
	limits Limits
	// sessionDigest and userDigest are by which ended sessions and cutoffs are known that no longer name anybody.
	sessionDigest, userDigest string
	// replaced is how many sessions had to give way.
	replaced int
}

// identify fills in who asks, and the digests.
func (r *registration) identify(session Session, by Actor) (err error) {
	if r.trail, err = r.Store.trail(by); err != nil {
		return err
	}
	if r.sessionDigest, err = r.digest(r.ctx, digestOfSession, session.ID); err != nil {
		return err
	}
	r.userDigest, err = r.digest(r.ctx, digestOfUser, session.UserID)
	return err
}

func (r *registration) register(session Session) (Session, bool, error) {
	if err := r.lock(r.tx, r.holds(session)...); err != nil {
		return session, false, err
	}
	partnerID, err := r.assignPartner(session.TenantID, session.PartnerID)
	if err != nil {
		return session, false, err
	}
	session.PartnerID = partnerID
	if known, err := r.refused(session); !errors.Is(err, ErrNotFound) {
		return known, false, err
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

// refused returns ErrNotFound when nothing is known that speaks against a registration. What there is under its id comes before
// the login's age.
func (r *registration) refused(session Session) (Session, error) {
	gone := int64(0)
	if err := r.tx.Model(&endedSession{}).Where("session_digest = ?", r.sessionDigest).Count(&gone).Error; err != nil {
		return session, err
	}
	if gone > 0 {
		return session, ErrEnded
	}
	old, err := tooOld(r.tx, session, r.userDigest)
	if err != nil || !old && !r.distributed {
		return session, cmp.Or(err, ErrNotFound)
	}
	known, err := r.known(session)
	if old && errors.Is(err, ErrNotFound) {
		err = ErrTooOld
	}
	return known, err
}

// holds are the locks of a registration. They keep revocations of everything away until it is there to be revoked, and who deletes
// a session of this id.
func (r *registration) holds(session Session) []hold {
	var holds []hold
	for _, mark := range r.watermarks(session) {
		holds = append(holds, hold{mark, shared})
	}
	if r.limits.MaxSessions > 0 {
		holds[2].function = exclusive // registrations of the same user follow each other, to be counted
	}
	return holds
}

// watermarks are those of its locks: of what covers the login, the user's in the tenant third, of the session's id, and of the
// tenant's partner.
func (r *registration) watermarks(session Session) []watermark {
	marks := append(covering(session.TenantID, session.UserID), stripe(r.sessionDigest))
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
	ending := &revocation{querier: r.querier, sel: InTenant(session.TenantID), trail: r.trail}
	ended, err := ending.end(Replaced, func(st *statement) { st.add(" AND ").in("id", ids) })
	r.replaced = len(ended)
	return err
}

// assignPartner returns the tenant's partner after a registration that names one, or none.
func (r *registration) assignPartner(tenantID string, named *string) (*string, error) {
	tenant, err := findTenant(r.tx, tenantID)
	if errors.Is(err, ErrNotFound) {
		owner := cmp.Or(named, r.sel.partner)
		made, err := r.makeTenant(tenantID, owner)
		if err != nil || made {
			return owner, err
		}
		tenant, err = findTenant(r.tx, tenantID)
		if err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	switch {
	case tenant.PartnerID == nil && (named == nil || r.sel.tenant == nil && r.sel.partner == nil):
		return r.decidePartner(tenantID, named)
	case named == nil || tenant.PartnerID != nil && *named == *tenant.PartnerID:
		return tenant.PartnerID, nil
	case r.sel.tenant != nil || r.sel.partner != nil:
		return nil, ErrOutOfScope // whose sessions they are is not for this service to say
	default:
		return nil, ErrOtherPartner
	}
}

// makeTenant makes a tenant that nobody has named before, and reports whether it did. Of several first registrations one makes
// it, and the others wait for that here.
func (r *registration) makeTenant(tenantID string, partnerID *string) (bool, error) {
	if partnerID != nil {
		if err := r.lock(r.tx, hold{joining(*partnerID), shared}); err != nil {
			return false, err
		}
	}
	fresh := Tenant{TenantID: tenantID, PartnerID: partnerID, CreatedAt: r.trail.at}
	made := r.tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&fresh)
	if made.Error != nil || made.RowsAffected == 0 {
		return false, made.Error
	}
	if partnerID == nil {
		return true, nil
	}
	return true, recordPartner(r.tx, r.trail, tenantID, *partnerID)
}

// decidePartner settles a tenant that had no partner when it was read.
func (r *registration) decidePartner(tenantID string, named *string) (*string, error) {
	if named != nil {
		if err := r.lock(r.tx, hold{partnerMark(tenantID), exclusive}, hold{joining(*named), shared}); err != nil {
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
		return named, setPartner(r.tx, r.trail, tenantID, named)
	case *tenant.PartnerID != *named:
		return nil, ErrOtherPartner
	default:
		return named, nil
	}
}
