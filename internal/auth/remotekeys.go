package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Timing says how remote keys are kept. A zero field takes the default.
type Timing struct {
	// Refresh is the age from which cached keys are fetched anew while they go on being used: 15 minutes.
	Refresh time.Duration
	// Interval is the least time between two fetches after a failure, and the average time between two that unknown key ids
	// cause (see unknownIDBurst): 30 seconds.
	Interval time.Duration
	// ColdInterval is the least time between two attempts while there are no keys to use at all: 5 seconds.
	ColdInterval time.Duration
	// MaxAge is the age up to which cached keys are used when the issuer cannot be reached: 24 hours.
	MaxAge time.Duration
	// Timeout bounds one attempt, discovery included: 5 seconds.
	Timeout time.Duration
}

func (t Timing) withDefaults() Timing {
	for field, value := range map[*time.Duration]time.Duration{
		&t.Refresh:      15 * time.Minute,
		&t.Interval:     30 * time.Second,
		&t.ColdInterval: 5 * time.Second,
		&t.MaxAge:       24 * time.Hour,
		&t.Timeout:      5 * time.Second,
	} {
		if *field <= 0 {
			*field = value
		}
	}
	return t
}

// unknownIDBurst is how many fetches unknown key ids may cause at once. With only one, a stranger who sends one invented id
// an interval would keep every new key of the issuer unknown for as long.
const unknownIDBurst = 4

// RemoteKeys fetches an issuer's key set and caches it. Nothing is fetched before the first need and nothing runs in
// between: a caller whose key is cached never waits, not even when it is the one that sets off a refresh.
type RemoteKeys struct {
	locate func(context.Context) (string, error)
	client *http.Client
	now    func() time.Time
	timing Timing

	mu        sync.Mutex
	keys      StaticKeys
	fetchedAt time.Time     // when the attempt began that brought the keys; zero before the first
	triedAt   time.Time     // when the last attempt began
	fullAt    time.Time     // when the budget of fetches for unknown ids is full again; see spend
	failure   error         // of the last attempt
	flight    chan struct{} // closed when the attempt under way is over; nil when there is none
}

// NewRemoteKeys returns the keys published at a JWKS address. A nil client means one with default settings.
func NewRemoteKeys(url string, client *http.Client, now func() time.Time, timing Timing) *RemoteKeys {
	locate := func(context.Context) (string, error) { return url, nil }
	return &RemoteKeys{locate: locate, client: cautious(client), now: now, timing: timing.withDefaults()}
}

// NewDiscoveredKeys returns the keys of an issuer that publishes where they are (see Discover). The look-up is made with
// every fetch, so that a start while the issuer is down is a service that is not ready and not one that is not there.
func NewDiscoveredKeys(issuer string, client *http.Client, now func() time.Time, timing Timing) *RemoteKeys {
	keys := NewRemoteKeys("", client, now, timing)
	keys.locate = func(ctx context.Context) (string, error) { return Discover(ctx, issuer, client) }
	return keys
}

// Keys returns the keys with this id. An id that is not cached causes a fetch, as long as the budget for such fetches lasts:
// on average one per interval, however many ids strangers invent. When it is spent, such an id has no keys.
func (r *RemoteKeys) Keys(ctx context.Context, kid string) ([]Key, error) {
	r.mu.Lock()
	now := r.now()
	usable := r.usable(now)
	if found := r.keys[kid]; usable && len(found) > 0 {
		if r.due(now) {
			r.start(ctx, now)
		}
		r.mu.Unlock()
		return found, nil
	}
	flight := r.flight
	if flight == nil && r.mayAsk(now, usable) {
		flight = r.start(ctx, now)
	}
	r.mu.Unlock()
	if err := wait(ctx, flight); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.unavailable(); err != nil {
		return nil, err
	}
	return r.keys[kid], nil
}

