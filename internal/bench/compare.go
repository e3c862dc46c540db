package bench

import (
	"context"
	"slices"
	"time"
)

// row is what was measured of one operation on one class of tenants at one server.
type row struct {
	op     operation
	class  string
	server *server
	rounds []result
	// ratios are the rates of the rounds over those of the floor's.
	ratios []float64
}

// compare lets the servers take turns.
func (b *bench) compare(ctx context.Context, op operation, class int) ([]row, error) {
	rows := make([]row, len(b.servers))
	for i, s := range b.servers {
		rows[i] = row{op: op, class: s.classes[class].name, server: s}
		// Caches and connections warm up before anything counts.
		if _, err := b.round(ctx, op, s, class, 4); err != nil {
			return nil, err
		}
	}
	for range b.config.Rounds {
		for i, s := range b.servers {
			result, err := b.round(ctx, op, s, class, 1)
			if err != nil {
				return nil, err
			}
			rows[i].rounds = append(rows[i].rounds, result)
		}
	}
	floor := slices.IndexFunc(rows, func(r row) bool { return r.server.isFloor })
	for i := range rows {
		for n, round := range rows[i].rounds {
			rows[i].ratios = append(rows[i].ratios, round.rate()/rows[floor].rounds[n].rate())
		}
		b.progress("%-24s %-8s %-18s %8.0f/s  %.2f", op.name, rows[i].class, rows[i].server.name, rows[i].rate(), median(rows[i].ratios))
	}
	return rows, nil
}

// round measures once, or a part of that.
func (b *bench) round(ctx context.Context, op operation, s *server, class, part int) (result, error) {
	b.seed++
	l := load{
		addr: s.process.addr, workers: b.config.Concurrency, length: b.config.Round / time.Duration(part),
		requests: b.config.Requests / part, seed: b.seed, class: s.classes[class], make: op.sessiond, expect: op.expect,
	}
	if s.isFloor {
		l.make, l.expect = op.floor, op.floorExpect
	}
	server, database := s.process.cpu(), familyCPU(s.postmaster)
	measured, err := l.run(ctx)
	measured.serverCPU, measured.databaseCPU = s.process.cpu()-server, familyCPU(s.postmaster)-database
	return measured, err
}

func (r row) rate() float64 {
	rates := make([]float64, len(r.rounds))
	for i, round := range r.rounds {
		rates[i] = round.rate()
	}
	return median(rates)
}

// quantile is over the requests of all rounds.
func (r row) quantile(q float64) time.Duration {
	var all []time.Duration
	for _, round := range r.rounds {
		all = append(all, round.latencies...)
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[int(q*float64(len(all)-1))]
}

// perRequest spreads a cost over the requests.
func (r row) perRequest(cost func(result) time.Duration) time.Duration {
	var sum time.Duration
	n := 0
	for _, round := range r.rounds {
		sum, n = sum+cost(round), n+len(round.latencies)
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
