package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

// pipeline sends short statements to PostgreSQL. One that comes while an exchange may begin is sent at once. Those that come
// while all are under way wait until one is back, and then travel together: in one exchange, in one transaction, and so with
// one commit. That is what makes many at a time cheaper than one by one.
//
// They do not notice each other. Each is behind its own wall, and sees what was committed when it began. When one of them
// fails, or has to wait for a lock, all are undone, and each is sent again alone, by its own caller.
type pipeline struct {
	engine engine
	// alone sends each by itself: where tables lie on several nodes (Citus), a transaction of several tenants would be one of
	// several nodes.
	alone bool
	// together is how many statements may share an exchange.
	together int
	// most is how many exchanges may be under way, and one more while each carries a single job: where there are so few, to wait
	// for another's costs more than to share it saves.
	most int

	// unbatched bounds the changes that are sent alone because they were undone with others: most have to wait for a lock.
	unbatched *gate

	mu sync.Mutex
	// exchanges are under way, and carry so many jobs.
	exchanges, carried int
	waiting            fairQueue[*job]
}

// makePipelines makes one for reads and one for changes, which must not keep reads waiting for the disk.
//
// Reads can keep as many processors busy as there are. A change takes the less the more of them share an exchange, so that one
// exchange at a time makes the most of two processors.
func (s *Store) makePipelines() {
	processors := runtime.GOMAXPROCS(0)
	s.reads = &pipeline{engine: s.engine, together: mostTogether, most: processors, alone: s.distributed}
	s.writes = &pipeline{
		engine: s.engine, together: mostTogether, most: max(1, processors/2), alone: s.distributed, unbatched: s.transactions,
	}
}

// job is a statement on its way, and what came back.
type job struct {
	wall Wall
	st   *statement
	// words are those that jobs of one parcel share.
	words string
	// tenantID is whose sessions it is about, when it is one tenant's.
	tenantID string
	// owner is whose turn it takes in a queue.
	owner string
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

// newJob is a statement that only asks.
func newJob(wall Wall, st *statement) *job {
	j := &job{wall: wall, st: st, tenantID: st.tenantID, owner: wall.owner(st.tenantID)}
	if st.rows || st.repeatable() {
		j.words = st.text.String()
	}
	return j
}

// changes makes it one that changes a session.
func (j *job) changes(tenantID, id string) {
	j.row, j.tenantID, j.owner = tenantID+"\x00"+id, tenantID, j.wall.owner(tenantID)
	if !j.st.rows {
		j.words = ""
	}
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
		batch = append(batch, p.join(p.together-1)...)
	}
	if batch != nil {
		p.carry(ctx, batch)
	}
	if errors.Is(j.err, errAgain) {
		return p.again(ctx, j)
	}
	return j.err
}

// again sends a job alone that was undone for the sake of others.
func (p *pipeline) again(ctx context.Context, j *job) error {
	if j.got = (answer{}); p.unbatched != nil {
		if err := p.unbatched.enter(ctx, j.owner); err != nil {
			return err
		}
		defer p.unbatched.leave(j.owner)
	}
	return p.send(ctx, false, j)
}

// enter gives the job to its caller to be sent, or has it wait.
func (p *pipeline) enter(ctx context.Context, j *job) []*job {
	var bounded bool
	if j.deadline, bounded = ctx.Deadline(); !bounded {
		j.deadline = time.Now().Add(longestExchange) //nolint:forbidigo // contexts know no other clock
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mayBegin() {
		return p.begin([]*job{j})
	}
	j.turn = make(chan []*job, 1)
	p.waiting.push(j.owner, j)
	return nil
}

// leave reports whether a caller may go away: not when others count on it.
func (p *pipeline) leave(j *job) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting.remove(j.owner, j)
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
	sent := false
	defer func() {
		if len(batch) > 1 {
			if reason := recover(); reason != nil && sent && changesSomething(batch) {
				err = fmt.Errorf("panic while answers were read: %v", reason) // what was sent may have been done
			}
		}
		p.end(len(batch))
		for i, j := range batch {
			if j.err = err; i > 0 {
				j.turn <- nil
			}
		}
	}()
	if err = p.sendTo(ctx, &sent, true, batch...); undone(err, len(batch) > 1) {
		err = errAgain
	}
}

// changesSomething reports whether not all jobs only ask.
func changesSomething(jobs []*job) bool {
	return slices.ContainsFunc(jobs, func(j *job) bool { return j.row != "" })
}

func (p *pipeline) mayBegin() bool {
	return p.exchanges < p.most || p.exchanges == p.most && p.carried == p.exchanges
}

