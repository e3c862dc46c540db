package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

// raceSessions is how many sessions are changed concurrently.
const raceSessions = 40

// testRaces makes every two kinds of changes concurrently to the same sessions. The counters must be exact afterwards, whichever came first.
func testRaces(t *testing.T, newStore Factory) {
	t.Helper()
	f := newFixture(t, newStore)
	changes := []string{"revoke", "revoke all", "sign on", "change device", "join a partner", "move", "expire"}
	run := 0
	for i, one := range changes {
		for _, other := range changes[i:] {
			t.Run(one+" and "+other, func(t *testing.T) {
				run++
				r := race{fixture: f, tenantID: fmt.Sprint("tenant", run)}
				r.t = t
				r.fill()
				assert.Equal(t, []error{nil, nil, nil, nil}, concurrently(4, func(i int) error { return r.do([]string{one, other}[i%2], i) }))
				r.rollUpAll()
				r.verifyCounters()
			})
		}
	}
}

// race is the sessions of one tenant, which has no partner at first. Every fourth session is due.
type race struct {
	fixture
	tenantID string
	ids      []string
}

func (r *race) fill() {
	r.clock.Advance(time.Second)
	rows := store.Import{Tenants: []store.Tenant{{TenantID: r.tenantID, CreatedAt: r.clock.Now()}}}
	for i := range raceSessions {
		s := session(r.tenantID, fmt.Sprint("u", i%5), fmt.Sprintf("%s-%02d", r.tenantID, i))
		s.CreatedAt, s.ExpiresAt = r.clock.Now().Add(-time.Minute), r.clock.Now().Add(time.Hour)
		if i%4 == 0 {
			s.ExpiresAt = r.clock.Now().Add(-time.Second)
		}
		rows.Sessions = append(rows.Sessions, s)
		r.ids = append(r.ids, s.ID)
	}
	require.NoError(r.t, r.ImportSessions(r.ctx, rows))
}

// do makes one kind of changes to all sessions.
func (r *race) do(kind string, caller int) error {
	scope := store.InTenant(r.tenantID)
	switch kind {
	case "revoke":
		return r.each(func(id string) error {
			_, err := r.RevokeSession(r.ctx, scope, id, tester())
			return err
		})
	case "revoke all":
		_, err := r.RevokeAllSessions(r.ctx, scope, "", tester())
		return err
	case "sign on":
		return r.each(func(id string) error {
			return r.RecordApp(r.ctx, scope, store.App{SessionID: id, ApplicationID: fmt.Sprint("app", caller)}, tester())
		})
	case "change device":
		return r.each(func(id string) error {
			agent, device := fmt.Sprint("agent", caller), fmt.Sprint("device", caller)
			return r.RecordActivity(r.ctx, scope, id, store.Activity{UserAgent: &agent, DeviceType: &device}, tester())
		})
	case "join a partner":
		s := session(r.tenantID, "u", fmt.Sprint(r.tenantID, "-joins-", caller))
		s.PartnerID, s.ExpiresAt = new("north"), r.clock.Now().Add(time.Hour)
		_, _, err := r.RegisterSession(r.ctx, store.AllTenants(), s, tester())
		if errors.Is(err, store.ErrOtherPartner) || errors.Is(err, store.ErrTooOld) {
			return nil
		}
		return err
	case "move":
		for i := range 4 {
			if err := r.SetTenantPartner(r.ctx, r.tenantID, []string{"north", "south", ""}[(i+caller)%3], tester()); err != nil {
				return err
			}
		}
		return nil
	default: // expire
		for range raceSessions / 8 {
			if _, err := r.RecordExpired(r.ctx, 3); err != nil {
				return err
			}
		}
		return nil
	}
}

// each makes a change to each session. That the session has ended is no failure.
func (r *race) each(change func(id string) error) error {
	for _, id := range r.ids {
		if err := change(id); err != nil && !errors.Is(err, store.ErrEnded) {
			return err
		}
	}
	return nil
}
