package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessiond/sessiond/store"
)

// modelLimits are those of the tenant "acme" in the model's world.
func modelLimits() store.Limits {
	return store.Limits{Absolute: 2 * time.Hour, Idle: 20 * time.Minute, MaxSessions: 2}
}

// modelSession is what the model knows of a session.
type modelSession struct {
	tenantID, userID       string
	created, used, expires time.Time
	revoked                bool
	how                    string
	// deleted reports that its row is deleted: the session stays ended.
	deleted bool
}

// ends is when the session ends by itself.
func (m modelSession) ends() time.Time {
	if m.tenantID == "acme" && m.used.Add(modelLimits().Idle).Before(m.expires) {
		return m.used.Add(modelLimits().Idle)
	}
	return m.expires
}

func (m modelSession) active(now time.Time) bool { return !m.revoked && m.ends().After(now) }

// model is a reference implementation of the store: maps in memory, without indexes or counters.
type model struct {
	sessions map[string]*modelSession
	marks    map[[2]string]time.Time
}

func (m *model) register(id, tenantID, userID string, created, expires, now time.Time) error {
	if known := m.sessions[id]; known != nil {
		switch {
		case known.deleted:
			return store.ErrEnded
		case known.tenantID != tenantID || known.userID != userID:
			return store.ErrTaken
		case !known.active(now):
			return store.ErrEnded
		default:
			return nil
		}
	}
	for _, mark := range [][2]string{{tenantID, ""}, {"", userID}, {tenantID, userID}} {
		if at, found := m.marks[mark]; found && !at.Before(created) {
			return store.ErrTooOld
		}
	}
	if limit := created.Add(modelLimits().Absolute); tenantID == "acme" && limit.Before(expires) {
		expires = limit
	}
	fresh := &modelSession{tenantID: tenantID, userID: userID, created: created, used: now, expires: expires}
	m.sessions[id] = fresh
	if tenantID != "acme" || !fresh.active(now) {
		return nil
	}
	others := m.pick(now, func(other string, s *modelSession) bool {
		return other != id && s.tenantID == tenantID && s.userID == userID
	})
	slices.SortFunc(others, func(a, b string) int {
		if c := m.sessions[a].created.Compare(m.sessions[b].created); c != 0 {
			return c
		}
		return compareText(a, b)
	})
	for len(others) >= modelLimits().MaxSessions {
		m.sessions[others[0]].revoked, m.sessions[others[0]].how = true, store.Replaced
		others = others[1:]
	}
	return nil
}

