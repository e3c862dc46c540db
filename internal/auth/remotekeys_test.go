package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clock is a time that tests move.
type clock struct{ nanoseconds atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanoseconds.Store(testTime.UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanoseconds.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.nanoseconds.Add(int64(d)) }

func jwksServer(t *testing.T, document func() []byte) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(document()) }))
	t.Cleanup(server.Close)
	return server
}

// publisher is an issuer's JWKS endpoint: it counts fetches, can be down, and can hold an answer back.
type publisher struct {
	*httptest.Server

	fetches atomic.Int64
	mu      sync.Mutex
	answer  http.HandlerFunc
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		p.mu.Lock()
		answer := p.answer
		p.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) does(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *publisher) publishes(document []byte) {
	p.does(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(document) })
}

func (p *publisher) isDown() {
	p.does(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
}

// waitForFetch waits for the fetch under way, if there is one.
func waitForFetch(t *testing.T, keys *RemoteKeys) {
	t.Helper()
	keys.mu.Lock()
	flight := keys.flight
	keys.mu.Unlock()
	require.NoError(t, wait(t.Context(), flight))
}

func requireKeys(t *testing.T, keys *RemoteKeys, kid string, count int) {
	t.Helper()
	found, err := keys.Keys(t.Context(), kid)
	require.NoError(t, err)
	require.Len(t, found, count)
}

func requireUnavailable(t *testing.T, keys *RemoteKeys, kid string) {
	t.Helper()
	found, err := keys.Keys(t.Context(), kid)
	require.ErrorIs(t, err, ErrKeysUnavailable)
	require.Empty(t, found)
}

func remoteKeys(t *testing.T) (*publisher, *clock, *RemoteKeys) {
	t.Helper()
	issuer, clock := newPublisher(t), newClock()
	issuer.publishes(keySet(t, jwk("a", "EdDSA", edKey())))
	return issuer, clock, NewRemoteKeys(issuer.URL, issuer.Client(), clock.now, Timing{})
}

func TestRemoteKeysFetchOnceAndCache(t *testing.T) {
	issuer, clock, keys := remoteKeys(t)
	require.Zero(t, issuer.fetches.Load(), "nothing is fetched before it is needed")
	require.NoError(t, keys.Ready(t.Context()))
	for range 10 {
		requireKeys(t, keys, "a", 1)
		require.NoError(t, keys.Ready(t.Context()))
	}
	clock.advance(15*time.Minute - 1)
	requireKeys(t, keys, "a", 1)
	waitForFetch(t, keys)
	require.EqualValues(t, 1, issuer.fetches.Load())
}

func TestRemoteKeysRefreshWithoutMakingAnyoneWait(t *testing.T) {
	issuer, clock, keys := remoteKeys(t)
	requireKeys(t, keys, "a", 1)
	clock.advance(15 * time.Minute)
	release := make(chan struct{})
	next := keySet(t, jwk("b", "EdDSA", edKey()))
	issuer.does(func(w http.ResponseWriter, _ *http.Request) { <-release; _, _ = w.Write(next) })
	for range 100 {
		requireKeys(t, keys, "a", 1) // would hang here if it waited
		require.NoError(t, keys.Ready(t.Context()))
	}
	close(release)
	waitForFetch(t, keys)
	require.EqualValues(t, 2, issuer.fetches.Load())
	requireKeys(t, keys, "a", 0) // a withdrawn key is gone after the refresh
	requireKeys(t, keys, "b", 1)
}

func TestReadinessKeepsIdleKeysFresh(t *testing.T) {
	issuer, clock, keys := remoteKeys(t)
	require.NoError(t, keys.Ready(t.Context()))
	issuer.publishes(keySet(t, jwk("b", "EdDSA", edKey())))
	clock.advance(15*time.Minute - 1)
	require.NoError(t, keys.Ready(t.Context()))
	waitForFetch(t, keys)
	requireKeys(t, keys, "a", 1)
	clock.advance(1)
	require.NoError(t, keys.Ready(t.Context()))
	waitForFetch(t, keys)
	requireKeys(t, keys, "a", 0) // asks anew for the unknown id: the third fetch
	require.EqualValues(t, 3, issuer.fetches.Load())
}

func TestRemoteKeysRotation(t *testing.T) {
	issuer, clock, keys := remoteKeys(t)
	requireKeys(t, keys, "a", 1)
	issuer.publishes(keySet(t, jwk("a", "EdDSA", edKey()), jwk("b", "EdDSA", strangeKey())))
	requireKeys(t, keys, "b", 1) // right after the first fetch
	require.EqualValues(t, 2, issuer.fetches.Load())

	requireKeys(t, keys, "forged", 0)
	requireKeys(t, keys, "forged", 0)
	requireKeys(t, keys, "forged", 0)
	require.EqualValues(t, 5, issuer.fetches.Load())
	issuer.publishes(keySet(t, jwk("c", "EdDSA", strangeKey())))
	requireKeys(t, keys, "c", 0) // the budget is spent
	clock.advance(30*time.Second - 1)
	requireKeys(t, keys, "c", 0)
	require.EqualValues(t, 5, issuer.fetches.Load())
	clock.advance(1)
	requireKeys(t, keys, "c", 1)
	requireKeys(t, keys, "a", 0)
	require.EqualValues(t, 6, issuer.fetches.Load())
}

// TestOneForgedKeyIDAnIntervalDoesNotDelayARotation has a stranger send one invented key id an interval, each time just
// before the first token of a new key.
func TestOneForgedKeyIDAnIntervalDoesNotDelayARotation(t *testing.T) {
	issuer, clock, keys := remoteKeys(t)
	requireKeys(t, keys, "a", 1)
	for range 100 {
		requireKeys(t, keys, "forged", 0)
		clock.advance(30 * time.Second)
	}
	requireKeys(t, keys, "forged", 0)
	issuer.publishes(keySet(t, jwk("a", "EdDSA", edKey()), jwk("b", "EdDSA", strangeKey())))
	requireKeys(t, keys, "b", 1)
	requireKeys(t, keys, "forged", 0)
	issuer.publishes(keySet(t, jwk("c", "EdDSA", strangeKey()))) // an emergency: the second rotation at once
	requireKeys(t, keys, "c", 1)
}

// TestClockSetBackDoesNotStopUnknownKeyIDs: however far the clock goes back, a token of a new key waits for one interval at the most.
func TestClockSetBackDoesNotStopUnknownKeyIDs(t *testing.T) {
	for _, back := range []time.Duration{time.Second, 29 * time.Second, time.Minute, 119 * time.Second, time.Hour} {
		issuer, clock, keys := remoteKeys(t)
		requireKeys(t, keys, "a", 1)
		for range 20 {
			requireKeys(t, keys, "forged", 0)
		}
		require.EqualValues(t, 5, issuer.fetches.Load())
		clock.advance(-back)
		requireKeys(t, keys, "forged", 0)
		issuer.publishes(keySet(t, jwk("b", "EdDSA", strangeKey())))
		clock.advance(30 * time.Second)
		requireKeys(t, keys, "b", 1)
	}
}

func TestFloodOfUnknownKeyIDs(t *testing.T) {
	issuer, clock, keys := remoteKeys(t)
	requireKeys(t, keys, "a", 1)
	verifier, err := NewVerifier(Config{Issuer: testIssuer, Audience: testAudience}, keys, clock.now)
	require.NoError(t, err)
	flood := func() {
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() {
				for i := range 50 {
					kid := fmt.Sprintf("kid-%d-%d", worker, i)
					_, err := verifier.Verify(context.Background(),
						forge(`{"alg":"EdDSA","typ":"at+jwt","kid":"`+kid+`"}`, `{}`, signEd(strangeKey())))
					if _, ok := errors.AsType[*Error](err); !ok {
						t.Errorf("want a refusal, got %v", err)
					}
				}
			})
		}
		group.Wait()
	}
	for interval := range 5 {
		flood()
		require.EqualValues(t, 1+unknownIDBurst+interval, issuer.fetches.Load(), "one fetch per interval after the first few")
		clock.advance(30 * time.Second)
	}
	requireKeys(t, keys, "a", 1)

	// The same while the issuer is down: failures do not bring more attempts.
	issuer.isDown()
	before := issuer.fetches.Load()
	for range 3 {
		flood()
		clock.advance(30 * time.Second)
	}
	require.Equal(t, before+3, issuer.fetches.Load())
	requireKeys(t, keys, "a", 1)
}

