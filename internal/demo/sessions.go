package demo

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/sessiond/sessiond/internal/geo"
	"github.com/sessiond/sessiond/store"
)

// Each kind of thing is drawn from a sequence of its own: the same number gives the same thing, whatever else is drawn.
const (
	idSeed     = 1
	lifeSeed   = 2
	peopleSeed = 3 // and following, one for each tenant
)

const (
	day = 24 * time.Hour
	// Sign-ins become rarer by the factor e with each meanAge before now, and there are none before oldestAge.
	meanAge   = 4 * day
	oldestAge = 30 * day
	lifetime  = 7 * day
	// sessionsPerUser is how many sessions there are for each user, roughly: most users have several.
	sessionsPerUser = 3
	// mostPopular is the share of sessions that reach the first of the applications; the others are the less popular the later.
	mostPopular = 0.5
)

// maker makes rows of n sessions.
type maker struct {
	n                 int
	now               time.Time
	tenants           []tenant
	given, family     []string
	places            []geo.Place
	computers, phones []agent
	applications      [][2]string
}

func newMaker(n int, now time.Time) *maker {
	return &maker{
		n: n, now: now.UTC().Truncate(time.Second), tenants: tenants(), given: givenNames(), family: familyNames(),
		places: places(), computers: parsed(computers()), phones: parsed(phones()), applications: applications(),
	}
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

// sessionID is a UUID of version 4 that only the number decides.
func sessionID(number int) string {
	random := rand.New(rand.NewPCG(idSeed, uint64(number))) //nolint:gosec // realistic, not secret
	return newUUID(4, random.Uint64(), random.Uint64())
}

// newUUID puts a version, and the variant of RFC 9562, into 128 bits.
func newUUID(version, high, low uint64) string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], high&^0xf000|version<<12)
	binary.BigEndian.PutUint64(id[8:], low&^(0b11<<62)|0b10<<62)
	return id.String()
}

func (m *maker) rows(numbers []int) store.Import {
	var rows store.Import
	for _, t := range m.tenants {
		rows.Tenants = append(rows.Tenants, store.Tenant{TenantID: t.id, PartnerID: optional(t.partner), CreatedAt: m.now.AddDate(0, -6, 0)})
	}
	for _, number := range numbers {
		l := life{random: rand.New(rand.NewPCG(lifeSeed, uint64(number)))} //nolint:gosec // realistic, not secret
		m.signIn(&l, number)
		m.end(&l)
		m.use(&l)
		rows.Sessions = append(rows.Sessions, l.session)
		rows.Apps = append(rows.Apps, l.apps...)
		rows.Events = append(rows.Events, l.events...)
	}
	return rows
}

// life is a session from its sign-in on, with what the audit log has of it.
type life struct {
	random  *rand.Rand
	session store.Session
	// until is the end of the session, or now.
	until  time.Time
	apps   []store.App
	events []store.AuditEvent
}

// record appends an event to the audit log.
func (l *life) record(action string, at time.Time, by store.Actor) {
	l.events = append(l.events, store.AuditEvent{
		TenantID: l.session.TenantID, OperationID: newUUID(7, uint64(at.UnixMilli())<<16|l.random.Uint64N(1<<12), l.random.Uint64()),
		SessionID: l.session.ID, Action: action, At: at, UserID: l.session.UserID,
		ActorSub: by.Subject, ActorClient: by.ClientID, Reason: by.Reason,
	})
}

// between is a time from one up to another, in milliseconds.
func (l *life) between(from, to time.Time) time.Time {
	return from.Add(time.Duration(l.random.Float64() * float64(to.Sub(from)))).Truncate(time.Millisecond)
}

// provider is who registers sessions and sign-ons.
func provider(reason string) store.Actor {
	return store.Actor{Subject: "idp", ClientID: "idp", Reason: reason}
}

