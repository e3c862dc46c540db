package httpserver

import (
	"fmt"
	"math"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"
)

// maxBuckets bounds how many keys have a token bucket: those that were used last. A key that was evicted begins with a full burst
// again.
const maxBuckets = 1 << 16

// Rate is how often one may ask: PerSecond on average, and Burst at once. There is no limit when PerSecond is zero; a Burst
// of zero is what one second allows, and one at least.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Rates are the limits of a server.
type Rates struct {
	// Address is counted before authentication, by ClientNetwork.
	Address Rate
	// Principal is counted right after, by the token's tenant and subject.
	Principal Rate
}

// RateLimitError refuses a request: 429.
type RateLimitError struct {
	// RetryAfter is how many seconds the client has to wait.
	RetryAfter int
}

// Error implements error.
func (e *RateLimitError) Error() string { return "rate limit exceeded" }

// RateLimit is a step that refuses a request with a *RateLimitError when its key has been used too often. A request without a key is
// not counted. Without a limit the step does nothing.
func RateLimit[K comparable](limit Rate, now func() time.Time, key func(echo.Context) (K, bool)) (echo.MiddlewareFunc, error) {
	if limit.PerSecond <= 0 {
		return passThrough, nil
	}
	limits, err := newLimiter[K](limit, now)
	if err != nil {
		return nil, err
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if k, counted := key(c); counted {
				if err := limits.take(k); err != nil {
					return err
				}
			}
			return next(c)
		}
	}, nil
}

// limiter has a token bucket for each key, and is safe for concurrent use.
type limiter[K comparable] struct {
	rate    Rate
	now     func() time.Time
	buckets *lru.Cache[K, *rate.Limiter]
}

func newLimiter[K comparable](r Rate, now func() time.Time) (*limiter[K], error) {
	if r.Burst <= 0 {
		r.Burst = max(1, int(min(r.PerSecond, math.MaxInt32)))
	}
	buckets, err := lru.New[K, *rate.Limiter](maxBuckets)
	if err != nil {
		return nil, fmt.Errorf("rate limit: %w", err)
	}
	return &limiter[K]{rate: r, now: now, buckets: buckets}, nil
}

// take allows one more request of a key, or returns a *RateLimitError.
func (l *limiter[K]) take(key K) error {
	bucket, found := l.buckets.Get(key)
	if !found {
		bucket = rate.NewLimiter(rate.Limit(l.rate.PerSecond), l.rate.Burst)
		if other, found, _ := l.buckets.PeekOrAdd(key, bucket); found {
			bucket = other
		}
	}
	now := l.now()
	if bucket.AllowN(now, 1) {
		return nil
	}
	missing := 1 - bucket.TokensAt(now)
	return &RateLimitError{RetryAfter: max(1, int(math.Ceil(min(missing/l.rate.PerSecond, math.MaxInt32))))}
}
