package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// migrations has the same numbers for both engines. A released migration is never edited.
//
//go:embed migrations/*/*.sql
var migrations embed.FS

// Migration is one step of the schema.
type Migration struct {
	Version int64
	Name    string
	// AppliedAt is zero when the step is pending.
	AppliedAt time.Time
}

// Migrate brings the schema up to date and returns the steps it took. Several instances may call it at once.
func (s *Store) Migrate(ctx context.Context) ([]Migration, error) {
	if err := s.refuseUnreleased(ctx); err != nil {
		return nil, err
	}
	provider, err := s.provider()
	if err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	if err == nil {
		err = s.recordDigests(ctx)
	}
	if err != nil {
		return nil, mapError("bring the schema up to date", err)
	}
	steps := make([]Migration, len(results))
	for i, result := range results {
		steps[i] = Migration{Version: result.Source.Version, Name: path.Base(result.Source.Path), AppliedAt: s.now()}
	}
	return steps, s.loosenIDs(ctx)
}

// migrationDigest is the text of a migration that was applied. A migration that was released is never edited, but others are: a database that
// an earlier text has made has the same version, and would be taken for one that is up to date.
type migrationDigest struct {
	Version int64 `gorm:"primaryKey;autoIncrement:false"`
	Digest  string
}

// refuseUnreleased answers ErrIncompatibleSchema for a database that another text of a migration has made.
func (s *Store) refuseUnreleased(ctx context.Context) error {
	db := s.engine.DB.WithContext(ctx)
	if !db.Migrator().HasTable(&Session{}) {
		return nil // it is empty
	}
	if !db.Migrator().HasTable(&migrationDigest{}) {
		return ErrIncompatibleSchema
	}
	var applied []migrationDigest
	if err := db.Find(&applied).Error; err != nil {
		return mapError("read the schema's version", err)
	}
	known, err := s.migrationDigests()
	for _, made := range applied {
		if text, ok := known[made.Version]; ok && text != made.Digest {
			return ErrIncompatibleSchema
		}
	}
	return err
}

// migrationDigests are those of the texts in this program.
func (s *Store) migrationDigests() (map[int64]string, error) {
	dir := "migrations/" + s.engine.Name
	files, err := fs.ReadDir(migrations, dir)
	digests := map[int64]string{}
	for _, file := range files {
		text, err := fs.ReadFile(migrations, path.Join(dir, file.Name()))
		if err != nil {
			return nil, err
		}
		version, err := goose.NumericComponent(file.Name())
		if err != nil {
			return nil, err
		}
		digests[version] = fmt.Sprintf("%x", sha256.Sum256(text))
	}
	return digests, err
}

// recordDigests stores the digests of what has been applied now.
func (s *Store) recordDigests(ctx context.Context) error {
	known, err := s.migrationDigests()
	if err != nil {
		return err
	}
	var made []migrationDigest
	for version, digest := range known {
		made = append(made, migrationDigest{version, digest})
	}
	return s.engine.DB.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&made).Error
}

// loosenIDs replaces the unique index on session ids where tables are distributed by tenant and it cannot exist.
func (s *Store) loosenIDs(ctx context.Context) error {
	if !s.engine.Distributed {
		return nil
	}
	return s.write(ctx, "replace the index on session ids", func(tx *gorm.DB) error {
		if err := tx.Exec("DROP INDEX IF EXISTS sessions_id").Error; err != nil {
			return err
		}
		return tx.Exec("CREATE INDEX IF NOT EXISTS sessions_id_any ON sessions (id)").Error
	})
}

// MigrationStatus lists every step that this program knows, oldest first. It writes nothing, for the database may be another program's.
func (s *Store) MigrationStatus(ctx context.Context) ([]Migration, error) {
	if err := s.refuseUnreleased(ctx); err != nil {
		return nil, err
	}
	provider, err := s.provider()
	if err != nil {
		return nil, err
	}
	statuses, err := s.statuses(ctx, provider)
	if err != nil {
		return nil, mapError("read the schema's version", err)
	}
	steps := make([]Migration, len(statuses))
	for i, status := range statuses {
		steps[i] = Migration{Version: status.Source.Version, Name: path.Base(status.Source.Path), AppliedAt: status.AppliedAt}
	}
	return steps, nil
}

