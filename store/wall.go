package store

import (
	"context"
	"errors"

	"gorm.io/gorm"
)

// Wall is what the database itself lets a call see and change, whatever its statements say: one tenant, the tenants of one
// partner, or everything. It is the second wall, behind the conditions that a Selection puts into each statement, and
// stands on PostgreSQL only, as row-level security (migration 4). The zero Wall lets nothing through.
//
// Unlike a Selection it is taken from the context: it has to hold for a statement that forgot its Selection. Who decides
// what a request may do puts it there; a context without one, such as that of a command, lets everything through.
type Wall struct {
	open            bool
	tenant, partner string
}

// Behind is the wall around one tenant, around the tenants of a partner, or around everything when both are empty.
func Behind(tenantID, partnerID string) Wall {
	return Wall{open: true, tenant: tenantID, partner: partnerID}
}

// WallKey is the key of a *Wall in a context.
type WallKey struct{}

// WithWall returns a context whose calls stay behind the wall.
func WithWall(ctx context.Context, wall Wall) context.Context {
	return context.WithValue(ctx, WallKey{}, &wall)
}

func wallIn(ctx context.Context) Wall {
	if wall, ok := ctx.Value(WallKey{}).(*Wall); ok {
		return *wall
	}
	return Wall{open: true}
}

// confines reports whether there is anything that it keeps out.
func (w Wall) confines() bool { return w.tenant != "" || w.partner != "" }

// lifted is the wall with nothing kept out, where anybody has decided anything at all.
func (w Wall) lifted() Wall { return Wall{open: w.open} }

// sees reports whether a tenant's sessions are all on this side.
func (w Wall) sees(tenantID string) bool {
	return w.partner == "" && (w.tenant == "" || w.tenant == tenantID)
}

// owner is whose turn a statement takes in a queue: that of the tenant that it is about or, where it names none, of the tenant or
// partner that the wall is around, "" for the platform.
func (w Wall) owner(tenantID string) string {
	switch {
	case tenantID != "":
		return tenantID
	case w.tenant == "" && w.partner != "":
		return "\x00" + w.partner // no tenant's id begins so
	default:
		return w.tenant
	}
}

// ownerKey is the key of the tenant in a context that a transaction is about.
type ownerKey struct{}

// ownedBy returns a context whose transactions take turns as that tenant's, whatever the wall is around.
func ownedBy(ctx context.Context, tenantID string) context.Context {
	return context.WithValue(ctx, ownerKey{}, tenantID)
}

// ownerIn is whose turn a call takes that is about a tenant, which may be "".
func ownerIn(ctx context.Context, tenantID string) string {
	if of, ok := ctx.Value(ownerKey{}).(string); ok && tenantID == "" {
		tenantID = of
	}
	return wallIn(ctx).owner(tenantID)
}

// errUndecided: a request came to the database before anybody had decided what it may touch.
var errUndecided = errors.New("nobody has decided what this request may touch")

// addWall appends columns that put up a wall until the end of the transaction: the connection's next one may be another
// request's.
func (st *statement) addWall(wall Wall) *statement {
	return st.add("set_config('sessiond.tenant', ?, true), set_config('sessiond.partner', ?, true)", wall.tenant, wall.partner)
}

// raiseWall makes the settings of a transaction, and puts up its wall.
func (s *Store) raiseWall(tx *gorm.DB) error {
	wall := wallIn(tx.Statement.Context)
	switch {
	case !wall.open:
		return errUndecided
	case s.engine.pool == nil || !wall.confines() && s.engine.setup == "":
		return nil
	}
	st, comma := s.engine.transactionSetup()
	if wall.confines() {
		st.add(comma).addWall(wall)
	}
	return execIn(tx, st)
}

// transactionSetup begins the statement that a transaction begins with. It is the settings of the transaction, if it has any,
// and what comes before the next column.
func (e engine) transactionSetup() (st *statement, comma string) {
	st = e.statement("SELECT ")
	if e.setup != "" {
		st.add(e.setup)
		comma = ", "
	}
	return st, comma
}

// PassesWalls reports whether the database's role walks through every wall: a superuser does, a role with BYPASSRLS, and
// everybody on SQLite.
func (s *Store) PassesWalls(ctx context.Context) (bool, error) {
	if s.engine.pool == nil {
		return true, nil
	}
	passes := true
	st := s.engine.statement("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
	err := s.query(ctx, st, func(row rows) error { return row.Scan(&passes) })
	return passes, mapError("look up the database's role", err)
}
