package store

import (
	"context"
	"database/sql"
	"strconv"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/engine"
)

// Jobs of which one instance at a time does each. A key is that of an advisory lock.
const (
	expiryJob  = 0x7365737369     // recording what has expired, purges
	rollUpJob  = 0x74616c6c79     // roll-ups and verification
	revokeJob  = 0x656e64696e67   // applying bulk revocations
	searchJob  = 0x736561726368   // revocation jobs
	analyzeJob = 0x616e616c797a65 // collecting the planner's statistics
)

// writeAsJob is write for a job that one instance at a time does: it does nothing while another instance runs the job.
func (s *Store) writeAsJob(
	ctx context.Context, operation string, job int64, do func(tx *gorm.DB) (int, error), options ...*sql.TxOptions,
) (int, error) {
	n := 0
	err := s.write(ctx, operation, func(tx *gorm.DB) error {
		n = 0 // an attempt before this one was rolled back
		alone, err := s.engine.TryLock(tx, job)
		if err != nil || !alone {
			return err
		}
		n, err = do(tx)
		return err
	}, options...)
	return n, err
}

// Locks between logins and revocations of everything at once: without them a login that is being registered would be invisible to a
// revocation, and the revocation's cutoff to the login. A registration holds the locks of what covers it, shared; a revocation holds the
// one of what it revokes, exclusively. Each lock has a name, whose digest is its key.

const (
	// idStripes is into how many locks session ids are divided. A registration holds the one of its id, shared; a purge holds those of the
	// ids that it deletes: between the look for a tombstone and the row nothing may come.
	idStripes = 64
	// manyTenants is of how many tenants each has a lock of its own in a revocation; one that meets more holds those of all shards, into
	// which tenants are divided. PostgreSQL has room for some thousand locks in all.
	manyTenants  = 100
	tenantShards = 64
)

// lockName names the lock of a user in a tenant, of a tenant ("" as the user) or of a user in all tenants ("" as the tenant).
func lockName(tenantID, userID string) string { return tenantID + "\x00" + userID }

func exclusive(name string) engine.Lock { return engine.Lock{Key: engine.LockKey(name)} }

func shared(name string) engine.Lock { return engine.Lock{Key: engine.LockKey(name), Shared: true} }

// tenantsPartner is the lock under which a tenant gets its partner. A registration without a partner holds it, or its session could be
// added without one after the tenant's sessions have got theirs.
func tenantsPartner(tenantID string) string { return lockName(tenantID, "\x00partner") }

// joiningPartner is the lock under which tenants join a partner: not while all sessions of the partner, or of one of its users, end.
func joiningPartner(partnerID string) string { return lockName("", "\x00joining\x00"+partnerID) }

// idStripe is the lock of a session id, by its digest.
func idStripe(sessionDigest string) string {
	return lockName("", "\x00id\x00"+strconv.Itoa(int(engine.LockKey(sessionDigest)&(idStripes-1))))
}

// shardOf is the lock of many tenants, of which one is that tenant.
func shardOf(tenantID string) string {
	return shard(int(engine.LockKey(tenantID) & (tenantShards - 1)))
}

func shard(number int) string { return lockName("", "\x00shard\x00"+strconv.Itoa(number)) }

// sharedTenants are the locks that keep revocations of a whole tenant away from all of these.
func sharedTenants(tenantIDs []string) []engine.Lock {
	var locks []engine.Lock
	if len(tenantIDs) > manyTenants {
		for number := range tenantShards {
			locks = append(locks, shared(shard(number)))
		}
		return locks
	}
	for _, tenantID := range tenantIDs {
		locks = append(locks, shared(lockName(tenantID, "")))
	}
	return locks
}

// exclusiveTenants are the locks of a revocation of all of these tenants.
func exclusiveTenants(tenantIDs []string) []engine.Lock {
	var locks []engine.Lock
	for _, tenantID := range tenantIDs {
		locks = append(locks, exclusive(lockName(tenantID, "")), exclusive(shardOf(tenantID)))
	}
	return locks
}
