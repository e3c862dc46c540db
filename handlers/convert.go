package handlers

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/device"
	"github.com/sessiond/sessiond/store"
)

// meta says which request this is the answer to, and when.
func (s *Server) meta(ctx context.Context) gen.MetaResponse {
	id := requestID(ctx)
	return gen.MetaResponse{RequestId: &id, Timestamp: gen.Timestamp{Time: s.now().UTC().Truncate(time.Microsecond)}}
}

// page lists a page of the selected sessions.
func (s *Server) page(ctx context.Context, scope store.Scope, activeOnly bool, page, perPage int) (sessionList, error) {
	sessions, total, err := s.store.ListSessions(ctx, callerSession(ctx), scope, store.Filter{ActiveOnly: activeOnly}, store.Page{
		Offset: offset(page, perPage), Limit: perPage,
	})
	if err != nil {
		return sessionList{}, err
	}
	return sessionList{
		items: ToAPIListItems(sessions, caller(ctx).SessionID), meta: s.meta(ctx),
		pagination: &gen.PaginationMeta{
			Page: page, PerPage: perPage, TotalItems: total, TotalPages: (total + perPage - 1) / perPage,
		},
	}, nil
}

// offset is how many sessions precede a page. The contract has no last page, so the product may not fit.
func offset(page, perPage int) int {
	if page-1 > math.MaxInt/perPage {
		return math.MaxInt
	}
	return (page - 1) * perPage
}

// session gets one session of the authorized scope, as the response's envelope.
func (s *Server) session(ctx context.Context, scope store.Scope, id string) (*sessionAnswer, error) {
	session, apps, err := s.store.GetSessionWithApps(ctx, callerSession(ctx), scope, id)
	if err != nil {
		return nil, err
	}
	return s.sessionAnswer(ctx, http.StatusOK, &session, apps), nil
}

func (s *Server) sessionAnswer(ctx context.Context, status int, session *store.Session, apps []store.App) *sessionAnswer {
	return &sessionAnswer{status, gen.ApiResponseSessionResponse{Data: ToAPISession(session, apps, caller(ctx).SessionID), Meta: s.meta(ctx)}}
}

// revocation is the answer that names the sessions a call ended.
func (s *Server) revocation(ctx context.Context, ids []string) gen.ApiResponseSessionRevokeResponse {
	return gen.ApiResponseSessionRevokeResponse{
		Data: gen.SessionRevokeResponse{RevokedCount: len(ids), SessionIds: ids}, Meta: s.meta(ctx),
	}
}

// ToAPIListItems converts a list; currentID is the caller's own session.
func ToAPIListItems(sessions []store.ListItem, currentID string) []gen.SessionListItem {
	items := make([]gen.SessionListItem, len(sessions))
	used := make([]gen.Timestamp, len(sessions)) // one allocation for all of them
	for i := range sessions {
		session := &sessions[i]
		items[i] = gen.SessionListItem{
			Id: session.ID, UserId: session.UserID, UserEmail: session.UserEmail,
			IpAddress: session.IPAddress, UserAgent: session.UserAgent, DeviceType: session.DeviceType,
			IsCurrent: session.ID == currentID, CreatedAt: gen.Timestamp{Time: session.CreatedAt},
			ExpiresAt: gen.Timestamp{Time: session.ExpiresAt}, AppCount: session.AppCount,
		}
		if session.LastActivityAt != nil {
			used[i].Time = *session.LastActivityAt
			items[i].LastActivityAt = &used[i]
		}
	}
	return items
}

// ToAPISession converts a session with its applications; currentID is the caller's own session.
func ToAPISession(session *store.Session, apps []store.App, currentID string) gen.SessionResponse {
	accessed := make([]gen.SessionAppInfo, len(apps))
	for i, app := range apps {
		accessed[i] = toAPIApp(app)
	}
	answer := gen.SessionResponse{
		Id: session.ID, UserId: session.UserID, UserEmail: session.UserEmail, UserDisplayName: session.UserDisplayName,
		IpAddress: session.IPAddress, UserAgent: session.UserAgent, DeviceType: session.DeviceType,
		Location: session.Location, IsCurrent: session.ID == currentID, CreatedAt: gen.Timestamp{Time: session.CreatedAt},
		ExpiresAt: gen.Timestamp{Time: session.ExpiresAt}, SsoApps: accessed,
	}
	if session.LastActivityAt != nil {
		answer.LastActivityAt = &gen.Timestamp{Time: *session.LastActivityAt}
	}
	return answer
}