func TestColdStartIsOneFetchForAll(t *testing.T) {
	issuer, _, keys := remoteKeys(t)
	document := keySet(t, jwk("a", "EdDSA", edKey()))
	release := make(chan struct{})
	issuer.does(func(w http.ResponseWriter, _ *http.Request) { <-release; _, _ = w.Write(document) })
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			found, err := keys.Keys(context.Background(), "a")
			if err != nil || len(found) != 1 {
				t.Errorf("got %v, %v", found, err)
			}
		})
	}
	close(release)
	group.Wait()
	require.EqualValues(t, 1, issuer.fetches.Load())
}

func TestColdStartWithoutTheIssuer(t *testing.T) {
	issuer, clock, keys := remoteKeys(t)
	issuer.isDown()
	requireUnavailable(t, keys, "a")
	err := keys.Ready(t.Context())
	require.ErrorIs(t, err, ErrKeysUnavailable)
	require.ErrorContains(t, err, "502")
	for range 20 {
		requireUnavailable(t, keys, "a")
		require.ErrorIs(t, keys.Ready(t.Context()), ErrKeysUnavailable)
	}
	require.EqualValues(t, 1, issuer.fetches.Load())

	issuer.publishes(keySet(t, jwk("a", "EdDSA", edKey())))
	clock.advance(5*time.Second - 1)
	requireUnavailable(t, keys, "a")
	require.EqualValues(t, 1, issuer.fetches.Load())
	clock.advance(1)
	require.NoError(t, keys.Ready(t.Context()))
	requireKeys(t, keys, "a", 1)
	require.EqualValues(t, 2, issuer.fetches.Load())
}

