package engine

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/libtnb/sqlite"
	"gorm.io/gorm"
	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sessiond/sessiond/store/internal/fair"
	"github.com/sessiond/sessiond/store/internal/groupcommit"
)

// openSQLite prepares a database file, and its directory, unless they must exist.
func openSQLite(path string, config *gorm.Config, mustExist bool) (*Engine, error) {
	if path == "" {
		return nil, fmt.Errorf("database URL %q names no file: use sqlite://FILE", "sqlite://")
	}
	if err := prepareFile(path, mustExist); err != nil {
		return nil, fmt.Errorf("database file %s: %w", path, err)
	}
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: url.Values{
		// Acknowledged means on disk: a write-ahead log, flushed at every commit.
		// What is deleted is overwritten: an erasure leaves nothing in free pages.
		"_pragma": {
			"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "busy_timeout(10000)", "secure_delete(1)",
			// What a savepoint may have to undo is kept in memory rather than in a file: a group of changes has one for each (package groupcommit).
			"temp_store(MEMORY)",
			// The log is copied into the file when it has 16 MiB, not 4: a page that was written often is copied once.
			"wal_autocheckpoint(4000)",
		},
		// A transaction that reads and then writes would otherwise fail when another wrote in between.
		"_txlock": {"immediate"},
		// Integers compare and index as times do; text would have to have a fixed width.
		"_time_integer_format": {"unix_micro"},
		"_inttotime":           {"1"},
	}.Encode()}).String()
	// SQLite takes one writer at a time, and those that wait poll for the lock: in this process they queue instead.
	e := &Engine{Name: SQLite, Writers: fair.NewSemaphore(1, 1), Retryable: func(error) bool { return false }}
	var err error
	if e.DB, err = gorm.Open(sqlite.Open(dsn), config); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	e.Commits = groupcommit.New(e.DB, e.Writers, survives)
	return e, keepPrepared(e.DB)
}

// survives reports whether a transaction goes on after an error: SQLite undoes a statement that violates a constraint, and rolls back the
// whole transaction, or may, after others (https://www.sqlite.org/lang_transaction.html, section 2.3).
func survives(err error) bool {
	code := primaryCode(err)
	return (code == sqlite3.SQLITE_OK || code == sqlite3.SQLITE_CONSTRAINT) && !unavailable(err)
}

// prepareFile makes the file, if it may, so that only its owner reads it: SQLite would let everybody, and gives the files
// beside it (-wal, -shm) the same permissions. A file that is there keeps its own.
func prepareFile(path string, mustExist bool) error {
	if mustExist {
		_, err := os.Stat(path)
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("its directory cannot be made: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return err
	}
	return file.Close()
}

// primaryCode is SQLite's primary result code, 0 for an error that is not SQLite's.
func primaryCode(err error) int {
	if failed, ok := errors.AsType[*driver.Error](err); ok {
		return failed.Code() & 0xff
	}
	return sqlite3.SQLITE_OK
}

// sqliteUnavailable: somebody else has the file, the disk is full or fails, or the statement was interrupted. A file that is
// damaged is no such case.
func sqliteUnavailable(err error) bool {
	switch primaryCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_NOMEM,
		sqlite3.SQLITE_CANTOPEN:
		return true
	default:
		return sqliteUnwritable(err)
	}
}

// sqliteUnwritable reports whether the disk is full or fails, or the file cannot be written. A quota is a failing disk.
func sqliteUnwritable(err error) bool {
	switch primaryCode(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY:
		return true
	default:
		return false
	}
}
