package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/groupcommit"
)

// RegisterSession stores a session at login and reports whether it is new. An empty ID is made here, an empty CreatedAt
// is now, and PartnerID may be left out where the tenant's partner is known. The tenant's Limits bound ExpiresAt and, by
// ending the user's oldest sessions or by ErrTooMany, the number of sessions.
//
// The scope is what the service may register for. A new tenant of a service that is restricted to a partner, or to a tenant of a
// partner, gets that partner; only an unrestricted service may give a partner to a tenant that is already known.
//
// The same id with the same tenant and user again returns what was registered first and changes nothing. It must answer
// ErrOutOfScope when the tenant, or the partner that is named for it, is not in the scope, ErrTaken when the id belongs to
// somebody else, ErrEnded when that session has ended, also when its row is deleted, ErrOtherPartner when the tenant belongs to
// another partner, and ErrTooOld for a login from before a revocation of everything of its user, tenant or partner.
func (s *Store) RegisterSession(ctx context.Context, scope Scope, session Session, by Actor) (Session, bool, error) {
	if !scope.all || scope.tenant != nil && *scope.tenant != session.TenantID {
		return session, false, mapError("register session", ErrOutOfScope)
	}
	if scope.partner != nil && session.PartnerID != nil && *session.PartnerID != *scope.partner {
		return session, false, mapError("register session", ErrOutOfScope)
	}
	if scope.partner != nil && scope.tenant == nil {
		session.PartnerID = scope.partner
	}
	// A registration reads rows of other tenants: ids are unique in the whole service, and a tenant may get its partner.
	ctx = ownedBy(unrestricted(ctx), session.TenantID)
	r := registration{Store: s, scope: scope, limits: s.limits(session.TenantID)}
	if err := s.complete(&session, r.limits); err != nil {
		return Session{}, false, err
	}
	if err := r.identify(ctx, session, by); err != nil {
		return session, false, err
	}
	return s.operations.registerSession(ctx, r, session)
}

func (p plain) registerSession(ctx context.Context, r registration, session Session) (registered Session, created bool, err error) {
	err = p.writeOne(ctx, "register session", func(tx *gorm.DB) error {
		r.tx, r.replaced = tx, 0 // an attempt before this one was rolled back
		registered, created, err = r.register(session)
		return err
	})
	if err != nil {
		return registered, false, err
	}
	p.onEnded(Replaced, r.replaced)
	return registered, created, nil
}

// complete fills in what a registration may leave out, and what follows from the tenant's limits.
func (s *Store) complete(session *Session, limits Limits) error {
	if session.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make a session id: %w", err)
		}
		session.ID = id.String()
	}
	now := s.now()
	if session.CreatedAt.IsZero() {
		session.CreatedAt = now
	}
	session.CreatedAt = timestamp(session.CreatedAt)
	session.ExpiresAt = timestamp(limits.cap(session.CreatedAt, session.ExpiresAt))
	session.LoginIPAddress = session.IPAddress
	// A registration is an activity of the session, whenever the login was.
	session.EndsAt = timestamp(limits.end(now, session.ExpiresAt))
	return nil
}

// registration is one call of RegisterSession, and its transaction.
type registration struct {
	*Store
	scope  Scope
	audit  auditContext
	limits Limits
	// sessionDigest and userDigest identify deleted sessions and erased users.
	sessionDigest, userDigest string

	tx *gorm.DB
	// replaced is how many sessions had to give way.
	replaced int
}

// identify fills in who asks, and the digests.
func (r *registration) identify(ctx context.Context, session Session, by Actor) (err error) {
	if r.audit, err = r.auditContext(by); err != nil {
		return err
	}
	if r.sessionDigest, err = r.digest(ctx, digestOfSession, session.ID); err != nil {
		return err
	}
	r.userDigest, err = r.digest(ctx, digestOfUser, session.UserID)
	return err
}

func (r *registration) transaction() *transaction {
	return &transaction{Store: r.Store, tx: r.tx, audit: r.audit}
}

