package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

func refusal(code string) error { return &pgconn.PgError{Code: code} }

// TestWhatErrorsMean names every class of failures that is handled by itself, and some that are not.
func TestWhatErrorsMean(t *testing.T) {
	for _, c := range []struct {
		err                                error
		retryable, unavailable, unwritable bool
	}{
		{nil, false, false, false},
		{errors.New("other"), false, false, false},
		{refusal("40001"), true, true, false},
		{refusal("40P01"), true, true, false},
		{refusal("40003"), false, false, false},
		{refusal("23505"), false, false, false}, // unique_violation
		{refusal(""), false, false, false},
		{refusal("08006"), false, true, false},
		{refusal("53300"), false, true, false},
		{refusal("53100"), false, true, true},
		{refusal("57014"), false, true, false},
		{refusal("58030"), false, true, true},
		{refusal("58000"), false, true, false},
		{refusal("55P03"), false, true, false},
		{refusal("55006"), false, false, false},
		{refusal("25006"), false, true, true},
		{refusal("25P03"), false, true, false},
		{refusal("25P04"), false, true, false},
		{refusal("25P02"), false, false, false},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, false, true, false},
		{&pgconn.ConnectError{}, false, true, false},
		{driver.ErrBadConn, false, true, false},
		{io.ErrUnexpectedEOF, false, true, false},
		{sql.ErrTxDone, false, true, false},
		{sql.ErrConnDone, false, true, false},
		{context.DeadlineExceeded, false, true, false},
		{context.Canceled, false, false, false},
		{errors.Join(context.Canceled, driver.ErrBadConn), false, false, false},
	} {
		name := fmt.Sprintf("%#v", c.err)
		if c.err != nil {
			c.err = fmt.Errorf("query: %w", c.err)
		}
		assert.Equal(t, c.retryable, retryable(c.err), name)
		assert.Equal(t, c.unwritable, Unwritable(c.err), name)
		classified := Classify("list", c.err)
		assert.Equal(t, c.unavailable, errors.Is(classified, ErrUnavailable), name)
		if c.err == nil {
			require.NoError(t, classified)
			continue
		}
		require.ErrorIs(t, classified, c.err)
		assert.Regexp(t, "^list: ", classified.Error())
	}
}

func TestURLs(t *testing.T) {
	for url, want := range map[string]string{ //nolint:gosec // G101: nobody's password
		"postgres://ada:secret@host/db": "postgres://…@host/db",
		"postgres://host/db":            "postgres://host/db",
		"nothing":                       "nothing",
		"postgresql:/ada:secret@host":   "postgresql:/…@host",
		"postgres://host/db?user=ada&password=secret&sslmode=disable": "postgres://host/db?user=ada&password=…&sslmode=disable",
		"postgres:///db?sslPassword=secret":                           "postgres:///db?sslPassword=…",
		"host=h password=secret user=ada":                             "host=h password=… user=ada",
		`host=h password = 'sec ret\'x' user=ada`:                     "host=h password = … user=ada",
	} {
		assert.Equal(t, want, Redact(url))
	}
	for url, want := range map[string]string{ //nolint:gosec // G101: nobody's password
		"mysql://ada:secret@host/db":      `database URL "mysql://…@host/db": use sqlite://FILE or postgres://USER@HOST/NAME`,
		"sqlite://":                       `database URL "sqlite://" names no file: use sqlite://FILE`,
		"postgres://ada:secret@host:x/db": `database URL "postgres://…@host:x/db" cannot be read: use postgres://USER:PASSWORD@HOST:PORT/NAME`,
	} {
		_, err := Open(t.Context(), url, &gorm.Config{}, Options{})
		require.EqualError(t, err, want)
	}
}

// TestModesBehindAPooler: named statements only where the URL asks for them.
func TestModesBehindAPooler(t *testing.T) {
	for _, c := range []struct {
		configured pgx.QueryExecMode
		url        string
		want       pgx.QueryExecMode
	}{
		{pgx.QueryExecModeCacheStatement, "postgres://host/db", pgx.QueryExecModeCacheDescribe},
		{pgx.QueryExecModeCacheStatement, "postgres://host/db?default_query_exec_mode=cache_statement", pgx.QueryExecModeCacheStatement},
		{pgx.QueryExecModeDescribeExec, "postgres://host/db?default_query_exec_mode=describe_exec", pgx.QueryExecModeDescribeExec},
		{pgx.QueryExecModeSimpleProtocol, "postgres://host/db?default_query_exec_mode=simple_protocol", pgx.QueryExecModeCacheDescribe},
		{pgx.QueryExecModeExec, "postgres://host/db?default_query_exec_mode=exec", pgx.QueryExecModeCacheDescribe},
	} {
		assert.Equal(t, c.want, pooledMode(c.configured, c.url), c.url)
	}
	for _, transaction := range []bool{false, true} {
		want := "set_config('plan_cache_mode', 'force_generic_plan', %[1]t), set_config('max_parallel_workers_per_gather', '0', %[1]t), " +
			"set_config('jit', 'off', %[1]t), set_config('enable_seqscan', 'off', %[1]t), set_config('enable_bitmapscan', 'off', %[1]t)"
		assert.Equal(t, fmt.Sprintf(want, transaction), plannerSettings(transaction))
	}
}

