package store

import (
	"slices"
	"time"

	"gorm.io/gorm"
)

// defaultChunkSize is how many sessions a chunk has when it is made; it is cut again at twice the size. Smaller ones are
// more to add up, larger ones more to pass over.
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

// listedAmount is the same of a tally.
func (sc scope) listedAmount(a amounts) int64 {
	if sc.tenant != "" {
		return a.total
	}
	return a.open
}

// foldChunks adds changes to the chunks that they are in. Scopes without chunks, and sessions older than all of them,
// need none.
func (f *folding) foldChunks(changes []change) error {
	chunks, err := f.loadChunks()
	if err != nil || len(chunks) == 0 {
		return err
	}
	more := map[scope]map[time.Time]chunk{}
	for _, c := range changes {
		for _, sc := range c.scopes() {
			i := chunkOf(chunks[sc], c.CreatedAt)
			if i < 0 {
				continue
			}
			if more[sc] == nil {
				more[sc] = map[time.Time]chunk{}
			}
			sum := more[sc][chunks[sc][i].startsAt]
			more[sc][chunks[sc][i].startsAt] = chunk{chunks[sc][i].startsAt, sum.open + c.Open, sum.total + sc.listed(c)}
		}
	}
	for sc, sums := range more {
		sorted := slices.SortedFunc(mapValues(sums), func(a, b chunk) int { return a.startsAt.Compare(b.startsAt) })
		if err := f.store.upsertChunks(f.tx, sc, sorted); err != nil {
			return err
		}
	}
	return nil
}

// chunkOf is the index of the chunk that a time is in, -1 when it is in none.
func chunkOf(chunks []chunk, at *time.Time) int {
	if at == nil {
		return -1
	}
	i, found := slices.BinarySearchFunc(chunks, *at, func(c chunk, at time.Time) int { return c.startsAt.Compare(at) })
	if !found {
		i--
	}
	return i
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

// loadChunks returns the chunks of the touched scopes, oldest first.
func (f *folding) loadChunks() (map[scope][]chunk, error) {
	var tenants, partners []string
	for sc := range f.touched {
		if sc.tenant != "" {
			tenants = append(tenants, sc.tenant)
		} else {
			partners = append(partners, sc.partner)
		}
	}
	chunks := map[scope][]chunk{}
	st := f.store.engine.statement("SELECT tenant_id, partner_id, starts_at, open, total FROM session_chunks WHERE partner_id = '' AND ").
		in("tenant_id", tenants).
		add(" UNION ALL SELECT tenant_id, partner_id, starts_at, open, total FROM session_chunks WHERE tenant_id = '' AND ").
		in("partner_id", partners).add(" ORDER BY starts_at")
	err := queryIn(f.tx, st, func(row rows) error {
		var sc scope
		var c chunk
		err := row.Scan(&sc.tenant, &sc.partner, &c.startsAt, &c.open, &c.total)
		chunks[sc] = append(chunks[sc], c)
		return err
	})
	return chunks, err
}

// upsertChunks adds to a scope's chunks.
func (s *Store) upsertChunks(tx *gorm.DB, sc scope, more []chunk) error {
	for batch := range slices.Chunk(more, rowsPerInsert) {
		st := s.engine.statement("INSERT INTO session_chunks (tenant_id, partner_id, starts_at, open, total) ")
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
			open = session_chunks.open + excluded.open, total = session_chunks.total + excluded.total`)
		if err := execIn(tx, st); err != nil {
			return err
		}
	}
	return nil
}

// cutChunks makes chunks where a scope has grown, of chunkSize sessions each, and drops those that nothing is left of. All
// changes are folded, so that what is counted here is what chunks say.
func (f *folding) cutChunks() error {
	chunks, err := f.loadChunks()
	if err != nil {
		return err
	}
	for sc, now := range f.touched {
		if len(chunks[sc]) == 0 && sc.listedAmount(now) > 2*int64(f.store.chunkSize) {
			if err := f.cutChunk(sc, time.Time{}, endOfTime); err != nil {
				return err
			}
		}
		for i, c := range chunks[sc] {
			end := endOfTime
			if i+1 < len(chunks[sc]) {
				end = chunks[sc][i+1].startsAt
			}
			switch {
			case c.total > 2*int64(f.store.chunkSize):
				err = f.cutChunk(sc, c.startsAt, end)
			case c.total == 0 && c.open == 0:
				err = f.dropChunk(sc, c.startsAt)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *folding) dropChunk(sc scope, startsAt time.Time) error {
	return f.tx.Exec("DELETE FROM session_chunks WHERE tenant_id = ? AND partner_id = ? AND starts_at = ?", sc.tenant, sc.partner, startsAt).Error
}

// cutChunk replaces the chunk of that span by smaller ones.
func (f *folding) cutChunk(sc scope, start, end time.Time) error {
	if err := f.dropChunk(sc, start); err != nil {
		return err
	}
	var cut []chunk
	var last time.Time
	err := f.store.eachListed(f.tx, sc, start, end, func(created time.Time, open int64) {
		// Sessions of one instant stay together.
		if n := len(cut); n == 0 || cut[n-1].total >= int64(f.store.chunkSize) && created.After(last) {
			cut = append(cut, chunk{startsAt: created})
		}
		newest := &cut[len(cut)-1]
		newest.open, newest.total, last = newest.open+open, newest.total+1, created
	})
	if err != nil {
		return err
	}
	return f.store.upsertChunks(f.tx, sc, cut)
}

// eachListed calls do for each session that lists of the scope can show and that was made in a span, the oldest first; open
// is 1 for one that has not been ended.
func (s *Store) eachListed(tx *gorm.DB, sc scope, start, end time.Time, do func(created time.Time, open int64)) error {
	st := s.engine.statement("SELECT created_at, CASE WHEN ended_how IS NULL THEN 1 ELSE 0 END FROM sessions WHERE ").selected(sc.selection())
	if sc.tenant == "" {
		st.add(" AND ended_how IS NULL")
	}
	st.add(" AND created_at >= ? AND created_at < ? ORDER BY created_at", start, end)
	return queryIn(tx, st, func(row rows) error {
		var created time.Time
		var open int64
		err := row.Scan(&created, &open)
		do(created.UTC(), open)
		return err
	})
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
