// Package chaos puts sessiond under faults and holds what it promised against what is left: no acknowledged write is lost,
// no session is half written, and nothing that has ended is called active again.
//
// Everything is done from outside: the built program, its HTTP interface, signals to its process and to those of
// PostgreSQL, and SQL on what is left. Each kind of run has a control, in which a promise is broken on purpose, to show
// that the run would notice.
//
// It reads /proc, so it runs on Linux.
package chaos

import (
	"context"
	"errors"
	"time"
)

// patience is ample for a program on a busy machine to start, to recover or to end.
const patience = 60 * time.Second

// clock is the one place where time enters.
func clock() time.Time { return time.Now() } //nolint:forbidigo // programs are waited for in real time

// errPatience is the error of what does not come about.
var errPatience = errors.New("it does not come about")

// await asks until the answer is nil, and gives up when the patience ends.
func await(ctx context.Context, ask func() error) error {
	var err error
	for deadline := clock().Add(patience); clock().Before(deadline); {
		if err = ask(); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errors.Join(errPatience, err)
}
