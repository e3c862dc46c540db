package pgtest

import (
	"context"
	"errors"
	"time"
)

// patience is ample for a server on a busy machine to start or to recover.
const patience = 60 * time.Second

// WaitFor waits until a database can be connected to, by a server or by a connection pooler.
func WaitFor(ctx context.Context, databaseURL string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := Do(ctx, databaseURL)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
