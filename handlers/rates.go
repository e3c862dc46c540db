package handlers

import (
	"math"
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"github.com/sessiond/sessiond/internal/auth"
)

// maxBuckets bounds how many principals, and how many addresses, are remembered: those that asked last. One that is
// forgotten begins with a full burst again.
const maxBuckets = 1 << 16

// Rate is how often one may ask: PerSecond on average, and Burst at once. There is no limit when PerSecond is zero; a Burst
// of zero is what one second allows, and one at least.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Rates are the limits of a server.
type Rates struct {
	// Address is counted before authentication. What a client of IPv6 is given is a network of 64 bits: that is one address.
	Address Rate
	// Principal is counted right after, by the token's tenant and subject.
	Principal Rate
}

// rateError: the one who asks has to wait so many seconds.
type rateError struct{ seconds int }

func (e *rateError) Error() string { return "asked too often" }

// limiter has a token bucket for each key, and is safe for concurrent use.
type limiter[K comparable] struct {
	rate    Rate
	now     func() time.Time
	buckets *lru.Cache[K, *rate.Limiter]
}

// newLimiter returns nil when there is no limit.
func newLimiter[K comparable](r Rate, now func() time.Time) (*limiter[K], error) {
	if r.PerSecond <= 0 {
		return nil, nil //nolint:nilnil // a nil limiter is one that allows everything
	}
	if r.Burst <= 0 {
		r.Burst = max(1, int(min(r.PerSecond, math.MaxInt32)))
	}
	buckets, err := lru.New[K, *rate.Limiter](maxBuckets)
	return &limiter[K]{rate: r, now: now, buckets: buckets}, err
}

// take allows one more request of a key, or returns a *rateError.
func (l *limiter[K]) take(key K) error {
	if l == nil {
		return nil
	}
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
	return &rateError{seconds: max(1, int(math.Ceil(min(missing/l.rate.PerSecond, math.MaxInt32))))}
}

// limitAddresses refuses an address that asks too often. Liveness is asked by whoever would otherwise restart the process.
func limitAddresses(l *limiter[netip.Prefix]) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if c.Request().URL.Path != livenessPath {
				if err := l.take(network(c.RealIP())); err != nil {
					return err
				}
			}
			return next(c)
		}
	}
}

// network is what counts as one address; the zero Prefix for what is none.
func network(address string) netip.Prefix {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	prefix, _ := ip.Prefix(bits) // these lengths fit
	return prefix
}

// principal is whom a token speaks for.
type principal struct{ tenant, subject string }

// limitPrincipals refuses a principal that asks too often.
func limitPrincipals(l *limiter[principal]) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if who, known := auth.FromContext(c.Request().Context()); known {
				if err := l.take(principal{who.TenantID, who.Subject}); err != nil {
					return err
				}
			}
			return next(c)
		}
	}
}
