package chaos

import (
	"context"
	"fmt"
	"strings"
)

// verify holds the journals against what is left.
func (c *crash) verify(ctx context.Context) error {
	for _, j := range c.journals {
		c.report.Acknowledged += j.acknowledged
		for status, n := range j.answers {
			c.report.Answers[status] += n
			if status == 0 || status >= 500 {
				c.report.Unknown += n
			}
		}
		c.report.Lost = append(c.report.Lost, j.broken...)
	}
	var err error
	if c.report.Faults, err = c.server.faults(); err != nil {
		return err
	}
	if err := c.ask(ctx); err != nil {
		return err
	}
	left, err := collect(ctx, c.server.Database)
	for line := range strings.Lines(errorText(err)) {
		c.report.Torn = append(c.report.Torn, strings.TrimSpace(line))
	}
	c.compare(left)
	if err := c.server.Check(ctx); err != nil {
		c.report.Torn = append(c.report.Torn, err.Error())
	}
	return nil
}

// compare holds the journals against what is left in the database.
func (c *crash) compare(left map[string]*remains) {
	for id, r := range left {
		if torn := r.torn(); torn != "" {
			c.report.Torn = append(c.report.Torn, id+": "+torn)
		}
	}
	tried := 0
	for _, j := range c.journals {
		for n, e := range j.entries {
			id := j.id(n)
			if left[id] != nil {
				tried++
			}
			c.report.Lost = append(c.report.Lost, e.lost(id, left[id])...)
		}
		c.report.Torn = append(c.report.Torn, j.tornBatches(left)...)
	}
	if tried != len(left) {
		c.report.Torn = append(c.report.Torn, fmt.Sprintf("%d sessions are there that nobody registered", len(left)-tried))
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// ask asks for the sessions that were revoked just before the last kill.
func (c *crash) ask(ctx context.Context) error {
	for _, j := range c.journals {
		for _, n := range j.latest() {
			token, err := c.client.token(j.tenant(), j.user(), j.id(n))
			if err != nil {
				return err
			}
			for name, ask := range map[string]func(context.Context, string) (bool, error){
				"introspection": c.client.active, "authentication": c.client.admitted,
			} {
				alive, err := ask(ctx, token)
				if err != nil {
					return err
				}
				c.report.Introspected++
				if alive {
					c.report.Revived = append(c.report.Revived, fmt.Sprintf("%s is alive to %s", j.id(n), name))
				}
			}
		}
	}
	return nil
}

// lost is what was acknowledged of a session and is not there, or is there and was never asked for.
func (e entry) lost(id string, left *remains) []string {
	var lost []string
	add := func(format string, values ...any) { lost = append(lost, id+": "+fmt.Sprintf(format, values...)) }
	if left == nil {
		if e.register == acknowledged {
			add("registration")
		}
		if e.revoke == acknowledged {
			add("revocation")
		}
		left = &remains{}
	} else {
		if e.revoke == acknowledged && !left.revoked {
			add("revocation")
		}
		if e.revoke == untried && left.revoked {
			add("revoked by nobody")
		}
	}
	for app := range e.tried {
		if e.reached&(1<<app) != 0 && !left.apps[fmt.Sprintf("app-%d", app)] {
			add("application %d", app)
		}
	}
	return lost
}

// tornBatches are revocations of several sessions that were carried out in part.
func (j *journal) tornBatches(left map[string]*remains) []string {
	revoked, there := map[int32]int{}, map[int32]int{}
	for n, e := range j.entries {
		if r := left[j.id(n)]; e.batch != 0 && r != nil {
			there[e.batch]++
			if r.revoked {
				revoked[e.batch]++
			}
		}
	}
	var torn []string
	for batch, n := range revoked {
		if n != there[batch] {
			torn = append(torn, fmt.Sprintf("revocation %d of %s: %d of %d sessions", batch, j.user(), n, there[batch]))
		}
	}
	return torn
}