// TestLockKeys: they are the same in every instance, whatever its version.
func TestLockKeys(t *testing.T) {
	assert.Equal(t, int64(-0x35687eed35e44236), LockKey("a"))
	assert.NotEqual(t, LockKey("a"), LockKey("b"))
}

// TestSQLiteNeedsNoLocks: one transaction writes at a time, and sees nothing of others.
func TestSQLiteNeedsNoLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "x.db")
	e, err := Open(t.Context(), "sqlite://"+path, &gorm.Config{Logger: logger.Discard}, Options{})
	require.NoError(t, err)
	directory, err := os.Stat(filepath.Dir(path))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), directory.Mode().Perm())
	require.NoError(t, e.Writers.Acquire(t.Context(), "a"))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, e.Writers.Acquire(over, "b"), context.Canceled)
	e.Writers.Release("a")
	require.NoError(t, e.Writers.Acquire(t.Context(), "b"))
	assert.Equal(t, SQLite, e.Name)
	assert.False(t, e.IsPostgres())
	assert.False(t, e.Retryable(refusal("40001")))
	assert.Equal(t, sql.TxOptions{ReadOnly: true}, *e.RepeatableRead(true))
	assert.Equal(t, sql.TxOptions{}, *e.RepeatableRead(false))
	require.NoError(t, e.DB.Transaction(func(tx *gorm.DB) error {
		require.NoError(t, e.Lock(tx, Lock{Key: 1}))
		locked, err := e.TryLock(tx, 1)
		assert.True(t, locked)
		return err
	}))
	st, comma := e.TransactionSetup()
	assert.Equal(t, "SELECT ", st.String())
	assert.Empty(t, comma)
	e.Setup = "a, b"
	st, comma = e.TransactionSetup()
	assert.Equal(t, "SELECT a, b", st.String())
	assert.Equal(t, ", ", comma)

	require.NoError(t, e.DB.Exec("CREATE TABLE letters (name text)").Error)
	require.NoError(t, e.DB.Exec("INSERT INTO letters VALUES ('a'), ('b'), ('c')").Error)
	var found []string
	require.NoError(t, e.DB.Table("letters").Scopes(e.In("name", []string{"a", "c", "x"})).Order("name").Pluck("name", &found).Error)
	assert.Equal(t, []string{"a", "c"}, found)
	require.NoError(t, e.DB.Table("letters").Scopes(e.In("name", nil)).Pluck("name", &found).Error)
	assert.Empty(t, found)
	require.NoError(t, e.Close())
	db, err := e.SQL()
	require.NoError(t, err)
	require.Error(t, db.PingContext(t.Context()), "it is closed")
	file, err := os.Stat(path)
	require.NoError(t, err)
	assert.Positive(t, file.Size())
	_, err = Open(t.Context(), "sqlite://"+filepath.Join(path, "below", "x.db"), &gorm.Config{Logger: logger.Discard}, Options{})
	require.ErrorContains(t, err, "its directory cannot be made")
}

// TestStatementsThatCannotBeRun, in a transaction and outside.
func TestStatementsThatCannotBeRun(t *testing.T) {
	e, err := Open(t.Context(), "sqlite://"+t.TempDir()+"/x.db", &gorm.Config{Logger: logger.Discard}, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	wrong := e.Statement("SELEKT")
	none := func(Rows) error { return nil }
	require.Error(t, Exec(e.DB, wrong))
	require.Error(t, Query(e.DB, wrong, none))
	require.NoError(t, e.DB.Transaction(func(tx *gorm.DB) error {
		require.Error(t, Exec(tx, wrong))
		require.Error(t, Query(tx, wrong, none))
		return nil
	}))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	err = e.DB.WithContext(over).Transaction(func(*gorm.DB) error { return nil })
	require.ErrorIs(t, err, context.Canceled)
}

// threeRows is a result, whose reading fails in the end.
type threeRows struct {
	at  int
	err error
}

func (r *threeRows) Next() bool        { r.at++; return r.at <= 3 }
func (r *threeRows) Scan(...any) error { return nil }
func (r *threeRows) Err() error        { return r.err }

func TestEachRow(t *testing.T) {
	broken := errors.New("broken")
	n := 0
	require.ErrorIs(t, Each(&threeRows{err: broken}, func(Rows) error { n++; return nil }), broken)
	assert.Equal(t, 3, n)
	require.ErrorIs(t, Each(&threeRows{}, func(Rows) error { n++; return broken }), broken)
	assert.Equal(t, 4, n, "nothing is read after a failure")
}
