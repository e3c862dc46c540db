package handlers

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/device"
	"github.com/sessiond/sessiond/store"
)

const (
	// devicePages is how many pages of a search ListMyDevices reads at most: 1,000 sessions.
	devicePages = 5
	// mostOfDevice is how many sessions and applications of a device are shown.
	mostOfDevice = 20
)

// ListMyDevices serves GET /api/v1/me/devices.
func (s *Server) ListMyDevices(ctx context.Context, _ gen.ListMyDevicesRequestObject) (gen.ListMyDevicesResponseObject, error) {
	sessions, more, err := s.ownActive(ctx)
	if err != nil {
		return nil, err
	}
	apps, err := s.store.SessionApps(ctx, sessions)
	if err != nil {
		return nil, err
	}
	return gen.ListMyDevices200JSONResponse{Body: gen.DeviceList{
		Data: ToAPIDevices(sessions, apps, caller(ctx).SessionID), HasMore: more, Meta: s.meta(ctx),
	}}, nil
}

// ownActive reads the newest active sessions of the user that the token speaks for, with the token's own, and reports whether there are more.
func (s *Server) ownActive(ctx context.Context) (sessions []store.Session, more bool, err error) {
	page := store.SessionPage{Limit: store.MaxFound}
	for range devicePages {
		found, err := s.store.SearchSessions(ctx, ownSessions(ctx), store.SessionFilter{Statuses: []string{store.Active}}, page)
		if err != nil {
			return nil, false, err
		}
		sessions = append(sessions, found.Sessions...)
		if page.Cursor = found.Next; page.Cursor == "" {
			return sessions, false, nil
		}
	}
	current := caller(ctx).SessionID
	if slices.ContainsFunc(sessions, func(session store.Session) bool { return session.ID == current }) {
		return sessions, true, nil
	}
	own, _, err := s.store.GetSessionWithApps(ctx, store.CallerSession{}, ownSessions(ctx), current)
	if errors.Is(err, store.ErrNotFound) { // there is none, or it is another user's
		return sessions, true, nil
	}
	return append(sessions, own), true, err
}

// RevokeMyDevice serves DELETE /api/v1/me/devices/{device_id}.
func (s *Server) RevokeMyDevice(ctx context.Context, request gen.RevokeMyDeviceRequestObject) (gen.RevokeMyDeviceResponseObject, error) {
	of, err := deviceOf(request.DeviceId)
	if err != nil {
		return nil, err
	}
	except := ""
	if *request.Params.ExceptCurrent {
		except = caller(ctx).SessionID
	}
	by := actor(ctx)
	by.IdempotencyKey = "" // only POST operations have one
	revoked, err := s.store.RevokeDevice(ctx, ownSessions(ctx), of, except, by)
	if err != nil {
		return nil, err
	}
	return gen.RevokeMyDevice200JSONResponse{Body: s.revocation(ctx, revoked)}, nil
}

// errNoDevice: a text names no device.
var errNoDevice = fmt.Errorf("device: %w", store.ErrNotFound)

// deviceID is a text for what is known of a device. It says nothing that the user who gets it does not know, and names a device of whoever
// sends it, so that it need not be kept from being forged.
func deviceID(of store.Device) string {
	text, _ := json.Marshal([]*string{of.Type, of.OS, of.Browser}) //nolint:errchkjson // texts
	return base64.RawURLEncoding.EncodeToString(text)
}

// deviceOf reads what deviceID wrote; errNoDevice for anything else.
func deviceOf(id string) (store.Device, error) {
	var known []*string
	text, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || json.Unmarshal(text, &known) != nil || len(known) != 3 {
		return store.Device{}, errNoDevice
	}
	of := store.Device{Type: known[0], OS: known[1], Browser: known[2]}
	if deviceID(of) != id { // a device has one id
		return store.Device{}, errNoDevice
	}
	return of, nil
}

// ToAPIDevices puts sessions together that may be on one device, with their applications; currentID is the caller's own session.
func ToAPIDevices(sessions []store.Session, apps []store.App, currentID string) []gen.Device {
	byID := map[string][]store.Session{}
	idOf := map[string]string{} // of a session's device
	for _, session := range sessions {
		id := deviceID(session.Device())
		byID[id], idOf[session.ID] = append(byID[id], session), id
	}
	appsOf := map[string][]store.App{}
	for _, app := range apps {
		appsOf[idOf[app.SessionID]] = append(appsOf[idOf[app.SessionID]], app)
	}
	devices := make([]gen.Device, 0, len(byID))
	for id, on := range byID {
		devices = append(devices, toAPIDevice(id, on, appsOf[id], currentID))
	}
	slices.SortFunc(devices, func(a, b gen.Device) int {
		return cmp.Or(trueFirst(a.IsCurrent, b.IsCurrent), b.LastActiveAt.Compare(a.LastActiveAt.Time), cmp.Compare(a.DeviceId, b.DeviceId))
	})
	return devices
}