func compareText(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// pick returns the ids of the active sessions that fit.
func (m *model) pick(now time.Time, fits func(string, *modelSession) bool) []string {
	ids := []string{}
	for id, s := range m.sessions {
		if s.active(now) && fits(id, s) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (m *model) revokeAll(tenantID, userID, except string, now time.Time) []string {
	ids := m.pick(now, func(id string, s *modelSession) bool {
		return id != except && (tenantID == "" || s.tenantID == tenantID) && (userID == "" || s.userID == userID)
	})
	for _, id := range ids {
		m.sessions[id].revoked, m.sessions[id].how = true, store.Revoked
	}
	m.marks[[2]string{tenantID, userID}] = now
	return ids
}

// world runs the store and the model side by side.
type world struct {
	fixture
	model model
}

func testModel(t *testing.T, newStore Factory) {
	t.Helper()
	f := newLimitedFixture(t, newStore, modelLimits(), 4*time.Minute)
	// One database serves all runs: each has ids and tenants of its own, but for "acme", whose limits matter, and what is
	// left of an earlier run is revoked first.
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		_, err := f.RevokeAllSessions(f.ctx, store.InTenant("acme"), "", tester())
		require.NoError(r, err)
		_, err = f.RevokeAllSessions(f.ctx, store.InTenant("globex"), "", tester())
		require.NoError(r, err)
		f.clock.Advance(time.Second)
		w := world{fixture: f, model: model{sessions: map[string]*modelSession{}, marks: map[[2]string]time.Time{}}}
		name := func(of string, n int) *rapid.Generator[string] {
			return rapid.Map(rapid.IntRange(0, n), func(i int) string { return fmt.Sprintf("%s%d-%d", of, run, i) })
		}
		ids, users := name("s", 5), name("u", 1)
		tenants := rapid.SampledFrom([]string{"acme", "globex"})
		earliest := f.clock.Now()
		r.Repeat(map[string]func(*rapid.T){
			"register": func(r *rapid.T) {
				created := w.clock.Now().Add(-time.Duration(rapid.IntRange(0, 600).Draw(r, "age")) * time.Second)
				if created.Before(earliest) {
					created = earliest // earlier sessions belong to another run
				}
				w.register(r, ids.Draw(r, "id"), tenants.Draw(r, "tenant"), users.Draw(r, "user"), created,
					w.clock.Now().Add(time.Duration(rapid.IntRange(1, 200).Draw(r, "minutes"))*time.Minute))
			},
			"heartbeat": func(r *rapid.T) { w.useSession(r, ids.Draw(r, "id")) },
			"extend":    func(r *rapid.T) { w.extend(r, ids.Draw(r, "id"), rapid.IntRange(1, 200).Draw(r, "minutes")) },
			"revoke":    func(r *rapid.T) { w.revokeOne(r, ids.Draw(r, "id")) },
			"revoke all": func(r *rapid.T) {
				tenantID, userID := tenants.Draw(r, "tenant"), users.Draw(r, "user")
				switch rapid.IntRange(0, 2).Draw(r, "of") {
				case 0:
					userID = ""
				case 1:
					tenantID = ""
				}
				w.revokeAll(r, tenantID, userID, ids.Draw(r, "except"))
			},
			"write all": w.writeAll,
			"record expired": func(r *rapid.T) {
				_, err := w.RecordExpired(w.ctx, 100)
				require.NoError(r, err) // only the audit log shows a difference
			},
			"apply bulk revocations": func(r *rapid.T) {
				_, err := w.ApplyBulkRevocations(w.ctx, rapid.SampledFrom([]int{1, 2, 100}).Draw(r, "sessions"))
				require.NoError(r, err) // only the audit log shows a difference
			},
			"purge": w.purgeAll,
			"erase": func(r *rapid.T) { w.erase(r, tenants.Draw(r, "tenant"), users.Draw(r, "user")) },
			"roll up": func(r *rapid.T) {
				_, err := w.RollUp(w.ctx, rapid.SampledFrom([]int{1, 4, 1000}).Draw(r, "changes"))
				require.NoError(r, err) // it changes no answer
				_, err = w.VerifyCounters(w.ctx, false, func(d store.Drift) { r.Errorf("%+v", d) })
				require.NoError(r, err)
			},
			"time passes": func(r *rapid.T) {
				w.pass(r, time.Duration(rapid.SampledFrom([]int{1, 20, 90, 400, 1500}).Draw(r, "seconds"))*time.Second)
			},
			"": w.agree,
		})
	})
}

func (w *world) register(r *rapid.T, id, tenantID, userID string, created, expires time.Time) {
	s := store.Session{ID: id, TenantID: tenantID, UserID: userID, CreatedAt: created, ExpiresAt: expires}
	_, _, err := w.RegisterSession(w.ctx, store.AllTenants(), s, tester())
	want := w.model.register(id, tenantID, userID, created, expires, w.clock.Now())
	require.ErrorIs(r, err, want)
}

// verdict returns the model's session and the error that an operation on it must answer.
func (w *world) verdict(id string) (*modelSession, error) {
	s := w.model.sessions[id]
	switch {
	case s == nil || s.deleted:
		return nil, store.ErrNotFound
	case !s.active(w.clock.Now()):
		return s, store.ErrEnded
	default:
		return s, nil
	}
}

func (w *world) useSession(r *rapid.T, id string) {
	s, want := w.verdict(id)
	require.ErrorIs(r, w.RecordActivity(w.ctx, store.AllTenants(), id, store.Activity{}, tester()), want)
	if want == nil {
		s.used = w.clock.Now()
	}
}

func (w *world) extend(r *rapid.T, id string, minutes int) {
	s, want := w.verdict(id)
	expires := w.clock.Now().Add(time.Duration(minutes) * time.Minute)
	require.ErrorIs(r, w.RecordActivity(w.ctx, store.AllTenants(), id, store.Activity{ExpiresAt: &expires}, tester()), want)
	if want != nil {
		return
	}
	if limit := s.created.Add(modelLimits().Absolute); s.tenantID == "acme" && limit.Before(expires) {
		expires = limit
	}
	s.used, s.expires = w.clock.Now(), expires
}

func (w *world) revokeOne(r *rapid.T, id string) {
	s, want := w.verdict(id)
	revoked, err := w.RevokeSession(w.ctx, store.AllTenants(), id, tester())
	if errors.Is(want, store.ErrNotFound) {
		require.ErrorIs(r, err, want)
		return
	}
	require.NoError(r, err)
	require.Equal(r, want == nil, revoked)
	if revoked {
		s.revoked, s.how = true, store.Revoked
	}
}

func (w *world) revokeAll(r *rapid.T, tenantID, userID, except string) {
	scope := store.AllTenants()
	if tenantID != "" {
		scope = scope.InTenant(tenantID)
	}
	if userID != "" {
		scope = scope.OfUser(userID)
	}
	ids, err := w.RevokeAllSessions(w.ctx, scope, except, tester())
	require.NoError(r, err)
	require.Equal(r, w.model.revokeAll(tenantID, userID, except, w.clock.Now()), ids)
}

// purgeAll deletes what is recorded as ended. What is deleted has ended, and stays so.
func (w *world) purgeAll(r *rapid.T) {
	_, err := w.RecordExpired(w.ctx, 100)
	require.NoError(r, err)
	_, err = w.PurgeEnded(w.ctx, w.clock.Now(), 100)
	require.NoError(r, err)
	for id, s := range w.model.sessions {
		if _, err := w.GetSession(w.ctx, store.InTenant(s.tenantID), id); errors.Is(err, store.ErrNotFound) {
			require.False(r, s.active(w.clock.Now()), "%s was active", id)
			s.deleted = true
		}
	}
}

func (w *world) erase(r *rapid.T, tenantID, userID string) {
	now := w.clock.Now()
	want, active := 0, len(w.model.pick(now, func(_ string, s *modelSession) bool { return s.tenantID == tenantID && s.userID == userID }))
	for _, s := range w.model.sessions {
		if s.tenantID == tenantID && s.userID == userID && !s.deleted {
			want++
			s.revoked, s.deleted = true, true
		}
	}
	w.model.marks[[2]string{tenantID, userID}] = now
	erasure, err := w.EraseUser(w.ctx, tenantID, userID, tester())
	require.NoError(r, err)
	require.Equal(r, [2]int{want, active}, [2]int{erasure.Sessions, erasure.Ended})
}

// pass advances the clock and, as the service does, writes pending heartbeats every few seconds.
func (w *world) pass(r *rapid.T, d time.Duration) {
	for d > 0 {
		step := min(d, 5*time.Second)
		w.clock.Advance(step)
		require.NoError(r, w.FlushActivity(w.ctx, false))
		d -= step
	}
}

// writeAll writes all pending heartbeats, after which the rows have the last activity and the end of every session.
func (w *world) writeAll(r *rapid.T) {
	require.NoError(r, w.FlushActivity(w.ctx, true))
	for id, want := range w.model.sessions {
		if want.deleted {
			continue
		}
		got, err := w.GetSession(w.ctx, store.InTenant(want.tenantID), id)
		require.NoError(r, err)
		if !want.revoked { // heartbeats that were pending then are dropped
			require.Equal(r, want.ends(), got.EndsAt, id)
		}
	}
}

// agree compares every answer of the store with the model.
func (w *world) agree(r *rapid.T) {
	now := w.clock.Now()
	for id, want := range w.model.sessions {
		w.agreeOnSession(r, id, want, now)
		for _, tenantID := range []string{want.tenantID, "another", ""} {
			ended, err := w.SessionEnded(w.ctx, tenantID, id)
			require.NoError(r, err)
			require.Equal(r, want.deleted || !want.active(now), ended)
		}
	}
	w.agreeOnNumbers(r, now)
	for _, tenantID := range []string{"acme", "globex"} {
		sessions, total := w.list(store.InTenant(tenantID), page{ActiveOnly: true})
		got := map[string]bool{}
		for _, s := range sessions {
			got[s.ID] = true
		}
		want := w.model.pick(now, func(_ string, s *modelSession) bool { return s.tenantID == tenantID })
		require.Equal(r, want, append([]string{}, slices.Sorted(maps.Keys(got))...), tenantID)
		require.Len(r, want, total)
	}
}

func (w *world) agreeOnSession(r *rapid.T, id string, want *modelSession, now time.Time) {
	got, err := w.GetSession(w.ctx, store.InTenant(want.tenantID), id)
	if want.deleted {
		require.ErrorIs(r, err, store.ErrNotFound)
		return
	}
	require.NoError(r, err)
	require.Equal(r, want.active(now), got.Active(now), "%s: %+v, %+v", id, want, got)
	require.Equal(r, want.expires, got.ExpiresAt, id)
	if how, _ := got.Ending(now); want.revoked {
		require.Equal(r, want.how, how, id)
	}
}

// agreeOnNumbers compares every page with its total, and the statistics, with the model.
func (w *world) agreeOnNumbers(r *rapid.T, now time.Time) {
	for _, tenantID := range []string{"acme", "globex", ""} {
		scope := store.AllTenants()
		if tenantID != "" {
			scope = store.InTenant(tenantID)
		}
		want := w.model.pick(now, func(_ string, s *modelSession) bool { return tenantID == "" || s.tenantID == tenantID })
		slices.SortFunc(want, func(a, b string) int {
			return cmp.Or(w.model.sessions[b].created.Compare(w.model.sessions[a].created), cmp.Compare(b, a))
		})
		got := []string{}
		for offset := 0; offset <= len(want); offset += 2 {
			items, total := w.list(scope, page{ActiveOnly: true, Offset: offset, Limit: 2})
			require.Len(r, want, total, "offset %d", offset)
			for _, s := range items {
				got = append(got, s.ID)
			}
		}
		require.Equal(r, want, got)
		if tenantID != "" {
			w.agreeOnStats(r, tenantID, want)
		}
	}
}

func (w *world) agreeOnStats(r *rapid.T, tenantID string, active []string) {
	stats, err := w.TenantStats(w.ctx, store.InTenant(tenantID))
	require.NoError(r, err)
	users := map[string]bool{}
	for _, id := range active {
		users[w.model.sessions[id].userID] = true
	}
	require.Equal(r, len(active), stats.Active)
	require.Equal(r, len(users), stats.UniqueUsers)
}
