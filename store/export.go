package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

const (
	// exportsAtOnce and exportsOfOne bound the exports under way: each keeps a connection and a state of the database for minutes.
	exportsAtOnce = 4
	exportsOfOne  = 1
	// exportWait is how long an export waits for its turn.
	exportWait = 10 * time.Second
	// exportChunk is how many rows of an export are in memory.
	exportChunk = 500
)

// EachSession calls do with every session that SearchSessions would find on all its pages, in their order, and all in one state of the
// database. Its memory does not grow with their number. Pages and cursors are left out of account. The error of do ends it.
//
// It must answer ErrUnavailable when others export, and it is not its turn within ten seconds.
func (s *Store) EachSession(ctx context.Context, scope Scope, filter SessionFilter, page SessionPage, do func(Session) error) error {
	scope, err := s.knownPartner(ctx, scope)
	if err != nil || scope.empty() || !filter.storable() {
		return mapError("export sessions", err)
	}
	if page.Sort == "" {
		page.Sort = SortCreated
	}
	return s.export(ctx, scope, func(read reader) error {
		q := search{Store: s, scope: scope, filter: filter, page: page, now: s.now()}
		return q.run(ctx, read, func(tx *gorm.DB) error { return q.each(tx, do) })
	})
}

// each calls do with every session that is found.
func (q search) each(tx *gorm.DB, do func(Session) error) error {
	for {
		chunk, err := q.sessions(tx, nil, exportChunk)
		if err != nil {
			return mapError("export sessions", err)
		}
		for _, session := range chunk {
			if err := do(session); err != nil {
				return err
			}
		}
		if len(chunk) < exportChunk {
			return nil
		}
		q.from = new(q.placeOf(chunk[len(chunk)-1]))
	}
}

// EachEvent calls do with every event that ListEvents would return on all its pages, as EachSession does with sessions.
func (s *Store) EachEvent(ctx context.Context, scope Scope, filter EventFilter, do func(AuditEvent) error) error {
	scope, err := s.knownPartner(ctx, scope)
	if err != nil || scope.empty() || !filter.storable() {
		return mapError("export events", err)
	}
	q := eventQuery{scope: scope, filter: filter}
	return s.export(ctx, scope, func(read reader) error {
		return read(ctx, func(tx *gorm.DB) error { return q.each(tx, do) })
	})
}

// each calls do with every event that is asked for.
func (q eventQuery) each(tx *gorm.DB, do func(AuditEvent) error) error {
	for {
		chunk, next, err := q.page(tx, exportChunk)
		if err != nil {
			return mapError("export events", err)
		}
		for _, event := range chunk {
			if err := do(event); err != nil {
				return err
			}
		}
		if next == nil {
			return nil
		}
		q.from = next
	}
}

// export runs do when it is its turn, with what runs something in a transaction that sees one state of the database.
func (s *Store) export(ctx context.Context, scope Scope, do func(read reader) error) error {
	of := owner(ctx, scope.tenantID())
	waiting, cancel := context.WithTimeout(ctx, exportWait)
	err := s.exports.Acquire(waiting, of)
	cancel()
	if err != nil {
		return fmt.Errorf("%w: other exports are under way", ErrUnavailable)
	}
	defer s.exports.Release(of)
	return do(s.read)
}
