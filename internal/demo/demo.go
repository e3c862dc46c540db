// Package demo fills a store with partners, tenants, users and sessions that look like those of a real service, so that
// a newcomer sees lists with something in them. Sessions have numbers, in the order of their sign-in; the number decides
// the session's id and its owner, whenever it is stored.
package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/sessiond/sessiond/store"
)

const (
	// batch is how many sessions are stored in one transaction.
	batch = 2000
	// probes is how many of a batch's sessions are looked up to learn whether it is stored: some may have been erased since.
	probes = 3
)

// Store is what Fill needs of a store.
type Store interface {
	ImportSessions(ctx context.Context, rows store.Import) error
	HasSession(ctx context.Context, id string) (bool, error)
}

// Fill stores demo sessions until there are n, made in the thirty days before now, and returns how many it added. It goes on
// where an earlier call stopped: batches are stored in order, each in one transaction. The progress is how many of the n are
// stored, reported at the beginning and after each batch.
func Fill(ctx context.Context, into Store, n int, now time.Time, progress func(stored int)) (added int, err error) {
	from, err := resumeAt(ctx, into, n)
	if err != nil {
		return 0, err
	}
	progress(from)
	m := newMaker(n, now)
	for first := from; first < n; first += batch {
		numbers := sequence(first, min(first+batch, n))
		if first == from { // an earlier call for fewer sessions may have ended within this batch
			if numbers, err = missing(ctx, into, numbers); err != nil {
				return added, err
			}
		}
		if err := into.ImportSessions(ctx, m.rows(numbers)); err != nil {
			return added, fmt.Errorf("store demo sessions: %w", err)
		}
		added += len(numbers)
		progress(min(first+batch, n))
	}
	return added, nil
}

// Started reports whether a store has demo sessions: any of the first ones, some of which may have been erased since.
func Started(ctx context.Context, in Store) (bool, error) {
	absent, err := missing(ctx, in, sequence(0, probes))
	return len(absent) < probes, err
}

// resumeAt is the number of the first session that is not known to be stored: the end of the last batch that is.
func resumeAt(ctx context.Context, in Store, n int) (int, error) {
	last := (n - 1) / batch * batch
	for first := last; first >= 0; first -= batch {
		end := min(first+batch, n)
		absent, err := missing(ctx, in, sequence(max(first, end-probes), end))
		if err != nil {
			return 0, err
		}
		if len(absent) < end-max(first, end-probes) {
			return end, nil
		}
	}
	return 0, nil
}

// missing are those of the numbers whose sessions are not stored.
func missing(ctx context.Context, in Store, numbers []int) ([]int, error) {
	var absent []int
	for _, number := range numbers {
		stored, err := in.HasSession(ctx, sessionID(number))
		if err != nil {
			return nil, fmt.Errorf("look for demo sessions: %w", err)
		}
		if !stored {
			absent = append(absent, number)
		}
	}
	return absent, nil
}

// sequence is the numbers from one up to, and without, another.
func sequence(from, to int) []int {
	numbers := make([]int, 0, to-from)
	for number := from; number < to; number++ {
		numbers = append(numbers, number)
	}
	return numbers
}
