package engine

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// TestStatementsStayPrepared: a statement is prepared once, in transactions too, and again after the cache has evicted it.
func TestStatementsStayPrepared(t *testing.T) {
	e, err := Open(t.Context(), "sqlite://"+t.TempDir()+"/x.db", &gorm.Config{Logger: logger.Discard}, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	pool, ok := e.DB.ConnPool.(*prepared)
	require.True(t, ok)
	write := func(ctx context.Context, do func(tx *gorm.DB) error) error {
		return e.DB.WithContext(ctx).Transaction(do)
	}
	number := func(tx *gorm.DB, text string) int {
		n := -1
		require.NoError(t, Query(tx, e.Statement(text), func(row Rows) error { return row.Scan(&n) }))
		return n
	}
	for range 2 {
		require.NoError(t, write(t.Context(), func(tx *gorm.DB) error {
			assert.Equal(t, 0, number(tx, "SELECT 0"))
			return nil
		}))
	}
	kept, _ := pool.known.Peek("SELECT 0")
	require.NotNil(t, kept)
	require.NoError(t, write(t.Context(), func(tx *gorm.DB) error {
		for n := range mostPrepared + 100 {
			assert.Equal(t, n, number(tx, fmt.Sprintf("SELECT %d", n)))
		}
		assert.Equal(t, 0, number(tx, "SELECT 0"))
		return nil
	}))
	assert.Equal(t, mostPrepared, pool.known.Len())
	again, _ := pool.known.Peek("SELECT 0")
	assert.NotSame(t, kept, again, "it was evicted meanwhile")
	require.Error(t, write(t.Context(), func(tx *gorm.DB) error { return tx.Exec("SELEKT").Error }))
	assert.False(t, pool.known.Contains("SELEKT"))
}

// TestStatementsOfManyTexts: who runs a statement is not told that another has evicted it.
func TestStatementsOfManyTexts(t *testing.T) {
	e, err := Open(t.Context(), "sqlite://"+t.TempDir()+"/x.db", &gorm.Config{Logger: logger.Discard}, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	pool, ok := e.DB.ConnPool.(*prepared)
	require.True(t, ok)
	pool.known.Resize(1)
	var group sync.WaitGroup
	for caller := range 4 {
		group.Go(func() {
			for n := range 5000 {
				got := -1
				err := Query(e.DB, e.Statement(fmt.Sprintf("SELECT %d", (caller+n)%3)), func(row Rows) error { return row.Scan(&got) })
				if err != nil || got != (caller+n)%3 {
					t.Errorf("%d, %v", got, err)
					return
				}
			}
		})
	}
	group.Wait()
}

// TestTransactionOverBeforeItsStatement: the end of its context is told, however database/sql met it.
func TestTransactionOverBeforeItsStatement(t *testing.T) {
	e, err := Open(t.Context(), "sqlite://"+t.TempDir()+"/x.db", &gorm.Config{Logger: logger.Discard}, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	pool, ok := e.DB.ConnPool.(*prepared)
	require.True(t, ok)
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		begun, err := pool.BeginTx(ctx, nil)
		require.NoError(t, err)
		tx, ok := begun.(*preparedTx)
		require.True(t, ok)
		cancel()
		for err == nil { // until the rollback has begun
			_, err = tx.ExecContext(context.WithoutCancel(ctx), "SELECT 1")
		}
		require.ErrorIs(t, err, context.Canceled)
	}
}