// Ready returns nil when there are keys to use, after trying to get some if there are none. Asked regularly, as readiness
// is, it also keeps the keys of an idle service from growing old.
func (r *RemoteKeys) Ready(ctx context.Context) error {
	r.mu.Lock()
	now := r.now()
	flight := r.flight
	if r.usable(now) {
		flight = nil // a refresh is nothing to wait for
		if r.due(now) {
			r.start(ctx, now)
		}
	} else if flight == nil && elapsed(r.triedAt, now, r.timing.ColdInterval) {
		flight = r.start(ctx, now)
	}
	r.mu.Unlock()
	if err := wait(ctx, flight); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unavailable()
}

// usable reports whether the cached keys may be used; none were ever fetched is older than any maximum. Called with the
// lock held, like the next three.
func (r *RemoteKeys) usable(now time.Time) bool {
	return now.Sub(r.fetchedAt) <= r.timing.MaxAge
}

// unavailable returns the error for keys that may not be used, and nil otherwise.
func (r *RemoteKeys) unavailable() error {
	switch {
	case r.usable(r.now()):
		return nil
	case r.failure != nil:
		return fmt.Errorf("%w: %w", ErrKeysUnavailable, r.failure)
	default:
		return ErrKeysUnavailable
	}
}

// due reports whether usable keys are old enough for a refresh and one may start now.
func (r *RemoteKeys) due(now time.Time) bool {
	return r.flight == nil && elapsed(r.fetchedAt, now, r.timing.Refresh) && elapsed(r.triedAt, now, r.timing.Interval)
}

// mayAsk reports whether a key id that is not cached may cause a fetch now. After a failure an interval has to pass; a successful
// routine fetch does not hold up a rotation right after it.
func (r *RemoteKeys) mayAsk(now time.Time, usable bool) bool {
	if !usable {
		return elapsed(r.triedAt, now, r.timing.ColdInterval)
	}
	if r.failure != nil && !elapsed(r.triedAt, now, r.timing.Interval) {
		return false
	}
	return r.spend(now)
}

// spend takes one fetch from the budget for unknown key ids, if there is one left. The budget is a token bucket of
// unknownIDBurst fetches, one of which comes back each interval. It is kept as the time at which it is full again, so that
// no timer has to fill it, and a clock that is set back costs one interval at the most.
func (r *RemoteKeys) spend(now time.Time) bool {
	full := unknownIDBurst * r.timing.Interval
	missing := min(max(0, r.fullAt.Sub(now)), full)
	affordable := missing+r.timing.Interval <= full
	if affordable {
		missing += r.timing.Interval
	}
	r.fullAt = now.Add(missing)
	return affordable
}

// start begins an attempt and returns the channel that closes at its end. It outlives the request that caused it, since
// others wait for it as well.
func (r *RemoteKeys) start(ctx context.Context, now time.Time) chan struct{} {
	flight := make(chan struct{})
	r.flight, r.triedAt = flight, now
	ctx = context.WithoutCancel(ctx)
	go func() {
		defer close(flight)
		keys, err := r.fetch(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.flight, r.failure = nil, err
		if err == nil {
			r.keys, r.fetchedAt = keys, now
		}
	}()
	return flight
}

// fetch makes one attempt.
func (r *RemoteKeys) fetch(ctx context.Context) (StaticKeys, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timing.Timeout)
	defer cancel()
	url, err := r.locate(ctx)
	if err != nil {
		return nil, err
	}
	data, err := getDocument(ctx, r.client, url)
	if err != nil {
		return nil, err
	}
	keys, err := parseKeySet(data)
	if err != nil {
		return nil, fmt.Errorf("the key set at %s cannot be used: %w", url, err)
	}
	return keys, nil
}

// wait returns when the attempt is over, and an error when the caller gives up before; a nil channel is no wait.
func wait(ctx context.Context, flight <-chan struct{}) error {
	if flight == nil {
		return nil
	}
	select {
	case <-flight:
		return nil
	case <-ctx.Done():
		return errors.Join(ErrKeysUnavailable, ctx.Err())
	}
}

// elapsed reports whether at least d lies between the two times. A clock that was set back counts as elapsed, else no fetch
// would happen until it has caught up.
func elapsed(since, now time.Time, d time.Duration) bool {
	passed := now.Sub(since)
	return passed >= d || passed < 0
}
