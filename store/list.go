package store

import (
	"context"
	"strconv"
	"time"
)

const (
	// MostListed is the most sessions that one call returns.
	MostListed = 1000
	// fewSessions is how many sessions a statement may pass over or count that is sent with others: they wait for it.
	fewSessions = 200
)

// ListSessions returns a page of the selected sessions, newest first (created_at, then id, descending), never nil, and
// the exact number of all that match. A page past the end is empty.
func (s *Store) ListSessions(ctx context.Context, sel Selection, page Page) ([]ListItem, int, error) {
	sel, err := s.settlePartner(ctx, sel)
	if err != nil || sel.empty() {
		return []ListItem{}, 0, err
	}
	l := listing{store: s, sel: sel, page: page, now: s.clock(), wall: wallIn(ctx)}
	sessions, total, err := l.read(ctx)
	if err != nil {
		return nil, 0, mapError("list sessions", err)
	}
	if len(sessions) == 0 && page.Offset > 0 {
		// No row came that could carry the number.
		total, err = s.countSessions(ctx, sel, page.ActiveOnly, l.now)
	}
	return sessions, total, err
}

// NewestActive returns the newest active sessions of a selection, never nil and at most MostListed, and whether there are more.
func (s *Store) NewestActive(ctx context.Context, sel Selection) ([]ListItem, bool, error) {
	sel, err := s.settlePartner(ctx, sel)
	if err != nil || sel.empty() {
		return []ListItem{}, false, err
	}
	l := listing{store: s, sel: sel, now: s.clock(), wall: wallIn(ctx), uncounted: true}
	l.page = Page{ActiveOnly: true, Limit: fewSessions + 1}
	sessions, _, err := l.read(ctx)
	if err == nil && len(sessions) > fewSessions {
		l.long, l.page.Limit = true, MostListed+1
		sessions, _, err = l.read(ctx)
	}
	if err != nil {
		return nil, false, mapError("list sessions", err)
	}
	return sessions[:min(len(sessions), MostListed)], len(sessions) > MostListed, nil
}

// settlePartner leaves the partner out of a selection of one tenant, whose sessions are all of one partner or of none.
func (s *Store) settlePartner(ctx context.Context, sel Selection) (Selection, error) {
	if sel.empty() || sel.tenant == nil || sel.partner == nil {
		return sel, nil
	}
	partnerID, err := s.TenantPartner(ctx, *sel.tenant)
	if err != nil || partnerID != *sel.partner {
		return Selection{}, err
	}
	sel.partner = nil
	return sel, nil
}

// listing is one call of ListSessions.
type listing struct {
	store *Store
	sel   Selection
	page  Page
	now   time.Time
	wall  Wall
	// withEndings counts the sessions that ended with all of their tenant, too, which hardly ever are any.
	withEndings bool
	// uncounted leaves out the number of all.
	uncounted bool
	// long: it is sent by itself, because it passes over or counts many sessions.
	long bool
}

func (l listing) read(ctx context.Context) ([]ListItem, int, error) {
	l.long = l.long || l.page.Offset >= fewSessions
	for {
		sessions, total, again, err := l.try(ctx)
		switch {
		case err == nil && again && !l.withEndings:
			l.withEndings = true
		case err == nil && total > fewSessions && l.counts() && !l.long:
			l.long = true // they were not counted to the end
		default:
			return sessions, total, err
		}
	}
}

// counts reports whether the number of all has to be counted: a user's has no tally.
func (l listing) counts() bool {
	_, tallied := l.sel.scope()
	return !tallied
}

// try reads the page. It reports whether the number of all has to be asked for again, with the endings of tenants.
func (l listing) try(ctx context.Context) (sessions []ListItem, total int, again bool, err error) {
	sessions = make([]ListItem, 0, min(l.limit(), 100))
	var askerEnded *bool
	query := l.store.ask
	if l.long {
		query = l.store.query
	}
	err = query(ctx, l.statement(), func(row rows) error {
		sessions = append(sessions, ListItem{})
		last := &sessions[len(sessions)-1]
		if err := scanItem(row, last, &total, &again, &askerEnded); err != nil {
			return err
		}
		return l.sel.admit(last.TenantID)
	})
	if err == nil {
		l.sel.asker.answer(askerEnded)
	}
	return sessions, total, again, err
}

// chunked reports whether to look for a far page by chunks. Nearer, to pass the sessions over costs less; ended ones are in the
// chunks of tenants only.
func (l listing) chunked() bool {
	sc, tallied := l.sel.scope()
	return tallied && l.page.Offset >= l.store.chunkSize && (l.page.ActiveOnly || sc.tenant != "")
}

