package store

import (
	"errors"
	"strconv"
	"time"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/counters"
	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// counted is the table of sessions as the counters need to know it.
type counted struct{ engine *engine.Engine }

var _ counters.Rows = counted{}

// OpenOf implements counters.Rows. The limit stands in the text, because PostgreSQL takes one that is an argument for a tenth of the rows.
func (c counted) OpenOf(tx *gorm.DB, users []counters.User, enough int64) (map[counters.User]int64, error) {
	tenants, ids := make([]string, len(users)), make([]string, len(users))
	for i, user := range users {
		tenants[i], ids[i] = user.TenantID, user.UserID
	}
	st := c.engine.Statement(`SELECT tenant, name, (SELECT count(*) FROM (SELECT 1 FROM sessions
		WHERE tenant_id = tenant AND user_id = name AND end_cause IS NULL LIMIT ` + strconv.FormatInt(enough, 10) + `) AS enough) FROM (`)
	st.Rows(len(users), sqlbuild.Texts("tenant", tenants), sqlbuild.Texts("name", ids)).Add(") AS users")
	open := make(map[counters.User]int64, len(users))
	return open, engine.Query(tx, st, func(row engine.Rows) error {
		var user counters.User
		n := int64(0)
		err := row.Scan(&user.TenantID, &user.UserID, &n)
		open[user] = n
		return err
	})
}

// listed selects the sessions that lists of a group show: those of a tenant have ended ones too.
func listed(of counters.Group) func(*gorm.DB) *gorm.DB {
	return func(tx *gorm.DB) *gorm.DB {
		tx = scopeOf(of).where(tx)
		if of == (counters.Group{}) {
			tx = tx.Where(useActiveIndex)
		}
		if of.Tenant == "" {
			tx = tx.Where("end_cause IS NULL")
		}
		return tx
	}
}

// createdOf returns the creation time of the last of the first n sessions of a group, in an order, that fulfil a condition as well; nil when
// they are fewer.
func createdOf(tx *gorm.DB, of counters.Group, order string, n int, condition func(*gorm.DB) *gorm.DB) (*time.Time, error) {
	which := func(tx *gorm.DB) *gorm.DB { return condition(listed(of)(tx)) }
	query := tx.Model(&Session{}).Scopes(which).Order(order)
	if of.Tenant != "" {
		query = bothInOrder(tx, which, order, n)
	}
	var session Session
	err := query.Offset(n - 1).Select("created_at").Take(&session).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil //nolint:nilnil // none, and nothing is wrong
	}
	return &session.CreatedAt, err
}

// Oldest implements counters.Rows.
func (c counted) Oldest(tx *gorm.DB, of counters.Group) (*time.Time, error) {
	return createdOf(tx, of, "created_at, id", 1, func(tx *gorm.DB) *gorm.DB { return tx })
}

// NthNewest implements counters.Rows.
func (c counted) NthNewest(tx *gorm.DB, of counters.Group, after time.Time, before *time.Time, n int) (*time.Time, error) {
	return createdOf(tx, of, listOrder, n, func(tx *gorm.DB) *gorm.DB {
		if before != nil {
			tx = tx.Where("created_at < ?", *before)
		}
		return tx.Where("created_at > ?", after)
	})
}

// CountBetween implements counters.Rows. The order is that of the index by which PostgreSQL finds the sessions, and no other one then.
func (c counted) CountBetween(tx *gorm.DB, of counters.Group, from time.Time, before *time.Time) (open, total int64, err error) {
	count := func(condition string) (n int64, err error) {
		query := tx.Model(&Session{}).Select("1").Scopes(listed(of)).Where("created_at >= ?", from).Where(condition).Order(listOrder)
		if before != nil {
			query = query.Where("created_at < ?", *before)
		}
		return n, tx.Table("(?) AS newest", query).Count(&n).Error
	}
	ended := int64(0)
	if open, err = count("end_cause IS NULL"); err == nil && of.Tenant != "" {
		ended, err = count("end_cause IS NOT NULL")
	}
	return open, open + ended, err
}

// AnalyzeIfGrown implements counters.Rows.
func (c counted) AnalyzeIfGrown(tx *gorm.DB) error {
	if !c.engine.IsPostgres() {
		return nil
	}
	grown, err := hasGrown(tx)
	if err == nil && grown {
		err = analyze(tx)
	}
	return err
}

// Tenants implements counters.Rows. A tenant that was deleted by hand may have left sessions.
func (c counted) Tenants(tx *gorm.DB) ([]string, error) {
	var tenantIDs, more []string
	err := tx.Model(&Tenant{}).Pluck("tenant_id", &tenantIDs).Error
	if err == nil {
		err = tx.Model(&Session{}).Distinct().Pluck("tenant_id", &more).Error
	}
	return append(tenantIDs, more...), err
}

// Each implements counters.Rows.
func (c counted) Each(tx *gorm.DB, tenantID string, do func(counters.Delta)) error {
	err := eachSession(tx.Where("tenant_id = ?", tenantID), func(s *Session) { do(deltaOf(s)) })
	if err != nil {
		return err
	}
	var applications []group
	err = tx.Table("session_apps AS a").Joins("JOIN sessions s ON s.tenant_id = a.tenant_id AND s.id = a.session_id").
		Where("a.tenant_id = ? AND s.end_cause IS NULL", tenantID).Group("a.application_id").
		Select("a.application_id AS name, max(a.application_name) AS label, count(*) AS sessions").Scan(&applications).Error
	for _, a := range applications {
		do(counters.Delta{TenantID: tenantID, ApplicationID: a.Name, ApplicationName: a.Label, Applications: a.Sessions})
	}
	return err
}

// EachListed implements counters.Rows.
func (c counted) EachListed(tx *gorm.DB, of counters.Group, do func(created time.Time, open bool)) error {
	return eachSession(tx.Scopes(listed(of)), func(s *Session) { do(s.CreatedAt, s.EndCause == nil) })
}

// eachSession reads what is counted of the sessions of a query, one at a time.
func eachSession(query *gorm.DB, do func(*Session)) error {
	rows, err := query.Model(&Session{}).Select("tenant_id", "partner_id", "user_id", "device_type", "created_at", "revoked_at", "end_cause").Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var s Session
		if err := rows.Scan(&s.TenantID, &s.PartnerID, &s.UserID, &s.DeviceType, &s.CreatedAt, &s.RevokedAt, &s.EndCause); err != nil {
			return err
		}
		do(&s)
	}
	return rows.Err()
}

// LockWriters implements counters.Rows.
func (c counted) LockWriters(tx *gorm.DB) error {
	if !c.engine.IsPostgres() {
		return nil
	}
	return tx.Exec("LOCK TABLE sessions, session_apps, counter_deltas IN SHARE ROW EXCLUSIVE MODE").Error
}
