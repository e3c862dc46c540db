package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gorm.io/gorm"
)

// What a store method can answer besides success. Every other error is a fault of the database.
var (
	// ErrNotFound: no such session within the selection, whether it never existed or is somebody else's.
	ErrNotFound = errors.New("not found")
	// ErrTaken: the session id belongs to another user or tenant.
	ErrTaken = errors.New("session id is taken")
	// ErrEnded: the session has ended and does not come back to life.
	ErrEnded = errors.New("session has ended")
	// ErrOutOfScope: the tenant, or the partner that is named for it, is not the caller's.
	ErrOutOfScope = errors.New("tenant is out of the caller's scope")
	// ErrOtherPartner: the tenant belongs to another partner.
	ErrOtherPartner = errors.New("tenant belongs to another partner")
	// ErrTooOld: the login is from before a revocation of everything of its user or tenant.
	ErrTooOld = errors.New("login is older than a revocation")
	// ErrTooMany: the user has as many sessions as the tenant allows.
	ErrTooMany = errors.New("too many sessions")
	// ErrUnavailable: the database cannot be reached or did not answer in time.
	ErrUnavailable = errors.New("database is unavailable")
	// ErrConnect: the database could not be opened at first, whatever the reason.
	ErrConnect = errors.New("cannot connect")
	// ErrSchema: the database's schema is older than this program.
	ErrSchema = errors.New("database schema is not up to date")
)

// mapError gives a failure the operation's name and, where it is one of the store's own answers, its sentinel.
func mapError(operation string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gorm.ErrRecordNotFound):
		return fmt.Errorf("%s: %w", operation, ErrNotFound)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", operation, err)
	case errors.Is(err, context.DeadlineExceeded), unavailable(err):
		return fmt.Errorf("%s: %w: %w", operation, ErrUnavailable, err)
	default:
		return fmt.Errorf("%s: %w", operation, err)
	}
}

// unavailable reports whether the database was not there, went away, or could not do at the time what it was asked, as opposed
// to refusing it. A transaction that is over before it was committed was rolled back because its context had ended.
func unavailable(err error) bool {
	return errors.Is(err, sql.ErrTxDone) || errors.Is(err, sql.ErrConnDone) || pgUnavailable(err) || sqliteUnavailable(err)
}