func (r *registration) register(session Session) (Session, bool, error) {
	if err := r.engine.Lock(r.tx, r.locks(session)...); err != nil {
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
	inserted := r.tx.Clauses(clause.OnConflict{DoNothing: true}).Create(new(stored(session)))
	switch {
	case inserted.Error != nil:
		return session, false, inserted.Error
	case inserted.RowsAffected == 0:
		session, err = r.known(session)
		return session, false, err
	}
	if err := r.transaction().record(change{action: ActionRegistered, after: &session, changes: cameFrom(&session)}); err != nil {
		return session, false, err
	}
	return session, true, r.endSurplus(session)
}

// refused returns ErrNotFound when nothing is known that speaks against a registration. What there is under its id comes before the
// login's age.
func (r *registration) refused(session Session) (Session, error) {
	deleted := int64(0)
	if err := r.tx.Model(&tombstone{}).Where("session_digest = ?", r.sessionDigest).Count(&deleted).Error; err != nil {
		return session, err
	}
	if deleted > 0 {
		return session, ErrEnded
	}
	old, err := tooOld(r.tx, session, r.userDigest)
	if err != nil || !old && !r.engine.Distributed {
		return session, cmp.Or(err, ErrNotFound)
	}
	known, err := r.known(session)
	if old && errors.Is(err, ErrNotFound) {
		err = ErrTooOld
	}
	return known, err
}

// locks keep revocations of everything away until the session is there to be revoked, and whoever deletes a session of this id.
func (r *registration) locks(session Session) []engine.Lock {
	user := shared(lockName(session.TenantID, session.UserID))
	if r.limits.MaxSessions > 0 {
		user.Shared = false // registrations of the same user follow each other, to be counted
	}
	locks := []engine.Lock{shared(lockName(session.TenantID, "")), shared(lockName("", session.UserID)), user, shared(idStripe(r.sessionDigest))}
	if session.PartnerID == nil {
		locks = append(locks, shared(tenantsPartner(session.TenantID)))
	}
	return locks
}

// known returns the session that was registered under this id before.
func (r *registration) known(session Session) (Session, error) {
	var known Session
	err := r.tx.Scopes(AllTenants().byID(session.ID)).Take(&known).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return session, ErrNotFound
	}
	if err == nil {
		err = applyBulkRevocations(r.tx, &known)
	}
	switch {
	case err != nil:
		return session, err
	case known.TenantID != session.TenantID || known.UserID != session.UserID:
		return session, ErrTaken
	case !known.Active(r.now()):
		return session, ErrEnded
	default:
		return known, nil
	}
}

// endSurplus keeps a user within the most sessions that the tenant allows.
func (r *registration) endSurplus(session Session) error {
	now := r.now()
	if r.limits.MaxSessions == 0 || !session.Active(now) {
		return nil
	}
	scope := InTenant(session.TenantID).OfUser(session.UserID)
	var others []string
	err := r.tx.Model(&Session{}).Scopes(Filter{ActiveOnly: true}.where(scope, now)).Where("id <> ?", session.ID).
		Order("created_at, id").Pluck("id", &others).Error
	surplus := len(others) + 1 - r.limits.MaxSessions
	if err != nil || surplus <= 0 {
		return err
	}
	if r.limits.RefuseSurplus {
		return ErrTooMany
	}
	if surplus > maxShort { // a limit was lowered
		if err := groupcommit.Alone(r.tx); err != nil {
			return err
		}
	}
	return r.transaction().end(Replaced, scope, r.engine.In("id", others[:surplus]), byKey(), func(ended []Session) { r.replaced += len(ended) })
}

// assignPartner returns the tenant's partner after a registration that names one, or none.
func (r *registration) assignPartner(tenantID string, named *string) (*string, error) {
	tenant, err := findTenant(r.tx, tenantID)
	if errors.Is(err, ErrNotFound) {
		owner := cmp.Or(named, r.scope.partner)
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
	case tenant.PartnerID == nil && (named == nil || r.scope.tenant == nil && r.scope.partner == nil):
		return r.decidePartner(tenantID, named)
	case named == nil || tenant.PartnerID != nil && *named == *tenant.PartnerID:
		return tenant.PartnerID, nil
	case r.scope.tenant != nil || r.scope.partner != nil:
		return nil, ErrOutOfScope // whose sessions they are is not for this service to say
	default:
		return nil, ErrOtherPartner
	}
}

// makeTenant makes a tenant that nobody has named before, and reports whether it did. Of several first registrations one makes
// it, and the others wait for that here.
func (r *registration) makeTenant(tenantID string, partnerID *string) (bool, error) {
	if partnerID != nil {
		if err := r.engine.Lock(r.tx, shared(joiningPartner(*partnerID))); err != nil {
			return false, err
		}
	}
	fresh := Tenant{TenantID: tenantID, PartnerID: partnerID, CreatedAt: r.audit.at}
	made := r.tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&fresh)
	if made.Error != nil || made.RowsAffected == 0 {
		return false, made.Error
	}
	if partnerID == nil {
		return true, nil
	}
	return true, r.transaction().recordEvent(ActionPartner, tenantID, "", *partnerID)
}

// decidePartner returns the partner of a tenant that had none when it was read, and gives it the one that is named.
func (r *registration) decidePartner(tenantID string, named *string) (*string, error) {
	if named != nil {
		if err := r.engine.Lock(r.tx, exclusive(tenantsPartner(tenantID)), shared(joiningPartner(*named))); err != nil {
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
		if err := groupcommit.Alone(r.tx); err != nil { // every session of the tenant gets the partner
			return nil, err
		}
		return named, r.transaction().setPartner(tenantID, named)
	case *tenant.PartnerID != *named:
		return nil, ErrOtherPartner
	default:
		return named, nil
	}
}
