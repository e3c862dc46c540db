package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"gorm.io/gorm"
)

// Functions of PostgreSQL that take an advisory lock until the end of the transaction.
const (
	lockShared    = "pg_advisory_xact_lock_shared"
	lockExclusive = "pg_advisory_xact_lock"
)

// Lock is an advisory lock.
type Lock struct {
	Key int64
	// Shared locks keep exclusive ones of the same key away, and not each other.
	Shared bool
}

// LockKey is the key of a lock with a name.
func LockKey(name string) int64 {
	digest := sha256.Sum256([]byte(name))
	return int64(binary.BigEndian.Uint64(digest[:])) //nolint:gosec // every bit counts, none as a sign
}

// Lock takes locks until the end of the transaction. SQLite has one writer, and needs none. All are taken in one order, so that two
// transactions do not wait for each other, and passed as arrays, so that it is one statement for any number of them.
func (e *Engine) Lock(tx *gorm.DB, locks ...Lock) error {
	if !e.IsPostgres() || len(locks) == 0 {
		return nil
	}
	slices.SortFunc(locks, func(a, b Lock) int {
		if a.Key == b.Key && a.Shared != b.Shared {
			if b.Shared {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Key, b.Key)
	})
	keys, shared := make([]int64, len(locks)), make([]bool, len(locks))
	for i, lock := range locks {
		keys[i], shared[i] = lock.Key, lock.Shared
	}
	return Exec(tx, e.Statement(`SELECT count(CASE WHEN shared THEN `+lockShared+`(key) ELSE `+lockExclusive+`(key) END)
		FROM unnest(?::bigint[], ?::boolean[]) AS locks (key, shared)`, keys, shared))
}

// TryLock takes an exclusive lock until the end of the transaction if it is free, and reports whether it is.
func (e *Engine) TryLock(tx *gorm.DB, key int64) (bool, error) {
	if !e.IsPostgres() {
		return true, nil
	}
	var locked bool
	err := tx.Raw("SELECT pg_try_advisory_xact_lock(?)", key).Scan(&locked).Error
	return locked, err
}
