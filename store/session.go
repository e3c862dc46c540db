package store

import (
	"time"

	"gorm.io/gorm"
)

// Session is one signed-in presence of a user.
type Session struct {
	// TenantID and ID are the key; ID alone is unique too, service-wide.
	TenantID string `gorm:"primaryKey"`
	ID       string `gorm:"primaryKey"`
	UserID   string
	// PartnerID is the tenant's partner, repeated here so that a partner's lists need no join.
	PartnerID       *string
	UserEmail       *string
	UserDisplayName *string
	IPAddress       *string `gorm:"column:ip_address"`
	UserAgent       *string
	DeviceType      *string
	Location        *string
	CreatedAt       time.Time `gorm:"autoCreateTime:false"`
	LastActivityAt  *time.Time
	ExpiresAt       time.Time
	RevokedAt       *time.Time
	// AppCount is the number of applications, kept with the session so that lists need no count.
	AppCount int
}

// Active reports whether the session is good at that time: not revoked, and expires_at in the future. At the very
// instant of expires_at it has ended.
func (s Session) Active(at time.Time) bool {
	return s.RevokedAt == nil && s.ExpiresAt.After(at)
}

// AfterFind gives times one form whatever the driver's time zone is.
func (s *Session) AfterFind(*gorm.DB) error {
	s.CreatedAt, s.ExpiresAt = s.CreatedAt.UTC(), s.ExpiresAt.UTC()
	s.LastActivityAt, s.RevokedAt = timestampOrNil(s.LastActivityAt), timestampOrNil(s.RevokedAt)
	return nil
}

// App is an application reached through a session by single sign-on.
type App struct {
	TenantID        string `gorm:"primaryKey"`
	SessionID       string `gorm:"primaryKey"`
	ApplicationID   string `gorm:"primaryKey"`
	ApplicationName string
	// AccessedAt is the latest access.
	AccessedAt time.Time
}

// TableName names the table.
func (App) TableName() string { return "session_apps" }

// AfterFind gives times one form whatever the driver's time zone is.
func (a *App) AfterFind(*gorm.DB) error {
	a.AccessedAt = a.AccessedAt.UTC()
	return nil
}

// Tenant is known from its first registration on.
type Tenant struct {
	TenantID string `gorm:"primaryKey"`
	// PartnerID is decided by the first registration that names one, and final.
	PartnerID *string
	CreatedAt time.Time `gorm:"autoCreateTime:false"`
}
