package bench

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// operation is what is measured: a request to sessiond, and what the baseline does for the same.
//
//   - "get with sid" has a token whose own session is looked up too.
//   - "activity" uses sessions that were not used for a while, so each use is written; "activity again" uses a few sessions
//     over and over, which sessiond writes once in --activity-interval and the baseline every time.
//   - "revoke one" revokes each session once.
//   - "get with new RS256 token" and its like send each token once.
type operation struct {
	name     string
	expect   expectation
	sessiond request
	baseline request
	// against says which operation of the baseline it is held against, when the baseline has not the same.
	against        string
	baselineExpect expectation
	// writes: it changes rows, which costs the more the more indexes there are.
	writes bool
	// most bounds the requests of a round, when it is not 0: each needs something that was made before and is used once.
	most int
	// newTokens: that is a token; there are some of the median class only.
	newTokens bool
}

const (
	// mostTokens and mostSessions bound the requests of a round that use up tokens or sessions.
	mostTokens   = 1000
	mostSessions = 4000
)

// operations are in the order in which they are measured: those that change what others need come last.
func operations(w *wire) []operation {
	one := expectation{200, `"user_id"`, 1}
	full := expectation{200, `"user_id"`, heavySessions}
	empty := expectation{status: 204}
	all := []operation{
		{name: "get", expect: one, sessiond: w.get, baseline: baselineGet, baselineExpect: one},
		{name: "get with sid", expect: one, sessiond: w.getOwn, baseline: baselineGet, against: "get", baselineExpect: one},
	}
	for _, name := range algorithms() {
		all = append(all, operation{
			name: "get with new " + name + " token", newTokens: true, most: mostTokens, expect: one, sessiond: w.getWithNewToken(name), baseline: baselineGetSome, against: "get",
			baselineExpect: one,
		})
	}
	return append(all, []operation{
		{name: "tenant list", expect: full, sessiond: w.listTenant, baseline: baselineTenant, baselineExpect: full},
		{name: "user list", expect: full, sessiond: w.listUser, baseline: baselineUser, baselineExpect: full},
		{name: "me list", expect: full, sessiond: w.listMine, baseline: baselineUser, baselineExpect: full},
		{name: "admin list by partner", expect: full, sessiond: w.listPartner, baseline: baselinePartner, baselineExpect: full},
		{
			name: "stats", expect: expectation{200, `"unique_users"`, 1}, sessiond: w.stats, baseline: baselineGet, against: "get",
			baselineExpect: one,
		},
		{
			name: "introspect", expect: expectation{200, `"active":true`, 1}, sessiond: w.introspect, baseline: baselineGet, against: "get",
			baselineExpect: one,
		},
		{name: "activity", writes: true, most: mostSessions, expect: empty, sessiond: w.activity, baseline: baselineActivity, baselineExpect: empty},
		{name: "activity again", writes: true, expect: empty, sessiond: w.again, baseline: baselineAgain, baselineExpect: empty},
		{name: "revoke one", writes: true, most: mostSessions, expect: empty, sessiond: w.revoke, baseline: baselineRevoke, baselineExpect: empty},
		{
			name: "register", writes: true, expect: expectation{status: 201}, sessiond: w.register, baseline: baselineRegister,
			baselineExpect: expectation{status: 201},
		},
	}...)
}

// wire writes requests to sessiond.
type wire struct {
	operators, services []string // tokens
	until               string   // expires_at of registrations
}

func newWire(by *issuer) (*wire, error) {
	operators, err := by.mintMany(20, "operator", "admin:sessions:read admin:sessions:write")
	if err != nil {
		return nil, err
	}
	services, err := by.mintMany(5, "idp", "sessions:ingest")
	return &wire{operators, services, by.now.Add(7 * 24 * time.Hour).UTC().Format(time.RFC3339)}, err
}

func call(b []byte, method, path, token string) []byte {
	return fmt.Appendf(b, "%s %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n\r\n", method, path, token)
}

