package store

import (
	"context"
	"database/sql"

	"gorm.io/gorm"
)

// Locks of which one instance at a time holds each.
const (
	endedLock   = 0x7365737369     // "sessi": to sweep and to purge
	tallyLock   = 0x74616c6c79     // "tally": to fold and to recount
	endingLock  = 0x656e64696e67   // "ending": to finish the endings of tenants
	analyzeLock = 0x616e616c797a65 // "analyze": to look at grown tables
)

// writeAlone is write for what one instance at a time does: it does nothing while another is at it.
func (s *Store) writeAlone(
	ctx context.Context, operation string, number int64, do func(tx *gorm.DB) (int, error), options ...*sql.TxOptions,
) (int, error) {
	n := 0
	err := s.write(ctx, operation, func(tx *gorm.DB) error {
		n = 0 // an attempt before this one was undone
		alone, err := s.alone(tx, number)
		if err != nil || !alone {
			return err
		}
		n, err = do(tx)
		return err
	}, options...)
	return n, err
}

// alone takes a lock for this transaction, if it is free.
func (s *Store) alone(tx *gorm.DB, number int64) (bool, error) {
	if s.engine.serial != nil {
		return true, nil
	}
	var alone bool
	err := tx.Raw("SELECT pg_try_advisory_xact_lock(?)", number).Scan(&alone).Error
	return alone, err
}

// oneState are the options of a transaction all of whose statements see the same state.
func (s *Store) oneState() *sql.TxOptions {
	if s.engine.serial != nil {
		return nil // nobody else writes meanwhile
	}
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead}
}
