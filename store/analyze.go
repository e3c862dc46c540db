package store

import (
	"context"
	"errors"

	"gorm.io/gorm"
)

// AnalyzeGrown lets PostgreSQL look at its tables again when there are more than twice the sessions that it planned for, and
// reports whether it did. It would do so by itself, but a minute or more later, and not at all while it is killed again and
// again; until then each session may be found by passing all of its tenant: to PostgreSQL every index of an empty table is as
// good as another. SQLite needs no such thing. Like FoldChanges it does nothing while another instance is at it; call it
// every few seconds.
func (s *Store) AnalyzeGrown(ctx context.Context) (bool, error) {
	if s.engine.pool == nil {
		return false, nil
	}
	n, err := s.writeAlone(ctx, "analyze", analyzeLock, func(tx *gorm.DB) (int, error) {
		did, err := analyzeGrown(tx)
		if err != nil || !did {
			return 0, err
		}
		grown, err := hasGrown(tx)
		if err == nil && grown {
			err = errNotOwner
		}
		return 1, err
	})
	return n > 0, err
}

// analyzeGrown does it in a transaction. PostgreSQL reads some 30,000 rows of each table for it, however many there are.
func analyzeGrown(tx *gorm.DB) (bool, error) {
	grown, err := hasGrown(tx)
	if err == nil && grown {
		err = tx.Exec("ANALYZE tenants, sessions, session_apps, audit_events, tallies, session_chunks, session_changes, user_deltas").Error
	}
	return grown && err == nil, err
}

// errNotOwner: PostgreSQL passes over the tables of others with a warning.
var errNotOwner = errors.New("the tables could not be analyzed: connect as the role that owns them")

// hasGrown holds the tally of all sessions, which is exact but for what is not folded yet, against what PostgreSQL plans for;
// -1 stands for a table that was never looked at.
func hasGrown(tx *gorm.DB) (grown bool, err error) {
	err = tx.Raw(`SELECT coalesce(sum(total), 0) > 2 * (SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = 'sessions'::regclass) + 500
		FROM tallies WHERE tenant_id = '' AND partner_id = '' AND kind = ? AND key = ''`, kindSessions).Scan(&grown).Error
	return grown, err
}
