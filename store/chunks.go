package store

import (
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"
)

// defaultChunkSize is how many sessions a chunk has when it is cut off another one, which is done at twice the size. Smaller ones
// are more to add up, larger ones more to pass over. Sessions of one time stay in one chunk, however many they are.
const defaultChunkSize = 1024

// chunk counts the sessions of a scope made from a time on, until the next chunk starts.
type chunk struct {
	startsAt    time.Time
	open, total int64
}

// listed is what a change adds to a chunk's total: the sessions that lists of the scope can show, which are the ended ones
// too for a tenant and the others only for a partner and for all.
func (sc scope) listed(c change) int64 {
	if sc.tenant != "" {
		return c.Total
	}
	return c.Open
}

func (c chunk) empty() bool { return c.open == 0 && c.total == 0 }

// tooLarge reports whether a chunk is to be cut, if it can be.
func (s *Store) tooLarge(c chunk) bool { return c.total > 2*int64(s.chunkSize) }

// foldChunks adds changes to the chunks that they are in. Scopes without chunks, and sessions older than all of them,
// need none.
func (f *folding) foldChunks(changes []change) error {
	starts, err := f.chunksOf(changes)
	if err != nil {
		return err
	}
	more := map[scope]map[time.Time]chunk{}
	for _, c := range changes {
		for _, sc := range c.scopes() {
			start, known := starts[madeIn(sc, c)]
			if !known {
				continue
			}
			if more[sc] == nil {
				more[sc] = map[time.Time]chunk{}
			}
			sum := more[sc][start]
			more[sc][start] = chunk{start, sum.open + c.Open, sum.total + sc.listed(c)}
		}
	}
	for sc, sums := range more {
		sorted := slices.SortedFunc(mapValues(sums), func(a, b chunk) int { return a.startsAt.Compare(b.startsAt) })
		if err := f.upsertChunks(sc, sorted); err != nil {
			return err
		}
	}
	return nil
}

// made is a time at which sessions of a scope were made.
type made struct {
	scope
	at time.Time
}

func madeIn(sc scope, c change) made {
	if c.CreatedAt == nil {
		return made{scope: sc}
	}
	return made{sc, c.CreatedAt.UTC()}
}

