package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sessiond/sessiond/store"
)

// use is what a database sees in a day: logins, activity, ends, and the jobs that follow. It goes to the store itself, whose clock can be
// advanced.
type use struct {
	store    *store.Store
	classes  []*class
	sessions int
	hours    uint64
}

// together is how many changes are under way at a time.
const together = 16

// hour is what happens in one.
func (u *use) hour(ctx context.Context, now time.Time) error {
	u.hours++
	for _, step := range []struct {
		times int
		do    func(ctx context.Context, c *class, random *rand.Rand) error
	}{
		{u.sessions / 72, func(ctx context.Context, c *class, random *rand.Rand) error { return u.register(ctx, c, random, now) }},
		{u.sessions / 24, u.touch},
		{u.sessions / 144, u.revoke},
	} {
		if err := u.times(ctx, step.times, step.do); err != nil {
			return err
		}
	}
	return u.jobs(ctx, now)
}

// times does something so many times, for a session of a tenant of either class.
func (u *use) times(ctx context.Context, n int, do func(ctx context.Context, c *class, random *rand.Rand) error) error {
	var group sync.WaitGroup
	errs := make([]error, together)
	for worker := range together {
		group.Go(func() {
			random := rand.New(rand.NewPCG(1000+u.hours, uint64(worker))) //nolint:gosec // spread, not secret
			for i := 0; i < n/together && errs[worker] == nil; i++ {
				errs[worker] = do(ctx, u.classes[random.IntN(len(u.classes))], random)
			}
		})
	}
	group.Wait()
	return firstOf(errs)
}

func (u *use) register(ctx context.Context, c *class, random *rand.Rand, now time.Time) error {
	t := pick(random, c.tenants)
	user := fmt.Sprintf("%s-u%d", t.id, random.IntN(1+t.size/3))
	session := store.Session{
		TenantID: t.id, ID: fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()), UserID: user, UserEmail: new(user + "@" + t.id + ".example"),
		UserDisplayName: new("Ada Lovelace"), IPAddress: new(fmt.Sprintf("203.0.113.%d", random.IntN(256))), UserAgent: new(pick(random, agents())),
		DeviceType: new("desktop"), ExpiresAt: now.Add(time.Duration(random.Int64N(int64(30 * 24 * time.Hour)))),
	}
	if t.partner != "" {
		session.PartnerID = &t.partner
	}
	_, _, err := u.store.RegisterSession(ctx, store.AllTenants(), session, actor())
	return err
}

// touch uses a session, which may have ended.
func (u *use) touch(ctx context.Context, c *class, random *rand.Rand) error {
	session := pick(random, c.active)
	_ = u.store.RecordActivity(ctx, store.InTenant(session.tenant.id), session.id, store.Activity{}, actor()) // ErrEnded is none of ours
	return nil
}

func (u *use) revoke(ctx context.Context, c *class, random *rand.Rand) error {
	session := pick(random, c.active)
	_, err := u.store.RevokeSession(ctx, store.InTenant(session.tenant.id), session.id, actor())
	return err
}

// jobs are those of maintenance, without their pauses.
func (u *use) jobs(ctx context.Context, now time.Time) error {
	const limit = 1000
	for _, job := range []func() (int, error){
		func() (int, error) { return u.store.RollUp(ctx, limit) },
		func() (int, error) { return u.store.RecordExpired(ctx, limit) },
		func() (int, error) { return u.store.PurgeEnded(ctx, now.AddDate(0, 0, -7), limit) },
	} {
		for n := limit; n >= limit; {
			var err error
			if n, err = job(); err != nil {
				return err
			}
		}
	}
	return nil
}

func actor() store.Actor { return store.Actor{Subject: "boss", ClientID: "console"} }
