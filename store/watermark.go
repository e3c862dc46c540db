package store

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// watermark is a not-before cutoff: no login from before a time may be registered, for a user in a tenant, for all users of a
// tenant ("" as the user) or for a user in all tenants ("" as the tenant).
type watermark struct {
	TenantID string `gorm:"primaryKey"`
	// UserID is a digest where the user was erased.
	UserID    string `gorm:"primaryKey"`
	NotBefore time.Time
	// KeepUntil is when no token lives any more of what the cutoff keeps out; see Store.keepUntil.
	KeepUntil time.Time
}

// TableName names the table.
func (watermark) TableName() string { return "watermarks" }

// partnerCutoff is the same for the tenants of a partner, also for those that join it later.
type partnerCutoff struct {
	PartnerID            string `gorm:"primaryKey"`
	UserID               string `gorm:"primaryKey"`
	NotBefore, KeepUntil time.Time
}

// TableName names the table.
func (partnerCutoff) TableName() string { return "partner_cutoffs" }

// key is the number of the watermark's lock.
func (w watermark) key() int64 {
	digest := sha256.Sum256([]byte(w.TenantID + "\x00" + w.UserID))
	return int64(binary.BigEndian.Uint64(digest[:])) //nolint:gosec // every bit counts, none as a sign
}

// covering are the watermarks that a login of that user is held against.
func covering(tenantID, userID string) []watermark {
	return []watermark{{TenantID: tenantID}, {UserID: userID}, {TenantID: tenantID, UserID: userID}}
}

// joining is the lock under which tenants join a partner: not while all sessions of the partner, or of one of its users, end.
func joining(partnerID string) watermark { return watermark{UserID: "\x00joining\x00" + partnerID} }

const (
	// idStripes is into how many locks session ids are divided. A registration holds the one of its id, shared; who deletes rows
	// and keeps their digests holds those of their ids: between the look for a digest and the row nothing may come.
	idStripes = 64
	// manyTenants is of how many tenants each has a lock of its own in a revocation; one that meets more holds those of all shards,
	// into which tenants are divided. PostgreSQL has room for some thousand locks in all.
	manyTenants  = 100
	tenantShards = 64
)

// stripe is the lock of a session id, by its digest.
func stripe(sessionDigest string) watermark {
	return watermark{UserID: "\x00id\x00" + strconv.Itoa(int(watermark{UserID: sessionDigest}.key()&(idStripes-1)))}
}

// shard is the lock of many tenants, of which one is that tenant.
func shard(tenantID string) watermark {
	return shardOf(int(watermark{TenantID: tenantID}.key() & (tenantShards - 1)))
}

func shardOf(number int) watermark { return watermark{UserID: "\x00shard\x00" + strconv.Itoa(number)} }

// Functions of PostgreSQL that hold a lock until the end of the transaction.
const (
	shared    = "pg_advisory_xact_lock_shared"
	exclusive = "pg_advisory_xact_lock"
)

// hold is a lock on a watermark.
type hold struct {
	watermark
	function string
}

// lock makes registrations and revocations of everything at once follow each other: without it a login that is being
// registered would be invisible to a revocation, and the watermark to the login. SQLite has one writer anyhow.
func (s *Store) lock(tx *gorm.DB, holds ...hold) error {
	if s.engine.serial != nil || len(holds) == 0 {
		return nil
	}
	// As arrays, in one order: one statement for any number of locks, and nobody waits in a circle.
	slices.SortFunc(holds, func(a, b hold) int { return cmp.Or(cmp.Compare(a.key(), b.key()), cmp.Compare(a.function, b.function)) })
	keys, alone := make([]int64, len(holds)), make([]bool, len(holds))
	for i, h := range holds {
		keys[i], alone[i] = h.key(), h.function == exclusive
	}
	return execIn(tx, s.engine.statement(`SELECT count(CASE WHEN alone THEN `+exclusive+`(key) ELSE `+shared+`(key) END)
		FROM unnest(?::bigint[], ?::boolean[]) AS locks (key, alone)`, keys, alone))
}

// tooOld reports whether a login is from before a revocation of everything of its user, tenant or partner. The digest is that
// of the user.
func tooOld(tx *gorm.DB, session Session, digest string) (bool, error) {
	users, found := []string{"", session.UserID, digest}, int64(0)
	err := tx.Model(&watermark{}).Where("tenant_id IN ? AND user_id IN ?", []string{"", session.TenantID}, users).
		Where("not_before >= ?", session.CreatedAt).Count(&found).Error
	if err != nil || found > 0 || session.PartnerID == nil {
		return found > 0, err
	}
	err = tx.Model(&partnerCutoff{}).Where("partner_id = ? AND user_id IN ?", *session.PartnerID, users).
		Where("not_before >= ?", session.CreatedAt).Count(&found).Error
	return found > 0, err
}

