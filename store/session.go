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
	// Country is the ISO 3166-1 alpha-2 code of the place of IPAddress.
	Country        *string
	CreatedAt      time.Time `gorm:"autoCreateTime:false"`
	LastActivityAt *time.Time
	// ExpiresAt is the latest end, EndsAt the end that the session comes to by itself: ExpiresAt, or earlier when it is not
	// used. The store sets EndsAt from the tenant's Limits.
	ExpiresAt, EndsAt time.Time
	// EndCause is set when the session was ended, or some time after it ended by itself (RecordExpired), and stays.
	EndCause *string
	// RevokedAt is set when somebody ended the session, and EndedBySub, EndedByClient and EndReason with it.
	RevokedAt                            *time.Time
	EndedBySub, EndedByClient, EndReason *string
	// AppCount is the number of applications, kept with the session so that lists need no count.
	AppCount int
	// LoginIPAddress is where the session was registered from; IPAddress is where it was used last.
	LoginIPAddress *string `gorm:"column:login_ip_address"`
	// ChangeRecordedAt is when an event last told of a change of the address, the agent or the country.
	ChangeRecordedAt *time.Time
	// Browser and OS are what UserAgent names.
	Browser *string
	OS      *string `gorm:"column:os"`
}

// ListItem is what lists show of a session.
type ListItem struct {
	TenantID, ID, UserID                        string
	UserEmail, IPAddress, UserAgent, DeviceType *string
	CreatedAt, ExpiresAt                        time.Time
	LastActivityAt                              *time.Time
	AppCount                                    int
}

// Causes of a session's end.
const (
	Revoked  = "revoked"  // by somebody
	Replaced = "replaced" // by a newer one of the same user, who may have only so many
	Expired  = "expired"  // by its age
	Idle     = "idle"     // because it was not used
)

// Active reports whether the session is good at that time: not ended, and its end in the future. At the very instant of
// its end it has ended. The condition isActive says the same in SQL.
func (s Session) Active(at time.Time) bool {
	return s.EndCause == nil && s.EndsAt.After(at)
}

// Ending says why and when the session ended, "" while it is active.
func (s Session) Ending(at time.Time) (string, time.Time) {
	switch {
	case s.Active(at):
		return "", time.Time{}
	case s.RevokedAt != nil && s.EndCause != nil:
		return *s.EndCause, *s.RevokedAt
	case s.EndCause != nil:
		return *s.EndCause, s.EndsAt
	case s.EndsAt.Before(s.ExpiresAt):
		return Idle, s.EndsAt
	default:
		return Expired, s.EndsAt
	}
}

// LastActivity is the time of the last recorded activity, or of the login.
func (s Session) LastActivity() time.Time {
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

func (s *Session) inUTC() {
	s.CreatedAt, s.ExpiresAt, s.EndsAt = s.CreatedAt.UTC(), s.ExpiresAt.UTC(), s.EndsAt.UTC()
	for _, at := range []*time.Time{s.LastActivityAt, s.RevokedAt, s.ChangeRecordedAt} {
		if at != nil {
			*at = at.UTC()
		}
	}
}

// AfterFind gives times one form whatever the driver's time zone is.
func (i *ListItem) AfterFind(*gorm.DB) error {
	i.inUTC()
	return nil
}

func (i *ListItem) inUTC() {
	i.CreatedAt, i.ExpiresAt = i.CreatedAt.UTC(), i.ExpiresAt.UTC()
	if i.LastActivityAt != nil {
		*i.LastActivityAt = i.LastActivityAt.UTC()
	}
}
