package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/engine"
)

// idsPerStatement bounds how many named sessions one statement ends.
const idsPerStatement = 1000

// RevokeAllSessions ends every active session of the scope but the one with the id except ("" excepts none), all or nothing, and returns
// the ids of those that this call ended, sorted, never nil. Of several concurrent calls exactly one returns the id of a session. A call with
// the IdempotencyKey of an earlier one by the same actor for the same scope ends nothing and returns the result of that one. A login of the
// scope from before the call cannot be registered after it.
func (s *Store) RevokeAllSessions(ctx context.Context, scope Scope, except string, by Actor) ([]string, error) {
	scope, err := s.knownPartner(ctx, scope)
	if err != nil || scope.empty() {
		return []string{}, err
	}
	call := idempotentCall{scope: scope, variant: "all but\x00" + except}
	if scope.tenant != nil && scope.user == nil && except == "" {
		return sorted(s.operations.revokeTenant(ctx, scope, call, by))
	}
	return sorted(s.revoke(ctx, call, by, func(r *revocation) error {
		if err := r.lockAll(); err != nil {
			return err
		}
		if err := r.end(func(tx *gorm.DB) *gorm.DB {
			if except != "" && storable(except) {
				tx = tx.Where("id <> ?", except)
			}
			return tx
		}, r.order()); err != nil {
			return err
		}
		if err := r.advanceCutoff(); err != nil || scope.user == nil {
			return err
		}
		return r.recordEvent(ActionUserRevoked, text(scope.tenant), *scope.user, "")
	}))
}

// RevokeSessions ends those of the named sessions that are active and in the scope, and ignores all others. It returns their ids, as
// RevokeAllSessions does, but stores no cutoff: other logins can still be registered.
func (s *Store) RevokeSessions(ctx context.Context, scope Scope, ids []string, by Actor) ([]string, error) {
	if scope.empty() {
		return []string{}, nil
	}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !storable(id) })
	// One order for all calls, so that two of them cannot wait for each other.
	slices.Sort(ids)
	ids = slices.Compact(ids)
	call := idempotentCall{scope: scope, variant: "named\x00" + strings.Join(ids, "\x00")}
	return sorted(s.revoke(ctx, call, by, func(r *revocation) error {
		for chunk := range slices.Chunk(ids, idsPerStatement) {
			if err := r.endNamed(chunk); err != nil {
				return err
			}
		}
		return nil
	}))
}

// revocation is one transaction that ends sessions of a scope.
type revocation struct {
	transaction
	scope Scope
	// ids are the sessions that it has ended, in these tenants, of which the last would have ended by itself at expires.
	ids     []string
	tenants map[string]bool
	expires time.Time
}

// revoke ends sessions in one transaction and returns their ids, or those that an earlier call with the same IdempotencyKey has ended.
func (s *Store) revoke(ctx context.Context, call idempotentCall, by Actor, do func(*revocation) error) ([]string, error) {
	key, err := s.callDigest(ctx, call, by)
	if err != nil {
		return nil, err
	}
	if call.scope.tenant != nil {
		ctx = ownedBy(ctx, *call.scope.tenant)
	}
	var ended []string
	repeated := false
	err = s.transact(ctx, "revoke sessions", by, func(t *transaction) error {
		r := &revocation{transaction: *t, scope: call.scope}
		again, err := r.once(key, do)
		ended, repeated = r.ids, again
		return err
	})
	if err == nil && !repeated {
		s.onEnded(Revoked, len(ended))
	}
	return ended, err
}

// sorted sorts the ids of sessions that were ended.
func sorted(ids []string, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	throttledSort(ids)
	return append([]string{}, ids...), nil
}

// end ends the active sessions of the scope that fulfil a condition as well.
func (r *revocation) end(condition func(*gorm.DB) *gorm.DB, in order) error {
	return r.transaction.end(Revoked, r.scope, condition, in, r.add)
}

// order is the order in which a revocation of everything in its scope locks sessions. The locks of whole tenants keep all other
// revocations away, so that any order will do for these.
func (r *revocation) order() order {
	if r.scope.user == nil {
		return newest()
	}
	return byKey()
}

// add collects the ids and tenants of sessions that have been ended.
func (r *revocation) add(ended []Session) {
	if r.tenants == nil {
		r.tenants = map[string]bool{}
	}
	for _, session := range ended {
		r.ids = append(r.ids, session.ID)
		r.tenants[session.TenantID] = true
		if session.ExpiresAt.After(r.expires) {
			r.expires = session.ExpiresAt.UTC()
		}
	}
}

