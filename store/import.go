package store

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sessiond/sessiond/store/internal/counters"
)

// Import is what ImportSessions stores in one transaction.
type Import struct {
	Tenants  []Tenant
	Sessions []Session
	Apps     []App
	// Events are those that the audit log would have if the sessions had been registered, used and ended here.
	Events []AuditEvent
}

// ImportSessions stores rows as they are, ended sessions too, all or nothing. It is for data from elsewhere: it keeps none of the rules of
// registration but that what exists already stays as it is. A session without EndsAt gets its ExpiresAt, a revoked one without EndCause
// counts as Revoked. A tenant that is not known exists from its first session on. The caller must not repeat a key.
func (s *Store) ImportSessions(ctx context.Context, rows Import) error {
	for i := range rows.Sessions {
		session := &rows.Sessions[i]
		if session.EndsAt.IsZero() {
			session.EndsAt = session.ExpiresAt
		}
		if session.RevokedAt != nil && session.EndCause == nil {
			session.EndCause = new(Revoked)
		}
	}
	return s.transact(ctx, "import", system(), func(t *transaction) error {
		tx := t.tx.Clauses(clause.OnConflict{DoNothing: true}).Session(&gorm.Session{})
		if err := counters.Create(tx, slices.Concat(rows.Tenants, rows.unnamedTenants())); err != nil {
			return err
		}
		if err := t.takePartners(rows.Sessions); err != nil {
			return err
		}
		if err := t.importSessions(rows.Sessions); err != nil {
			return err
		}
		if err := t.importApps(tx, rows.Apps); err != nil {
			return err
		}
		return counters.Create(tx, rows.Events)
	})
}

// unnamedTenants are the tenants of the sessions that the import does not name: each exists from its first session on.
func (rows Import) unnamedTenants() []Tenant {
	named := map[string]bool{}
	for _, tenant := range rows.Tenants {
		named[tenant.TenantID] = true
	}
	tenants := map[string]Tenant{}
	for _, session := range rows.Sessions {
		tenant, known := tenants[session.TenantID]
		switch {
		case named[session.TenantID]:
		case !known:
			tenants[session.TenantID] = Tenant{TenantID: session.TenantID, PartnerID: session.PartnerID, CreatedAt: session.CreatedAt}
		case session.CreatedAt.Before(tenant.CreatedAt):
			tenant.CreatedAt = session.CreatedAt
			tenants[session.TenantID] = tenant
		}
	}
	return slices.SortedFunc(maps.Values(tenants), func(a, b Tenant) int { return cmp.Compare(a.TenantID, b.TenantID) })
}

// takePartners gives sessions the partner of their tenant, which may have been known before, and keeps it until the end of the transaction.
func (t *transaction) takePartners(sessions []Session) error {
	named, partners := map[string]bool{}, map[string]*string{}
	for i := range sessions {
		named[sessions[i].TenantID] = true
	}
	for tenantIDs := range slices.Chunk(slices.Sorted(maps.Keys(named)), sessionsAtOnce) {
		var tenants []Tenant
		query := t.tx.Clauses(clause.Locking{Strength: clause.LockingStrengthShare}).Scopes(t.engine.In("tenant_id", tenantIDs)).Order("tenant_id")
		if err := query.Find(&tenants).Error; err != nil {
			return err
		}
		for _, tenant := range tenants {
			partners[tenant.TenantID] = tenant.PartnerID
		}
	}
	for i := range sessions {
		if partnerID, known := partners[sessions[i].TenantID]; known {
			sessions[i].PartnerID = partnerID
		}
	}
	return nil
}

// importSessions stores the sessions whose id nobody has. When somebody registers one of them at the same time, the import fails.
func (t *transaction) importSessions(sessions []Session) error {
	for chunk := range slices.Chunk(sessions, sessionsAtOnce) {
		var taken []string
		err := t.tx.Model(&Session{}).Where(useIDIndex).Scopes(t.engine.In("id", idsOf(chunk))).Pluck("id", &taken).Error
		if err != nil {
			return err
		}
		fresh := slices.DeleteFunc(slices.Clone(chunk), func(s Session) bool { return slices.Contains(taken, s.ID) })
		rows, changes := make([]sessionRow, len(fresh)), make([]change, len(fresh))
		for i := range fresh {
			rows[i], changes[i] = stored(fresh[i]), change{after: &fresh[i]}
		}
		if err := counters.Create(t.tx, rows); err != nil {
			return err
		}
		if err := t.record(changes...); err != nil {
			return err
		}
	}
	return nil
}

// importApps stores the applications that their sessions do not have.
func (t *transaction) importApps(tx *gorm.DB, apps []App) error {
	for _, app := range apps {
		created := tx.Create(&app)
		if created.Error != nil {
			return created.Error
		}
		if created.RowsAffected == 0 {
			continue
		}
		open := int64(0)
		err := t.tx.Model(&Session{}).Where("tenant_id = ? AND id = ? AND end_cause IS NULL", app.TenantID, app.SessionID).Count(&open).Error
		if err == nil && open > 0 {
			err = counters.Append(t.tx, []counters.Delta{{
				TenantID: app.TenantID, ApplicationID: app.ApplicationID, ApplicationName: app.ApplicationName, Applications: 1,
			}})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
