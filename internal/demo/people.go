package demo

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/sessiond/sessiond/internal/device"
	"github.com/sessiond/sessiond/internal/geo"
)

// tenant is a customer; weight is its share of the sessions, in percent.
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

// person is a user of a tenant, who signs in with the same devices and from the same places each time.
type person struct {
	id, email, name string
	place           geo.Place
	addresses       []string
	devices         []agent
}

// agent is a User-Agent, with what it says of the device, the browser and the operating system.
type agent struct{ text, device, browser, system string }

// person returns the user of a tenant who has that number. The same number is the same person.
func (m *maker) person(tenantIndex, number int) person {
	random := rand.New(rand.NewPCG(peopleSeed+uint64(tenantIndex), uint64(number))) //nolint:gosec // realistic, not secret
	given, family := m.given[number%len(m.given)], m.family[(number/len(m.given)+number)%len(m.family)]
	id := strings.ToLower(given + "." + family)
	if namesakes := number / (len(m.given) * len(m.family)); namesakes > 0 {
		id += fmt.Sprint(namesakes + 1)
	}
	office := netip.AddrFrom4([4]byte{198, 51, 100, byte(tenantIndex + 1)}).String() //nolint:gosec // there are few tenants
	p := person{
		id: id, email: id + "@" + m.tenants[tenantIndex].id + ".example", name: given + " " + family,
		place: pick(random, m.places), addresses: []string{office, home(random)},
		devices: []agent{pick(random, m.computers)},
	}
	if random.IntN(4) > 0 {
		p.devices = append(p.devices, pick(random, m.phones))
	}
	return p
}

// home is one of the addresses that are reserved for documentation (RFC 5737, RFC 3849).
func home(random *rand.Rand) string {
	last := byte(random.IntN(254) + 1) //nolint:gosec // 1 to 254
	switch random.IntN(3) {
	case 0:
		return netip.AddrFrom4([4]byte{192, 0, 2, last}).String()
	case 1:
		return netip.AddrFrom4([4]byte{203, 0, 113, last}).String()
	default:
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 5: byte(random.IntN(256)), 7: byte(random.IntN(256)), 15: last}).String() //nolint:gosec // bytes
	}
}

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

func givenNames() []string {
	return strings.Fields(`Ada Alan Barbara Carol Dennis Edsger Frances Grace Hedy Ivan Jean Joan Katherine Ken Lynn Margaret
		Mary Niklaus Ole Peter Radia Robin Shafi Sophie Tim Tony Vint Whitfield Xiaoyun Yukihiro`)
}

func familyNames() []string {
	return strings.Fields(`Allen Bartik Cerf Clarke Conway Dahl Diffie Dijkstra Goldwasser Hamilton Hoare Hopper Johnson Keller
		Lamarr Lee Liskov Lovelace Matsumoto Milner Naur Perlman Ritchie Shaw Sutherland Thompson Turing Wang Wilson Wirth`)
}

func places() []geo.Place {
	return []geo.Place{
		{Name: "London, United Kingdom", Country: "GB"},
		{Name: "Bern, Switzerland", Country: "CH"},
		{Name: "Oslo, Norway", Country: "NO"},
		{Name: "Toronto, Canada", Country: "CA"},
		{Name: "Nairobi, Kenya", Country: "KE"},
		{Name: "Osaka, Japan", Country: "JP"},
		{Name: "Lisbon, Portugal", Country: "PT"},
		{Name: "Warsaw, Poland", Country: "PL"},
		{Name: "Denver, United States", Country: "US"},
		{Name: "Montevideo, Uruguay", Country: "UY"},
	}
}

func computers() []string {
	return []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	}
}

func phones() []string {
	return []string{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/141.0.7390.41 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
	}
}

// parsed tells of each agent what it says.
func parsed(texts []string) []agent {
	parser := device.NewParser()
	agents := make([]agent, len(texts))
	for i, text := range texts {
		browser, system := parser.Names(text)
		agents[i] = agent{text, parser.Type(text), browser, system}
	}
	return agents
}
