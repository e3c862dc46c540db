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
	// ExpiresAt is the latest end, EndsAt the end that the session comes to by itself: ExpiresAt, or earlier when it is not
	// used. The store sets EndsAt from the tenant's Limits.
	ExpiresAt, EndsAt time.Time
	// EndedHow is set when the session was ended, or some time after it ended by itself (SweepEnded), and stays.
	EndedHow *string
	// RevokedAt is set when somebody ended the session, and EndedBySub, EndedByClient and EndedReason with it.
	RevokedAt                              *time.Time
	EndedBySub, EndedByClient, EndedReason *string
	// AppCount is the number of applications, kept with the session so that lists need no count.
	AppCount int
}

// ListItem is what lists show of a session.
type ListItem struct {
	TenantID, ID, UserID                        string
	UserEmail, IPAddress, UserAgent, DeviceType *string
	CreatedAt, ExpiresAt                        time.Time
	LastActivityAt                              *time.Time
	AppCount                                    int
}

// How a session ended.
const (
	Revoked  = "revoked"  // by somebody
	Replaced = "replaced" // by a newer one of the same user, who may have only so many
	Expired  = "expired"  // by its age
	Idle     = "idle"     // because it was not used
)

// Active reports whether the session is good at that time: not ended, and its end in the future. At the very instant of
// its end it has ended.
func (s Session) Active(at time.Time) bool {
	return s.EndedHow == nil && s.EndsAt.After(at)
}

// Ending says how and when the session ended, "" while it is active.
func (s Session) Ending(at time.Time) (string, time.Time) {
	switch {
	case s.Active(at):
		return "", time.Time{}
	case s.RevokedAt != nil && s.EndedHow != nil:
		return *s.EndedHow, *s.RevokedAt
	case s.EndedHow != nil:
		return *s.EndedHow, s.EndsAt
	case s.EndsAt.Before(s.ExpiresAt):
		return Idle, s.EndsAt
	default:
		return Expired, s.EndsAt
	}
}

// lastUse is when the session was last known to be used.
func (s Session) lastUse() time.Time {
	if s.LastActivityAt != nil {
		return *s.LastActivityAt
	}
	return s.CreatedAt
}

// AfterFind gives times one form whatever the driver's time zone is.
func (s *Session) AfterFind(*gorm.DB) error {
	s.inUTC()
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
