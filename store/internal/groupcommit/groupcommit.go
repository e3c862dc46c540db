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
	"errors"
	"sync"
	"time"

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

// maxWait is for callers who would wait for ever.
const maxWait = time.Minute

var (
	// errAlone is what a change fails with that must not share its transaction.
	errAlone = errors.New("the change has to run alone")
	// errUnknown: nobody knows whether the transaction has been committed.
	errUnknown = errors.New("a panic interrupted the transaction")
)

// change is what one caller does.
type change struct {
	ctx   context.Context //nolint:containedctx // it goes with the call to who carries it
	owner string
	do    func(tx *gorm.DB) error
	// done is called when the outcome is known, and its context ends.
	done     context.CancelFunc
	finished context.Context //nolint:containedctx // as above
	// begun: it is running or has run. gone: its caller did not wait for that. Both are the group's.
	begun, gone bool

	err error
	// panicked is what do panicked with.
	panicked any
	// lost: it has to run again, alone, because the transaction was lost by another's fault or because it asked for that.
	lost bool
}

// Do runs do in a transaction, which it may share with others, and returns when it has been committed or rolled back. Callers take turns by
// owner. When its context ends before do has begun, do does not begin. The context that do finds in its transaction ends later than the
// caller's, with the last of those that share it, because the end of one would undo what the others did. do may run more than once, but only
// one run of it takes effect.
func (g *Group) Do(ctx context.Context, owner string, do func(tx *gorm.DB) error) error {
	finished, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	c := &change{ctx: ctx, owner: owner, do: do, done: done, finished: finished}
	g.push(c)
	g.beCarried(ctx, c)
	select {
	case <-c.finished.Done():
	case <-ctx.Done():
		if g.leave(c) {
			return ctx.Err()
		}
		<-c.finished.Done()
	}
	switch {
	case c.panicked != nil:
		panic(c.panicked)
	case c.lost:
		return g.again(ctx, c)
	default:
		return c.err
	}
}

// beCarried waits until the change has been carried by another, or is admitted as the writer and carries the next group. It returns early when
// the context ends.
func (g *Group) beCarried(ctx context.Context, c *change) {
	admitted, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.finished, cancel)() //nolint:contextcheck // carried by another, it need not be admitted any more
	if g.writers.Acquire(admitted, c.owner) != nil {
		return
	}
	defer g.writers.Release(c.owner)
	select {
	case <-c.finished.Done(): // at the same time: whoever waits is admitted next
	default:
		g.carry(c) //nolint:contextcheck // each change has its caller's
	}
}

// Alone returns an error, with which the change is to fail, when it shares its transaction with others. It runs again without them: what takes
// long would keep them waiting.
func Alone(tx *gorm.DB) error {
	if tx.Statement.Context.Value(sharedKey{}) != nil {
		return errAlone
	}
	return nil
}

type sharedKey struct{}

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

// leave reports whether a caller may go away: not when the change has begun.
func (g *Group) leave(c *change) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting.Remove(c.owner, c)
	c.gone = !c.begun
	return c.gone
}

// begin reports whether a change may run: not when its caller has gone.
func (g *Group) begin(c *change) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.begun = !c.gone && c.ctx.Err() == nil
	return c.begun
}

// take removes the changes of the next group, of which the carrier's comes first.
func (g *Group) take(first *change) []*change {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting.Remove(first.owner, first)
	all := []*change{first}
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
		g.begin(first)
		first.err = g.db.WithContext(first.ctx).Transaction(first.do)
		return
	}
	for _, c := range all {
		c.err = errUnknown // should this panic
	}
	failed, err := g.commit(all)
	for _, c := range all {
		switch {
		case err == nil || c == failed:
		case failed != nil || !c.begun && c != first: // the carrier's context ended before the transaction began
			c.lost, c.err, c.panicked = true, nil, nil
		default: // nothing was committed, and what it answered may be due to what others did
			c.err, c.panicked = err, nil
		}
	}
}

// commit runs changes in one transaction. It returns the change whose fault it is, if any, that the transaction was lost.
func (g *Group) commit(all []*change) (failed *change, err error) {
	first, latest := all[0], latestDeadline(all)
	ctx, cancel := context.WithDeadline(context.WithoutCancel(first.ctx), latest)
	defer cancel()
	// Until the transaction has begun, for which it may have to wait for another process, the carrier's context ends it.
	begun := context.AfterFunc(first.ctx, cancel)
	defer begun()
	err = g.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		begun()
		for _, c := range all {
			if err := g.apply(tx, c, latest); err != nil {
				failed = c
				return err
			}
		}
		return nil
	})
	if ended := first.ctx.Err(); err != nil && ended != nil && !first.begun {
		err = ended
	}
	return failed, err
}

// latestDeadline is when the last of the callers gives up.
func latestDeadline(all []*change) time.Time {
	var latest time.Time
	for _, c := range all {
		deadline, bounded := c.ctx.Deadline()
		if !bounded {
			deadline = time.Now().Add(maxWait) //nolint:forbidigo // contexts know no other clock
		}
		if deadline.After(latest) {
			latest = deadline
		}
	}
	return latest
}

// apply runs a change within the group's transaction. It returns an error when the transaction is lost.
func (g *Group) apply(tx *gorm.DB, c *change, latest time.Time) error {
	if !g.begin(c) {
		c.err = c.ctx.Err()
		return nil
	}
	ctx, cancel := context.WithDeadline(context.WithValue(context.WithoutCancel(c.ctx), sharedKey{}, true), latest)
	defer cancel()
	if c.err = tx.Exec("SAVEPOINT change").Error; c.err != nil {
		return c.err
	}
	c.run(tx.WithContext(ctx))
	switch {
	case c.err == nil && c.panicked == nil:
		c.err = tx.Exec("RELEASE change").Error
		return c.err
	case errors.Is(c.err, errAlone):
		c.lost, c.err = true, nil
	case !g.survives(c.err):
		return c.err
	}
	if err := tx.Exec("ROLLBACK TO change").Error; err != nil {
		return err
	}
	return tx.Exec("RELEASE change").Error
}

// run keeps an error or a panic for the caller whose change it is.
func (c *change) run(tx *gorm.DB) {
	defer func() { c.panicked = recover() }()
	c.err = c.do(tx)
}