// statuses are those of the steps. Where goose has no table yet, it would make one to look into it.
func (s *Store) statuses(ctx context.Context, provider *goose.Provider) ([]*goose.MigrationStatus, error) {
	db, err := s.engine.SQL()
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil { // HasTable would take no answer for no table
		return nil, err
	}
	if s.engine.DB.WithContext(ctx).Migrator().HasTable(goose.DefaultTablename) {
		return provider.Status(ctx)
	}
	var pending []*goose.MigrationStatus
	for _, source := range provider.ListSources() {
		pending = append(pending, &goose.MigrationStatus{Source: source})
	}
	return pending, nil
}

// CheckSchema answers ErrSchema when a step is pending. A schema newer than the program is no error: migrations only
// add, so that the previous version keeps working beside the new one.
func (s *Store) CheckSchema(ctx context.Context) error {
	steps, err := s.MigrationStatus(ctx)
	if err != nil {
		return err
	}
	for _, step := range steps {
		if step.AppliedAt.IsZero() {
			return fmt.Errorf("%w: %s is pending", ErrSchema, step.Name)
		}
	}
	return nil
}

func (s *Store) provider() (*goose.Provider, error) {
	db, err := s.engine.SQL()
	if err != nil {
		return nil, err
	}
	dialect, options := goose.DialectSQLite3, []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if s.engine.IsPostgres() {
		dialect, options = goose.DialectPostgres, append(options, goose.WithSessionLocker(&migrationLock{config: s.engine.Pool.Config().ConnConfig}))
	}
	files, err := fs.Sub(migrations, "migrations/"+s.engine.Name)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	provider, err := goose.NewProvider(dialect, db, files, options...)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return provider, nil
}

// migrationLock lets one instance at a time migrate PostgreSQL. It is the lock that goose takes itself, but a transaction on a
// connection of its own has it: one that belongs to a session is anybody's behind a connection pooler.
type migrationLock struct {
	config *pgx.ConnConfig
	conn   *pgx.Conn
}

// migrationLockEvery is how often an instance asks whether it may migrate.
const migrationLockEvery = time.Second

// SessionLock waits for the lock. No statement waits for it: to make an index while others work would wait for that statement.
func (l *migrationLock) SessionLock(ctx context.Context, _ *sql.Conn) (err error) {
	if l.conn, err = pgx.ConnectConfig(ctx, l.config); err != nil {
		return fmt.Errorf("migration lock: %w", err)
	}
	locked, err := l.try(ctx)
	for err == nil && !locked {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(migrationLockEvery):
			locked, err = l.try(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("migration lock: %w", errors.Join(err, l.conn.Close(context.WithoutCancel(ctx))))
	}
	return nil
}

// try begins a transaction and leaves it open if it gets the lock.
func (l *migrationLock) try(ctx context.Context) (locked bool, err error) {
	tx, err := l.conn.Begin(ctx)
	if err != nil {
		return false, err
	}
	// It is idle while the migrations run. In the simple protocol no portal stays open, whose snapshot they would wait for.
	if _, err = tx.Exec(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0"); err == nil {
		err = tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1)", pgx.QueryExecModeSimpleProtocol, lock.DefaultLockID).Scan(&locked)
	}
	if err == nil && !locked {
		err = tx.Rollback(ctx)
	}
	return locked, err
}

// SessionUnlock ends the transaction and the connection.
func (l *migrationLock) SessionUnlock(ctx context.Context, _ *sql.Conn) error {
	_, err := l.conn.Exec(ctx, "ROLLBACK")
	return errors.Join(err, l.conn.Close(ctx))
}