func toAPIApp(app store.App) gen.SessionAppInfo {
	return gen.SessionAppInfo{
		ApplicationId: app.ApplicationID, ApplicationName: app.ApplicationName, AccessedAt: gen.Timestamp{Time: app.AccessedAt},
	}
}

// ToAPIStats converts a tenant's statistics. A session without a device type counts as another one.
func ToAPIStats(stats store.Stats) gen.TenantSessionStats {
	devices := stats.ByDeviceType
	top := make([]gen.ApplicationUse, len(stats.TopApplications))
	for i, app := range stats.TopApplications {
		top[i] = gen.ApplicationUse{
			ApplicationID: app.ApplicationID, ApplicationName: app.ApplicationName, Sessions: app.Sessions,
		}
	}
	return gen.TenantSessionStats{
		TotalSessions: stats.Total, ActiveSessions: stats.Active, ExpiredSessions: stats.Expired,
		RevokedSessions: stats.Revoked, UniqueUsers: stats.UniqueUsers,
		SessionsByDeviceType: gen.SessionsByDeviceType{
			Desktop: devices[device.Desktop], Mobile: devices[device.Mobile], Tablet: devices[device.Tablet],
			Bot: devices[device.Bot], Other: devices[device.Other] + devices[""],
		},
		TopApplications: top, CreatedLast24h: stats.CreatedLast24h, RevokedLast24h: stats.RevokedLast24h,
		AsOf: gen.Timestamp{Time: stats.AsOf},
	}
}

// FromAPIRegistration converts a registration; what the device is comes from the agent.
func (s *Server) FromAPIRegistration(body gen.SessionRegistration) store.Session {
	session := store.Session{
		UserID: body.UserId, TenantID: body.TenantId, PartnerID: body.PartnerId, UserEmail: body.UserEmail,
		UserDisplayName: body.UserDisplayName, IPAddress: body.IpAddress, UserAgent: body.UserAgent,
		DeviceType: s.deviceType(body.UserAgent), ExpiresAt: body.ExpiresAt,
	}
	session.Browser, session.OS = s.agent(body.UserAgent)
	session.Location, session.Country = s.place(body.IpAddress)
	if body.Id != nil {
		session.ID = *body.Id
	}
	if body.CreatedAt != nil {
		session.CreatedAt = *body.CreatedAt
	}
	return session
}

// FromAPIActivity converts an activity of a session.
func (s *Server) FromAPIActivity(body gen.SessionActivity) store.Activity {
	activity := store.Activity{
		IPAddress: body.IpAddress, UserAgent: body.UserAgent, DeviceType: s.deviceType(body.UserAgent),
		ExpiresAt: body.ExpiresAt,
	}
	activity.Browser, activity.OS = s.agent(body.UserAgent)
	activity.Location, activity.Country = s.place(body.IpAddress)
	return activity
}

func (s *Server) deviceType(userAgent *string) *string {
	if userAgent == nil {
		return nil
	}
	kind := s.devices.Type(*userAgent)
	return &kind
}

// agent is the browser and the operating system that an agent names, nil where it names none that is known.
func (s *Server) agent(userAgent *string) (browser, system *string) {
	if userAgent == nil {
		return nil, nil
	}
	named, on := s.devices.Names(*userAgent)
	return optional(named), optional(on)
}

// place is the location and the country of an address, nil where they are not known.
func (s *Server) place(address *string) (location, country *string) {
	if address == nil {
		return nil, nil
	}
	found := s.locate(*address)
	if found.Name != "" {
		location = &found.Name
	}
	if found.Country != "" {
		country = &found.Country
	}
	return location, country
}
