package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/sessiond/sessiond/internal/device"
	"github.com/sessiond/sessiond/store"
)

// Shape is how many sessions a database is filled with, and how they fall to tenants.
type Shape struct {
	Sessions, Tenants, Largest int
}

const (
	tenantsPerPartner = 50
	// Tenants' sizes but the largest's are log-normal: many small ones, some large.
	sigma = 1.2
	// heavySessions is how many active sessions a heavy user has. One in so many sessions of a tenant makes such a user.
	heavySessions = 20
	heavyShare    = 150
	mostHeavy     = 500
)

// tenant is a customer.
type tenant struct {
	id, partner string
	size, heavy int
	// ofOneUser is how many of the sessions are one user's.
	ofOneUser int
	// class is nil for a tenant that no request is about.
	class  *class
	people []*person
	some   []target // sessions
	admins []string // tokens
}

// tenants draws the tenants, the largest last and the others by size. Every fifth belongs to no partner.
func (s Shape) tenants() []*tenant {
	others := s.Tenants - 1
	weights, sum := make([]float64, others), 0.0
	for i := range weights {
		quantile := (float64(i) + 0.5) / float64(others)
		weights[i] = math.Exp(sigma * math.Sqrt2 * math.Erfinv(2*quantile-1))
		sum += weights[i]
	}
	all := make([]*tenant, 0, s.Tenants)
	for i, weight := range weights {
		all = append(all, newTenant(i, s.Tenants, max(1, int(math.Round(weight/sum*float64(s.Sessions-s.Largest))))))
	}
	return append(all, newTenant(others, s.Tenants, s.Largest))
}

// oneUser has ofOneUser sessions.
func (t *tenant) oneUser() string { return t.id + "-one" }

// newTenant makes the tenant with that number of so many. Neighbours in size belong to different partners.
func newTenant(number, of, size int) *tenant {
	t := &tenant{id: fmt.Sprintf("tenant-%04d", number), size: size, heavy: min(size/heavyShare, mostHeavy)}
	if size >= 2*heavySessions {
		t.heavy = max(t.heavy, 1)
	}
	if number%5 != 0 || number == of-1 || of == 0 {
		t.partner = fmt.Sprintf("partner-%02d", number%max(2, of*4/5/tenantsPerPartner))
	}
	return t
}

// maker draws the rows of a database, oldest first, as they would have come in: tenants mixed, so that no tenant's rows
// lie side by side.
type maker struct {
	random *rand.Rand
	now    time.Time
	order  []*tenant
	made   map[*tenant]int
	agents []agent
	done   int
}

type agent struct{ text, device, browser, system string }

func newMaker(tenants []*tenant, now time.Time) *maker {
	m := &maker{
		random: rand.New(rand.NewPCG(1, 2)), //nolint:gosec // realistic, not secret
		now:    now.UTC().Truncate(time.Second), made: map[*tenant]int{},
	}
	for _, t := range tenants {
		for range t.size {
			m.order = append(m.order, t)
		}
	}
	m.random.Shuffle(len(m.order), func(i, j int) { m.order[i], m.order[j] = m.order[j], m.order[i] })
	parser := device.NewParser()
	for _, text := range agents() {
		browser, system := parser.Names(text)
		m.agents = append(m.agents, agent{text, parser.Type(text), browser, system})
	}
	return m
}

// next returns the next session and its applications, and false after the last.
func (m *maker) next() (store.Session, []store.App, bool) {
	if m.done == len(m.order) {
		return store.Session{}, nil, false
	}
	owner, age := m.order[m.done], 30*24*time.Hour.Seconds()*(1-float64(m.done)/float64(len(m.order)))
	m.done++
	number := m.made[owner]
	m.made[owner]++
	session := m.session(owner, m.now.Add(-time.Duration(age*float64(time.Second))).Truncate(time.Microsecond))
	if heavy := number < owner.heavy*heavySessions; heavy {
		session.UserID = fmt.Sprintf("%s-h%d", owner.id, number%owner.heavy)
		owner.class.addHeavy(owner, session)
	} else if number < owner.heavy*heavySessions+owner.ofOneUser {
		session.UserID = owner.oneUser()
	} else {
		session.UserID = fmt.Sprintf("%s-u%d", owner.id, m.random.IntN(1+owner.size/3))
		m.perhapsEnd(&session)
		owner.class.add(owner, session)
	}
	session.UserEmail = new(session.UserID + "@" + owner.id + ".example")
	session.LoginIPAddress = session.IPAddress
	return session, m.apps(&session), true
}

func (m *maker) session(owner *tenant, created time.Time) store.Session {
	agent := m.agents[m.random.IntN(len(m.agents))]
	used := created.Add(time.Duration(m.random.Float64() * float64(m.now.Sub(created)))).Truncate(time.Microsecond)
	expires := m.now.Add(time.Duration((1 + 29*m.random.Float64()) * float64(24*time.Hour))).Truncate(time.Microsecond)
	session := store.Session{
		TenantID: owner.id, ID: m.id(), UserDisplayName: new("Ada Lovelace"),
		IPAddress: new(address(m.random)), UserAgent: &agent.text, DeviceType: &agent.device, Browser: &agent.browser, OS: &agent.system,
		Country:  new(country(m.random)),
		Location: new("London, United Kingdom"), CreatedAt: created, LastActivityAt: &used, ExpiresAt: expires, EndsAt: expires,
	}
	if owner.partner != "" {
		session.PartnerID = &owner.partner
	}
	return session
}

// country is GB for six in ten sessions, and IS for one in a thousand.
func country(random *rand.Rand) string {
	switch n := random.IntN(1000); {
	case n == 0:
		return "IS"
	case n < 400:
		return "US"
	default:
		return "GB"
	}
}

// id looks like a provider's: random.
func (m *maker) id() string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", m.random.Uint32(), m.random.IntN(1<<16), m.random.IntN(1<<12),
		m.random.IntN(1<<12), m.random.Int64N(1<<48))
}

// perhapsEnd ends 15 in 100 sessions, one half by somebody and the other by their age.
func (m *maker) perhapsEnd(session *store.Session) {
	ended := session.CreatedAt.Add(m.now.Sub(session.CreatedAt) / 2).Truncate(time.Microsecond)
	switch m.random.IntN(200) / 15 {
	case 0:
		session.EndCause, session.RevokedAt = new(store.Revoked), &ended
		session.EndedBySub, session.EndedByClient, session.EndReason = new("boss"), new("console"), new("")
	case 1:
		session.EndCause, session.ExpiresAt, session.EndsAt = new(store.Expired), ended, ended
	}
	if session.EndCause != nil && session.LastActivityAt.After(ended) {
		session.LastActivityAt = &ended
	}
}

// apps gives four in ten sessions one to three applications.
func (m *maker) apps(session *store.Session) []store.App {
	if m.random.IntN(10) >= 4 {
		return nil
	}
	names := applications()
	session.AppCount = 1 + m.random.IntN(3)
	apps, first := make([]store.App, session.AppCount), m.random.IntN(len(names))
	for i := range apps {
		name := names[(first+i)%len(names)]
		apps[i] = store.App{
			TenantID: session.TenantID, SessionID: session.ID, ApplicationID: name, ApplicationName: "The " + name,
			AccessedAt: *session.LastActivityAt,
		}
	}
	return apps
}

func applications() []string {
	return []string{"mail", "wiki", "crm", "payroll", "git", "chat", "bi", "hr", "status", "files", "calendar"}
}

func agents() []string {
	return []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
		"curl/8.14.1",
	}
}
