// Package rls sets up PostgreSQL's row-level security: which tenant's rows, or which partner's tenants', a transaction may read and
// write. The policies of the schema read it from the settings sessiond.tenant, sessiond.tenants and sessiond.partner. It is the second
// line of defense, for a statement whose own conditions are wrong or missing.
package rls

import "github.com/sessiond/sessiond/store/internal/sqlbuild"

// Restriction is what a transaction may see: one tenant, the tenants of one partner, or everything when both are empty.
type Restriction struct{ Tenant, Partner string }

// Restricts reports whether any tenant is hidden.
func (r Restriction) Restricts() bool { return r.Tenant != "" || r.Partner != "" }

// Sees reports whether all rows of a tenant are visible, as far as can be told without asking the database.
func (r Restriction) Sees(tenantID string) bool {
	return r.Partner == "" && (r.Tenant == "" || r.Tenant == tenantID)
}

// Owner is whose turn a statement takes in a queue: that of the tenant that it is about or, where it names none, of the tenant or
// partner that it is restricted to, "" for the platform.
func (r Restriction) Owner(tenantID string) string {
	switch {
	case tenantID != "":
		return tenantID
	case r.Tenant == "" && r.Partner != "":
		return "\x00" + r.Partner // no tenant's id begins so
	default:
		return r.Tenant
	}
}

// Set appends columns that restrict the rest of the transaction. The settings end with it: the connection's next transaction may be
// another request's.
func (r Restriction) Set(st *sqlbuild.Statement) *sqlbuild.Statement {
	return st.Add("set_config('sessiond.tenant', ?, true), set_config('sessiond.partner', ?, true)", r.Tenant, r.Partner)
}

// SetTenants appends a column that extends a restriction to one tenant to all of these; none extends nothing, and takes back an earlier
// extension in the same transaction. It is for merged statements, each input row of which is about a tenant that its caller may see.
func SetTenants(st *sqlbuild.Statement, tenantIDs []string) *sqlbuild.Statement {
	return st.Add(", set_config('sessiond.tenants', ?::text[]::text, true)", tenantIDs)
}
