package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// request appends a whole HTTP request about a class's sessions.
type request func(c *class, random *rand.Rand, b []byte) ([]byte, error)

// expectation is what every answer must be: the status, any but a failure of the server when it is 0, and how often the mark is in the body.
type expectation struct {
	status int
	mark   string
	times  int
}

func (e expectation) check(status int, body []byte) error {
	if (status == e.status || e.status == 0 && status < 500) && (e.mark == "" || bytes.Count(body, []byte(e.mark)) == e.times) {
		return nil
	}
	return fmt.Errorf("answered %d, expected %d with %d times %q: %.1000s", status, e.status, e.times, e.mark, body)
}

// load is one round of requests: workers that each send the next request when they have the answer to the last.
type load struct {
	addr    string
	workers int
	// The round ends when until is closed; without that after so many requests or so long, whichever comes first and is not 0.
	until    <-chan struct{}
	requests int
	length   time.Duration
	seed     uint64
	// pace is from when a worker sends a request to when it sends the next one, or after the answer where that comes later: then
	// a request's latency is from when it should have been sent. A worker waits for thinking after each answer.
	pace, thinking time.Duration

	class  *class
	make   request
	expect expectation
}

// result is what a round measured.
type result struct {
	took      time.Duration
	latencies []time.Duration // sorted
	// What the round cost of the processors' time: the server, PostgreSQL, and the load itself.
	serverCPU, databaseCPU, loadCPU time.Duration
}

func (r result) rate() float64 { return float64(len(r.latencies)) / r.took.Seconds() }

// run sends the requests. Connections are made before the clock starts.
func (l load) run(ctx context.Context) (result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conns := make([]*conn, l.workers)
	for i := range conns {
		c, err := dial(ctx, l.addr)
		if err != nil {
			return result{}, err
		}
		defer c.Close()
		defer context.AfterFunc(ctx, func() { _ = c.Close() })()
		conns[i] = c
	}
	var group sync.WaitGroup
	samples, errs := make([][]time.Duration, l.workers), make([]error, l.workers)
	start := clock()
	going := l.going(start)
	for i, c := range conns {
		group.Go(func() {
			random := rand.New(rand.NewPCG(l.seed, uint64(i))) //nolint:gosec // spread, not secret
			samples[i], errs[i] = l.work(ctx, c, random, going)
			if errs[i] != nil {
				cancel()
			}
		})
	}
	group.Wait()
	all := slices.Concat(samples...)
	measured := result{took: clock().Sub(start), latencies: all}
	slices.Sort(all)
	if err := firstOf(errs); err != nil || len(all) > 0 {
		return measured, err
	}
	return measured, errDry
}

// going reports whether a worker shall send one more.
func (l load) going(start time.Time) func() bool {
	var sent atomic.Int64
	return func() bool {
		switch {
		case l.until != nil:
			select {
			case <-l.until:
				return false
			default:
				return true
			}
		case l.requests > 0 && sent.Add(1) > int64(l.requests):
			return false
		case l.requests > 0 && l.length == 0:
			return true
		default:
			return clock().Sub(start) < l.length
		}
	}
}

// firstOf is the cause: what follows is that the others' connections are closed.
func firstOf(errs []error) error {
	var first error
	for _, err := range errs {
		if err != nil && (first == nil || errors.Is(first, net.ErrClosed)) {
			first = err
		}
	}
	return first
}

// answerError is an answer that is not the expected one.
type answerError struct {
	request []byte
	cause   error
}

func (e *answerError) Error() string {
	line, _, _ := bytes.Cut(e.request, []byte("\r\n"))
	return fmt.Sprintf("%s: %v", line, e.cause)
}

func (l load) work(ctx context.Context, c *conn, random *rand.Rand, going func() bool) ([]time.Duration, error) {
	samples := make([]time.Duration, 0, 1<<14)
	// Paced workers do not begin all at once.
	next := clock().Add(time.Duration(random.Int64N(int64(l.pace) + 1)))
	for going() {
		if l.pace > 0 {
			wait(ctx, next.Sub(clock()))
		}
		var err error
		if c.out, err = l.make(l.class, random, c.out[:0]); errors.Is(err, errDry) {
			return samples, nil
		} else if err != nil {
			return samples, err
		}
		start := clock()
		if l.pace > 0 {
			start, next = next, next.Add(l.pace)
		}
		status, body, err := c.do()
		if err != nil {
			return samples, err
		}
		samples = append(samples, clock().Sub(start))
		if err := l.expect.check(status, body); err != nil {
			return samples, &answerError{c.out, err}
		}
		wait(ctx, l.thinking)
	}
	return samples, nil
}

// wait returns after so long, or when the context ends.
func wait(ctx context.Context, length time.Duration) {
	if length <= 0 {
		return
	}
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// clock is the one place where time enters a benchmark.
func clock() time.Time { return time.Now() } //nolint:forbidigo // to measure time is what a benchmark is for
