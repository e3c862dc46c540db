package handlers

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/validation"
	"github.com/sessiond/sessiond/store"
)

// SearchSessions serves GET /api/v1/sessions.
func (s *Server) SearchSessions(ctx context.Context, request gen.SearchSessionsRequestObject) (gen.SearchSessionsResponseObject, error) {
	params := request.Params
	scope, filter, err := FromAPISearch(authorizedScope(ctx), params)
	if err != nil {
		return nil, err
	}
	page := store.SessionPage{
		Sort: store.SessionSort(*params.Sort), OldestFirst: *params.Order == gen.SearchSessionsParamsOrderOldest, Limit: *params.Limit,
		Cursor: textOf(params.Cursor), CountAll: *params.Count == gen.All,
	}
	granted, _ := auth.GrantFromContext(ctx)
	if format := exportFormat(ctx); format != "" {
		current := caller(ctx).SessionID
		return s.export(ctx, format, "sessions", gen.SessionRecord{}, params.Cursor, func(ctx context.Context, write func(any) error) error {
			return s.store.EachSession(ctx, scope, filter, page, func(session store.Session) error {
				return write(ToAPIRecord(&session, s.now(), granted.UserID, current))
			})
		})
	}
	found, err := s.store.SearchSessions(ctx, scope, filter, page)
	if err != nil {
		return nil, err
	}
	list := gen.SessionRecordList{
		Data: make([]gen.SessionRecord, len(found.Sessions)), Meta: s.meta(ctx),
		Pagination: gen.SearchPagination{
			Limit: page.Limit, NextCursor: optional(found.Next), TotalItems: found.Total, TotalIsExact: found.TotalExact,
		},
	}
	for i := range found.Sessions {
		list.Data[i] = ToAPIRecord(&found.Sessions[i], found.AsOf, granted.UserID, caller(ctx).SessionID)
	}
	return gen.SearchSessions200JSONResponse{Body: list}, nil
}

// FromAPISearch converts what a search looks for; the scope is narrowed to it.
func FromAPISearch(scope store.Scope, params gen.SearchSessionsParams) (store.Scope, store.SessionFilter, error) {
	if params.TenantId != nil {
		scope = scope.InTenant(*params.TenantId)
	}
	if params.PartnerId != nil {
		scope = scope.OfPartner(*params.PartnerId)
	}
	if params.UserId != nil {
		scope = scope.OfUser(*params.UserId)
	}
	filter := store.SessionFilter{
		Text: textOf(params.Q), Country: upper(params.Country), Browser: params.Browser, OS: params.Os, ApplicationID: params.ApplicationId,
		Created:      period(params.CreatedAfter, params.CreatedBefore),
		LastActivity: period(params.LastActivityAfter, params.LastActivityBefore),
		Ended:        period(params.EndedAfter, params.EndedBefore),
	}
	if params.DeviceType != nil {
		filter.DeviceType = new(string(*params.DeviceType))
	}
	if params.Status != nil {
		for _, status := range *params.Status {
			filter.Statuses = append(filter.Statuses, string(status))
		}
	}
	if params.Ip == nil {
		return scope, filter, nil
	}
	network, valid := networkOf(*params.Ip)
	if !valid {
		return scope, filter, validation.ValueError("it must be an address, or a network as address/bits", "query", "ip")
	}
	filter.Network = network
	return scope, filter, nil
}

// networkOf is a network, or one address as a network.
func networkOf(text string) (netip.Prefix, bool) {
	if strings.Contains(text, "/") {
		network, err := netip.ParsePrefix(text)
		return network, err == nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(address, address.BitLen()), true
}

func upper(text *string) *string {
	if text == nil {
		return nil
	}
	return new(strings.ToUpper(*text))
}

// period is the times from one up to another. No session is from before 1970, and a zero time would bound nothing.
func period(after, before *time.Time) store.Period {
	return store.Period{After: since1970(after), Before: since1970(before)}
}

func since1970(at *time.Time) time.Time {
	if at != nil && at.Before(time.Unix(0, 0)) {
		return time.Unix(0, 0)
	}
	return timeOf(at)
}

// ToAPIRecord converts a session as it is at a time; currentID is the caller's own. A reader who is a user, and reads as no more than that, is
// not told who else ended it, and why.
func ToAPIRecord(session *store.Session, at time.Time, reader, currentID string) gen.SessionRecord {
	record := gen.SessionRecord{
		Id: session.ID, TenantId: session.TenantID, PartnerId: session.PartnerID, UserId: session.UserID, UserEmail: session.UserEmail,
		UserDisplayName: session.UserDisplayName, Status: gen.SessionStatus(session.Status(at)), IsCurrent: session.ID == currentID,
		CreatedAt: gen.Timestamp{Time: session.CreatedAt}, LastActivityAt: timestamp(session.LastActivityAt),
		ExpiresAt: gen.Timestamp{Time: session.ExpiresAt}, LoginIpAddress: session.LoginIPAddress, IpAddress: session.IPAddress,
		Location: session.Location, Country: session.Country, DeviceType: session.DeviceType, Browser: session.Browser, Os: session.OS,
		UserAgent: session.UserAgent, AppCount: session.AppCount,
	}
	if cause, ended := session.Ending(at); cause != "" {
		record.EndedAt = &gen.Timestamp{Time: ended}
	}
	if by := textOf(session.EndedBySub); by != "" && (reader == "" || reader == by) {
		record.EndedBy = &gen.EventActor{Sub: by, ClientId: optional(textOf(session.EndedByClient))}
		record.EndReason = optional(textOf(session.EndReason))
	}
	return record
}

// timestamp is a time of an answer, nil for none.
func timestamp(at *time.Time) *gen.Timestamp {
	if at == nil {
		return nil
	}
	return &gen.Timestamp{Time: *at}
}
