package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/counters"
)

// topApplications is how many applications the statistics name.
const topApplications = 10

// Stats counts a tenant's sessions, all at one instant.
type Stats struct {
	// Total is Active, Expired and Revoked together.
	Total, Active, Expired, Revoked int
	// UniqueUsers have an active session.
	UniqueUsers int
	// ByDeviceType counts active sessions; a session without one counts under "".
	ByDeviceType map[string]int
	// TopApplications are those in the most active sessions, most first, then by id.
	TopApplications []ApplicationStats
	// CreatedLast24h and RevokedLast24h count the day before AsOf.
	CreatedLast24h, RevokedLast24h int
	AsOf                           time.Time
}

// ApplicationStats counts the active sessions in which an application was reached.
type ApplicationStats struct {
	ApplicationID   string
	ApplicationName string
	Sessions        int
}

// TenantStats counts the sessions of the one tenant of a scope; one that nobody has registered a session for has zeros, and so has a scope
// of anything else. It reads counters, and the sessions themselves only as far as the counters do not know of them yet.
func (s *Store) TenantStats(ctx context.Context, scope Scope) (Stats, error) {
	scope, err := s.knownPartner(ctx, scope)
	if err != nil {
		return Stats{}, err
	}
	if scope.empty() || scope.tenant == nil || scope.user != nil {
		return newStats(s.now()), nil
	}
	stats, err := s.operations.tenantStats(ctx, scope, s.now())
	if err != nil {
		return Stats{}, mapError("tenant statistics", err)
	}
	return stats, nil
}

func newStats(now time.Time) Stats {
	return Stats{AsOf: now, ByDeviceType: map[string]int{}, TopApplications: []ApplicationStats{}}
}

func (p plain) tenantStats(ctx context.Context, scope Scope, now time.Time) (Stats, error) {
	stats := newStats(now)
	err := p.readLong(ctx, *scope.tenant, func(tx *gorm.DB) error {
		c := statistics{plain: p, tx: tx, tenantID: *scope.tenant, now: now}
		revoked, err := bulkRevocationsIn(tx, scope)
		if err != nil {
			return err
		}
		counted, deltas, err := p.counters.OfTenant(tx, *scope.tenant, []string{
			counters.KindRows, counters.KindUsers, counters.KindDevice, counters.KindApplication, counters.KindCreated, counters.KindRevoked,
		})
		if err != nil {
			return err
		}
		c.add(counted, deltas)
		if revoked {
			err = c.afterBulkRevocation()
		} else {
			err = c.withoutExpired()
		}
		if err == nil {
			err = c.edge()
		}
		stats = c.stats()
		return err
	})
	return stats, err
}

// statistics is one transaction of TenantStats.
type statistics struct {
	plain
	tx       *gorm.DB
	tenantID string
	now      time.Time
	// total has the sums of KindRows, and of users what is counted.
	total counters.Amounts
	users int64
	// usersWaiting are users of whom not all is counted, with what waits.
	usersWaiting map[string]int64
	devices      map[string]int64
	applications map[string]counters.Sum
	// created and revoked are those of the last day.
	created, revoked int64
}

// add sums up counters and the deltas that are not rolled up.
func (c *statistics) add(counted []counters.Counter, deltas []counters.Delta) {
	edge, sums := lastDay(c.now), counters.Sums{}
	for _, counter := range counted {
		sums.AddCounter(counter)
	}
	for _, d := range deltas {
		sums.Add(d, edge)
	}
	c.usersWaiting, c.devices, c.applications = map[string]int64{}, map[string]int64{}, map[string]counters.Sum{}
	for _, user := range sums.Users() {
		c.usersWaiting[user.UserID] += user.Open
	}
	for key, sum := range sums {
		switch {
		case key.Tenant != c.tenantID:
		case key.Kind == counters.KindRows:
			c.total = sum.Amounts
		case key.Kind == counters.KindUsers:
			c.users = sum.Open
		case key.Kind == counters.KindDevice:
			c.devices[key.Key] = sum.Open
		case key.Kind == counters.KindApplication:
			c.applications[key.Key] = sum
		case key.Key >= counters.BucketKey(edge):
			c.created, c.revoked = c.created+sum.Total, c.revoked+sum.Revoked
		}
	}
}

// group is sessions that are counted alike.
type group struct {
	Name     string
	Label    string
	Sessions int64
}

// groups counts sessions that fulfil a condition by device, by user and by application.
func (c *statistics) groups(condition string, args ...any) (devices, users, applications []group, err error) {
	sessions := func() *gorm.DB {
		return c.tx.Model(&Session{}).Where("sessions.tenant_id = ?", c.tenantID).Where(condition, args...)
	}
	err = sessions().Select("coalesce(device_type, '') AS name, count(*) AS sessions").Group("coalesce(device_type, '')").Scan(&devices).Error
	if err == nil {
		err = sessions().Select("user_id AS name, count(*) AS sessions").Group("user_id").Scan(&users).Error
	}
	if err == nil {
		err = c.applicationsOf(condition, args...).Scan(&applications).Error
	}
	return devices, users, applications, err
}

// applicationsOf counts sessions that fulfil a condition by application.
func (c *statistics) applicationsOf(condition string, args ...any) *gorm.DB {
	return c.tx.Model(&Session{}).Where("sessions.tenant_id = ? AND app_count > 0", c.tenantID).Where(condition, args...).
		Joins("JOIN session_apps a ON a.tenant_id = sessions.tenant_id AND a.session_id = sessions.id").
		Select("a.application_id AS name, max(a.application_name) AS label, count(*) AS sessions").Group("a.application_id")
}

