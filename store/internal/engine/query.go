package engine

import (
	"database/sql"
	"encoding/json"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// Rows is what the results of all drivers can do.
type Rows interface {
	Next() bool
	Scan(into ...any) error
	Err() error
}

// Query runs a statement inside a transaction; each row goes to scan.
func Query(tx *gorm.DB, st *sqlbuild.Statement, scan func(Rows) error) error {
	found, err := tx.Statement.ConnPool.QueryContext(tx.Statement.Context, st.String(), st.Args()...)
	return collect(found, err, scan)
}

// Exec runs a statement without rows inside a transaction.
func Exec(tx *gorm.DB, st *sqlbuild.Statement) error {
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, st.String(), st.Args()...)
	return err
}

func collect(found *sql.Rows, err error, scan func(Rows) error) error {
	if err != nil {
		return err
	}
	defer found.Close()
	return Each(found, scan)
}

// Each gives scan each row.
func Each(found Rows, scan func(Rows) error) error {
	for found.Next() {
		if err := scan(found); err != nil {
			return err
		}
	}
	return found.Err()
}

// In selects the rows in which a column has one of the values. They are one argument, so that the statement's text is the same for any
// number of them: every connection keeps each statement prepared.
func (e *Engine) In(column string, values []string) func(*gorm.DB) *gorm.DB {
	return func(tx *gorm.DB) *gorm.DB {
		list, err := json.Marshal(values)
		if err != nil {
			_ = tx.AddError(err)
		}
		if e.IsPostgres() {
			return tx.Where(column+" = ANY (ARRAY(SELECT jsonb_array_elements_text(?::jsonb)))", string(list))
		}
		return tx.Where(column+" IN (SELECT value FROM json_each(?))", string(list))
	}
}
