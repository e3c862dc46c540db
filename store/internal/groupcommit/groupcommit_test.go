package groupcommit_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libtnb/sqlite"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/sessiond/sessiond/store/internal/fair"
	"github.com/sessiond/sessiond/store/internal/groupcommit"
)

var (
	errRefused = errors.New("refused")
	errFatal   = errors.New("the transaction is lost")
)

type fixture struct {
	*groupcommit.Group
	db      *gorm.DB
	writers *fair.Semaphore

	mu sync.Mutex
	// ran are the changes in their order, each with the transaction that it ran in.
	ran []ran
}

type ran struct {
	id int
	in any
}

func open(t *testing.T) *fixture {
	t.Helper()
	db, err := gorm.Open(sqlite.Open("file:"+filepath.Join(t.TempDir(), "test.db")+"?_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)&_txlock=immediate"),
		&gorm.Config{SkipDefaultTransaction: true, Logger: logger.Discard})
	require.NoError(t, err)
	t.Cleanup(func() {
		if handle, err := db.DB(); assert.NoError(t, err) {
			assert.NoError(t, handle.Close())
		}
	})
	require.NoError(t, db.Exec("CREATE TABLE t (id INTEGER PRIMARY KEY)").Error)
	f := &fixture{db: db, writers: fair.NewSemaphore(1, 1)}
	f.Group = groupcommit.New(db, f.writers, func(err error) bool { return !errors.Is(err, errFatal) })
	return f
}

// insert is a change that inserts a row, and then does more.
func (f *fixture) insert(id int, more func() error) func(tx *gorm.DB) error {
	return func(tx *gorm.DB) error {
		f.mu.Lock()
		f.ran = append(f.ran, ran{id, tx.Statement.ConnPool})
		f.mu.Unlock()
		if err := tx.Exec("INSERT INTO t (id) VALUES (?)", id).Error; err != nil {
			return err
		}
		return more()
	}
}

func (f *fixture) rows(t *testing.T) []int {
	t.Helper()
	var ids []int
	require.NoError(t, f.db.Raw("SELECT id FROM t ORDER BY id").Scan(&ids).Error)
	return ids
}

// together makes all calls wait for the writer, and then admits them.
func (f *fixture) together(t *testing.T, calls ...func()) {
	t.Helper()
	require.NoError(t, f.writers.Acquire(t.Context(), "test"))
	var group sync.WaitGroup
	for i, call := range calls {
		group.Go(call)
		require.Eventually(t, func() bool { _, waiting := f.writers.Len(); return waiting == i+1 }, 10*time.Second, time.Millisecond)
	}
	f.writers.Release("test")
	group.Wait()
	used, waiting := f.writers.Len()
	assert.Zero(t, used)
	assert.Zero(t, waiting)
}

func nothing() error { return nil }

func TestChangesShareATransaction(t *testing.T) {
	f := open(t)
	var calls []func()
	for i := range groupcommit.MaxChanges + 3 {
		calls = append(calls, func() { assert.NoError(t, f.Do(t.Context(), fmt.Sprint(i%5), f.insert(i, nothing))) })
	}
	f.together(t, calls...)
	assert.Len(t, f.rows(t), groupcommit.MaxChanges+3)
	in := map[any]int{}
	for _, r := range f.ran {
		in[r.in]++
	}
	var sizes []int
	for _, n := range in {
		sizes = append(sizes, n)
	}
	slices.Sort(sizes)
	assert.Equal(t, []int{3, groupcommit.MaxChanges}, sizes)
}

// TestOneChangeIsRefused: what fails, by an error or a panic, is undone, and the others are not.
func TestOneChangeIsRefused(t *testing.T) {
	for _, place := range []int{0, 1, 2} {
		f := open(t)
		calls := make([]func(), 0, 4)
		for i := range 3 {
			if i == place {
				calls = append(calls, func() {
					assert.ErrorIs(t, f.Do(t.Context(), "a", f.insert(i, func() error { return errRefused })), errRefused)
				}, func() {
					assert.PanicsWithValue(t, "why", func() { _ = f.Do(t.Context(), "a", f.insert(10+i, func() error { panic("why") })) })
				})
				continue
			}
			calls = append(calls, func() { assert.NoError(t, f.Do(t.Context(), "a", f.insert(i, nothing))) })
		}
		f.together(t, calls...)
		assert.Equal(t, slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return i == place }), f.rows(t))
		assert.Len(t, f.ran, 4, "each ran once")
	}
}

// TestTheTransactionIsLost: the others run again, and take effect once.
func TestTheTransactionIsLost(t *testing.T) {
	for _, place := range []int{0, 2, 3} {
		f := open(t)
		calls := make([]func(), 0, 4)
		for i := range 4 {
			more, want := nothing, error(nil)
			switch i {
			case place:
				more, want = func() error { return errFatal }, errFatal
			case 1:
				more, want = func() error { return errRefused }, errRefused
			}
			calls = append(calls, func() { assert.ErrorIs(t, f.Do(t.Context(), "a", f.insert(i, more)), want) })
		}
		f.together(t, calls...)
		assert.Equal(t, slices.DeleteFunc([]int{0, 1, 2, 3}, func(i int) bool { return i == place || i == 1 }), f.rows(t))
	}
}