func toAPIDevice(id string, sessions []store.Session, apps []store.App, currentID string) gen.Device {
	isCurrent := func(session store.Session) bool { return session.ID == currentID }
	slices.SortFunc(sessions, func(a, b store.Session) int {
		return cmp.Or(trueFirst(isCurrent(a), isCurrent(b)), lastUsedFirst(a, b))
	})
	last := slices.MinFunc(sessions, lastUsedFirst)
	oldest := slices.MinFunc(sessions, func(a, b store.Session) int { return a.CreatedAt.Compare(b.CreatedAt) })
	name, current := deviceName(last.Device()), isCurrent(sessions[0])
	is := gen.Device{
		DeviceId: id, Name: name, Summary: deviceSummary(name, len(sessions), current), DeviceType: last.DeviceType, Os: last.OS, Browser: last.Browser,
		IsCurrent: current, IsGuess: len(sessions) > 1, SessionCount: len(sessions), FirstSignedInAt: gen.Timestamp{Time: oldest.CreatedAt},
		LastActiveAt: gen.Timestamp{Time: last.LastActivity()}, IpAddress: last.IPAddress, Location: last.Location, Country: last.Country,
		Applications: latestApps(apps), Sessions: []gen.DeviceSession{},
	}
	for _, session := range sessions[:min(len(sessions), mostOfDevice)] {
		is.Sessions = append(is.Sessions, gen.DeviceSession{
			Id: session.ID, IsCurrent: isCurrent(session), CreatedAt: gen.Timestamp{Time: session.CreatedAt},
			LastActiveAt: gen.Timestamp{Time: session.LastActivity()}, IpAddress: session.IPAddress, Location: session.Location,
		})
	}
	return is
}

func lastUsedFirst(a, b store.Session) int {
	return cmp.Or(b.LastActivity().Compare(a.LastActivity()), cmp.Compare(a.ID, b.ID))
}

// latestApps are the latest accesses, each application once.
func latestApps(apps []store.App) []gen.SessionAppInfo {
	latest := []gen.SessionAppInfo{}
	for _, app := range apps {
		known := slices.ContainsFunc(latest, func(other gen.SessionAppInfo) bool { return other.ApplicationId == app.ApplicationID })
		if !known && len(latest) < mostOfDevice {
			latest = append(latest, toAPIApp(app))
		}
	}
	return latest
}

// deviceName calls a device by what is known of it.
func deviceName(of store.Device) string {
	kind := map[string]string{device.Desktop: "computer", device.Mobile: "phone", device.Tablet: "tablet", device.Bot: "program"}[textOf(of.Type)]
	switch os, browser := platform(of), textOf(of.Browser); {
	case browser != "" && os != "":
		return browser + " on " + os
	case browser != "":
		return browser
	case of.OS != nil && os != *of.OS:
		return os
	case os != "":
		return os + " " + cmp.Or(kind, "device")
	case kind != "":
		return "Unknown " + kind
	default:
		return "Unknown device"
	}
}

// platform is the operating system, and where it runs on phones and tablets, which of them.
func platform(of store.Device) string {
	os := textOf(of.OS)
	names := map[string][2]string{"iOS": {"iPhone", "iPad"}, "Android": {"Android phone", "Android tablet"}}[os]
	switch textOf(of.Type) {
	case device.Mobile:
		return cmp.Or(names[0], os)
	case device.Tablet:
		return cmp.Or(names[1], os)
	default:
		return os
	}
}

// deviceSummary says no more than is known: that agents look alike does not make one device of them.
func deviceSummary(name string, sessions int, current bool) string {
	switch {
	case sessions > 1 && current:
		return fmt.Sprintf("%s, %d sessions: this device, and perhaps others like it", name, sessions)
	case sessions > 1:
		return fmt.Sprintf("%s, %d sessions, perhaps on several devices", name, sessions)
	case current:
		return name + ", this device"
	default:
		return name
	}
}

func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}