func post(b []byte, path, token, contentType, body string) []byte {
	return fmt.Appendf(b, "POST %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		path, token, contentType, len(body), body)
}

const perTenant = "/api/v1/tenants/"

func (w *wire) get(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	s := pick(random, c.active)
	return call(b, "GET", perTenant+s.tenant.id+"/sessions/"+s.id, pick(random, s.tenant.admins)), nil
}

// getWithNewToken is a get with a token that was never sent before.
func (w *wire) getWithNewToken(algorithm string) request {
	return func(c *class, random *rand.Rand, b []byte) ([]byte, error) {
		t, token, err := c.newToken(algorithm)
		if err != nil {
			return b, err
		}
		return call(b, "GET", perTenant+t.id+"/sessions/"+pick(random, t.some).id, token), nil
	}
}

// getOwn is the get of an administrator whose own session must not have ended.
func (w *wire) getOwn(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	s := pick(random, c.active)
	return call(b, "GET", perTenant+s.tenant.id+"/sessions/"+s.id, pick(random, s.tenant.people).token), nil
}

func (w *wire) listTenant(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	t := pick(random, c.tenants)
	return call(b, "GET", perTenant+t.id+"/sessions", pick(random, t.admins)), nil
}

// listDeep asks for page 1,000, or the last full one where there are not so many.
func (w *wire) listDeep(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	t := pick(random, c.tenants)
	page := min(1000, len(c.active)/len(c.tenants)/20)
	return call(b, "GET", fmt.Sprintf("%s%s/sessions?page=%d", perTenant, t.id, page), pick(random, t.admins)), nil
}

// listAll is the first page of all tenants' sessions.
func (w *wire) listAll(_ *class, random *rand.Rand, b []byte) ([]byte, error) {
	return call(b, "GET", "/api/v1/admin/sessions/", pick(random, w.operators)), nil
}

func (w *wire) listUser(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	p := pick(random, c.people)
	return call(b, "GET", perTenant+p.tenant.id+"/sessions/users/"+p.user, pick(random, p.tenant.admins)), nil
}

func (w *wire) listMine(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	return call(b, "GET", "/api/v1/me/sessions", pick(random, c.people).token), nil
}

func (w *wire) listPartner(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	return call(b, "GET", "/api/v1/admin/sessions/?partner_id="+pick(random, c.partners), pick(random, w.operators)), nil
}

func (w *wire) stats(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	t := pick(random, c.tenants)
	return call(b, "GET", perTenant+t.id+"/sessions/stats", pick(random, t.admins)), nil
}

func (w *wire) revoke(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	s, err := c.toRevoke()
	if err != nil {
		return b, err
	}
	return call(b, "DELETE", perTenant+s.tenant.id+"/sessions/"+s.id, pick(random, s.tenant.admins)), nil
}

func (w *wire) register(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	body := registration(c, random, w.until)
	return post(b, "/api/v1/lifecycle/sessions", pick(random, w.services), "application/json", body), nil
}

// registration is a login of one of a tenant's users; its id is the provider's.
func registration(c *class, random *rand.Rand, until string) string {
	t := pick(random, c.tenants)
	user := fmt.Sprintf("%s-u%d", t.id, random.IntN(1+t.size/3))
	partner := ""
	if t.partner != "" {
		partner = fmt.Sprintf(`"partner_id":%q,`, t.partner)
	}
	return fmt.Sprintf(`{"id":"%016x%016x","tenant_id":%q,"user_id":%q,%s"user_email":"%s@%s.example","user_display_name":"Ada Lovelace",`+
		`"ip_address":"203.0.113.%d","user_agent":%q,"expires_at":%q}`,
		random.Uint64(), random.Uint64(), t.id, user, partner, user, t.id, random.IntN(256), pick(random, agents()), until)
}

func (w *wire) activity(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	s, err := c.toUse()
	return w.use(s, random, b), err
}

func (w *wire) again(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	return w.use(pick(random, c.hot()), random, b), nil
}

func (w *wire) use(s target, random *rand.Rand, b []byte) []byte {
	return post(b, "/api/v1/lifecycle/sessions/"+s.id+"/activity", pick(random, w.services), "application/json", "{}")
}

func (w *wire) introspect(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	return post(b, "/oauth2/introspect", pick(random, w.services), "application/x-www-form-urlencoded",
		"token="+pick(random, c.people).token), nil
}
