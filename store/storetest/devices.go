package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

func testDevices(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("revoked", onFixture(newStore, testRevokeDevice))
	t.Run("applications", onFixture(newStore, testSessionApps))
}

// testRevokeDevice: a device is what all three members say, also where one is not told.
func testRevokeDevice(f fixture) {
	desktop, linux, firefox := new("desktop"), new("Linux"), new("Firefox")
	for id, on := range map[string]store.Device{
		"s1": {Type: desktop, OS: linux, Browser: firefox}, "s2": {Type: desktop, OS: linux, Browser: firefox},
		"no browser": {Type: desktop, OS: linux}, "no os": {Type: desktop, Browser: firefox}, "no type": {OS: linux, Browser: firefox}, "bare": {},
		"other type": {Type: new("mobile"), OS: linux, Browser: firefox}, "other os": {Type: desktop, OS: new("Windows"), Browser: firefox},
		"other browser": {Type: desktop, OS: linux, Browser: new("Chrome")},
	} {
		for user, prefix := range map[string]string{"ada": "", "bob": "bob's "} {
			s := session("acme", user, prefix+id)
			s.DeviceType, s.OS, s.Browser = on.Type, on.OS, on.Browser
			f.register(s)
		}
	}
	elsewhere := session("globex", "ada", "elsewhere")
	elsewhere.DeviceType, elsewhere.OS, elsewhere.Browser = desktop, linux, firefox
	f.register(elsewhere)
	except := ""
	revoke := func(scope store.Scope, device store.Device, key string) []string {
		by := tester()
		by.IdempotencyKey = key
		ids, err := f.RevokeDevice(f.ctx, scope, device, except, by)
		require.NoError(f.t, err)
		require.NotNil(f.t, ids)
		return ids
	}
	ada, device := store.InTenant("acme").OfUser("ada"), store.Device{Type: desktop, OS: linux, Browser: firefox}
	assert.Empty(f.t, revoke(ada.InTenant("globex"), device, ""), "a scope of nothing")
	except = "s2"
	assert.Equal(f.t, []string{"s1"}, revoke(ada, device, ""))
	except = ""
	assert.Equal(f.t, []string{"s2"}, revoke(ada, device, "k"))
	assert.Empty(f.t, revoke(ada, device, ""))
	assert.Equal(f.t, []string{"s2"}, revoke(ada, device, "k"), "the call again")
	assert.Equal(f.t, []string{"bare"}, revoke(ada, store.Device{}, "k"), "another call")
	assert.Equal(f.t, []string{"no browser"}, revoke(ada, store.Device{Type: desktop, OS: linux}, ""))
	assert.Empty(f.t, revoke(ada, store.Device{Type: new("a\x00")}, ""), "no session has it")
	assert.Equal(f.t, []string{"elsewhere"}, revoke(store.AllTenants().OfUser("ada"), device, ""), "in whatever tenant")
	_, active := f.ids(ada, page{ActiveOnly: true})
	assert.Equal(f.t, 5, active)
	_, active = f.ids(store.InTenant("acme").OfUser("bob"), page{ActiveOnly: true})
	assert.Equal(f.t, 9, active, "all of another user")
	f.register(session("acme", "ada", "again")) // no cutoff
	f.verifyCounters()
}

func testSessionApps(f fixture) {
	var sessions []store.Session
	for i, id := range []string{"s1", "s2", "elsewhere", "none"} {
		tenantID := []string{"acme", "acme", "globex", "acme"}[i]
		f.register(session(tenantID, "ada", id))
		if id == "none" {
			continue
		}
		for _, app := range []string{"wiki", "chat"} {
			f.clock.Advance(time.Second)
			require.NoError(f.t, f.RecordApp(f.ctx, store.AllTenants(), store.App{SessionID: id, ApplicationID: app, ApplicationName: app}, tester()))
		}
	}
	for _, id := range []string{"s1", "elsewhere", "none"} {
		sessions = append(sessions, f.get(id))
	}
	apps, err := f.SessionApps(f.ctx, sessions)
	require.NoError(f.t, err)
	var got []string
	for _, app := range apps {
		got = append(got, app.SessionID+" "+app.ApplicationID)
	}
	assert.Equal(f.t, []string{"elsewhere chat", "elsewhere wiki", "s1 chat", "s1 wiki"}, got, "the latest first, and of no other session")
	apps, err = f.SessionApps(f.ctx, nil)
	require.NoError(f.t, err)
	assert.Equal(f.t, []store.App{}, apps)
}
