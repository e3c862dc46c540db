package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

// pairSessions is how many sessions two concurrent calls both end.
const pairSessions = 48

// testPairs runs every two ways to revoke sessions concurrently on the same sessions, while bulk revocations are applied. It expects each
// session to be returned by one of the calls and to have one event in the audit log.
func testPairs(t *testing.T, newStore Factory) {
	t.Helper()
	f := newFixture(t, newStore)
	ways := []string{"one by one", "named", "user in tenant", "user everywhere", "user of partner", "tenant", "partner", "everything"}
	run := 0
	for i, one := range ways {
		for _, other := range ways[i:] {
			t.Run(one+" and "+other, func(t *testing.T) {
				run++
				w := meeting{fixture: f, tenantID: fmt.Sprint("tenant", run), partnerID: fmt.Sprint("partner", run), userID: fmt.Sprint("user", run)}
				w.t = t
				w.fill()
				w.meet(one, other)
			})
		}
	}
	f.applyAll()
	f.rollUpAll()
	f.verifyCounters()
}

// meeting is the sessions of one user in one tenant of one partner.
type meeting struct {
	fixture
	tenantID, partnerID, userID string
	made                        []string
}

func (m *meeting) fill() {
	m.clock.Advance(time.Second)
	rows := store.Import{Tenants: []store.Tenant{{TenantID: m.tenantID, PartnerID: &m.partnerID, CreatedAt: m.clock.Now()}}}
	for i := range pairSessions {
		s := session(m.tenantID, m.userID, fmt.Sprintf("%s-%02d", m.tenantID, i))
		s.PartnerID, s.CreatedAt, s.ExpiresAt = &m.partnerID, m.clock.Now().Add(-time.Duration(i/3)*time.Microsecond), m.clock.Now().Add(time.Hour)
		rows.Sessions = append(rows.Sessions, s)
		m.made = append(m.made, s.ID)
	}
	require.NoError(m.t, m.ImportSessions(m.ctx, rows))
}

// end revokes the sessions in one of the ways and returns the ids that the store returned.
func (m *meeting) end(how string) ([]string, error) {
	switch how {
	case "one by one":
		var ended []string
		for _, id := range m.made {
			done, err := m.RevokeSession(m.ctx, store.AllTenants(), id, tester())
			if err != nil {
				return nil, err
			}
			if done {
				ended = append(ended, id)
			}
		}
		return ended, nil
	case "named":
		return m.RevokeSessions(m.ctx, store.AllTenants(), m.made, tester())
	}
	scope := map[string]store.Scope{
		"user in tenant": store.InTenant(m.tenantID).OfUser(m.userID), "user everywhere": store.AllTenants().OfUser(m.userID),
		"user of partner": store.AllTenants().OfPartner(m.partnerID).OfUser(m.userID), "tenant": store.InTenant(m.tenantID),
		"partner": store.AllTenants().OfPartner(m.partnerID), "everything": store.AllTenants(),
	}[how]
	return m.RevokeAllSessions(m.ctx, scope, "", tester())
}

func (m *meeting) meet(one, other string) {
	over := make(chan struct{})
	var beside sync.WaitGroup
	beside.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
				if _, err := m.ApplyBulkRevocations(m.ctx, 7); !assert.NoError(m.t, err) {
					return
				}
			}
		}
	})
	reported := concurrently(2, func(i int) []string {
		ids, err := m.end([]string{one, other}[i])
		assert.NoError(m.t, err)
		return ids
	})
	close(over)
	beside.Wait()
	all := slices.Concat(reported...)
	slices.Sort(all)
	assert.Equal(m.t, m.made, all, "each id is returned once")
	m.applyAll()
	events, err := m.ListAuditEvents(m.ctx, store.AuditFilter{TenantID: m.tenantID, Action: store.ActionRevoked})
	require.NoError(m.t, err)
	var recorded []string
	for _, e := range events {
		recorded = append(recorded, e.SessionID)
	}
	slices.Sort(recorded)
	assert.Equal(m.t, m.made, recorded, "each has one event")
}
