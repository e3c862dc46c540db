// Package demo fills a store with partners, tenants, users and sessions that look like those of a real service, so that
// a newcomer sees lists with something in them. The same seed and time make the same data.
package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/sessiond/sessiond/internal/device"
	"github.com/sessiond/sessiond/store"
)

// batch is how many sessions go into one transaction.
const batch = 2000

// Store is what a demo needs of store.Store.
type Store interface {
	ImportSessions(ctx context.Context, rows store.Import) error
}

// Fill stores n sessions, most of them active, made in the thirty days before now.
func Fill(ctx context.Context, into Store, n int, now time.Time) error {
	m := maker{
		random: rand.New(rand.NewPCG(1, 2)), //nolint:gosec // realistic, not secret
		now:    now.UTC().Truncate(time.Second), parser: device.NewParser(),
	}
	for done := 0; done < n; done += batch {
		if err := into.ImportSessions(ctx, m.rows(done, min(batch, n-done))); err != nil {
			return fmt.Errorf("store demo sessions: %w", err)
		}
	}
	return nil
}

// maker draws the rows.
type maker struct {
	random *rand.Rand
	now    time.Time
	parser *device.Parser
}

// tenant is a customer; weight is its share of the sessions.
type tenant struct {
	id, partner string
	weight      int
}

func tenants() []tenant {
	return []tenant{
		{"acme", "northwind", 40},
		{"globex", "northwind", 20},
		{"initech", "northwind", 10},
		{"umbrella", "southgate", 12},
		{"hooli", "southgate", 8},
		{"stark", "", 6},
		{"wayne", "", 3},
		{"wonka", "", 1},
	}
}

func agents() []string {
	return []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
		"curl/8.14.1",
	}
}

func names() ([]string, []string) {
	return []string{"Ada", "Alan", "Barbara", "Dennis", "Edsger", "Frances", "Grace", "Hedy", "Jean", "Katherine", "Ken", "Margaret", "Niklaus", "Radia", "Tony"},
		[]string{"Allen", "Bartik", "Dijkstra", "Hamilton", "Hoare", "Hopper", "Johnson", "Lamarr", "Liskov", "Lovelace", "Perlman", "Ritchie", "Thompson", "Turing", "Wirth"}
}

func applications() [][2]string {
	return [][2]string{
		{"mail", "Mail"},
		{"wiki", "Team Wiki"},
		{"crm", "Customer Desk"},
		{"payroll", "Payroll"},
		{"git", "Code"},
		{"chat", "Chat"},
		{"bi", "Reports"},
		{"hr", "People"},
		{"status", "Status Page"},
		{"files", "Files"},
		{"calendar", "Calendar"},
	}
}

func places() []string {
	return []string{"London, United Kingdom", "Bern, Switzerland", "Oslo, Norway", "Toronto, Canada", "Nairobi, Kenya", "Osaka, Japan"}
}

func (m *maker) rows(from, n int) store.Import {
	var rows store.Import
	if from == 0 {
		for _, t := range tenants() {
			rows.Tenants = append(rows.Tenants, store.Tenant{TenantID: t.id, PartnerID: optional(t.partner), CreatedAt: m.now.AddDate(0, -6, 0)})
		}
	}
	for i := range n {
		session := m.session(from + i)
		apps := m.apps(&session)
		rows.Sessions, rows.Apps = append(rows.Sessions, session), append(rows.Apps, apps...)
	}
	return rows
}

func (m *maker) session(number int) store.Session {
	owner := m.tenant()
	// About one user for every three sessions, so that most have several.
	user := m.random.IntN(20 + owner.weight*10)
	first, last := names()
	given, family := first[user%len(first)], last[user/len(first)%len(last)]
	agent := agents()[m.random.IntN(len(agents()))]
	created := m.now.Add(-time.Duration(m.random.ExpFloat64() * float64(4*24*time.Hour))).Truncate(time.Millisecond)
	session := store.Session{
		TenantID: owner.id, ID: fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", m.random.Uint32(), m.random.IntN(1<<16), m.random.IntN(1<<12), m.random.IntN(1<<12), number),
		UserID: fmt.Sprintf("%s-u%03d", owner.id, user), PartnerID: optional(owner.partner),
		UserEmail:       optional(fmt.Sprintf("%s.%s.%d@%s.example", given, family, user, owner.id)),
		UserDisplayName: optional(given + " " + family),
		IPAddress:       optional(m.address()), UserAgent: &agent, DeviceType: optional(m.parser.Type(agent)),
		Location:  optional(places()[m.random.IntN(len(places()))]),
		CreatedAt: created, ExpiresAt: created.Add(7 * 24 * time.Hour),
	}
	if used := created.Add(time.Duration(m.random.ExpFloat64() * float64(8*time.Hour))).Truncate(time.Millisecond); used.Before(m.now) {
		session.LastActivityAt = &used
	}
	if ended := created.Add(time.Duration(m.random.ExpFloat64() * float64(6*time.Hour))).Truncate(time.Millisecond); m.random.IntN(8) == 0 && ended.Before(m.now) {
		session.RevokedAt = &ended
	}
	return session
}

func (m *maker) apps(session *store.Session) []store.App {
	var apps []store.App
	for _, index := range m.random.Perm(len(applications()))[:m.random.IntN(4)] {
		app := applications()[index]
		apps = append(apps, store.App{
			TenantID: session.TenantID, SessionID: session.ID, ApplicationID: app[0], ApplicationName: app[1],
			AccessedAt: session.CreatedAt.Add(time.Duration(m.random.IntN(600)) * time.Second),
		})
	}
	session.AppCount = len(apps)
	return apps
}

func (m *maker) tenant() tenant {
	drawn := m.random.IntN(100)
	for _, t := range tenants() {
		if drawn -= t.weight; drawn < 0 {
			return t
		}
	}
	return tenants()[0]
}

// address is one of those reserved for documentation (RFC 5737, RFC 3849).
func (m *maker) address() string {
	last := byte(m.random.IntN(254) + 1) //nolint:gosec // 1 to 254
	switch m.random.IntN(4) {
	case 0:
		return netip.AddrFrom4([4]byte{192, 0, 2, last}).String()
	case 1:
		return netip.AddrFrom4([4]byte{198, 51, 100, last}).String()
	case 2:
		return netip.AddrFrom4([4]byte{203, 0, 113, last}).String()
	default:
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: last}).String()
	}
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