// chunksOf finds where the chunks start that changes are in. It looks for these alone: there are as many chunks as a thousandth of
// all sessions.
func (f *folding) chunksOf(changes []change) (map[made]time.Time, error) {
	asked := map[made]bool{}
	for _, c := range changes {
		for _, sc := range c.scopes() {
			if c.CreatedAt != nil && (c.Open != 0 || sc.listed(c) != 0) {
				asked[madeIn(sc, c)] = true
			}
		}
	}
	starts := make(map[made]time.Time, len(asked))
	for batch := range slices.Chunk(slices.Collect(maps.Keys(asked)), rowsPerUpsert) {
		st := f.store.engine.statement(`SELECT nr, (SELECT starts_at FROM session_chunks
			WHERE tenant_id = tenant AND partner_id = partner AND starts_at <= at ORDER BY starts_at DESC LIMIT 1) FROM (`)
		addMade(st, batch)
		err := queryIn(f.tx, st.add(") AS made"), func(row rows) error {
			var nr int
			var start any
			err := row.Scan(&nr, &start)
			switch start := start.(type) {
			case time.Time:
				starts[batch[nr]] = start.UTC()
			case int64: // SQLite's driver knows a time by its column only
				starts[batch[nr]] = time.UnixMicro(start).UTC()
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return starts, nil
}

// addMade appends a SELECT of their numbers, tenants, partners and times.
func addMade(st *statement, all []made) {
	if !st.numbers {
		comma := "SELECT column1 AS nr, column2 AS tenant, column3 AS partner, column4 AS at FROM (VALUES "
		for i, m := range all {
			st.add(comma+"(?, ?, ?, ?)", i, m.tenant, m.partner, m.at)
			comma = ", "
		}
		st.add(")")
		return
	}
	var numbers []int64
	var tenants, partners []string
	var times []time.Time
	for i, m := range all {
		numbers, tenants, partners, times = append(numbers, int64(i)), append(tenants, m.tenant), append(partners, m.partner), append(times, m.at)
	}
	st.add("SELECT * FROM unnest(?::bigint[], ?::text[], ?::text[], ?::timestamptz[]) AS made (nr, tenant, partner, at)",
		numbers, tenants, partners, times)
}

func mapValues(sums map[time.Time]chunk) func(yield func(chunk) bool) {
	return func(yield func(chunk) bool) {
		for _, sum := range sums {
			if (sum.open != 0 || sum.total != 0) && !yield(sum) {
				return
			}
		}
	}
}

// loadChunks returns the chunks of a scope, oldest first.
func (s *Store) loadChunks(tx *gorm.DB, sc scope) ([]chunk, error) {
	var chunks []chunk
	st := s.engine.statement("SELECT starts_at, open, total FROM session_chunks WHERE tenant_id = ? AND partner_id = ? ORDER BY starts_at",
		sc.tenant, sc.partner)
	err := queryIn(tx, st, func(row rows) error {
		var c chunk
		err := row.Scan(&c.startsAt, &c.open, &c.total)
		c.startsAt = c.startsAt.UTC()
		chunks = append(chunks, c)
		return err
	})
	return chunks, err
}

// upsertChunks adds to a scope's chunks, and notes those that are to be cut or dropped then.
func (f *folding) upsertChunks(sc scope, more []chunk) error {
	for batch := range slices.Chunk(more, rowsPerInsert) {
		st := f.store.engine.statement("INSERT INTO session_chunks (tenant_id, partner_id, starts_at, open, total) ")
		if st.numbers {
			var starts []time.Time
			var open, total []int64
			for _, c := range batch {
				starts, open, total = append(starts, c.startsAt), append(open, c.open), append(total, c.total)
			}
			st.add("SELECT ?::text, ?::text, * FROM unnest(?::timestamptz[], ?::bigint[], ?::bigint[])", sc.tenant, sc.partner, starts, open, total)
		} else {
			comma := "VALUES "
			for _, c := range batch {
				st.add(comma+"(?, ?, ?, ?, ?)", sc.tenant, sc.partner, c.startsAt, c.open, c.total)
				comma = ", "
			}
		}
		st.add(` ON CONFLICT (tenant_id, partner_id, starts_at) DO UPDATE SET
			open = session_chunks.open + excluded.open, total = session_chunks.total + excluded.total
			RETURNING starts_at, open, total`)
		err := queryIn(f.tx, st, func(row rows) error {
			var c chunk
			err := row.Scan(&c.startsAt, &c.open, &c.total)
			if f.store.tooLarge(c) || c.empty() {
				f.untidy.addChunk(made{sc, c.startsAt.UTC()})
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachListed calls do for each session that lists of the scope can show, the oldest first; open is 1 for one that has not been
// ended.
func (s *Store) eachListed(tx *gorm.DB, sc scope, do func(created time.Time, open int64)) error {
	st := s.engine.statement("SELECT created_at, CASE WHEN ended_how IS NULL THEN 1 ELSE 0 END FROM sessions WHERE ").listed(sc)
	return queryIn(tx, st.add(" ORDER BY created_at"), func(row rows) error {
		var created time.Time
		var open int64
		err := row.Scan(&created, &open)
		do(created.UTC(), open)
		return err
	})
}

// listed appends the condition of the sessions that lists of the scope can show.
func (st *statement) listed(sc scope) *statement {
	if st.selected(sc.selection()); sc.tenant == "" {
		st.add(" AND ended_how IS NULL")
	}
	return st
}

// selection is the scope as a selection.
func (sc scope) selection() Selection {
	switch {
	case sc.tenant != "":
		return InTenant(sc.tenant)
	case sc.partner != "":
		return Everywhere().OfPartner(sc.partner)
	default:
		return Everywhere()
	}
}