// statement asks for the page and, with each of its rows, for the number of all: one statement sees one state.
func (l listing) statement() *statement {
	chunked := l.chunked()
	// The ids are read from the index alone, the rest of a session only for those on the page.
	idsFirst := chunked || l.page.Offset >= fewSessions
	st := l.store.engine.statement("")
	if chunked {
		l.addStart(st)
	}
	st.add("SELECT " + itemColumns + ", ")
	if l.uncounted {
		st.add("0, FALSE")
	} else if chunked || l.withEndings || l.long && l.counts() {
		st.addTotal(l.sel, l.page.ActiveOnly, l.now).add(", FALSE")
	} else {
		st.addTotalBut(l.sel, l.page.ActiveOnly, l.now)
	}
	st.addAsker(l.sel.asker, l.wall, l.now).add(" FROM sessions WHERE ")
	if idsFirst {
		if st.selected(l.sel); l.sel.tenant == nil {
			st.add(byIDAlone)
		}
		st.add(" AND id IN (SELECT id FROM (SELECT id FROM sessions WHERE ")
	}
	st.matching(l.sel, l.page.ActiveOnly, l.now)
	if !idsFirst {
		l.addOrder(st)
		return st.add(" LIMIT ? OFFSET ?", l.limit(), l.page.Offset)
	}
	from := ""
	if chunked {
		// Where the coalesce stands outside, row-level security would have each session asked before the index is used.
		st.add(" AND created_at < (SELECT coalesce((SELECT at FROM start), ?))", endOfTime)
		from = " - coalesce((SELECT newer FROM start), 0)"
	}
	l.addOrder(st)
	// PostgreSQL would take a limit that is an argument for a tenth of all rows. One that stands in the text tells it that there are
	// few, and is the same for all pages, because every connection keeps each statement prepared; the one around it is exact.
	st.add(literalLimit(MostListed)+" OFFSET ?"+from+") AS near LIMIT ?)", l.page.Offset, l.limit())
	if !st.numbers {
		// SQLite would find the page by its order, and pass over the whole tenant.
		return st.add(" ORDER BY +created_at DESC, +id DESC")
	}
	l.addOrder(st)
	return st
}

// matching appends the conditions of the sessions that a list shows.
func (st *statement) matching(sel Selection, activeOnly bool, now time.Time) *statement {
	switch st.selected(sel); {
	case activeOnly:
		st.addActive(sel, now)
	case sel.user != nil:
		st.add(userAll)
	}
	return st
}

// userAll is the condition, which every session fulfils, of who may use the index on all sessions of a user (migration 13): only
// one who asks for the ended ones too.
const userAll = " AND (user_id = '') IS FALSE"

func literalLimit(n int) string { return " LIMIT " + strconv.Itoa(n) }

func (l listing) addOrder(st *statement) { st.add(" ORDER BY created_at DESC, id DESC") }

func (l listing) limit() int {
	if l.page.Limit <= 0 || l.page.Limit > MostListed && !l.uncounted { // one more says whether there are more
		return MostListed
	}
	return l.page.Limit
}

// endOfTime is after every time that a session can have.
var endOfTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant but for Go's rules

// newestChunks is how many chunks are looked at: twice as many as there are before the page when all are full. Beyond them it
// could begin nearer, if many were hollow, but a list gets no slower by what is behind the page.
func (l listing) newestChunks() int {
	return min(l.page.Offset/l.store.chunkSize*2+16, mostChunks)
}

// mostChunks bounds how many chunks are looked at: those of 64 million sessions.
const mostChunks = 1 << 16

// addStart finds the chunk from which on to pass sessions over: the oldest one that begins with no more than the offset
// of sessions newer than itself. Their number is exact: what is not folded into the chunks yet is added where it belongs.
func (l listing) addStart(st *statement) {
	sc, _ := l.sel.scope()
	column := "total"
	if l.page.ActiveOnly {
		column = "open"
	}
	st.add(`WITH items AS (SELECT at, n, 1 AS chunk FROM (SELECT * FROM (SELECT starts_at AS at, `+column+` AS n FROM session_chunks
		WHERE tenant_id = ? AND partner_id = ? ORDER BY starts_at DESC`+literalLimit(mostChunks)+`) AS newest LIMIT ?) AS near`,
		sc.tenant, sc.partner, l.newestChunks())
	st.add(` UNION ALL SELECT created_at, ` + column + `, 0 FROM session_changes WHERE ` + column + ` <> 0 AND `).selected(l.sel)
	if l.page.ActiveOnly {
		st.add(` UNION ALL SELECT created_at, -1, 0 FROM `).addGone("created_at", sc, l.now)
	}
	st.add(`), ranked AS (SELECT at, chunk, CAST(sum(n) OVER (ORDER BY at DESC) AS bigint) AS newer FROM items),
		start AS (SELECT at, newer FROM ranked WHERE chunk = 1 AND newer <= ? ORDER BY newer DESC, at LIMIT 1) `, l.page.Offset)
}
