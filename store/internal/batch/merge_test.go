package batch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sessiond/sessiond/store/internal/rls"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// write is a write of a row of a tenant, as a bulk statement unless its text is empty.
func write(text, tenantID, id string, restricted rls.Restriction) *Query {
	st := sqlbuild.New(true, "")
	if text != "" {
		st = sqlbuild.Bulk(sqlbuild.Value{Name: "id", Type: "text", Value: id}).Add(text)
	}
	return &Query{Statement: st, Restriction: restricted, TenantID: tenantID, Row: tenantID + "\x00" + id}
}

// read is a read of a tenant's rows, with an argument.
func read(tenantID string, arg any, restricted rls.Restriction) *Query {
	return &Query{Statement: sqlbuild.New(true, "read ?", arg), Restriction: restricted, TenantID: tenantID}
}

// merged says which queries become one statement: their rows or arguments, and the tenants that it is restricted to, if they are several.
func merged(queries []*Query) string {
	for _, q := range queries {
		q.key = q.mergeKey()
	}
	var all []string
	for _, g := range groups(queries) {
		var ids []string
		for _, q := range g.queries {
			if _, id, found := strings.Cut(q.Row, "\x00"); found {
				ids = append(ids, id)
			} else {
				ids = append(ids, fmt.Sprint(q.Statement.Args()...))
			}
		}
		text := strings.Join(ids, "+")
		if tenants := g.tenants(); len(tenants) > 0 {
			text += ", in " + strings.Join(tenants, " ")
		}
		all = append(all, text)
	}
	return strings.Join(all, " | ")
}

func TestMerge(t *testing.T) {
	open, t1, t2, partner := rls.Restriction{}, rls.Restriction{Tenant: "t1"}, rls.Restriction{Tenant: "t2"}, rls.Restriction{Partner: "p"}
	for name, c := range map[string]struct {
		queries []*Query
		want    string
	}{
		"one tenant":                       {[]*Query{write("revoke", "t1", "a", t1), write("revoke", "t1", "b", t1)}, "a+b"},
		"tenants, each restricted to it":   {[]*Query{write("revoke", "t1", "a", t1), write("revoke", "t2", "b", t2), write("revoke", "t1", "c", t1)}, "a+b+c, in t1 t2 t1"},
		"unrestricted":                     {[]*Query{write("revoke", "t1", "a", open), write("revoke", "t2", "b", open)}, "a+b"},
		"restricted and not":               {[]*Query{write("revoke", "t1", "a", t1), write("revoke", "t2", "b", open)}, "a | b"},
		"tenants, then unrestricted":       {[]*Query{write("revoke", "t1", "a", t1), write("revoke", "t2", "b", t2), write("revoke", "t2", "c", open)}, "a+b, in t1 t2 | c"},
		"another's row":                    {[]*Query{write("revoke", "t1", "a", t1), write("revoke", "t1", "b", t2)}, "a | b"},
		"another's row first":              {[]*Query{write("revoke", "t1", "a", t2), write("revoke", "t1", "b", t1)}, "a | b"},
		"another's rows":                   {[]*Query{write("revoke", "t1", "a", t2), write("revoke", "t1", "b", t2)}, "a+b"},
		"tenants, then one's other row":    {[]*Query{write("revoke", "t1", "a", t1), write("revoke", "t2", "b", t2), write("revoke", "t2", "c", t1)}, "a+b, in t1 t2 | c"},
		"a partner's tenants":              {[]*Query{write("revoke", "t1", "a", partner), write("revoke", "t2", "b", partner), write("revoke", "t1", "c", t1)}, "a+b | c"},
		"the same row":                     {[]*Query{write("revoke", "t1", "a", t1), write("revoke", "t1", "a", t1), write("revoke", "t1", "b", t1)}, "a | a+b"},
		"other texts":                      {[]*Query{write("revoke", "t1", "a", t1), write("register", "t1", "b", t1)}, "a | b"},
		"writes that are for one row only": {[]*Query{write("", "t1", "a", t1), write("", "t1", "b", t1)}, "a | b"},
		"reads of one tenant":              {[]*Query{read("t1", "a", t1), read("t1", "a", t1), read("t1", "b", t1)}, "a+a+b"},
		"reads of tenants":                 {[]*Query{read("t1", "a", t1), read("t2", "b", t2)}, "a+b, in t1 t2"},
		"reads that name no tenant":        {[]*Query{read("", "a", t1), read("", "b", t1), read("", "c", t2)}, "a+b | c"},
		"reads of another tenant":          {[]*Query{read("t1", "a", t2), read("t1", "b", t1)}, "a | b"},
		"reads with lists":                 {[]*Query{read("t1", []string{"a"}, open), read("t1", []string{"a"}, open)}, "[a] | [a]"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, merged(c.queries)) })
	}
}
