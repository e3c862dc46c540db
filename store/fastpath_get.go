package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/engine"
	"github.com/sessiond/sessiond/store/internal/sqlbuild"
)

// sessionColumns are those that scanSession reads, in its order.
const sessionColumns = "tenant_id, id, user_id, partner_id, user_email, user_display_name, ip_address, user_agent, device_type, location, " +
	"country, created_at, last_activity_at, expires_at, ends_at, end_cause, revoked_at, ended_by_sub, ended_by_client, end_reason, app_count, login_ip_address, change_recorded_at, browser, os"

// scanSession reads a row that begins with sessionColumns; more says where its further columns go.
func scanSession(row engine.Rows, s *Session, more ...any) error {
	into := [28]any{
		&s.TenantID, &s.ID, &s.UserID, &s.PartnerID, &s.UserEmail, &s.UserDisplayName, &s.IPAddress, &s.UserAgent, &s.DeviceType, &s.Location,
		&s.Country, &s.CreatedAt, &s.LastActivityAt, &s.ExpiresAt, &s.EndsAt, &s.EndCause, &s.RevokedAt, &s.EndedBySub, &s.EndedByClient,
		&s.EndReason, &s.AppCount, &s.LoginIPAddress, &s.ChangeRecordedAt, &s.Browser, &s.OS,
	}
	if err := row.Scan(append(into[:25], more...)...); err != nil {
		return err
	}
	s.inUTC()
	return nil
}

// appsColumn gives a session's applications with it, if it has any: an array of their ids, names and times in microseconds.
const appsColumn = `CASE WHEN app_count > 0 THEN ARRAY(SELECT ARRAY[application_id, application_name,
	((extract(epoch FROM accessed_at) * 1000000)::bigint)::text]
	FROM session_apps a WHERE a.tenant_id = sessions.tenant_id AND a.session_id = sessions.id) END`

func (f fast) getSession(ctx context.Context, caller CallerSession, scope Scope, id string, withApps bool) (Session, []App, error) {
	var session Session
	var list []string
	var callerEnded *bool
	found, covered := false, false
	err := f.query(ctx, f.getStatement(ctx, caller, scope, id, withApps), scope.tenantID(), func(row engine.Rows) error {
		found = true
		if err := scanSession(row, &session, &covered, &list, &callerEnded); err != nil {
			return err
		}
		return scope.admit(session.TenantID)
	})
	switch {
	case err != nil:
		return session, nil, err
	case !found:
		return session, nil, cmp.Or(f.checkCaller(ctx, caller), gorm.ErrRecordNotFound)
	case covered:
		// A bulk revocation has not been applied to it: hardly ever is there one.
		return f.plain.getSession(ctx, caller, scope, id, withApps)
	}
	if err := f.checkJoined(ctx, caller, callerEnded); err != nil {
		return session, nil, err
	}
	apps, err := parseApps(session, list)
	return session, apps, err
}

func (f fast) getStatement(ctx context.Context, caller CallerSession, scope Scope, id string, withApps bool) *sqlbuild.Statement {
	apps := "CAST(NULL AS text[])"
	if withApps {
		apps = appsColumn
	}
	st := f.engine.Statement("SELECT " + sessionColumns + ", NOT " + notBulkRevoked + ", " + apps)
	f.joinCaller(ctx, st, caller)
	return scope.addID(st.Add(" FROM sessions WHERE "), id)
}

// joinCaller appends a column that says whether the caller's session has ended: NULL when the caller has none, and when there is no such
// session in the tenant of the token. Then it may be another tenant's, or be deleted.
func (f fast) joinCaller(ctx context.Context, st *sqlbuild.Statement, caller CallerSession) {
	restricted, err := restriction(ctx)
	if err != nil || !storable(caller.TenantID) || !storable(caller.ID) || !restricted.Sees(caller.TenantID) {
		st.Add(", CAST(NULL AS boolean)")
		return
	}
	st.Add(", (SELECT NOT ("+isActive+") FROM sessions", f.now()).Add(" WHERE tenant_id = ? AND id = ?)", caller.TenantID, caller.ID)
}

// checkJoined answers ErrCallerEnded by what joinCaller gave, and looks the caller's session up where that is nothing.
func (f fast) checkJoined(ctx context.Context, caller CallerSession, ended *bool) error {
	switch {
	case ended == nil:
		return f.checkCaller(ctx, caller)
	case *ended:
		return ErrCallerEnded
	default:
		return nil
	}
}

// parseApps reads what appsColumn gives.
func parseApps(session Session, list []string) ([]App, error) {
	apps := make([]App, 0, len(list)/3)
	for app := range slices.Chunk(list, 3) {
		if len(app) < 3 {
			return nil, errors.New("an application lacks its time")
		}
		accessed, err := strconv.ParseInt(app[2], 10, 64)
		if err != nil {
			return nil, err
		}
		apps = append(apps, App{
			TenantID: session.TenantID, SessionID: session.ID, ApplicationID: app[0], ApplicationName: app[1],
			AccessedAt: time.UnixMicro(accessed).UTC(),
		})
	}
	slices.SortFunc(apps, func(a, b App) int {
		return cmp.Or(b.AccessedAt.Compare(a.AccessedAt), cmp.Compare(a.ApplicationID, b.ApplicationID))
	})
	return apps, nil
}

func (f fast) sessionActive(ctx context.Context, scope Scope, id string) (bool, error) {
	isActiveNow := false
	st := scope.addID(f.engine.Statement("SELECT tenant_id, "+isActive+" FROM sessions WHERE ", f.now()), id)
	err := f.query(ctx, st, scope.tenantID(), func(row engine.Rows) error {
		tenantID := ""
		if err := row.Scan(&tenantID, &isActiveNow); err != nil {
			return err
		}
		return scope.admit(tenantID)
	})
	return isActiveNow, err
}

func (f fast) sessionEnded(ctx context.Context, tenantID, id string) (bool, error) {
	if tenantID != "" {
		ended, found := false, false
		st := f.engine.Statement("SELECT NOT ("+isActive+") FROM sessions WHERE tenant_id = ? AND id = ?", f.now(), tenantID, id)
		err := f.query(WithScope(ctx, InTenant(tenantID)), st, tenantID, func(row engine.Rows) error {
			found = true
			return row.Scan(&ended)
		})
		if err != nil || found {
			return ended, err
		}
	}
	digest, err := f.digest(ctx, digestOfSession, id)
	if err != nil {
		return false, err
	}
	ended := false
	st := f.engine.Statement("SELECT coalesce((SELECT NOT ("+isActive+") FROM sessions WHERE id = ? AND "+useIDIndex+`),
		EXISTS (SELECT 1 FROM session_tombstones WHERE session_digest = ?))`, f.now(), id, digest)
	return ended, f.query(WithScope(ctx, AllTenants()), st, "", func(row engine.Rows) error { return row.Scan(&ended) })
}

func (f fast) tenantPartner(ctx context.Context, tenantID string) (partnerID string, err error) {
	st := f.engine.Statement("SELECT coalesce(partner_id, '') FROM tenants WHERE tenant_id = ?", tenantID)
	err = f.query(ctx, st, tenantID, func(row engine.Rows) error { return row.Scan(&partnerID) })
	return partnerID, err
}
