package chaos

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	_ "modernc.org/sqlite"             // the driver sqlite

	"github.com/sessiond/sessiond/store"
)

// remains is what is in the database of a session after a run.
type remains struct {
	revoked    bool
	appCount   int
	apps       map[string]bool
	registered int
	revocation int
	appEvents  int
}

// openSQL opens a database beside the server.
func openSQL(url string) (*sql.DB, error) {
	if file, found := strings.CutPrefix(url, "sqlite://"); found {
		return sql.Open("sqlite", file)
	}
	return sql.Open("pgx", url)
}

// collect reads what is left of all sessions.
func collect(ctx context.Context, url string) (map[string]*remains, error) {
	db, err := openSQL(url)
	if err != nil {
		return nil, err
	}
	left := map[string]*remains{}
	err = errors.Join(
		scan(ctx, db, "SELECT id, revoked_at IS NOT NULL, app_count FROM sessions", func(row *sql.Rows) error {
			var id string
			r := &remains{apps: map[string]bool{}}
			err := row.Scan(&id, &r.revoked, &r.appCount)
			left[id] = r
			return err
		}),
		scan(ctx, db, "SELECT session_id, application_id FROM session_apps", func(row *sql.Rows) error {
			var id, app string
			if err := row.Scan(&id, &app); err != nil {
				return err
			}
			return with(left, id, "an application", func(r *remains) { r.apps[app] = true })
		}),
		scan(ctx, db, "SELECT session_id, action FROM audit_events WHERE session_id <> ''", func(row *sql.Rows) error {
			var id, action string
			if err := row.Scan(&id, &action); err != nil {
				return err
			}
			return with(left, id, "an event", func(r *remains) {
				switch action {
				case store.ActionRegistered:
					r.registered++
				case store.ActionRevoked:
					r.revocation++
				case store.ActionApp:
					r.appEvents++
				}
			})
		}),
	)
	return left, errors.Join(err, db.Close())
}

// errOrphan: something is there that belongs to a session that is not.
var errOrphan = errors.New("without its session")

func with(left map[string]*remains, id, what string, do func(*remains)) error {
	r := left[id]
	if r == nil {
		return fmt.Errorf("%s of %s: %w", what, id, errOrphan)
	}
	do(r)
	return nil
}

// scan reads rows. An orphan does not stop it; all orphans are in the error.
func scan(ctx context.Context, db *sql.DB, query string, each func(*sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	var errs error
	for rows.Next() {
		if err := each(rows); errors.Is(err, errOrphan) {
			errs = errors.Join(errs, err)
		} else if err != nil {
			return err
		}
	}
	return errors.Join(errs, rows.Err())
}

// torn says what does not belong together.
func (r *remains) torn() string {
	switch {
	case r.registered != 1:
		return fmt.Sprintf("%d events of its registration", r.registered)
	case r.revoked && r.revocation != 1, !r.revoked && r.revocation != 0:
		return fmt.Sprintf("revoked %v, with %d events of that", r.revoked, r.revocation)
	case r.appCount != len(r.apps), r.appCount != r.appEvents:
		return fmt.Sprintf("counts %d applications and has %d, with %d events", r.appCount, len(r.apps), r.appEvents)
	default:
		return ""
	}
}
