package store

import (
	"context"
	"math"
	"math/bits"
	"strconv"
	"time"
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
}

func (l listing) read(ctx context.Context) ([]ListItem, int, error) {
	sessions, total, rest, err := l.try(ctx)
	if err == nil && rest {
		l.withEndings = true
		sessions, total, _, err = l.try(ctx)
	}
	return sessions, total, err
}

// try reads the page. It reports whether the number of all has to be asked for again, with the endings of tenants.
func (l listing) try(ctx context.Context) (sessions []ListItem, total int, again bool, err error) {
	sessions = make([]ListItem, 0, min(l.page.Limit, 100))
	var askerEnded *bool
	query := l.store.ask
	if l.deep() {
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
	if l.page.Limit == 0 && l.page.Offset == 0 {
		total = len(sessions)
	}
	return sessions, total, again, err
}

// deep reports whether to look for a far page by chunks. Nearer, to pass the sessions over costs less; ended ones are in the
// chunks of tenants only.
func (l listing) deep() bool {
	sc, counted := l.sel.scope()
	return counted && l.page.Offset >= l.store.chunkSize && (l.page.ActiveOnly || sc.tenant != "")
}

// statement asks for the page and, with each of its rows, for the number of all: one statement sees one state.
func (l listing) statement() *statement {
	deep := l.deep()
	st := l.store.engine.statement("")
	if deep {
		l.addStart(st)
	}
	st.add("SELECT " + itemColumns + ", ")
	if l.page.Limit == 0 && l.page.Offset == 0 {
		st.add("0, FALSE")
	} else if deep || l.withEndings {
		st.addTotal(l.sel, l.page.ActiveOnly, l.now).add(", FALSE")
	} else {
		st.addTotalBut(l.sel, l.page.ActiveOnly, l.now)
	}
	st.addAsker(l.sel.asker, l.wall, l.now).add(" FROM sessions WHERE ")
	if deep {
		// The ids are read from the index alone, the rest of a session only for those on the page.
		if st.selected(l.sel); l.sel.tenant == nil {
			st.add(byIDAlone)
		}
		st.add(" AND id IN (SELECT id FROM (SELECT id FROM sessions WHERE ")
	}
	st.selected(l.sel)
	if l.page.ActiveOnly {
		st.addActive(l.sel, l.now)
	}
	if deep {
		// Where the coalesce stands outside, row-level security would have each session asked before the index is used.
		st.add(" AND created_at < (SELECT coalesce((SELECT at FROM start), ?))", endOfTime)
		l.addOrder(st)
		// The limit stands in the text, or PostgreSQL would expect a tenth of all.
		st.add(" LIMIT "+strconv.Itoa(l.limit())+" OFFSET ? - coalesce((SELECT newer FROM start), 0)) AS page)", l.page.Offset)
		l.addOrder(st)
		return st
	}
	l.addOrder(st)
	if l.page.Limit > 0 || l.page.Offset > 0 {
		st.add(" LIMIT ? OFFSET ?", l.limit(), l.page.Offset)
	}
	return st
}

func (l listing) addOrder(st *statement) { st.add(" ORDER BY created_at DESC, id DESC") }

func (l listing) limit() int {
	if l.page.Limit == 0 {
		return math.MaxInt
	}
	return l.page.Limit
}

// endOfTime is after every time that a session can have.
var endOfTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant but for Go's rules

// newestChunks is how many chunks are looked at: twice as many as there are before the page when all are full. Beyond them it
// could begin nearer, if many were hollow, but a list gets no slower by what is behind the page. Powers of two make for few
// different statements.
func (l listing) newestChunks() int {
	return 1 << bits.Len(uint(2*l.page.Offset/l.store.chunkSize+16))
}

// addStart finds the chunk from which on to pass sessions over: the oldest one that begins with no more than the offset
// of sessions newer than itself. Their number is exact: what is not folded into the chunks yet is added where it belongs.
func (l listing) addStart(st *statement) {
	sc, _ := l.sel.scope()
	column := "total"
	if l.page.ActiveOnly {
		column = "open"
	}
	st.add(`WITH items AS (SELECT at, n, 1 AS chunk FROM (SELECT starts_at AS at, `+column+` AS n FROM session_chunks
		WHERE tenant_id = ? AND partner_id = ? ORDER BY starts_at DESC LIMIT `+strconv.Itoa(l.newestChunks())+`) AS newest`, sc.tenant, sc.partner)
	st.add(` UNION ALL SELECT created_at, ` + column + `, 0 FROM session_changes WHERE ` + column + ` <> 0 AND `).selected(l.sel)
	if l.page.ActiveOnly {
		st.add(` UNION ALL SELECT created_at, -1, 0 FROM `).addGone("created_at", sc, l.now)
	}
	st.add(`), ranked AS (SELECT at, chunk, CAST(sum(n) OVER (ORDER BY at DESC) AS bigint) AS newer FROM items),
		start AS (SELECT at, newer FROM ranked WHERE chunk = 1 AND newer <= ? ORDER BY newer DESC, at LIMIT 1) `, l.page.Offset)
}
