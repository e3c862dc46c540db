package batch

import (
	"time"

	"github.com/sessiond/sessiond/store/internal/rls"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// Query is a statement, under which restriction it runs, and what it is about. It is used once.
type Query struct {
	Statement   *sqlbuild.Statement
	Restriction rls.Restriction
	// TenantID is the one tenant whose rows it reads or writes, "" when it may be several.
	TenantID string
	// Row names the row that it writes, in the order of which rows are locked; it is "" for one that only reads.
	Row string
	// SharedLocks are the keys of advisory locks that it needs.
	SharedLocks []int64

	// key is the mergeKey, once it is known that there are others to merge with.
	key      string
	deadline time.Time
	// turn gets nil when the query is done, or the batch that its caller has to send.
	turn   chan []*Query
	sends  bool
	result result
	err    error
}

func (q *Query) owner() string { return q.Restriction.Owner(q.TenantID) }

// mergeKey is the same for queries that can be merged into one statement, "" for one that cannot.
func (q *Query) mergeKey() string {
	if q.Statement.IsBulk() || q.Row == "" && q.Statement.Mergeable() {
		return q.Statement.String()
	}
	return ""
}

// singleTenant reports whether it is restricted to the one tenant that it is about.
func (q *Query) singleTenant() bool {
	return q.TenantID != "" && q.Restriction == rls.Restriction{Tenant: q.TenantID}
}
