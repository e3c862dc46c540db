package store

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

const (
	postgresName    = "postgres"
	defaultMaxConns = 16
)

// openPostgres prepares a pool; nothing is sent to the server yet.
func openPostgres(url string, maxConns int) (gorm.Dialector, engine, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// pgx hides the password in its own message, but not the rest of what may be secret.
		return nil, engine{}, fmt.Errorf("database URL %q cannot be read: use postgres://USER:PASSWORD@HOST:PORT/NAME", Redact(url))
	}
	config.RuntimeParams["timezone"] = "UTC"
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "sessiond"
	}
	if maxConns <= 0 {
		maxConns = defaultMaxConns
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(maxConns)
	// Idle connections are kept: making one costs more than a hundred statements.
	db.SetMaxIdleConns(maxConns)
	return postgres.New(postgres.Config{Conn: db}), engine{name: postgresName, retryable: pgRetryable}, nil
}

// pgRetryable: serialization_failure and deadlock_detected undo the transaction and say nothing against it.
func pgRetryable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// unreachable reports whether the server was not there, went away, or is not taking statements, as opposed to refusing
// one: SQLSTATE classes 08 (connection), 53 (resources) and 57P (operator intervention).
func unreachable(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "53") || strings.HasPrefix(pg.Code, "57P")
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, driver.ErrBadConn)
}

func hasCitus(db *gorm.DB) (bool, error) {
	var found int64
	err := db.Raw("SELECT count(*) FROM pg_extension WHERE extname = 'citus'").Scan(&found).Error
	return found > 0, mapError("look for citus", err)
}