func (p *pipeline) begin(batch []*job) []*job {
	p.exchanges++
	p.carried += len(batch)
	return batch
}

// join returns up to so many of those that wait, to come along with an exchange that has begun.
func (p *pipeline) join(most int) []*job {
	p.mu.Lock()
	defer p.mu.Unlock()
	more := p.take(most)
	p.carried += len(more)
	return more
}

// end ends an exchange of so many jobs, and lets those that wait be sent, by the first of them.
func (p *pipeline) end(jobs int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exchanges--
	p.carried -= jobs
	for p.waiting.size > 0 && p.mayBegin() {
		batch := p.begin(p.take(p.together))
		batch[0].leads = true
		batch[0].turn <- batch
	}
}

// take removes up to so many of those that wait, round robin by owner.
func (p *pipeline) take(most int) []*job {
	batch := make([]*job, 0, min(p.waiting.size, most))
	for len(batch) < most {
		j, _, found := p.waiting.pop(func(string) bool { return true })
		if !found {
			break
		}
		batch = append(batch, j)
	}
	return batch
}

// undone reports whether nothing was done because of one of several jobs, or because of a lock. An argument that cannot be encoded
// is noticed before anything is sent; but where the connection is lost meanwhile, all have lost it.
func undone(err error, several bool) bool {
	if pg, refused := errors.AsType[*pgconn.PgError](err); refused {
		return several && pg.SeverityUnlocalized == "ERROR" || pg.Code == lockNotAvailable
	}
	_, early := errors.AsType[pgx.ErrPreprocessingBatch](err)
	return early && several && !pgUnavailable(err) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

const lockNotAvailable = "55P03"

// send sends jobs in one exchange. Changes of one kind are in the order of their rows, so that two exchanges do not wait for
// each other; in a hurry they wait for nobody.
func (p *pipeline) send(ctx context.Context, hurry bool, jobs ...*job) error {
	return p.sendTo(ctx, new(bool), hurry, jobs...)
}

// sendTo is send, and says when the jobs have been sent, so that they may have been done.
func (p *pipeline) sendTo(ctx context.Context, sent *bool, hurry bool, jobs ...*job) error {
	if len(jobs) > 1 {
		jobs = slices.Clone(jobs)
		slices.SortStableFunc(jobs, func(a, b *job) int {
			return cmp.Or(cmp.Compare(a.words, b.words), cmp.Compare(a.row, b.row), cmp.Compare(a.wall.tenant, b.wall.tenant),
				cmp.Compare(a.wall.partner, b.wall.partner))
		})
	}
	var batch pgx.Batch
	parcels := pack(jobs)
	if st := p.engine.beginning(parcels[0], locksOf(jobs), hurry); st != nil {
		batch.Queue(st.text.String(), st.args...)
	}
	for i, parcel := range parcels {
		if i > 0 && !parcel.sharesWall(parcels[i-1]) {
			st := p.engine.statement("SELECT ").addParcelWall(parcel)
			batch.Queue(st.text.String(), st.args...)
		}
		batch.Queue(parcel.text(), parcel.args()...).Query(parcel.read)
	}
	conn, err := p.engine.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	returned := false
	defer func() {
		if !returned { // by a panic, in the middle of something
			_ = conn.Conn().Close(context.WithoutCancel(ctx)) // the pool makes another
		}
		conn.Release()
	}()
	answers := conn.SendBatch(ctx, &batch)
	*sent = true
	err = answers.Close()
	returned = true
	return err
}

// locksOf are the locks that jobs need, in one order, so that nobody waits in a circle.
func locksOf(jobs []*job) []int64 {
	var all []int64
	for _, j := range jobs {
		all = append(all, j.locks...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// beginning is what comes before the jobs of an exchange: the settings of the transaction, the wall of the first, and the locks
// of all, got before anything is changed. It is a statement of its own because jobs must see what was committed until the locks
// were got, and takes the locks from an array, so that it is the same statement for any number of them. It is
// nil when nothing is needed.
func (e engine) beginning(first parcel, locks []int64, hurry bool) *statement {
	st, comma := e.transactionSetup()
	if first.jobs[0].row != "" && hurry {
		st.add(comma + "set_config('lock_timeout', '" + patience + "', true)")
		comma = ", "
	}
	if first.jobs[0].wall.confines() {
		st.add(comma).addParcelWall(first)
		comma = ", "
	}
	if len(locks) > 0 {
		st.add(comma+"(SELECT count("+shared+"(lock)) FROM unnest(?::bigint[]) AS lock)", locks)
		comma = ", "
	}
	if comma == "" {
		return nil
	}
	return st
}
