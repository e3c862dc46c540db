package bench

import (
	"fmt"
	"math/rand/v2"
)

// The baseline's requests carry no token.

func baselineCall(b []byte, method, path string) []byte {
	return fmt.Appendf(b, "%s %s HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n", method, path)
}

func baselineGet(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	s := pick(random, c.active)
	return baselineCall(b, "GET", "/get/"+s.tenant.id+"/"+s.id), nil
}

// baselineGetSome draws from the same sessions as a get with a new token, which are fewer.
func baselineGetSome(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	for {
		if t := pick(random, c.tenants); len(t.some) > 0 {
			s := pick(random, t.some)
			return baselineCall(b, "GET", "/get/"+s.tenant.id+"/"+s.id), nil
		}
	}
}

func baselineTenant(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	return baselineCall(b, "GET", "/tenant/"+pick(random, c.tenants).id), nil
}

func baselineUser(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	p := pick(random, c.people)
	return baselineCall(b, "GET", "/user/"+p.tenant.id+"/"+p.user), nil
}

func baselinePartner(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	return baselineCall(b, "GET", "/partner/"+pick(random, c.partners)), nil
}

func baselineRevoke(c *class, _ *rand.Rand, b []byte) ([]byte, error) {
	s, err := c.toRevoke()
	return baselineCall(b, "POST", "/revoke/"+s.path()), err
}

func baselineRegister(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	body := registration(c, random, "2099-01-01T00:00:00Z")
	return fmt.Appendf(b, "POST /register HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%s", len(body), body), nil
}

func baselineActivity(c *class, _ *rand.Rand, b []byte) ([]byte, error) {
	s, err := c.toUse()
	return baselineCall(b, "POST", "/activity/"+s.path()), err
}

func baselineAgain(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	return baselineCall(b, "POST", "/activity/"+pick(random, c.hot()).path()), nil
}

// path names the session to the baseline.
func (t target) path() string {
	if t.tenant == nil {
		return ""
	}
	return t.tenant.id + "/" + t.id
}