// TestTheTransactionCannotBegin: everybody gets the error.
func TestTheTransactionCannotBegin(t *testing.T) {
	f := open(t)
	handle, err := f.db.DB()
	require.NoError(t, err)
	var calls []func()
	for i := range 3 {
		calls = append(calls, func() { assert.ErrorContains(t, f.Do(t.Context(), "a", f.insert(i, nothing)), "database is closed") })
	}
	require.NoError(t, handle.Close())
	f.together(t, calls...)
	assert.Empty(t, f.ran)
}

// TestWhoGoesAwayDoesNotBegin: neither while it waits to be admitted, nor when its turn has come; and nobody else is disturbed.
func TestWhoGoesAwayDoesNotBegin(t *testing.T) {
	f := open(t)
	waiting, cancel := context.WithCancel(t.Context())
	ended, cancelEnded := context.WithCancel(t.Context())
	f.together(t, func() {
		assert.NoError(t, f.Do(t.Context(), "a", f.insert(0, func() error { cancelEnded(); return nil })))
	},
		func() { assert.ErrorIs(t, f.Do(ended, "a", f.insert(1, nothing)), context.Canceled) },
		func() { assert.NoError(t, f.Do(t.Context(), "a", f.insert(2, nothing))) })
	assert.Equal(t, []int{0, 2}, f.rows(t))

	require.NoError(t, f.writers.Acquire(t.Context(), "test"))
	done := make(chan error)
	go func() { done <- f.Do(waiting, "a", f.insert(3, nothing)) }()
	require.Eventually(t, func() bool { _, n := f.writers.Len(); return n == 1 }, 10*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	f.writers.Release("test")
	require.NoError(t, f.Do(t.Context(), "a", f.insert(4, nothing)))
	assert.Equal(t, []int{0, 2, 4}, f.rows(t))
	assert.Len(t, f.ran, 3)
}

// TestAnEndedContextDoesNotUndoOthers: one that ends while a change runs with others does not end the change, or all would be rolled back.
func TestAnEndedContextDoesNotUndoOthers(t *testing.T) {
	f := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.together(t, func() { assert.NoError(t, f.Do(t.Context(), "a", f.insert(0, nothing))) }, func() {
		assert.NoError(t, f.Do(ctx, "a", func(tx *gorm.DB) error {
			cancel()
			return f.insert(1, nothing)(tx)
		}))
	})
	assert.Equal(t, []int{0, 1}, f.rows(t))
}

// TestAChangeAsksToRunAlone: it runs again by itself, when it shared a transaction, and the others' stand.
func TestAChangeAsksToRunAlone(t *testing.T) {
	f := open(t)
	long := func(id int) func(tx *gorm.DB) error {
		return func(tx *gorm.DB) error {
			return f.insert(id, func() error { return groupcommit.Alone(tx) })(tx)
		}
	}
	f.together(t, func() { assert.NoError(t, f.Do(t.Context(), "a", f.insert(0, nothing))) },
		func() { assert.NoError(t, f.Do(t.Context(), "a", long(1))) },
		func() { assert.NoError(t, f.Do(t.Context(), "a", f.insert(2, nothing))) })
	assert.Equal(t, []int{0, 1, 2}, f.rows(t))
	require.Len(t, f.ran, 4)
	assert.Equal(t, []any{f.ran[0].in, f.ran[0].in, f.ran[0].in}, []any{f.ran[1].in, f.ran[2].in, f.ran[0].in})
	assert.NotEqual(t, f.ran[0].in, f.ran[3].in)
	assert.Equal(t, 1, f.ran[3].id)
	require.NoError(t, f.Do(t.Context(), "a", long(3)), "alone it runs once")
	assert.Len(t, f.ran, 5)
}

// TestTheCommitFails: nobody's change is there, and nobody keeps an answer that may be due to another's.
func TestTheCommitFails(t *testing.T) {
	f := open(t)
	require.NoError(t, f.db.Exec("CREATE TABLE child (id INTEGER REFERENCES t DEFERRABLE INITIALLY DEFERRED)").Error)
	call := func(do func(tx *gorm.DB) error) func() {
		return func() { assert.ErrorContains(t, f.Do(t.Context(), "a", do), "FOREIGN KEY constraint failed") }
	}
	f.together(t, call(f.insert(0, nothing)),
		call(func(tx *gorm.DB) error { return tx.Exec("INSERT INTO child (id) VALUES (99)").Error }),
		call(f.insert(2, func() error { return errRefused })))
	assert.Empty(t, f.rows(t))
	require.NoError(t, f.Do(t.Context(), "a", f.insert(4, nothing)), "nothing stays open")
	assert.Equal(t, []int{4}, f.rows(t))
}

// TestTheFileIsLocked by another process: a caller waits no longer than it wants to, whoever carries it.
func TestTheFileIsLocked(t *testing.T) {
	f := open(t)
	other := f.db.Begin()
	require.NoError(t, other.Exec("INSERT INTO t (id) VALUES (100)").Error)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	f.together(t, func() { assert.ErrorIs(t, f.Do(short, "a", f.insert(0, nothing)), context.DeadlineExceeded) },
		func() { assert.ErrorIs(t, f.Do(short, "a", f.insert(1, nothing)), context.DeadlineExceeded) })
	require.NoError(t, other.Rollback().Error)
	require.NoError(t, f.Do(t.Context(), "a", f.insert(2, nothing)))
	assert.Equal(t, []int{2}, f.rows(t))
}
