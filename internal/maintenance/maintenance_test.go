package maintenance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/maintenance"
)

// call is one call of a job, at a time since the start.
type call struct {
	job   string
	at    time.Duration
	limit int
	age   time.Duration // how long before the call the time is that it was given
	all   bool
}

// fake is a store that has work for each job, records the calls, and takes its time for each.
type fake struct {
	engine string
	takes  time.Duration
	err    error
	mu     sync.Mutex
	began  time.Time
	left   map[string]int
	calls  []call
}

func newFake(engine string, left map[string]int) *fake {
	return &fake{engine: engine, began: time.Now(), left: left}
}

// do takes up to limit from what is left of a job.
func (f *fake) do(c call) (int, error) {
	c.at = time.Since(f.began)
	time.Sleep(f.takes)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, c)
	n := min(f.left[c.job], c.limit)
	f.left[c.job] -= n
	return n, f.err
}

// of is the calls of one job.
func (f *fake) of(job string) []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.calls), func(c call) bool { return c.job != job })
}

func (f *fake) Engine() string { return f.engine }

func (f *fake) FlushActivity(_ context.Context, all bool) error {
	_, err := f.do(call{job: "flush", all: all})
	return err
}

func (f *fake) RollUp(_ context.Context, limit int) (int, error) {
	return f.do(call{job: "roll up", limit: limit})
}

func (f *fake) ApplyBulkRevocations(_ context.Context, limit int) (bool, error) {
	n, err := f.do(call{job: "apply", limit: limit})
	return n == limit, err
}

func (f *fake) RunRevocationJobs(_ context.Context, limit int) (bool, error) {
	n, err := f.do(call{job: "run jobs", limit: limit})
	return n == limit, err
}

func (f *fake) RecordExpired(_ context.Context, limit int) (int, error) {
	return f.do(call{job: "expire", limit: limit})
}

func (f *fake) PurgeEnded(_ context.Context, before time.Time, limit int) (int, error) {
	return f.do(call{job: "purge ended", limit: limit, age: time.Since(before)})
}

func (f *fake) PurgeTombstones(_ context.Context, before time.Time, limit int) (int, error) {
	return f.do(call{job: "purge tombstones", limit: limit, age: time.Since(before)})
}

func (f *fake) PurgeAuditLog(_ context.Context, before time.Time, limit int) (int, error) {
	return f.do(call{job: "purge audit log", limit: limit, age: time.Since(before)})
}

func (f *fake) Analyze(context.Context) error {
	_, err := f.do(call{job: "analyze"})
	return err
}

func config() maintenance.Config {
	return maintenance.Config{Retention: time.Hour, AuditRetention: 1000 * time.Minute, PurgeInterval: 10 * time.Second}
}

func times(calls []call) []time.Duration {
	at := make([]time.Duration, len(calls))
	for i, c := range calls {
		at[i] = c.at
	}
	return at
}

// every is the times from the start up to 2 minutes, without the end.
func every(d time.Duration) []time.Duration {
	var at []time.Duration
	for t := time.Duration(0); t < 2*time.Minute; t += d {
		at = append(at, t)
	}
	return at
}

// TestSchedule has the jobs run for two minutes, in which there is nothing to do.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("postgres", map[string]int{})
		stop := maintenance.New(f, config(), time.Now, slog.New(slog.DiscardHandler)).Start(t.Context())
		time.Sleep(2*time.Minute - time.Nanosecond)
		require.NoError(t, stop(t.Context()))
		flushes := f.of("flush")
		last := flushes[len(flushes)-1]
		assert.True(t, last.all, "what waits is written in the end")
		assert.Equal(t, every(time.Second), times(flushes[:len(flushes)-1]))
		for job, interval := range map[string]time.Duration{
			"roll up": time.Second, "apply": time.Second, "expire": 5 * time.Second, "analyze": 5 * time.Second,
			"purge ended": 10 * time.Second, "purge tombstones": 10 * time.Second, "purge audit log": 10 * time.Second,
		} {
			assert.Equal(t, every(interval), times(f.of(job)), job)
		}
		assert.Equal(t, time.Hour, f.of("purge ended")[0].age)
		assert.Equal(t, 1000*time.Minute, f.of("purge tombstones")[0].age)
		assert.Equal(t, 1000*time.Minute, f.of("purge audit log")[0].age)
		done := len(f.calls)
		time.Sleep(time.Minute)
		assert.Len(t, f.calls, done, "nothing runs any more")
	})
}

