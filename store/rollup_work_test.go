package store_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/qa/sequential"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/internal/tuning"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestRollUpReadsInProportion: to roll up twice as many deltas reads about twice as many rows, and a later roll-up reads no more for what
// was rolled up before. PostgreSQL counts what is read; SQLite gets the same statements.
func TestRollUpReadsInProportion(t *testing.T) {
	sequential.Test(t)
	const changes, later = 2000, 20
	for shape, session := range imports() {
		t.Run(shape, func(t *testing.T) {
			first, after := rowsRead(t, session, changes, later)
			twice, afterTwice := rowsRead(t, session, 2*changes, later)
			t.Logf("%d changes: %d rows, %d later; %d changes: %d rows, %d later", changes, first, after, 2*changes, twice, afterTwice)
			assert.Less(t, twice, 5*first/2)
			assert.Less(t, afterTwice, 3*after/2)
		})
	}
}

// rowsRead is how many rows of tables and entries of indexes are read to roll up so many pending deltas, and then single ones.
func rowsRead(t *testing.T, session func(i int) store.Session, changes, later int) (first, after int) {
	t.Helper()
	url := storetest.PostgresURL(t)
	s, err := store.Open(tuning.WithBucketSize(t.Context(), 50), url, store.Options{})
	require.NoError(t, err)
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	importSessions(t, s, session, 0, changes)
	require.NoError(t, s.Close())
	before := counted(t, url)
	rollUp := func(do func(rollUp func())) int {
		s, err := store.Open(tuning.WithBucketSize(t.Context(), 50), url, store.Options{})
		require.NoError(t, err)
		do(func() {
			for n := 50; n == 50; {
				n, err = s.RollUp(t.Context(), 50)
				require.NoError(t, err)
			}
		})
		require.NoError(t, s.Close())
		now := counted(t, url)
		defer func() { before = now }()
		return now - before
	}
	first = rollUp(func(rollUp func()) { rollUp() })
	after = rollUp(func(rollUp func()) {
		s, err := store.Open(tuning.WithBucketSize(t.Context(), 50), url, store.Options{})
		require.NoError(t, err)
		for i := range later {
			importSessions(t, s, session, changes+i, changes+i+1)
			rollUp()
		}
		require.NoError(t, s.Close())
	})
	s, err = store.Open(tuning.WithBucketSize(t.Context(), 50), url, store.Options{})
	require.NoError(t, err)
	_, err = s.VerifyCounters(t.Context(), false, func(d store.Drift) { assert.Fail(t, "drift", "%+v", d) })
	require.NoError(t, err)
	require.NoError(t, s.Close())
	return first, after
}

// counted returns how many rows and index entries PostgreSQL counts as read. A connection reports them when it closes.
func counted(t *testing.T, url string) int {
	t.Helper()
	s, err := store.Open(t.Context(), url, store.Options{MaxConns: 1})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	number := func(text string) int {
		found, err := s.Texts(t.Context(), text)
		require.NoError(t, err)
		n, err := strconv.Atoi(found[0])
		require.NoError(t, err)
		return n
	}
	require.Eventually(t, func() bool {
		return number(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
			AND backend_type = 'client backend'`) == 0
	}, time.Minute, time.Millisecond)
	return number(`SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables) + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)`)
}
