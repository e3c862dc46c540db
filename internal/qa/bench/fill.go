package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sessiond/sessiond/store"
)

// afterFill is called when sessions have been put into a database, on PostgreSQL without the store. It computes what the store
// derives from sessions: the counters.
func afterFill(ctx context.Context, s *store.Store) error {
	_, err := s.VerifyCounters(ctx, true, func(store.Drift) {})
	return err
}

// filling is a database to be filled.
type filling struct {
	tenants []*tenant
	classes []*class
	now     time.Time
}

func newFilling(tenants []*tenant, classes []*class) filling {
	return filling{tenants, classes, clock()}
}

func (f filling) maker() *maker { return newMaker(f.tenants, f.now) }

// into fills a database of either kind.
func (f filling) into(ctx context.Context, s *store.Store, url string) error {
	if _, err := s.Migrate(ctx); err != nil {
		return err
	}
	postgres := s.Engine() == "postgres"
	fill := func() error { return f.fillStore(ctx, s) }
	if postgres {
		fill = func() error { return f.fillPostgres(ctx, url) }
	}
	if err := fill(); err != nil {
		return err
	}
	if err := afterFill(ctx, s); err != nil {
		return err
	}
	if postgres {
		if err := vacuum(ctx, url); err != nil {
			return err
		}
	}
	return f.mix()
}

// mix ends a filling: the classes know their sessions now.
func (f filling) mix() error {
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // spread, not secret
	for _, c := range f.classes {
		c.mix(random)
		if len(c.tenants) == 0 || len(c.people) == 0 || len(c.partners) == 0 || len(c.active) == 0 {
			return fmt.Errorf("the %s tenants have too few sessions for every operation: set --sessions higher or --tenants lower", c.name)
		}
	}
	return nil
}

// fillPostgres fills a database that has the schema. It skips foreign-key checks (session_replication_role) and builds the
// indexes afterwards, which takes a tenth of the time.
func (f filling) fillPostgres(ctx context.Context, url string) (err error) {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(context.WithoutCancel(ctx))) }()
	indexes, err := dropIndexes(ctx, db)
	if err != nil {
		return err
	}
	if _, err := db.Exec(ctx, "SET session_replication_role = replica; SET maintenance_work_mem = '512MB'"); err != nil {
		return err
	}
	if err := f.copyTenants(ctx, db); err != nil {
		return err
	}
	if err := f.copySessions(ctx, db); err != nil {
		return err
	}
	for _, statement := range indexes {
		if _, err := db.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// vacuum brings a database into the state of one that has long been in use: its tables are vacuumed and analyzed, and a
// checkpoint has been written.
func vacuum(ctx context.Context, url string) error {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	for _, statement := range []string{"VACUUM (ANALYZE)", "CHECKPOINT"} {
		if err == nil {
			_, err = db.Exec(ctx, statement)
		}
	}
	return errors.Join(err, db.Close(context.WithoutCancel(ctx)))
}

// dropIndexes drops the indexes of sessions but its key, and returns the statements that make them again.
func dropIndexes(ctx context.Context, db *pgx.Conn) ([]string, error) {
	rows, err := db.Query(ctx, `
		SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'sessions' AND schemaname = current_schema()
			AND indexname NOT IN (SELECT conname FROM pg_constraint)`)
	if err != nil {
		return nil, err
	}
	type index struct{ Indexname, Indexdef string }
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[index])
	if err != nil {
		return nil, err
	}
	statements := make([]string, len(found))
	for i, index := range found {
		statements[i] = index.Indexdef
		if _, err := db.Exec(ctx, "DROP INDEX "+pgx.Identifier{index.Indexname}.Sanitize()); err != nil {
			return nil, err
		}
	}
	return statements, nil
}

func (f filling) copyTenants(ctx context.Context, db *pgx.Conn) error {
	_, err := db.CopyFrom(ctx, pgx.Identifier{"tenants"}, []string{"tenant_id", "partner_id", "created_at"},
		pgx.CopyFromSlice(len(f.tenants), func(i int) ([]any, error) {
			t := f.tenants[i]
			var partner *string
			if t.partner != "" {
				partner = &t.partner
			}
			return []any{t.id, partner, f.now.AddDate(0, -6, 0)}, nil
		}))
	return err
}

