package store

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/counters"
)

// RollUp adds counter deltas to the counters and returns how many, in transactions of up to limit. Numbers are exact without it: it keeps
// what has to be added up for them short. It returns less than limit when no deltas wait any more, and then users are counted and the page
// index is maintained, a bounded number in each transaction. It does nothing while another instance is at it; call it every second or so,
// and again at once unless it returns less than limit.
func (s *Store) RollUp(ctx context.Context, limit int) (int, error) {
	for all := 0; ; {
		again := false
		n, err := s.writeAsJob(ctx, "roll up counters", rollUpJob, func(tx *gorm.DB) (n int, err error) {
			n, again, err = s.counters.RollUp(tx, s.now(), limit)
			return n, err
		}, s.engine.RepeatableRead(false))
		if all += n; err != nil || !again {
			return all, err
		}
	}
}

// errNotOwner: PostgreSQL passes over the tables of other owners with a warning.
var errNotOwner = errors.New("the tables could not be analyzed: connect as the role that owns them")

// Analyze has PostgreSQL collect statistics about its tables when there are more than twice the sessions that it plans for, and reports
// whether it did. It would do so by itself, but a minute or more later, and not at all while it is killed again and again; until then each
// session may be found by reading all of its tenant: for an empty table every index is as good as another. SQLite needs no such thing. It
// does nothing while another instance runs it; call it every few seconds.
func (s *Store) Analyze(ctx context.Context) (bool, error) {
	if !s.engine.IsPostgres() {
		return false, nil
	}
	n, err := s.writeAsJob(ctx, "analyze", analyzeJob, func(tx *gorm.DB) (int, error) {
		grown, err := hasGrown(tx)
		if err != nil || !grown {
			return 0, err
		}
		if err := analyze(tx); err != nil {
			return 0, err
		}
		grown, err = hasGrown(tx)
		if err == nil && grown {
			err = errNotOwner
		}
		return 1, err
	})
	return n > 0, err
}

// analyze reads some 30,000 rows of each table, however many there are.
func analyze(tx *gorm.DB) error {
	return tx.Exec("ANALYZE tenants, sessions, session_apps, search_keys, audit_events, counters, page_index, counter_deltas, user_counter_deltas").Error
}

// hasGrown compares the counter of all sessions, which is exact but for what is not rolled up yet, with what PostgreSQL plans for; -1 stands
// for a table that was never analyzed.
func hasGrown(tx *gorm.DB) (grown bool, err error) {
	err = tx.Raw(`SELECT coalesce(sum(total), 0) > 2 * (SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = 'sessions'::regclass) + 500
		FROM counters WHERE tenant_id = '' AND partner_id = '' AND kind = ? AND key = ''`, counters.KindRows).Scan(&grown).Error
	return grown, err
}