// TestThrottle: nine tenths of the time are left to others, and no job goes on without a pause.
func TestThrottle(t *testing.T) {
	for takes, interval := range map[time.Duration]time.Duration{
		0: 20 * time.Millisecond, time.Millisecond: 21 * time.Millisecond, 10 * time.Millisecond: 100 * time.Millisecond,
	} {
		t.Run(takes.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				jobs := []string{"apply", "expire", "purge ended", "purge tombstones", "purge audit log"}
				left := map[string]int{}
				for _, job := range jobs {
					left[job] = 110
				}
				f := newFake("postgres", left)
				f.takes = takes
				stop := maintenance.New(f, config(), time.Now, slog.New(slog.DiscardHandler)).Start(t.Context())
				time.Sleep(4 * time.Second)
				require.NoError(t, stop(t.Context()))
				for _, job := range jobs {
					calls := f.of(job)
					require.Zero(t, f.left[job], job)
					for i := 1; calls[i-1].limit*i <= 110; i++ { // the full ones, and the one that is not
						assert.Equal(t, interval, calls[i].at-calls[i-1].at, "%s, batch %d", job, i)
					}
				}
			})
		})
	}
}

// TestBatches: how much one transaction does.
func TestBatches(t *testing.T) {
	for engine, rollUp := range map[string]int{"postgres": 10_000, "sqlite": 500} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(engine, map[string]int{"roll up": 3*rollUp + 1})
			stop := maintenance.New(f, config(), time.Now, slog.New(slog.DiscardHandler)).Start(t.Context())
			time.Sleep(time.Millisecond)
			require.NoError(t, stop(t.Context()))
			assert.Equal(t, slices.Repeat([]call{{job: "roll up", limit: rollUp}}, 4), f.of("roll up"), "at once, without a pause")
			assert.Equal(t, 25, f.of("apply")[0].limit)
			for _, job := range []string{"expire", "purge ended", "purge tombstones", "purge audit log"} {
				assert.Equal(t, 50, f.of(job)[0].limit, job)
			}
		})
	}
}

// TestFailuresAreTriedAgain: each is one line in the log, and the job runs again when it would otherwise.
func TestFailuresAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := newFake("sqlite", map[string]int{})
		f.err = errors.New("away")
		stop := maintenance.New(f, config(), time.Now, slog.New(slog.NewTextHandler(&log, nil))).Start(t.Context())
		time.Sleep(10*time.Second - time.Nanosecond)
		synctest.Wait()
		for job, n := range map[string]int{
			"flush activity": 10, "roll up counters": 10, "apply bulk revocations": 10, "run revocation jobs": 10, "record expired sessions": 2, "analyze": 2, "purge": 1,
		} {
			assert.Equal(t, n, strings.Count(log.String(), fmt.Sprintf(`msg="maintenance failed and is tried again" job=%s error=away`, quoted(job))), job)
		}
		assert.Empty(t, f.of("purge audit log"))
		f.mu.Lock()
		f.err = nil
		f.mu.Unlock()
		time.Sleep(time.Second)
		assert.Len(t, f.of("purge audit log"), 1)
		require.NoError(t, stop(t.Context()))
	})
}

// quoted is a text as slog's text format has it.
func quoted(text string) string {
	if strings.Contains(text, " ") {
		return `"` + text + `"`
	}
	return text
}

// TestStopWaits: the transaction under way ends first, no other begins, and what still waits of the activity is written last.
func TestStopWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("postgres", map[string]int{"expire": 1000, "roll up": 1 << 20})
		f.takes = time.Second
		stop := maintenance.New(f, config(), time.Now, slog.New(slog.DiscardHandler)).Start(t.Context())
		time.Sleep(time.Millisecond)
		require.NoError(t, stop(t.Context()))
		assert.Equal(t, 2*time.Second, time.Since(f.began))
		assert.Len(t, f.of("expire"), 1)
		assert.Len(t, f.of("roll up"), 1)
		assert.True(t, f.calls[len(f.calls)-1].all)
	})
}
