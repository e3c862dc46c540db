package store

import (
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/engine"
)

// What a store method can answer besides success. Every other error is a fault of the database.
var (
	// ErrNotFound: no such session within the scope, whether it never existed or is somebody else's.
	ErrNotFound = errors.New("not found")
	// ErrCallerEnded: the caller's own session has ended.
	ErrCallerEnded = errors.New("the caller's session has ended")
	// ErrTaken: the session id belongs to another user or tenant.
	ErrTaken = errors.New("session id is taken")
	// ErrEnded: the session has ended and does not come back to life.
	ErrEnded = errors.New("session has ended")
	// ErrOutOfScope: the tenant, or the partner that is named for it, is not the caller's.
	ErrOutOfScope = errors.New("tenant is out of the caller's scope")
	// ErrOtherPartner: the tenant belongs to another partner.
	ErrOtherPartner = errors.New("tenant belongs to another partner")
	// ErrTooOld: the login is from before a revocation of everything of its user, tenant or partner.
	ErrTooOld = errors.New("login is older than a revocation")
	// ErrTooMany: the user has as many sessions as the tenant allows.
	ErrTooMany = errors.New("too many sessions")
	// ErrCursor: the cursor is not one that this list has given out.
	ErrCursor = errors.New("not a cursor of this list")
	// ErrConfirmation: the confirmation is not that of a preview of this revocation, or it is too old.
	ErrConfirmation = errors.New("not a confirmation of this revocation")
	// ErrNotActive: the revocation is of sessions that have ended.
	ErrNotActive = errors.New("only active sessions can end")
	// ErrOtherJob: the confirmation has created a job with another reason or cutoff.
	ErrOtherJob = errors.New("the confirmation is that of another job")
	// ErrTooManyJobs: as many revocation jobs of the tenant as may be are not finished.
	ErrTooManyJobs = errors.New("too many revocation jobs")
	// ErrJobFinished: the revocation job is finished.
	ErrJobFinished = errors.New("revocation job is finished")
	// ErrTooWide: a search would have to sort more sessions than one call may.
	ErrTooWide = errors.New("too many sessions to be sorted")
	// ErrUnavailable: the database cannot be reached or did not answer in time.
	ErrUnavailable = engine.ErrUnavailable
	// ErrConnect: the database could not be opened at first, whatever the reason.
	ErrConnect = engine.ErrConnect
	// ErrSchema: the database's schema is older than this program.
	ErrSchema = errors.New("database schema is not up to date")
	// ErrIncompatibleSchema: the database was made by a build from before the first release, and cannot be migrated.
	ErrIncompatibleSchema = errors.New("the database was made by a build from before the first release, and cannot be migrated: use an empty one")
)

// DriftedError is the answer when a revocation would end more or fewer sessions than its preview has shown.
type DriftedError struct{ Shown, Now int }

// Error implements error.
func (e DriftedError) Error() string {
	return fmt.Sprintf("the preview found %d sessions, now there are %d", e.Shown, e.Now)
}

// mapError gives a failure the operation's name and, where it is one of the store's own answers, its sentinel.
func mapError(operation string, err error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return fmt.Errorf("%s: %w", operation, ErrNotFound)
	}
	return engine.Classify(operation, err)
}
