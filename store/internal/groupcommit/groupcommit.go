// Package groupcommit lets short transactions of concurrent callers share one commit, for a database that takes one writer at a time and
// flushes its log to disk at every commit: SQLite. While one group is being committed the next one comes together.
//
// Each caller's statements run between a savepoint and its release, one caller after the other, so that what one does can be undone
// without the others' and each sees what those before it did. A caller returns when the commit is on disk. When the transaction itself is
// lost (a full disk, a failing one), so is what all of the group did: the caller whose statement failed gets its error, and the others run
// again, each alone.
//
// As in package batch no goroutine runs beside the callers: who is admitted as the writer carries those that wait.
package groupcommit

import (
	"context"
	"sync"

	"gorm.io/gorm"

	"github.com/sessiond/sessiond/store/internal/fair"
)

// MaxChanges bounds the callers of a group, whose first waits for the last.
const MaxChanges = 32

// Group commits the transactions of one database. It is safe for concurrent use.
type Group struct {
	db      *gorm.DB
	writers *fair.Semaphore
	// survives reports whether a transaction goes on after an error of a statement.
	survives func(error) bool

	mu      sync.Mutex
	waiting fair.Queue[*change]
}

// New returns a group whose transactions are admitted by writers, which has one slot. survives reports whether a transaction goes on after
// an error of one of its statements, or of the caller.
func New(db *gorm.DB, writers *fair.Semaphore, survives func(error) bool) *Group {
	return &Group{db: db, writers: writers, survives: survives}
}

// change is what one caller does.
type change struct {
	ctx   context.Context //nolint:containedctx // it goes with the call to who carries it
	owner string
	do    func(tx *gorm.DB) error
	// done is called when the outcome is known, and its context ends.
	done     context.CancelFunc
	finished <-chan struct{}

	err error
	// panicked is what do panicked with.
	panicked any
	// lost: it has to run again, because the transaction was lost by another's fault.
	lost bool
}

// Do runs do in a transaction, which it may share with others, and returns when it has been committed or rolled back. Callers take turns by
// owner. The context that do finds in its transaction does not end, because the end of one would undo what the others did; one that has
// ended before do began is an error. do may run more than once, but only one run of it takes effect.
func (g *Group) Do(ctx context.Context, owner string, do func(tx *gorm.DB) error) error {
	finished, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	c := &change{ctx: ctx, owner: owner, do: do, done: done, finished: finished.Done()}
	g.push(c)
	admitted, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(finished, cancel)() // carried by another, it need not be admitted any more
	if g.writers.Acquire(admitted, owner) == nil {
		g.carry(c) //nolint:contextcheck // each change has its caller's
		g.writers.Release(owner)
	} else if g.remove(c) {
		return ctx.Err()
	}
	<-c.finished
	switch {
	case c.panicked != nil:
		panic(c.panicked)
	case c.lost:
		return g.again(ctx, c)
	default:
		return c.err
	}
}

// again runs a change alone.
func (g *Group) again(ctx context.Context, c *change) error {
	if err := g.writers.Acquire(ctx, c.owner); err != nil {
		return err
	}
	defer g.writers.Release(c.owner)
	return g.db.WithContext(ctx).Transaction(c.do)
}

func (g *Group) push(c *change) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting.Push(c.owner, c)
}

// remove reports whether the change was waiting.
func (g *Group) remove(c *change) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting.Remove(c.owner, c)
}

// take removes the changes of the next group, one of which comes first if it waits.
func (g *Group) take(first *change) []*change {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []*change
	if g.waiting.Remove(first.owner, first) {
		all = append(all, first)
	}
	for len(all) < MaxChanges {
		next, _, found := g.waiting.Pop(func(string) bool { return true })
		if !found {
			break
		}
		all = append(all, next)
	}
	return all
}

// carry commits the next group.
func (g *Group) carry(first *change) {
	all := g.take(first)
	defer func() {
		for _, c := range all {
			c.done()
		}
	}()
	if len(all) == 1 {
		all[0].run(func() error { return g.db.WithContext(all[0].ctx).Transaction(all[0].do) })
		return
	}
	var failed *change
	err := g.db.WithContext(context.WithoutCancel(first.ctx)).Transaction(func(tx *gorm.DB) error {
		for _, c := range all {
			if err := g.apply(tx, c); err != nil {
				failed = c
				return err
			}
		}
		return nil
	})
	if err == nil {
		return
	}
	for _, c := range all {
		switch {
		case c == failed:
			c.err = err
		case failed != nil:
			c.lost, c.err, c.panicked = true, nil, nil
		case c.err == nil: // it was not committed; those that had failed before keep their own errors
			c.err = err
		}
	}
}

// apply runs a change within the group's transaction. It returns an error when the transaction is lost.
func (g *Group) apply(tx *gorm.DB, c *change) error {
	if c.hasGone() {
		return nil
	}
	if err := tx.Exec("SAVEPOINT change").Error; err != nil {
		return err
	}
	c.run(func() error { return c.do(tx.WithContext(context.WithoutCancel(c.ctx))) })
	if c.err == nil && c.panicked == nil {
		return tx.Exec("RELEASE change").Error
	}
	if !g.survives(c.err) {
		return c.err
	}
	if err := tx.Exec("ROLLBACK TO change").Error; err != nil {
		return err
	}
	return tx.Exec("RELEASE change").Error
}

// hasGone reports whether the caller does not want the change any more.
func (c *change) hasGone() bool {
	c.err = c.ctx.Err()
	return c.err != nil
}

// run keeps an error or a panic for the caller whose change it is.
func (c *change) run(do func() error) {
	defer func() { c.panicked = recover() }()
	c.err = do()
}
