package store

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/libtnb/sqlite"
	"gorm.io/gorm"
)

const sqliteName = "sqlite"

// openSQLite prepares a database file, and its directory.
func openSQLite(path string) (gorm.Dialector, engine, error) {
	if path == "" {
		return nil, engine{}, fmt.Errorf("database URL %q names no file: use sqlite://FILE", "sqlite://")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, engine{}, fmt.Errorf("database file %s: its directory cannot be made: %w", path, err)
	}
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: url.Values{
		// Acknowledged means on disk: a write-ahead log, flushed at every commit.
		// What is deleted is overwritten: an erasure leaves nothing in free pages.
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "busy_timeout(10000)", "secure_delete(1)"},
		// A transaction that reads and then writes would otherwise fail when another wrote in between.
		"_txlock": {"immediate"},
		// Integers compare and index as times do; text would have to have a fixed width.
		"_time_integer_format": {"unix_micro"},
		"_inttotime":           {"1"},
	}.Encode()}).String()
	// SQLite takes one writer at a time, and those that wait poll for the lock: in this process they queue instead.
	eng := engine{name: sqliteName, serial: make(chan struct{}, 1), retryable: func(error) bool { return false }}
	return sqlite.Open(dsn), eng, nil
}