func TestOutageKeepsKeysUpToTheMaximumAge(t *testing.T) {
	issuer, clock, keys := remoteKeys(t)
	requireKeys(t, keys, "a", 1)
	issuer.isDown()
	clock.advance(15 * time.Minute)
	for range 10 {
		requireKeys(t, keys, "a", 1)
		waitForFetch(t, keys)
	}
	require.EqualValues(t, 2, issuer.fetches.Load(), "a failure is not tried again at once")
	clock.advance(30 * time.Second)
	requireKeys(t, keys, "a", 1)
	waitForFetch(t, keys)
	require.EqualValues(t, 3, issuer.fetches.Load())
	requireKeys(t, keys, "unknown", 0) // no verdict would be more exact, but strangers could then cause 503s
	require.EqualValues(t, 3, issuer.fetches.Load())

	clock.advance(24*time.Hour - 15*time.Minute - 30*time.Second)
	require.NoError(t, keys.Ready(t.Context()))
	requireKeys(t, keys, "a", 1)
	waitForFetch(t, keys)
	clock.advance(1)
	requireUnavailable(t, keys, "a")
	require.ErrorIs(t, keys.Ready(t.Context()), ErrKeysUnavailable)

	issuer.publishes(keySet(t, jwk("a", "EdDSA", edKey())))
	clock.advance(5 * time.Second)
	requireKeys(t, keys, "a", 1)
	require.NoError(t, keys.Ready(t.Context()))
}

func TestUselessAnswersKeepTheCachedKeys(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"not found":   http.NotFound,
		"a page":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"no keys":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"no content":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"a cut-off":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"over 1 MiB":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(padded(t, maxDocument+1)) },
		"a loop":      func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) },
		"not a cache": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
	} {
		t.Run(name, func(t *testing.T) {
			issuer, clock, keys := remoteKeys(t)
			requireKeys(t, keys, "a", 1)
			issuer.does(answer)
			clock.advance(time.Hour)
			requireKeys(t, keys, "a", 1)
			waitForFetch(t, keys)
			requireKeys(t, keys, "a", 1)
			require.Error(t, keys.failure)
			require.LessOrEqual(t, issuer.fetches.Load(), int64(6))
		})
	}
	issuer, _, keys := remoteKeys(t)
	issuer.publishes(padded(t, maxDocument))
	requireKeys(t, keys, "a", 1)
}