// withoutExpired takes off the sessions that have ended by themselves and are counted as open.
func (c *statistics) withoutExpired() error {
	devices, users, applications, err := c.groups(isDue+" AND ends_at > ?", c.now, earliestTime())
	if err != nil {
		return err
	}
	for _, d := range devices {
		c.total.Open -= d.Sessions
		c.devices[d.Name] -= d.Sessions
	}
	for _, a := range applications {
		sum := c.applications[a.Name]
		sum.Open -= a.Sessions
		c.applications[a.Name] = sum
	}
	return c.countUsers(users)
}

// countUsers corrects the number of users by those of whom something is not counted yet, or has expired.
func (c *statistics) countUsers(expired []group) error {
	waiting, err := c.counters.UsersWaiting(c.tx, c.tenantID)
	if err != nil {
		return err
	}
	for _, user := range waiting {
		c.usersWaiting[user.UserID] += user.Open
	}
	ended := map[string]int64{}
	for _, user := range expired {
		ended[user.Name] = user.Sessions
		c.usersWaiting[user.Name] += 0
	}
	names := make([]string, 0, len(c.usersWaiting))
	for name := range c.usersWaiting {
		names = append(names, name)
	}
	var now []group
	err = c.tx.Model(&Session{}).Select("user_id AS name, count(*) AS sessions").Where("tenant_id = ? AND end_cause IS NULL", c.tenantID).
		Scopes(c.engine.In("user_id", names)).Group("user_id").Scan(&now).Error
	has := map[string]int64{}
	for _, user := range now {
		has[user.Name] = user.Sessions
	}
	for name, delta := range c.usersWaiting {
		c.users += counters.Present(has[name]-ended[name]) - counters.Present(has[name]-delta)
	}
	return err
}

// afterBulkRevocation counts the active sessions themselves while a bulk revocation has not been applied to every row: they were created
// since. Revoked are also those that the revocation covers.
func (c *statistics) afterBulkRevocation() error {
	covered := int64(0)
	err := c.tx.Model(&Session{}).Where("tenant_id = ? AND end_cause IS NULL", c.tenantID).
		Where("EXISTS (SELECT 1 FROM bulk_revocations b WHERE b.tenant_id = sessions.tenant_id AND b.at >= sessions.created_at AND b.at < sessions.ends_at)").
		Count(&covered).Error
	if err != nil {
		return err
	}
	devices, users, applications, err := c.groups(isActive, c.now)
	c.total.Open, c.users, c.devices, c.applications = 0, int64(len(users)), map[string]int64{}, map[string]counters.Sum{}
	for _, d := range devices {
		c.total.Open += d.Sessions
		c.devices[d.Name] = d.Sessions
	}
	for _, a := range applications {
		c.applications[a.Name] = counters.Sum{Name: a.Label, Amounts: counters.Amounts{Open: a.Sessions}}
	}
	c.total.Revoked += covered
	c.revoked += covered
	return err
}

// lastDay is where the time buckets of the last day begin: the nearest to a day ago.
func lastDay(now time.Time) time.Time {
	return now.Add(-counters.Day).UTC().Round(counters.TimeBucket)
}

// edge adds the sessions created and revoked in the last day before its first time bucket, or takes off those of the bucket from before.
func (c *statistics) edge() error {
	dayAgo, first := c.now.Add(-counters.Day), lastDay(c.now)
	sign, condition, from, to := int64(1), "%s > ? AND %s < ?", dayAgo, first
	if !first.After(dayAgo) {
		sign, condition, from, to = -1, "%s >= ? AND %s <= ?", first, dayAgo
	}
	var created, revoked int64
	sessions := c.tx.Model(&Session{}).Where("tenant_id = ?", c.tenantID).Session(&gorm.Session{})
	err := sessions.Table(activeAndEnded).Where(fmt.Sprintf(condition, "created_at", "created_at"), from, to).Count(&created).Error
	if err == nil {
		err = sessions.Where("end_cause IS NOT NULL AND revoked_at IS NOT NULL").Where(fmt.Sprintf(condition, endedAt, endedAt), from, to).Count(&revoked).Error
	}
	c.created, c.revoked = c.created+sign*created, c.revoked+sign*revoked
	return err
}

func (c *statistics) stats() Stats {
	stats := newStats(c.now)
	stats.Total, stats.Active, stats.Revoked = int(c.total.Total), int(c.total.Open), int(c.total.Revoked)
	stats.Expired = stats.Total - stats.Active - stats.Revoked
	stats.UniqueUsers = int(c.users)
	stats.CreatedLast24h, stats.RevokedLast24h = int(c.created), int(c.revoked)
	for name, n := range c.devices {
		if n != 0 {
			stats.ByDeviceType[name] = int(n)
		}
	}
	for id, sum := range c.applications {
		if sum.Open != 0 {
			stats.TopApplications = append(stats.TopApplications, ApplicationStats{id, sum.Name, int(sum.Open)})
		}
	}
	stats.top()
	return stats
}

// top leaves the applications of the most sessions.
func (s *Stats) top() {
	slices.SortFunc(s.TopApplications, func(a, b ApplicationStats) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.ApplicationID, b.ApplicationID))
	})
	s.TopApplications = s.TopApplications[:min(len(s.TopApplications), topApplications)]
}
