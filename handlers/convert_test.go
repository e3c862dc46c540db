package handlers_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/handlers"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestToAPIListItems: every member comes from its own column, and no item has another's.
func TestToAPIListItems(t *testing.T) {
	at := func(minutes int) time.Time { return storetest.Epoch.Add(time.Duration(minutes) * time.Minute) }
	first, second := store.ListItem{
		ID: "s-1", UserID: "ada", UserEmail: new("ada@example.com"), IPAddress: new("203.0.113.7"), UserAgent: new("curl/8"),
		DeviceType: new("bot"), CreatedAt: at(1), LastActivityAt: new(at(2)), ExpiresAt: at(3), AppCount: 4,
	}, store.ListItem{ID: "s-2", UserID: "bob", CreatedAt: at(5), LastActivityAt: new(at(6)), ExpiresAt: at(7)}
	unused := store.ListItem{ID: "s-3", UserID: "eve", CreatedAt: at(8), ExpiresAt: at(9)}
	stamp := func(minutes int) gen.Timestamp { return gen.Timestamp{Time: at(minutes)} }
	assert.Equal(t, []gen.SessionListItem{{
		Id: "s-1", UserId: "ada", UserEmail: new("ada@example.com"), IpAddress: new("203.0.113.7"), UserAgent: new("curl/8"),
		DeviceType: new("bot"), CreatedAt: stamp(1), LastActivityAt: new(stamp(2)), ExpiresAt: stamp(3), AppCount: 4,
	}, {
		Id: "s-2", UserId: "bob", IsCurrent: true, CreatedAt: stamp(5), LastActivityAt: new(stamp(6)), ExpiresAt: stamp(7),
	}, {
		Id: "s-3", UserId: "eve", CreatedAt: stamp(8), ExpiresAt: stamp(9),
	}}, handlers.ToAPIListItems([]store.ListItem{first, second, unused}, "s-2"))
}
