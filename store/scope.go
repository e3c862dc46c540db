package store

import (
	"context"
	"errors"
	"iter"
	"strings"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/counters"
	"github.com/sessiond/sessiond/store/internal/rls"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// Scope says whose sessions an operation may see or end: everybody's, a partner's, a tenant's, a user's. Conditions combine with AND, and
// an empty id is a value that matches nothing. The zero Scope matches nothing, so that a forgotten one cannot leak.
//
// It is an argument of every operation, and becomes the conditions of its statements. The authorization of a request also puts the
// authorized Scope into its context (WithScope), from which row-level security is set on PostgreSQL: that also restricts a statement whose
// own conditions are wrong.
type Scope struct {
	all                   bool
	tenant, partner, user *string
}

// AllTenants is the scope of the platform: the sessions of all tenants.
func AllTenants() Scope { return Scope{all: true} }

// InTenant is the scope of one tenant.
func InTenant(tenantID string) Scope { return AllTenants().InTenant(tenantID) }

// InTenant narrows the scope to one tenant.
func (s Scope) InTenant(tenantID string) Scope {
	s.narrow(&s.tenant, tenantID)
	return s
}

// OfPartner narrows the scope to the tenants of one partner.
func (s Scope) OfPartner(partnerID string) Scope {
	s.narrow(&s.partner, partnerID)
	return s
}

// OfUser narrows the scope to one user.
func (s Scope) OfUser(userID string) Scope {
	s.narrow(&s.user, userID)
	return s
}

// narrow adds a condition; two different values for the same column leave nothing.
func (s *Scope) narrow(column **string, value string) {
	if *column != nil && **column != value {
		s.all = false
	}
	*column = &value
}

// empty reports whether nothing can match, so that no statement needs to be sent.
func (s Scope) empty() bool {
	for _, id := range []*string{s.tenant, s.partner, s.user} {
		if id != nil && !storable(*id) {
			return true
		}
	}
	return !s.all
}

// columns are the columns that have to have a value, and these values.
func (s Scope) columns() iter.Seq2[string, string] {
	return func(yield func(column, value string) bool) {
		for _, c := range [...]struct {
			column string
			value  *string
		}{{"tenant_id", s.tenant}, {"partner_id", s.partner}, {"user_id", s.user}} {
			if c.value != nil && !yield(c.column, *c.value) {
				return
			}
		}
	}
}

// where selects the sessions of the scope, which must not be empty.
func (s Scope) where(tx *gorm.DB) *gorm.DB {
	for column, value := range s.columns() {
		tx = tx.Where(column+" = ?", value)
	}
	return tx
}

// add appends the same condition to a hand-written statement.
func (s Scope) add(st *sqlbuild.Statement) *sqlbuild.Statement {
	and := ""
	for column, value := range s.columns() {
		st.Add(and+column+" = ?", value)
		and = " AND "
	}
	if and == "" {
		st.Add("true")
	}
	return st
}

// counted is whose counters count the sessions of the scope, and false where sessions have to be counted.
func (s Scope) counted() (counters.Group, bool) {
	switch {
	case s.user != nil, s.tenant != nil && s.partner != nil:
		return counters.Group{}, false
	case s.tenant != nil:
		return counters.Group{Tenant: *s.tenant}, true
	case s.partner != nil:
		return counters.Group{Partner: *s.partner}, true
	default:
		return counters.Group{}, true
	}
}

// scopeOf is a group of counters as a scope.
func scopeOf(group counters.Group) Scope {
	switch {
	case group.Tenant != "":
		return InTenant(group.Tenant)
	case group.Partner != "":
		return AllTenants().OfPartner(group.Partner)
	default:
		return AllTenants()
	}
}

// tenantID is the one tenant of the scope, "" when it may be several.
func (s Scope) tenantID() string { return text(s.tenant) }

// errForeign: a statement returned a session of a tenant outside its scope.
var errForeign = errors.New("the database returned another tenant's session")

// admit refuses a session of another tenant. Merged statements are restricted to all of their tenants, so that row-level security alone
// does not hold for each.
func (s Scope) admit(tenantID string) error {
	if s.tenant != nil && *s.tenant != tenantID {
		return errForeign
	}
	return nil
}

// storable reports whether an id can be in the database at all. PostgreSQL refuses text with NUL or invalid UTF-8 with an error, SQLite
// does not; ids with either, and empty ones, are never registered, so they match nothing.
func storable(id string) bool {
	return id != "" && !strings.ContainsRune(id, 0) && strings.ToValidUTF8(id, "") == id
}

// ScopeKey is the context key of the *Scope that a request is authorized for.
type ScopeKey struct{}

// WithScope returns a context whose calls are restricted to a scope's tenants by row-level security. The user of a Scope is not enforced by
// the database.
func WithScope(ctx context.Context, scope Scope) context.Context {
	return context.WithValue(ctx, ScopeKey{}, &scope)
}

// errNotAuthorized: a request reached the database before its scope was decided.
var errNotAuthorized = errors.New("no scope has been authorized for this request")

// restriction is the row-level security restriction of a call. A context without a scope, such as that of a command or a job, restricts
// nothing; with an empty Scope the call fails.
func restriction(ctx context.Context) (rls.Restriction, error) {
	scope, ok := ctx.Value(ScopeKey{}).(*Scope)
	if !ok {
		return rls.Restriction{}, nil
	}
	if scope.empty() {
		return rls.Restriction{}, errNotAuthorized
	}
	return rls.Restriction{Tenant: text(scope.tenant), Partner: text(scope.partner)}, nil
}

// unrestricted lifts the restriction of a context whose scope has been decided, for statements that read rows of all tenants.
func unrestricted(ctx context.Context) context.Context {
	if _, err := restriction(ctx); err != nil {
		return ctx
	}
	return WithScope(ctx, AllTenants())
}

// ownerKey is the key of the tenant in a context that a transaction is about.
type ownerKey struct{}

// ownedBy returns a context whose transactions take turns as that tenant's, whatever they are restricted to.
func ownedBy(ctx context.Context, tenantID string) context.Context {
	return context.WithValue(ctx, ownerKey{}, tenantID)
}

// owner is the tenant or partner in whose turn a call is queued. The tenant that the call is about may be "".
func owner(ctx context.Context, tenantID string) string {
	if of, ok := ctx.Value(ownerKey{}).(string); ok && tenantID == "" {
		tenantID = of
	}
	restricted, _ := restriction(ctx) // the error is returned where the restriction is used
	return restricted.Owner(tenantID)
}

// text is what a pointer points to, "" for none.
func text(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}