// signIn registers the session.
func (m *maker) signIn(l *life, number int) {
	index := m.tenantIndex(l.random)
	owner := m.tenants[index]
	user := m.person(index, l.random.IntN(1+(number+20*sessionsPerUser)*owner.weight/(100*sessionsPerUser)))
	with := pick(l.random, user.devices)
	created := m.now.Add(-m.age(number)).Truncate(time.Millisecond)
	l.session = store.Session{
		TenantID: owner.id, ID: sessionID(number), UserID: user.id, PartnerID: optional(owner.partner),
		UserEmail: &user.email, UserDisplayName: &user.name, IPAddress: new(pick(l.random, user.addresses)),
		UserAgent: &with.text, DeviceType: &with.device, Browser: &with.browser, OS: &with.system,
		Location: &user.place.Name, Country: &user.place.Country,
		CreatedAt: created, ExpiresAt: created.Add(lifetime), EndsAt: created.Add(lifetime),
	}
	l.session.LoginIPAddress = l.session.IPAddress
	l.record(store.ActionRegistered, created, provider(""))
	l.events[len(l.events)-1].Changes = map[string]store.Change{
		"ip_address": {To: l.session.IPAddress}, "country": {To: l.session.Country},
	}
}

// age is how long before now a session began: the sessions come in the order of their sign-in.
func (m *maker) age(number int) time.Duration {
	rarest := math.Exp(-float64(oldestAge) / float64(meanAge))
	share := (float64(number) + 0.5) / float64(max(m.n, number+1))
	return time.Duration(-math.Log(rarest+(1-rarest)*share) * float64(meanAge))
}

func (m *maker) tenantIndex(random *rand.Rand) int {
	drawn := random.IntN(100)
	for i, t := range m.tenants {
		if drawn -= t.weight; drawn < 0 {
			return i
		}
	}
	return 0
}

// end ends some of the sessions before their time, and those whose time has come.
func (m *maker) end(l *life) {
	s := &l.session
	ends := s.CreatedAt.Add(time.Duration(l.random.ExpFloat64() * float64(6*time.Hour))).Truncate(time.Millisecond)
	switch {
	case l.random.IntN(8) == 0 && ends.Before(m.now) && ends.Before(s.EndsAt):
		by := revoker(l.random, s)
		s.EndCause, s.RevokedAt, l.until = new(store.Revoked), &ends, ends
		s.EndedBySub, s.EndedByClient, s.EndReason = &by.Subject, &by.ClientID, optional(by.Reason)
		l.record(store.ActionRevoked, ends, by)
	case !s.EndsAt.After(m.now):
		s.EndCause, l.until = new(store.Expired), s.EndsAt
		l.record(store.ActionExpired, s.EndsAt, store.Actor{Subject: "sessiond"})
	default:
		l.until = m.now
	}
}

// revoker is the user, who signs out on another device, or the tenant's administrator.
func revoker(random *rand.Rand, s *store.Session) store.Actor {
	if random.IntN(3) > 0 {
		return store.Actor{Subject: s.UserID, ClientID: "account"}
	}
	reasons := []string{"lost device", "left the company", "password changed"}
	return store.Actor{Subject: s.TenantID + "-admin", ClientID: "console", Reason: pick(random, reasons)}
}

// use has most sessions used up to some time, and applications reached by single sign-on until then.
func (m *maker) use(l *life) {
	if l.random.IntN(10) == 0 {
		return
	}
	used := l.between(l.session.CreatedAt, l.until)
	l.session.LastActivityAt = &used
	for rank, app := range m.applications {
		if l.random.Float64() > mostPopular/float64(rank+1) { // Zipf's law
			continue
		}
		at := l.between(l.session.CreatedAt, used)
		l.apps = append(l.apps, store.App{
			TenantID: l.session.TenantID, SessionID: l.session.ID, ApplicationID: app[0], ApplicationName: app[1], AccessedAt: at,
		})
		l.record(store.ActionApp, at, provider(app[0]))
	}
	l.session.AppCount = len(l.apps)
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
