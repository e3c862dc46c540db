package demo_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/demo"
	"github.com/sessiond/sessiond/internal/device"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// memory is a store that keeps what is imported, and fails when it has so many sessions.
type memory struct {
	sessions  map[string]store.Session
	apps      map[string][]store.App
	events    map[string][]store.AuditEvent
	imports   []int
	failsWith int
}

func newMemory() *memory {
	return &memory{sessions: map[string]store.Session{}, apps: map[string][]store.App{}, events: map[string][]store.AuditEvent{}}
}

var errFull = errors.New("full")

func (m *memory) ImportSessions(_ context.Context, rows store.Import) error {
	if m.failsWith > 0 && len(m.sessions) >= m.failsWith {
		return errFull
	}
	m.imports = append(m.imports, len(rows.Sessions))
	for _, s := range rows.Sessions {
		m.sessions[s.ID] = s
	}
	for _, a := range rows.Apps {
		m.apps[a.SessionID] = append(m.apps[a.SessionID], a)
	}
	for _, e := range rows.Events {
		m.events[e.SessionID] = append(m.events[e.SessionID], e)
	}
	return nil
}

func (m *memory) HasSession(_ context.Context, id string) (bool, error) {
	_, found := m.sessions[id]
	return found, nil
}

func ignore(int) {}

func TestFillStore(t *testing.T) {
	for name, open := range map[string]storetest.Factory{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			clock := storetest.NewClock()
			s := open(t, store.Options{Now: clock.Now})
			added, err := demo.Fill(t.Context(), known{s}, 2500, clock.Now(), ignore)
			require.NoError(t, err)
			assert.Equal(t, 2500, added)
			stats, err := s.TenantStats(t.Context(), store.InTenant("acme"))
			require.NoError(t, err)
			for name, n := range map[string]int{
				"active": stats.Active, "expired": stats.Expired, "revoked": stats.Revoked, "users": stats.UniqueUsers,
				"created lately": stats.CreatedLast24h, "applications": len(stats.TopApplications),
				"desktop": stats.ByDeviceType["desktop"], "mobile": stats.ByDeviceType["mobile"], "tablet": stats.ByDeviceType["tablet"],
			} {
				assert.Positive(t, n, name)
			}
			assert.Zero(t, stats.ByDeviceType["bot"], "people do not use curl")
			events, err := s.ListAuditEvents(t.Context(), store.AuditFilter{Action: store.ActionRegistered})
			require.NoError(t, err)
			assert.Len(t, events, 2500)
			// A second server that starts on the same data finds it complete.
			added, err = demo.Fill(t.Context(), known{s}, 2500, clock.Now().Add(time.Hour), ignore)
			require.NoError(t, err)
			assert.Zero(t, added)
		})
	}
}

// known is a store as Fill needs it.
type known struct{ *store.Store }