// padded returns a good key set of an exact size.
func padded(t *testing.T, size int) []byte {
	t.Helper()
	document := keySet(t, jwk("a", "EdDSA", edKey()))
	return append(document, []byte(strings.Repeat(" ", size-len(document)))...)
}

// freeze makes the issuer hold its answer back until the channel is closed.
func (p *publisher) freeze(t *testing.T, document []byte) chan struct{} {
	t.Helper()
	release := make(chan struct{})
	p.does(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
			_, _ = w.Write(document)
		case <-r.Context().Done():
		}
	})
	return release
}

func TestFrozenIssuerIsGivenUp(t *testing.T) {
	issuer := newPublisher(t)
	issuer.freeze(t, nil)
	keys := NewRemoteKeys(issuer.URL, nil, newClock().now, Timing{Timeout: 50 * time.Millisecond})
	started := time.Now()
	requireUnavailable(t, keys, "a")
	require.Less(t, time.Since(started), 3*time.Second)
}

func TestImpatientCallerDoesNotSpoilTheAttempt(t *testing.T) {
	issuer, _, keys := remoteKeys(t)
	release := issuer.freeze(t, keySet(t, jwk("a", "EdDSA", edKey())))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := keys.Keys(ctx, "a")
	require.ErrorIs(t, err, ErrKeysUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, keys.Ready(ctx), context.DeadlineExceeded)
	close(release)
	requireKeys(t, keys, "a", 1)
	require.EqualValues(t, 1, issuer.fetches.Load())
}

func TestOneAttemptAtATime(t *testing.T) {
	issuer, clock, keys := remoteKeys(t)
	requireKeys(t, keys, "a", 1)
	clock.advance(time.Hour)
	release := issuer.freeze(t, keySet(t, jwk("a", "EdDSA", edKey()), jwk("b", "EdDSA", edKey())))
	requireKeys(t, keys, "a", 1) // sets off a refresh
	clock.advance(time.Hour)
	requireKeys(t, keys, "a", 1) // the refresh is still under way
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := keys.Keys(ctx, "b") // waits for the same refresh
	require.ErrorIs(t, err, context.DeadlineExceeded)
	close(release)
	waitForFetch(t, keys)
	require.EqualValues(t, 2, issuer.fetches.Load())
	requireKeys(t, keys, "b", 1) // sets off another refresh: the last one began an hour ago
}

func TestClockSetBackDoesNotStopRefreshes(t *testing.T) {
	issuer, clock, keys := remoteKeys(t)
	requireKeys(t, keys, "a", 1)
	clock.advance(-time.Hour)
	requireKeys(t, keys, "a", 1)
	waitForFetch(t, keys)
	require.EqualValues(t, 2, issuer.fetches.Load())
}

func TestVerifyAgainstRemoteKeys(t *testing.T) {
	issuer, clock, keys := remoteKeys(t)
	issuer.publishes(keySet(t, jwk("old", "EdDSA", edKey())))
	verifier, err := NewVerifier(Config{Issuer: testIssuer, Audience: testAudience}, keys, clock.now)
	require.NoError(t, err)
	_, err = verifier.Verify(t.Context(), sign(t, "old", "EdDSA", edKey(), claims(nil)))
	require.NoError(t, err)
	issuer.publishes(keySet(t, jwk("new", "ES256", ecKey())))
	_, err = verifier.Verify(t.Context(), sign(t, "new", "ES256", ecKey(), claims(nil)))
	require.NoError(t, err)
	_, err = verifier.Verify(t.Context(), sign(t, "old", "EdDSA", edKey(), claims(nil)))
	requireInvalid(t, err)
}