func (f filling) copySessions(ctx context.Context, db *pgx.Conn) error {
	columns := []string{
		"tenant_id", "id", "user_id", "partner_id", "user_email", "user_display_name", "ip_address", "user_agent", "device_type",
		"location", "created_at", "last_activity_at", "expires_at", "ends_at", "revoked_at", "end_cause", "ended_by_sub",
		"ended_by_client", "end_reason", "app_count", "country", "browser", "os", "login_ip_address", "address_key",
	}
	known := map[store.SearchKey]bool{}
	m := f.maker()
	var apps []store.App
	_, err := db.CopyFrom(ctx, pgx.Identifier{"sessions"}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		s, its, more := m.next()
		if !more {
			return nil, nil
		}
		apps = append(apps, its...)
		address, keys := store.SearchedBy(&s)
		for _, key := range keys {
			known[key] = true
		}
		return []any{
			s.TenantID, s.ID, s.UserID, s.PartnerID, s.UserEmail, s.UserDisplayName, s.IPAddress, s.UserAgent, s.DeviceType,
			s.Location, s.CreatedAt, s.LastActivityAt, s.ExpiresAt, s.EndsAt, s.RevokedAt, s.EndCause, s.EndedBySub,
			s.EndedByClient, s.EndReason, s.AppCount, s.Country, s.Browser, s.OS, s.LoginIPAddress, address,
		}, nil
	}))
	if err != nil {
		return err
	}
	_, err = db.CopyFrom(ctx, pgx.Identifier{"session_apps"},
		[]string{"tenant_id", "session_id", "application_id", "application_name", "accessed_at"},
		pgx.CopyFromSlice(len(apps), func(i int) ([]any, error) {
			a := apps[i]
			return []any{a.TenantID, a.SessionID, a.ApplicationID, a.ApplicationName, a.AccessedAt}, nil
		}))
	if err != nil {
		return err
	}
	keys := slices.Collect(maps.Keys(known))
	_, err = db.CopyFrom(ctx, pgx.Identifier{"search_keys"}, []string{"tenant_id", "key", "user_id", "value"},
		pgx.CopyFromSlice(len(keys), func(i int) ([]any, error) {
			return []any{keys[i].TenantID, keys[i].Key, keys[i].UserID, keys[i].Value}, nil
		}))
	return err
}

// fillStore fills a database of any kind through its store, which is slower.
func (f filling) fillStore(ctx context.Context, into *store.Store) error {
	rows := store.Import{}
	for _, t := range f.tenants {
		row := store.Tenant{TenantID: t.id, CreatedAt: f.now.AddDate(0, -6, 0)}
		if t.partner != "" {
			row.PartnerID = &t.partner
		}
		rows.Tenants = append(rows.Tenants, row)
	}
	for m := f.maker(); ; {
		session, apps, more := m.next()
		if more {
			rows.Sessions, rows.Apps = append(rows.Sessions, session), append(rows.Apps, apps...)
		}
		if !more || len(rows.Sessions) == 2000 {
			if err := into.ImportSessions(ctx, rows); err != nil {
				return err
			}
			rows = store.Import{}
		}
		if !more {
			return nil
		}
	}
}

// leanIndexes are what the baseline's statements need beside the primary key.
func leanIndexes() []string {
	return []string{
		"CREATE INDEX lean_tenant ON sessions (tenant_id, created_at DESC, id DESC) WHERE end_cause IS NULL",
		"CREATE INDEX lean_user ON sessions (tenant_id, user_id, created_at DESC, id DESC) WHERE end_cause IS NULL",
		"CREATE INDEX lean_partner ON sessions (partner_id, created_at DESC, id DESC) WHERE end_cause IS NULL AND partner_id IS NOT NULL",
	}
}

// makeBaseline reduces a copy of sessiond's database to what the baseline works on: the table sessions with its columns and rows, and with
// the indexes that the baseline needs, or with all of sessiond's. What sessiond derives from that table or keeps beside it (counters, audit
// events, foreign keys) is sessiond's cost and not the baseline's. A copy has the current schema without a second definition of it.
func makeBaseline(ctx context.Context, url string, allIndexes bool) (err error) {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(context.WithoutCancel(ctx))) }()
	rows, err := db.Query(ctx, `
		SELECT format('DROP TRIGGER %I ON sessions', tgname) FROM pg_trigger
		WHERE tgrelid = 'sessions'::regclass AND NOT tgisinternal
		UNION ALL SELECT format('DROP TABLE %I CASCADE', tablename) FROM pg_tables
		WHERE schemaname = current_schema() AND tablename <> 'sessions'`)
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if !allIndexes {
		if _, err := dropIndexes(ctx, db); err != nil {
			return err
		}
		statements = append(append(statements, leanIndexes()...), "VACUUM (ANALYZE)", "CHECKPOINT")
	}
	for _, statement := range statements {
		if _, err := db.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
