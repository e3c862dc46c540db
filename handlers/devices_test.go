package handlers_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/qa/sequential"
	"github.com/sessiond/sessiond/store/storetest"
)

const (
	// unknownDevice is the device of sessions whose agent nobody told.
	unknownDevice = "W251bGwsbnVsbCxudWxsXQ"

	iPhone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)

func (f *fixture) devices(token string) gen.DeviceList {
	f.t.Helper()
	var list gen.DeviceList
	f.do(http.MethodGet, "/api/v1/me/devices", token, nil).want(http.StatusOK).decode(&list)
	return list
}

// ended are the sessions that the deletion of a device says it has ended.
func (f *fixture) signOut(token, deviceID string) []string {
	f.t.Helper()
	var answer gen.ApiResponseSessionRevokeResponse
	f.do(http.MethodDelete, "/api/v1/me/devices/"+deviceID, token, nil, "X-Revoke-Reason", "not me").want(http.StatusOK).decode(&answer)
	assert.Equal(f.t, len(answer.Data.SessionIds), answer.Data.RevokedCount)
	return answer.Data.SessionIds
}

// TestMyDevices: sessions are put together by their agents, and what that may mean is said in words.
func TestMyDevices(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		began := f.clock.Now()
		f.register("acme", "ada", "phone", "user_agent", iPhone, "ip_address", "203.0.113.1")
		f.clock.Advance(time.Minute)
		for _, id := range []string{"linux-1", "linux-2"} {
			f.register("acme", "ada", id, "user_agent", agent, "ip_address", "203.0.113.7")
			f.clock.Advance(time.Minute)
		}
		f.register("acme", "ada", "bare")
		f.register("acme", "bob", "of bob", "user_agent", agent)
		f.register("globex", "ada", "of globex", "user_agent", agent)
		for i, app := range []string{"wiki", "chat", "wiki"} {
			f.clock.Advance(time.Minute)
			f.do(http.MethodPut, fmt.Sprintf("/api/v1/lifecycle/sessions/linux-%d/apps/%s", i%2+1, app), f.service(),
				map[string]any{"application_name": app}).want(http.StatusNoContent)
		}
		token := f.user("acme", "ada", "phone")
		list := f.devices(token)
		require.Len(t, list.Data, 3)
		assert.False(t, list.HasMore)

		phone, linux, bare := list.Data[0], list.Data[1], list.Data[2]
		assert.Equal(t, "Safari on iPhone, this device", phone.Summary)
		assert.Equal(t, []bool{true, false}, []bool{phone.IsCurrent, phone.IsGuess})
		assert.Equal(t, []string{"203.0.113.1", "Bern, Switzerland", "CH"}, []string{*phone.IpAddress, *phone.Location, *phone.Country})
		assert.Equal(t, []gen.DeviceSession{{
			Id: "phone", IsCurrent: true, CreatedAt: gen.Timestamp{Time: began}, LastActiveAt: gen.Timestamp{Time: began},
			IpAddress: new("203.0.113.1"), Location: new("Bern, Switzerland"),
		}}, phone.Sessions)
		assert.Empty(t, phone.Applications)

		assert.Equal(t, "Firefox on Linux", linux.Name)
		assert.Equal(t, "Firefox on Linux, 2 sessions, perhaps on several devices", linux.Summary)
		assert.Equal(t, []bool{false, true}, []bool{linux.IsCurrent, linux.IsGuess})
		assert.Equal(t, 2, linux.SessionCount)
		assert.Equal(t, began.Add(time.Minute), linux.FirstSignedInAt.Time)
		assert.Len(t, linux.Sessions, 2)
		require.Len(t, linux.Applications, 2, "each application once")
		assert.Equal(t, []string{"wiki", "chat"}, []string{linux.Applications[0].ApplicationId, linux.Applications[1].ApplicationId})

		assert.Equal(t, []string{"Unknown device", "Unknown device", unknownDevice}, []string{bare.Name, bare.Summary, bare.DeviceId})

		own := f.devices(f.user("acme", "ada", "linux-1")).Data[0]
		assert.Equal(t, "Firefox on Linux, 2 sessions: this device, and perhaps others like it", own.Summary)
		assert.Equal(t, []string{"linux-1", "linux-2"}, []string{own.Sessions[0].Id, own.Sessions[1].Id}, "the current one first")
		assert.Len(t, f.devices(f.token(auth.TokenRequest{Subject: "ada"})).Data[0].Sessions, 3, "those of every tenant, without one in the token")

		// An administrator's token is a user's here.
		assert.Empty(t, f.devices(f.admin()).Data)
	})
}