func (k known) HasSession(ctx context.Context, id string) (bool, error) {
	_, err := k.GetSession(ctx, store.AllTenants(), id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// TestASessionsHistoryIsConsistent holds the times of each session, its applications and its audit events against each other.
func TestASessionsHistoryIsConsistent(t *testing.T) {
	now := storetest.Epoch
	m := newMemory()
	_, err := demo.Fill(t.Context(), m, 5000, now, ignore)
	require.NoError(t, err)
	require.Len(t, m.sessions, 5000)
	kinds, names, parser := map[string]int{}, map[string]string{}, device.NewParser()
	for id, s := range m.sessions {
		how, end := s.Ending(now)
		kinds[how]++
		until := now
		want := []string{store.ActionRegistered}
		if how != "" {
			until = end
			want = append(want, map[string]string{store.Revoked: store.ActionRevoked, store.Expired: store.ActionExpired}[how])
		}
		times := []time.Time{s.CreatedAt}
		for _, app := range m.apps[id] {
			want = append(want, store.ActionApp)
			times = append(times, app.AccessedAt)
		}
		if s.LastActivityAt != nil {
			times = append(times, *s.LastActivityAt)
		}
		times = append(times, until)
		assert.Equal(t, slices.MinFunc(times, time.Time.Compare), s.CreatedAt, id)
		assert.Equal(t, slices.MaxFunc(times, time.Time.Compare), until, id)
		assert.False(t, until.After(now), id)
		assert.Len(t, m.apps[id], s.AppCount)
		assert.ElementsMatch(t, want, actions(m.events[id]), id)
		for _, e := range m.events[id] {
			assert.Equal(t, s.UserID, e.UserID)
			assert.NotEmpty(t, e.ActorSub)
			switch e.Action {
			case store.ActionRegistered:
				assert.Equal(t, s.CreatedAt, e.At)
			case store.ActionApp:
				assert.True(t, slices.ContainsFunc(m.apps[id], func(a store.App) bool { return a.ApplicationID == e.Reason && a.AccessedAt.Equal(e.At) }))
			default:
				assert.Equal(t, end, e.At)
			}
		}
		assert.NotEqual(t, device.Bot, parser.Type(*s.UserAgent), "an agent of people")
		assert.Equal(t, s.UserID+"@"+s.TenantID+".example", *s.UserEmail)
		assert.Equal(t, strings.ReplaceAll(strings.ToLower(*s.UserDisplayName), " ", "."), strings.TrimRight(s.UserID, "0123456789"))
		key := s.TenantID + "/" + s.UserID
		if name, seen := names[key]; seen {
			assert.Equal(t, name, *s.UserDisplayName+*s.Location, "a user is one person")
		}
		names[key] = *s.UserDisplayName + *s.Location
	}
	for _, how := range []string{"", store.Revoked, store.Expired} {
		assert.Greater(t, kinds[how], 200, how)
	}
	assert.Greater(t, len(names), 500, "users")
}

func actions(events []store.AuditEvent) []string {
	found := make([]string, len(events))
	for i, e := range events {
		found[i] = e.Action
	}
	return found
}

// TestFillGoesOn: a fill that stopped goes on where it was, and one for more sessions adds those that are missing. Nothing is
// stored twice.
func TestFillGoesOn(t *testing.T) {
	m := newMemory()
	started, err := demo.Started(t.Context(), m)
	require.NoError(t, err)
	assert.False(t, started)
	m.failsWith = 4000
	var told []int
	tell := func(stored int) { told = append(told, stored) }
	added, err := demo.Fill(t.Context(), m, 9000, storetest.Epoch, tell)
	require.ErrorIs(t, err, errFull)
	assert.Equal(t, 4000, added)
	assert.Equal(t, []int{0, 2000, 4000}, told)

	started, err = demo.Started(t.Context(), m)
	require.NoError(t, err)
	assert.True(t, started)
	m.failsWith, told = 0, nil
	added, err = demo.Fill(t.Context(), m, 9000, storetest.Epoch.Add(time.Hour), tell)
	require.NoError(t, err)
	assert.Equal(t, 5000, added)
	assert.Equal(t, []int{4000, 6000, 8000, 9000}, told)
	added, err = demo.Fill(t.Context(), m, 9500, storetest.Epoch.Add(2*time.Hour), tell)
	require.NoError(t, err)
	assert.Equal(t, 500, added)
	added, err = demo.Fill(t.Context(), m, 200, storetest.Epoch, tell)
	require.NoError(t, err)
	assert.Zero(t, added, "there are more already")
	assert.Equal(t, []int{2000, 2000, 2000, 2000, 1000, 500}, m.imports)
	assert.Len(t, m.sessions, 9500)
}

// TestErasedSessionsStayErased: a complete fill with some of its sessions erased is complete.
func TestErasedSessionsStayErased(t *testing.T) {
	m := newMemory()
	_, err := demo.Fill(t.Context(), m, 3000, storetest.Epoch, ignore)
	require.NoError(t, err)
	newest := slices.SortedFunc(maps.Values(m.sessions), func(a, b store.Session) int { return b.CreatedAt.Compare(a.CreatedAt) })
	for _, s := range newest[:2] {
		delete(m.sessions, s.ID)
	}
	added, err := demo.Fill(t.Context(), m, 3000, storetest.Epoch, ignore)
	require.NoError(t, err)
	assert.Zero(t, added)
	assert.Len(t, m.sessions, 2998)
}
