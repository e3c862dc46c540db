package store

import (
	"time"

	"gorm.io/gorm"
)

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
