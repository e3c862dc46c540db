package bench

import (
	"fmt"
	"math/rand/v2"
)

// The floor's requests carry no token.

func floorCall(b []byte, method, path string) []byte {
	return fmt.Appendf(b, "%s %s HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n", method, path)
}

func floorGet(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	s := pick(random, c.active)
	return floorCall(b, "GET", "/get/"+s.tenant.id+"/"+s.id), nil
}

func floorTenant(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	return floorCall(b, "GET", "/tenant/"+pick(random, c.tenants).id), nil
}

func floorUser(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	p := pick(random, c.people)
	return floorCall(b, "GET", "/user/"+p.tenant.id+"/"+p.user), nil
}

func floorPartner(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	return floorCall(b, "GET", "/partner/"+pick(random, c.partners)), nil
}

func floorRevoke(c *class, _ *rand.Rand, b []byte) ([]byte, error) {
	s, err := c.toRevoke()
	return floorCall(b, "POST", "/revoke/"+s.path()), err
}

func floorRegister(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	body := registration(c, random, "2099-01-01T00:00:00Z")
	return fmt.Appendf(b, "POST /register HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%s", len(body), body), nil
}

func floorActivity(c *class, _ *rand.Rand, b []byte) ([]byte, error) {
	s, err := c.toUse()
	return floorCall(b, "POST", "/activity/"+s.path()), err
}

func floorAgain(c *class, random *rand.Rand, b []byte) ([]byte, error) {
	return floorCall(b, "POST", "/activity/"+pick(random, c.hot()).path()), nil
}

// path names the session to the floor.
func (t target) path() string {
	if t.tenant == nil {
		return ""
	}
	return t.tenant.id + "/" + t.id
}
