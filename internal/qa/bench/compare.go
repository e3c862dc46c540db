package bench

import (
	"context"
	"slices"
	"syscall"
	"time"
)

// contestant is one of those that take turns, and what was measured of it.
type contestant struct {
	// What a report says of it.
	operation, class, name string
	concurrency            int
	// most bounds the requests of a round, when it is not 0; once: each is about another session.
	most int
	once bool

	server *server
	load   load

	rounds []result
	// ratios are its rounds' rates over those of the one that it is held against.
	ratios []float64
	// slowest are their p99 over those of that one.
	slowest []float64
}

// compare lets contestants take turns, and holds each against the one with that index.
func (b *bench) compare(ctx context.Context, contestants []*contestant, reference int) error {
	for _, c := range contestants {
		// Caches and connections warm up before anything counts.
		if _, err := b.round(ctx, c, 4); err != nil {
			return err
		}
	}
	order := slices.Clone(contestants)
	for range b.config.Rounds {
		// What a round leaves to do in the background falls to each in turn.
		slices.Reverse(order)
		for _, c := range order {
			measured, err := b.round(ctx, c, 1)
			if err != nil {
				return err
			}
			c.rounds = append(c.rounds, measured)
		}
	}
	for _, c := range contestants {
		for n, round := range c.rounds {
			other := contestants[reference].rounds[n]
			c.ratios = append(c.ratios, round.rate()/other.rate())
			c.slowest = append(c.slowest, quantile(round.latencies, 0.99).Seconds()/quantile(other.latencies, 0.99).Seconds())
		}
		b.progress("%-24s %3d %-16s %-22s %9.1f/s  %.2f", c.operation, c.concurrency, c.class, c.name, c.rate(), median(c.ratios))
	}
	return nil
}

// round measures once, or a part of that.
func (b *bench) round(ctx context.Context, c *contestant, part int) (result, error) {
	b.seed++
	l := c.load
	l.addr, l.seed = c.server.process.addr, b.seed
	l.length, l.requests = b.config.Round/time.Duration(part), b.config.Requests/part
	if c.most > 0 {
		l.requests = b.most(c.most) / part
		if c.once { // enough has to be left for all rounds and concurrencies
			l.requests = max(1, min(l.requests, len(l.class.active)/(len(b.config.Concurrency)*(b.config.Rounds+1))/part))
		}
	}
	server, database, own := c.server.process.cpu(), familyCPU(c.server.postmaster), ownCPU()
	measured, err := l.run(ctx)
	measured.serverCPU, measured.databaseCPU = c.server.process.cpu()-server, familyCPU(c.server.postmaster)-database
	measured.loadCPU = ownCPU() - own
	return measured, err
}

// ownCPU is what this process has taken.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func (c *contestant) rate() float64 {
	rates := make([]float64, len(c.rounds))
	for i, round := range c.rounds {
		rates[i] = round.rate()
	}
	return median(rates)
}

// quantile is over the requests of all rounds.
func (c *contestant) quantile(q float64) time.Duration {
	var all []time.Duration
	for _, round := range c.rounds {
		all = append(all, round.latencies...)
	}
	return quantile(slices.Sorted(slices.Values(all)), q)
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}

// perRequest spreads a cost over the requests.
func perRequest(contestants []*contestant, cost func(result) time.Duration) time.Duration {
	var sum time.Duration
	n := 0
	for _, c := range contestants {
		for _, round := range c.rounds {
			sum, n = sum+cost(round), n+len(round.latencies)
		}
	}
	return sum / time.Duration(max(n, 1))
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}