// endNamed ends the named sessions, while nobody ends all of one of their tenants.
func (r *revocation) endNamed(ids []string) error {
	return r.endChosen(func(tx *gorm.DB) *gorm.DB {
		if r.scope.tenant == nil {
			tx = tx.Where(useIDIndex)
		}
		return r.engine.In("id", ids)(tx)
	})
}

// endChosen ends the sessions of the scope that fulfil a condition, while nobody ends all of one of their tenants.
func (r *revocation) endChosen(condition func(*gorm.DB) *gorm.DB) error {
	tenants, err := r.tenantsOf(condition)
	if err != nil {
		return err
	}
	if err := r.engine.Lock(r.tx, sharedTenants(tenants)...); err != nil {
		return err
	}
	return r.end(condition, byKey())
}

// lockAll takes the locks of a revocation of everything in its scope, and the time under them. No login of the scope is being registered
// then, and nobody ends all sessions of one of the tenants in which this one finds any, so that the two do not report the same ones.
func (r *revocation) lockAll() error {
	tenants, err := r.tenantsConcerned()
	if err != nil {
		return err
	}
	if err := r.engine.Lock(r.tx, r.locks(tenants)...); err != nil {
		return err
	}
	// What was registered before the locks were taken may be in another tenant.
	more, err := r.tenantsConcerned()
	if err != nil {
		return err
	}
	slices.Sort(tenants)
	more = slices.DeleteFunc(more, func(tenantID string) bool {
		_, locked := slices.BinarySearch(tenants, tenantID)
		return locked
	})
	if len(more) > 0 {
		if err := r.engine.Lock(r.tx, r.locks(more)...); err != nil {
			return err
		}
	}
	r.audit.at = r.now()
	return nil
}

// locks are those of lockAll; the tenants are those in which it finds sessions.
func (r *revocation) locks(tenants []string) []engine.Lock {
	scope, locks := r.scope, []engine.Lock(nil)
	if scope.partner != nil {
		locks = append(locks, exclusive(joiningPartner(*scope.partner)))
	}
	if scope.user == nil {
		return append(locks, exclusiveTenants(tenants)...)
	}
	locks = append(locks, exclusive(lockName(text(scope.tenant), *scope.user)))
	return append(locks, sharedTenants(tenants)...)
}

// tenantsConcerned are the tenants in which a revocation of everything in its scope may find sessions, then or later.
func (r *revocation) tenantsConcerned() ([]string, error) {
	if r.scope.user != nil || r.scope.tenant != nil {
		return r.tenantsOf(func(tx *gorm.DB) *gorm.DB { return tx })
	}
	query := r.tx.Model(&Tenant{})
	if r.scope.partner != nil {
		query = query.Where("partner_id = ?", *r.scope.partner)
	}
	var tenantIDs []string
	return tenantIDs, query.Pluck("tenant_id", &tenantIDs).Error
}

// tenantsOf are the tenants of the sessions of the scope that are not recorded as ended and fulfil a condition as well. Where there is one
// writer there are no locks, and nobody needs to know.
func (r *revocation) tenantsOf(condition func(*gorm.DB) *gorm.DB) ([]string, error) {
	if !r.engine.IsPostgres() {
		return nil, nil
	}
	if r.scope.tenant != nil {
		return []string{*r.scope.tenant}, nil
	}
	var tenantIDs []string
	return tenantIDs, r.tx.Model(&Session{}).Scopes(r.scope.where, condition).Where("end_cause IS NULL").Distinct().Pluck("tenant_id", &tenantIDs).Error
}

// advanceCutoff keeps logins from before the revocation out, for as long as they may come. A scope of everything has no cutoff.
func (r *revocation) advanceCutoff() error {
	c := cutoff{
		TenantID: text(r.scope.tenant), UserID: text(r.scope.user), NotBefore: r.audit.at,
		KeepUntil: timestamp(r.keepUntil(r.audit.at, r.expires)),
	}
	if r.scope.tenant == nil {
		c.PartnerID = text(r.scope.partner)
	}
	if c.TenantID == "" && c.PartnerID == "" && c.UserID == "" {
		return nil
	}
	return advance(r.tx, c)
}