// TestSignOutMyDevice ends the sessions on a device, and no others.
func TestSignOutMyDevice(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		f.register("acme", "ada", "phone", "user_agent", iPhone)
		for _, id := range []string{"linux-1", "linux-2"} {
			f.register("acme", "ada", id, "user_agent", agent)
		}
		f.register("acme", "ada", "bare")
		f.register("acme", "bob", "of bob", "user_agent", agent)
		f.register("globex", "ada", "of globex", "user_agent", agent)
		token := f.user("acme", "ada", "phone")

		for what, id := range map[string]string{
			"no text": "%21", "no list": base64.RawURLEncoding.EncodeToString([]byte(`{}`)), "too few": base64.RawURLEncoding.EncodeToString([]byte(`["a"]`)),
			"no texts": base64.RawURLEncoding.EncodeToString([]byte(`[1,2,3]`)), "trailing bits": unknownDevice[:len(unknownDevice)-1] + "R",
			"more": base64.RawURLEncoding.EncodeToString([]byte(`[null,null,null] `)), "a session": "phone", "other form": base64.RawURLEncoding.EncodeToString([]byte(`[null, null, null]`)),
		} {
			assert.Equal(t, "Device not found.", f.do(http.MethodDelete, "/api/v1/me/devices/"+id, token, nil).want(http.StatusNotFound).detail(), what)
		}
		assert.Empty(t, f.signOut(token, base64.RawURLEncoding.EncodeToString([]byte(`["a\u0000",null,null]`))), "what no session can have")

		assert.Equal(t, []string{"linux-1", "linux-2"}, f.signOut(token, exampleDevice))
		assert.Empty(t, f.signOut(token, exampleDevice), "they have ended")
		assert.ElementsMatch(t, []string{"of bob", "bare", "phone"}, f.activeIDs("acme"))
		assert.Equal(t, []string{"of globex"}, f.activeIDs("globex"))
		assert.Equal(t, []string{"bare"}, f.signOut(token, unknownDevice))
		events := f.eventsOf("/api/v1/audit-events?session_id=linux-1&action=session.revoked", f.tenant("acme"))
		require.Len(t, events.Data, 1)
		assert.Equal(t, []string{"not me", "ada"}, []string{*events.Data[0].Reason, events.Data[0].Actor.Sub})
		f.register("acme", "ada", "again", "user_agent", agent) // no cutoff

		// Of this device the other sessions end, and then it signs itself out.
		f.register("acme", "ada", "phone-2", "user_agent", iPhone)
		phone := f.devices(token).Data[0].DeviceId
		f.do(http.MethodDelete, "/api/v1/me/devices/"+phone+"?exceptcurrent=true", token, nil).want(http.StatusUnprocessableEntity)
		assert.Equal(t, []string{"phone-2"}, f.signOut(token, phone+"?except_current=true"))
		assert.Equal(t, []string{"phone"}, f.signOut(token, f.devices(token).Data[0].DeviceId))
		f.do(http.MethodGet, "/api/v1/me/devices", token, nil).want(http.StatusUnauthorized)
	})
}

// TestManyDevices: what is looked at and shown is bounded, what is ended is not.
func TestManyDevices(t *testing.T) {
	sequential.Test(t)
	f := newFixture(t, storetest.SQLite)
	f.register("acme", "ada", "own", "user_agent", iPhone)
	for i := range 1005 {
		f.register("acme", "ada", fmt.Sprintf("s%04d", i), "user_agent", agent)
		f.clock.Advance(time.Second)
	}
	own := f.devices(f.user("acme", "ada", "own")).Data
	require.Len(t, own, 2)
	assert.Equal(t, "Safari on iPhone, this device", own[0].Summary, "the token's own, however old")
	assert.Len(t, f.devices(f.user("acme", "ada", "of bob")).Data, 1)
	token := f.user("acme", "ada", "")
	list := f.devices(token)
	require.Len(t, list.Data, 1)
	assert.True(t, list.HasMore)
	assert.Equal(t, 1000, list.Data[0].SessionCount)
	require.Len(t, list.Data[0].Sessions, 20)
	assert.Equal(t, "s1004", list.Data[0].Sessions[0].Id)
	assert.Len(t, f.signOut(token, list.Data[0].DeviceId), 1005)
	assert.Equal(t, []string{"own"}, f.activeIDs("acme"))
}

// TestDeviceNames: what is known of a device in the words of people.
func TestDeviceNames(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	for agent, name := range map[string]string{
		iPhone: "Safari on iPhone",
		"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1": "Safari on iPad",
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36":          "Chrome on Android phone",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36":                "Chrome on Windows",
		"curl/8.5.0":   "curl",
		"(unheard of)": "Unknown device",
	} {
		userID := fmt.Sprintf("u%d", len(agent))
		f.register("acme", userID, userID+"-s", "user_agent", agent)
		assert.Equal(t, name, f.devices(f.user("acme", userID, "")).Data[0].Name, agent)
	}
}
