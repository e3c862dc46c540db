package rls

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

func TestRestriction(t *testing.T) {
	for name, c := range map[string]struct {
		r                             Restriction
		restricts, seesAcme, seesElse bool
		owner, ownerOfAcme            string
	}{
		"everything":            {Restriction{}, false, true, true, "", "acme"},
		"a tenant":              {Restriction{Tenant: "acme"}, true, true, false, "acme", "acme"},
		"a partner":             {Restriction{Partner: "north"}, true, false, false, "\x00north", "acme"},
		"a tenant of a partner": {Restriction{"acme", "north"}, true, false, false, "acme", "acme"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.restricts, c.r.Restricts())
			assert.Equal(t, c.seesAcme, c.r.Sees("acme"))
			assert.Equal(t, c.seesElse, c.r.Sees("globex"))
			assert.Equal(t, c.owner, c.r.Owner(""))
			assert.Equal(t, c.ownerOfAcme, c.r.Owner("acme"))
		})
	}
	st := SetTenants(Restriction{"acme", "north"}.Set(sqlbuild.New(true, "SELECT ")), []string{"acme", "globex"})
	assert.Equal(t, "SELECT set_config('sessiond.tenant', $1, true), set_config('sessiond.partner', $2, true), "+
		"set_config('sessiond.tenants', $3::text[]::text, true)", st.String())
	assert.Equal(t, []any{"acme", "north", []string{"acme", "globex"}}, st.Args())
}
