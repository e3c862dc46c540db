package chaos

import (
	"context"
	"math/rand/v2"
	"time"
)

// batchSize is how many sessions a revocation of several is to end.
const batchSize = 4

// writer registers sessions, records applications and revokes, one request after the other.
type writer struct {
	client *Client
	*journal
	random *rand.Rand
	// onAck is called after each write that was acknowledged.
	onAck func()
}

// run writes until the context is done. A request that is under way then is waited for.
func (w *writer) run(ctx context.Context) {
	sending := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		n := len(w.entries)
		w.entries = append(w.entries, entry{})
		w.register(sending, n)
		switch roll := w.random.IntN(100); {
		case roll < 30:
			w.signOn(sending, n-w.random.IntN(min(n+1, 8)))
		case roll < 70:
			w.revoke(sending, n-w.random.IntN(min(n+1, 8)))
		case roll < 75:
			w.revokeBatch(sending)
		}
	}
}

// backOff pauses after a write without success: the server is being started again.
func (w *writer) backOff(o outcome) outcome {
	if o == acknowledged {
		w.onAck()
	} else {
		time.Sleep(20 * time.Millisecond)
	}
	return o
}

func (w *writer) register(ctx context.Context, n int) {
	got, err := w.client.register(ctx, w.tenant(), w.user(), w.id(n))
	w.entries[n].register = w.backOff(w.outcome("registration", n, got, err, false))
}

func (w *writer) signOn(ctx context.Context, n int) {
	e := &w.entries[n]
	if e.tried == 8 {
		return
	}
	app := e.tried
	got, err := w.client.signOn(ctx, w.id(n), w.app(app))
	e.tried++
	if w.backOff(w.outcome("application", n, got, err, e.register == unknown || e.revoke != untried)) == acknowledged {
		e.reached |= 1 << app
	}
}

func (w *writer) revoke(ctx context.Context, n int) {
	e := &w.entries[n]
	if e.batch != 0 {
		return // it would no longer tell whether the batch was carried out whole
	}
	got, err := w.client.revoke(ctx, w.tenant(), w.id(n))
	o := w.backOff(w.outcome("revocation", n, got, err, e.register == unknown))
	if o == acknowledged {
		w.addEnded(n)
	}
	e.revoke = max(e.revoke, o)
}

// revokeBatch registers sessions and ends them together.
func (w *writer) revokeBatch(ctx context.Context) {
	first := len(w.entries)
	w.batches++
	ids := make([]string, batchSize)
	for i := range ids {
		w.entries = append(w.entries, entry{batch: w.batches})
		w.register(ctx, first+i)
		ids[i] = w.id(first + i)
	}
	got, err := w.client.revokeSome(ctx, w.tenant(), w.user(), ids)
	o := w.backOff(w.outcome("revocation of several, the first", first, got, err, false))
	for n := first; n < first+batchSize; n++ {
		// A session whose registration is in doubt is passed over in silence when it is not there.
		w.entries[n].revoke = o
		if o == acknowledged && w.entries[n].register == unknown {
			w.entries[n].revoke = unknown
		}
		if w.entries[n].revoke == acknowledged {
			w.addEnded(n)
		}
	}
}