// lockAll takes the locks of a revocation of everything in its selection, and the time under them. No login of the selection
// is being registered then, and nobody ends all sessions of one of the tenants in which this one finds any, so that the two do
// not report the same ones.
func (r *revocation) lockAll() error {
	tenants, err := r.tenantsConcerned()
	if err != nil {
		return err
	}
	if err := r.lock(r.tx, r.holds(tenants)...); err != nil {
		return err
	}
	// What was registered before the locks were got may be in another tenant.
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
		if err := r.lock(r.tx, r.holds(more)...); err != nil {
			return err
		}
	}
	r.trail.at = r.clock()
	return nil
}

// holds are the locks of lockAll; the tenants are those that it meets.
func (r *revocation) holds(tenants []string) []hold {
	sel, holds := r.sel, []hold(nil)
	if sel.partner != nil {
		holds = append(holds, hold{joining(*sel.partner), exclusive})
	}
	ofTenants := shared
	switch {
	case sel.user != nil && sel.tenant != nil:
		holds = append(holds, hold{watermark{TenantID: *sel.tenant, UserID: *sel.user}, exclusive})
	case sel.user != nil:
		holds = append(holds, hold{watermark{UserID: *sel.user}, exclusive})
	default:
		ofTenants = exclusive
	}
	return append(holds, ofTenantsMet(tenants, ofTenants)...)
}

// ofTenantsMet are the locks of tenants in which sessions are met.
func ofTenantsMet(tenants []string, function string) []hold {
	var holds []hold
	if function == shared && len(tenants) > manyTenants {
		for number := range tenantShards {
			holds = append(holds, hold{shardOf(number), shared})
		}
		return holds
	}
	for _, tenantID := range tenants {
		if holds = append(holds, hold{watermark{TenantID: tenantID}, function}); function == exclusive {
			holds = append(holds, hold{shard(tenantID), exclusive})
		}
	}
	return holds
}

// tenantsConcerned are the tenants in which a revocation of everything in its selection may find sessions, then or later.
func (r *revocation) tenantsConcerned() ([]string, error) {
	if r.sel.user != nil || r.sel.tenant != nil {
		return r.tenantsMet(every)
	}
	query := r.tx.Model(&Tenant{})
	if r.sel.partner != nil {
		query = query.Where("partner_id = ?", *r.sel.partner)
	}
	var tenantIDs []string
	err := query.Pluck("tenant_id", &tenantIDs).Error
	return tenantIDs, err
}

// tenantsMet are the tenants of the selected sessions that do not say that they have ended and fulfil the condition as well.
// Where there is one writer there are no locks, and nobody needs to know.
func (r *revocation) tenantsMet(also condition) ([]string, error) {
	if r.engine.serial != nil {
		return nil, nil
	}
	if r.sel.tenant != nil {
		return []string{*r.sel.tenant}, nil
	}
	var tenantIDs []string
	st := r.engine.statement("SELECT DISTINCT tenant_id FROM sessions WHERE ").selected(r.sel).add(" AND ended_how IS NULL")
	also(st)
	err := queryIn(r.tx, st, func(row rows) error {
		tenantIDs = append(tenantIDs, "")
		return row.Scan(&tenantIDs[len(tenantIDs)-1])
	})
	return tenantIDs, err
}

// advanceCutoff keeps logins from before the revocation out, for as long as they may come. A selection of everything has no
// cutoff.
func (r *revocation) advanceCutoff() error {
	at, keep := r.trail.at, timestamp(r.keepUntil(r.trail.at, r.expires))
	tenantID, userID := text(r.sel.tenant), text(r.sel.user)
	switch {
	case r.sel.partner != nil && r.sel.tenant == nil:
		return advance(r.tx, &partnerCutoff{*r.sel.partner, userID, at, keep}, "partner_cutoffs", "partner_id")
	case tenantID == "" && userID == "":
		return nil
	default:
		return advance(r.tx, &watermark{tenantID, userID, at, keep}, "watermarks", "tenant_id")
	}
}

// advance stores a cutoff, or advances the one that there is. A clock that was set back, or another instance's, must not let
// in again whom an earlier call has kept out.
func advance(tx *gorm.DB, cutoff any, table, key string) error {
	later := func(column string) any {
		old, given := table+"."+column, "excluded."+column
		return gorm.Expr("CASE WHEN " + old + " > " + given + " THEN " + old + " ELSE " + given + " END")
	}
	return tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: key}, {Name: "user_id"}},
		DoUpdates: clause.Assignments(map[string]any{"not_before": later("not_before"), "keep_until": later("keep_until")}),
	}).Create(cutoff).Error
}

// text is what a pointer points to, "" for none.
func text(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}
