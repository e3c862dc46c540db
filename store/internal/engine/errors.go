package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// ErrUnavailable says that the database cannot be reached or did not answer in time.
var ErrUnavailable = errors.New("database is unavailable")

// LockNotAvailable is the SQLSTATE for a lock that could not be taken in time.
const LockNotAvailable = "55P03"

// Classify gives a failure the operation's name, and wraps ErrUnavailable where the database was not there, went away, or could not do at
// the time what it was asked, as opposed to refusing it.
func Classify(operation string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", operation, err)
	case errors.Is(err, context.DeadlineExceeded), unavailable(err):
		return fmt.Errorf("%s: %w: %w", operation, ErrUnavailable, err)
	default:
		return fmt.Errorf("%s: %w", operation, err)
	}
}

// unavailable: a transaction that is over before it was committed was rolled back because its context had ended.
func unavailable(err error) bool {
	return errors.Is(err, sql.ErrTxDone) || errors.Is(err, sql.ErrConnDone) || PostgresUnavailable(err) || sqliteUnavailable(err)
}

// Unwritable reports whether the disk is full or broken, or the database read-only.
func Unwritable(err error) bool { return pgUnwritable(err) || sqliteUnwritable(err) }
