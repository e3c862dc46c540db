package store

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// MaxApps is the most applications that one call of SessionApps returns.
const MaxApps = 5000

// Device is what the agent of a session tells of where the user signed in. Nothing tells two devices apart whose agents look alike; a nil
// member is one that the agent does not tell.
type Device struct{ Type, OS, Browser *string }

// Device is that of the session's last use.
func (s Session) Device() Device { return Device{s.DeviceType, s.OS, s.Browser} }

// where selects the sessions on the device.
func (d Device) where(tx *gorm.DB) *gorm.DB {
	return tx.Where(clause.Eq{Column: "device_type", Value: d.Type}).Where(clause.Eq{Column: "os", Value: d.OS}).
		Where(clause.Eq{Column: "browser", Value: d.Browser})
}

// RevokeDevice ends the active sessions of a scope that were last used on a device, but for the one with the id except ("" excepts none), all
// or nothing, and returns their ids as RevokeAllSessions does. It stores no cutoff: the user can sign in on the device again.
func (s *Store) RevokeDevice(ctx context.Context, scope Scope, device Device, except string, by Actor) ([]string, error) {
	if scope.empty() {
		return []string{}, nil
	}
	variant, err := json.Marshal([]any{device, except})
	if err != nil {
		return nil, err
	}
	for _, text := range []*string{device.Type, device.OS, device.Browser} {
		if text != nil && !storable(*text) {
			return []string{}, nil
		}
	}
	return sorted(s.revoke(ctx, idempotentCall{scope: scope, variant: "device\x00" + string(variant)}, by, func(r *revocation) error {
		return r.endChosen(func(tx *gorm.DB) *gorm.DB {
			if except != "" && storable(except) {
				tx = tx.Where("id <> ?", except)
			}
			return device.where(tx)
		})
	}))
}

// SessionApps returns the applications that were reached in some sessions, the latest access first, at most MaxApps.
func (s *Store) SessionApps(ctx context.Context, sessions []Session) ([]App, error) {
	apps := []App{}
	sessions = slices.DeleteFunc(slices.Clone(sessions), func(session Session) bool { return session.AppCount == 0 })
	if len(sessions) == 0 {
		return apps, nil
	}
	err := s.read(ctx, func(tx *gorm.DB) error {
		apps = []App{}
		for tenantID, ids := range idsByTenant(sessions) {
			var some []App
			err := tx.Where("tenant_id = ?", tenantID).Scopes(s.engine.In("session_id", ids)).
				Order("accessed_at DESC, session_id, application_id").Limit(MaxApps).Find(&some).Error
			if err != nil {
				return err
			}
			apps = append(apps, some...)
		}
		return nil
	})
	slices.SortFunc(apps, func(a, b App) int {
		return cmp.Or(b.AccessedAt.Compare(a.AccessedAt), cmp.Compare(a.SessionID, b.SessionID), cmp.Compare(a.ApplicationID, b.ApplicationID))
	})
	return apps[:min(len(apps), MaxApps)], mapError("applications of sessions", err)
}
