package store

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// mostTogether bounds how many statements are sent together.
	mostTogether = 32
	// longestExchange is for a statement whose caller would wait for ever.
	longestExchange = time.Minute
	// patience is how long a change in an exchange waits for a lock, which keeps all that were sent with it waiting.
	patience = "5ms"
)

// pipeline sends short statements to PostgreSQL. One that comes while an exchange is free is sent at once. Those that come
// while all are under way wait until one is back, and then travel together: in one exchange, in one transaction, and so with
// one commit. That is what makes many at a time cheaper than one by one, and none later.
//
// They do not notice each other. Each is behind its own wall, and sees what was committed when it began. When one of them
// fails, or has to wait for a lock, all are undone, and each is sent again alone, by its own caller.
type pipeline struct {
	engine engine
	// alone sends each by itself: where tables lie on several nodes (Citus), a transaction of several tenants would be one of
	// several nodes.
	alone bool
	mu    sync.Mutex
	// free is how many exchanges may begin now.
	free    int
	waiting []*job
}

// newPipelines are one for reads and one for changes, which must not keep reads waiting for the disk. As many processors as
// there are can be kept busy, and one exchange more is on its way; of changes, while some are committed others are made.
func newPipelines(e engine) (reads, writes *pipeline) {
	processors := runtime.GOMAXPROCS(0)
	return &pipeline{engine: e, free: processors + 1}, &pipeline{engine: e, free: max(2, processors/2)}
}

// job is a statement on its way, and what came back.
type job struct {
	wall Wall
	st   *statement
	// row is what it changes, in the order of which rows are locked, under those shared locks; it is empty for one that only asks.
	row   string
	locks []int64

	deadline time.Time
	// turn is told when the job is done, or that its caller has to send it, together with others.
	turn  chan []*job
	leads bool
	got   answer
	err   error
}

// errAgain: the job was undone for the sake of others, and has to be sent alone.
var errAgain = errors.New("undone with others")

// do sends a job and returns when it has been done, which is when its answer may be read.
func (p *pipeline) do(ctx context.Context, j *job) error {
	if p.alone {
		return p.send(ctx, false, j)
	}
	batch := p.enter(ctx, j)
	if batch == nil {
		select {
		case batch = <-j.turn:
		case <-ctx.Done():
			if p.leave(j) {
				return ctx.Err()
			}
			batch = <-j.turn
		}
	} else {
		runtime.Gosched() // whose requests have just come in may come along
		batch = append(batch, p.take(mostTogether-1)...)
	}
	if batch != nil {
		p.carry(ctx, batch)
	}
	if errors.Is(j.err, errAgain) {
		j.got = answer{}
		return p.send(ctx, false, j)
	}
	return j.err
}

// enter gives the job to its caller to be sent, or has it wait.
func (p *pipeline) enter(ctx context.Context, j *job) []*job {
	var bounded bool
	if j.deadline, bounded = ctx.Deadline(); !bounded {
		j.deadline = time.Now().Add(longestExchange) //nolint:forbidigo // contexts know no other clock
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free > 0 {
		p.free--
		return []*job{j}
	}
	j.turn = make(chan []*job, 1)
	p.waiting = append(p.waiting, j)
	return nil
}

// leave reports whether a caller may go away: not when others count on it.
func (p *pipeline) leave(j *job) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, j); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	return !j.leads
}

// carry sends jobs, lets the next exchange begin, and tells whose jobs were carried. The jobs live as long as the longest of
// them may, whatever becomes of who sends them.
func (p *pipeline) carry(ctx context.Context, batch []*job) {
	if len(batch) > 1 {
		latest := slices.MaxFunc(batch, func(a, b *job) int { return a.deadline.Compare(b.deadline) })
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(context.WithoutCancel(ctx), latest.deadline)
		defer cancel()
	}
	err := errAgain // should this panic
	defer func() {
		p.next()
		for i, j := range batch {
			if j.err = err; i > 0 {
				j.turn <- nil
			}
		}
	}()
	if err = p.send(ctx, true, batch...); undone(err, len(batch) > 1) {
		err = errAgain
	}
}

// next lets those that wait be sent, by the first of them.
func (p *pipeline) next() {
	p.mu.Lock()
	defer p.mu.Unlock()
	batch := p.takeLocked(mostTogether)
	if len(batch) == 0 {
		p.free++
		return
	}
	batch[0].leads = true
	batch[0].turn <- batch
}

// take returns up to so many of those that wait.
func (p *pipeline) take(most int) []*job {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.takeLocked(most)
}

func (p *pipeline) takeLocked(most int) []*job {
	n := min(len(p.waiting), most)
	batch := slices.Clone(p.waiting[:n])
	p.waiting = slices.Delete(p.waiting, 0, n)
	return batch
}

// undone reports whether nothing was done because of one of several jobs, or because of a lock.
func undone(err error, several bool) bool {
	pg, refused := errors.AsType[*pgconn.PgError](err)
	return refused && (several && pg.SeverityUnlocalized == "ERROR" || pg.Code == lockNotAvailable)
}

const lockNotAvailable = "55P03"

// send sends jobs in one exchange. Changes are in the order of their rows, so that two exchanges do not wait for each other;
// in a hurry they wait for nobody.
func (p *pipeline) send(ctx context.Context, hurry bool, jobs ...*job) error {
	if len(jobs) > 1 {
		jobs = slices.Clone(jobs)
		slices.SortStableFunc(jobs, func(a, b *job) int {
			return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.wall.tenant, b.wall.tenant))
		})
	}
	var batch pgx.Batch
	var locks []int64
	for _, j := range jobs {
		locks = append(locks, j.locks...)
	}
	if st := p.engine.beginning(jobs[0], locks, hurry); st != nil {
		batch.Queue(st.text.String(), st.args...)
	}
	for i, j := range jobs {
		if i > 0 && j.wall != jobs[i-1].wall {
			st := p.engine.statement("SELECT ").addWall(j.wall)
			batch.Queue(st.text.String(), st.args...)
		}
		batch.Queue(j.st.text.String(), j.st.args...).Query(j.got.read)
	}
	return p.engine.pool.SendBatch(ctx, &batch).Close()
}

// beginning is what comes before the jobs of an exchange: the wall of the first, and the locks of all, got before anything is
// changed. It is a statement of its own because jobs must see what was committed until the locks were got, and takes the locks
// from an array, unlike addLocks, so that it is the same statement for any number of them. It is nil when nothing is needed.
func (e engine) beginning(first *job, locks []int64, hurry bool) *statement {
	st, comma := e.statement("SELECT "), ""
	if first.row != "" && hurry {
		st.add("set_config('lock_timeout', '" + patience + "', true)")
		comma = ", "
	}
	if first.wall.confines() {
		st.add(comma).addWall(first.wall)
		comma = ", "
	}
	if len(locks) > 0 {
		slices.Sort(locks) // in one order, so that nobody waits in a circle
		st.add(comma+"(SELECT count("+shared+"(lock)) FROM unnest(?::bigint[]) AS lock)", slices.Compact(locks))
		comma = ", "
	}
	if comma == "" {
		return nil
	}
	return st
}
