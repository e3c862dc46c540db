package store

import (
	"strconv"
	"sync"
	"time"
)

const (
	// scopesAtOnce is how many scopes, and chunksAtOnce how many chunks, are looked at in one transaction. Each chunk that is cut
	// costs reading about three times its new size in an index.
	scopesAtOnce = 500
	chunksAtOnce = 8
)

// untidy is what folding has touched and has to be looked at when no changes wait. To forget it with the process does no harm: a
// chunk stays as large as it is until it is touched again.
type untidy struct {
	mu     sync.Mutex
	scopes map[scope]bool
	chunks map[made]bool
}

func (u *untidy) addScope(sc scope) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.scopes == nil {
		u.scopes = map[scope]bool{}
	}
	u.scopes[sc] = true
}

func (u *untidy) addChunk(start made) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.chunks == nil {
		u.chunks = map[made]bool{}
	}
	u.chunks[start] = true
}

// take removes what one transaction looks at.
func (u *untidy) take() ([]scope, []made) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return takeSome(u.scopes, scopesAtOnce), takeSome(u.chunks, chunksAtOnce)
}

func (u *untidy) empty() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.scopes)+len(u.chunks) == 0
}

func takeSome[K comparable](from map[K]bool, most int) []K {
	var taken []K
	for key := range from {
		if len(taken) == most {
			break
		}
		taken = append(taken, key)
		delete(from, key)
	}
	return taken
}

// tidy is done when no changes wait, so that what is counted here is what tallies and chunks say: it forgets the slots of before
// yesterday, makes the first chunk of scopes that have grown, and cuts the chunks that have.
func (f *folding) tidy() error {
	scopes, chunks := f.untidy.take()
	if len(scopes) > 0 {
		if err := f.tidyScopes(scopes); err != nil {
			return err
		}
	}
	for _, start := range chunks {
		if err := f.tidyChunk(start); err != nil {
			return err
		}
	}
	f.again = f.again || !f.untidy.empty()
	return nil
}

func (f *folding) tidyScopes(scopes []scope) error {
	var tenants, partners []string
	for _, sc := range scopes {
		if sc.tenant != "" {
			tenants = append(tenants, sc.tenant)
		} else {
			partners = append(partners, sc.partner)
		}
	}
	for _, kind := range []string{kindCreated, kindRevoked} { // one after the other, so that the index gives each
		st := f.store.engine.statement("DELETE FROM tallies WHERE ").in("tenant_id", tenants).
			add(" AND partner_id = '' AND kind = ? AND key < ?", kind, slotKey(f.now.Add(-slotsKept)))
		if err := execIn(f.tx, st); err != nil {
			return err
		}
	}
	// Of a tenant the lists can show all sessions, of a partner and of all those that have not been ended.
	grown := map[scope]chunk{}
	st := f.store.engine.statement("SELECT tenant_id, partner_id, open, total FROM tallies WHERE ").in("tenant_id", tenants).
		add(" AND partner_id = '' AND kind = ? AND key = '' AND total > ?", kindSessions, 2*f.store.chunkSize).
		add(" UNION ALL SELECT tenant_id, partner_id, open, open FROM tallies WHERE tenant_id = '' AND ").in("partner_id", partners).
		add(" AND kind = ? AND key = '' AND open > ?", kindSessions, 2*f.store.chunkSize)
	err := queryIn(f.tx, st, func(row rows) error {
		var sc scope
		var c chunk
		err := row.Scan(&sc.tenant, &sc.partner, &c.open, &c.total)
		grown[sc] = c
		return err
	})
	if err != nil {
		return err
	}
	for sc, all := range grown {
		if err := f.makeFirstChunk(sc, all); err != nil {
			return err
		}
	}
	return nil
}

// makeFirstChunk makes one of all sessions of a scope that has none.
func (f *folding) makeFirstChunk(sc scope, all chunk) error {
	var first *time.Time
	st := f.store.engine.statement("SELECT starts_at FROM session_chunks WHERE tenant_id = ? AND partner_id = ? LIMIT 1", sc.tenant, sc.partner)
	if err := f.readTime(st, &first); err != nil || first != nil {
		return err
	}
	st = f.store.engine.statement("SELECT created_at FROM sessions WHERE ").listed(sc).add(" ORDER BY created_at, id LIMIT 1")
	if err := f.readTime(st, &first); err != nil || first == nil {
		return err
	}
	all.startsAt = *first
	return f.upsertChunks(sc, []chunk{all})
}

// tidyChunk cuts a chunk that is too large, or drops it if nothing is left of it: then its span is the chunk's before it.
func (f *folding) tidyChunk(start made) error {
	var c chunk // stays empty when there is none any more
	st := f.store.engine.statement("SELECT open, total FROM session_chunks WHERE tenant_id = ? AND partner_id = ? AND starts_at = ?",
		start.tenant, start.partner, start.at)
	if err := queryIn(f.tx, st, func(row rows) error { return row.Scan(&c.open, &c.total) }); err != nil {
		return err
	}
	if c.empty() {
		return f.tx.Exec("DELETE FROM session_chunks WHERE tenant_id = ? AND partner_id = ? AND starts_at = ?",
			start.tenant, start.partner, start.at).Error
	}
	if !f.store.tooLarge(c) {
		return nil
	}
	cut, err := f.newest(start)
	if err != nil || cut.empty() {
		return err
	}
	return f.upsertChunks(start.scope, []chunk{{start.at, -cut.open, -cut.total}, cut})
}

// newest counts the newest chunkSize sessions of a chunk, with all that were made at the time of the oldest of them. It is empty when
// the chunk has not so many after the time at which it starts: then it cannot be cut, and nothing but these few is read.
func (f *folding) newest(start made) (chunk, error) {
	var end, from *time.Time
	e := f.store.engine
	st := e.statement("SELECT starts_at FROM session_chunks WHERE tenant_id = ? AND partner_id = ? AND starts_at > ? ORDER BY starts_at LIMIT 1",
		start.tenant, start.partner, start.at)
	if err := f.readTime(st, &end); err != nil {
		return chunk{}, err
	}
	st = e.statement("SELECT created_at FROM sessions WHERE ").listed(start.scope).add(" AND created_at > ?", start.at).madeBefore(end)
	st.add(newestFirst + " LIMIT 1 OFFSET " + strconv.Itoa(f.store.chunkSize-1))
	if err := f.readTime(st, &from); err != nil || from == nil {
		return chunk{}, err
	}
	// The order is that of the index by which PostgreSQL finds them, and no other one then.
	count := func(st *statement, also string) *statement {
		st.add("(SELECT count(*) FROM (SELECT 1 FROM sessions WHERE ").listed(start.scope).add(also+" AND created_at >= ?", *from)
		return st.madeBefore(end).add(newestFirst + ") AS newest)")
	}
	cut := chunk{startsAt: *from}
	st = count(count(e.statement("SELECT "), "").add(", "), " AND ended_how IS NULL")
	err := queryIn(f.tx, st, func(row rows) error { return row.Scan(&cut.total, &cut.open) })
	return cut, err
}

const newestFirst = " ORDER BY created_at DESC, id DESC"

// madeBefore appends the condition of sessions made before a time, if there is one.
func (st *statement) madeBefore(end *time.Time) *statement {
	if end != nil {
		st.add(" AND created_at < ?", *end)
	}
	return st
}

// readTime reads the time that a statement gives, if it gives one.
func (f *folding) readTime(st *statement, into **time.Time) error {
	return queryIn(f.tx, st, func(row rows) error {
		var at time.Time
		err := row.Scan(&at)
		*into = new(at.UTC())
		return err
	})
}
