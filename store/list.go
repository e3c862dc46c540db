package store

import (
	"context"
	"time"

	"gorm.io/gorm"
)

const (
	// MaxListed is the most sessions that one call returns.
	MaxListed = 1000
	// maxShort is how many sessions a read may pass over or count without being taken for one that takes long.
	maxShort = 200
)

// listing is one call of ListSessions.
type listing struct {
	scope  Scope
	filter Filter
	page   Page
	now    time.Time
}

// ListSessions returns a page of the sessions of a scope that a filter shows, newest first (created_at, then id, descending), never nil,
// and the exact number of all that match. A page past the end is empty.
func (s *Store) ListSessions(ctx context.Context, caller CallerSession, scope Scope, filter Filter, page Page) ([]ListItem, int, error) {
	scope, err := s.knownPartner(ctx, scope)
	if err != nil {
		return nil, 0, err
	}
	if scope.empty() {
		return []ListItem{}, 0, mapError("list sessions", s.checkCaller(ctx, caller))
	}
	items, total, err := s.operations.listSessions(ctx, caller, listing{scope, filter, page, s.now()})
	return items, total, mapError("list sessions", err)
}

// knownPartner leaves the partner out of the scope of one tenant, whose sessions are all of one partner or of none. It is empty when that
// is another partner.
func (s *Store) knownPartner(ctx context.Context, scope Scope) (Scope, error) {
	if scope.empty() || scope.tenant == nil || scope.partner == nil {
		return scope, nil
	}
	partnerID, err := s.TenantPartner(ctx, *scope.tenant)
	if err != nil || partnerID != *scope.partner {
		return Scope{}, err
	}
	scope.partner = nil
	return scope, nil
}

func (p plain) listSessions(ctx context.Context, caller CallerSession, l listing) (items []ListItem, total int, err error) {
	if err := p.checkCaller(ctx, caller); err != nil {
		return nil, 0, err
	}
	_, counted := l.filter.counted(l.scope)
	if l.page.Offset < maxShort {
		err := p.read(ctx, func(tx *gorm.DB) error {
			total, err = p.count(tx, l, maxShort)
			if err == nil && (counted || total <= maxShort) {
				items, err = p.page(tx, l)
			}
			return err
		})
		if err != nil || counted || total <= maxShort {
			return items, total, err
		}
	}
	err = p.readLong(ctx, l.scope.tenantID(), func(tx *gorm.DB) error {
		if total, err = p.count(tx, l, 0); err == nil {
			items, err = p.page(tx, l)
		}
		return err
	})
	return items, total, err
}

// page reads a page. A deep page is read from the start of the bucket that the page index names.
func (p plain) page(tx *gorm.DB, l listing) ([]ListItem, error) {
	which, offset := l.filter.where(l.scope, l.now), l.page.Offset
	if group, counted := l.filter.counted(l.scope); counted && offset >= p.counters.BucketSize() && (l.filter.ActiveOnly || group.Tenant != "") {
		before, newer, err := p.seek(tx, l)
		if err != nil {
			return nil, err
		}
		if before != nil {
			all := which
			which, offset = func(tx *gorm.DB) *gorm.DB { return all(tx).Where("created_at < ?", *before) }, offset-newer
		}
	}
	query := tx.Model(&Session{}).Scopes(which).Order(listOrder)
	if l.filter.table(l.scope) == activeAndEnded {
		query = bothInOrder(tx, which, listOrder, offset+l.page.limit())
	}
	items := []ListItem{}
	return items, query.Limit(l.page.limit()).Offset(offset).Find(&items).Error
}

// seek finds a time from which on no more sessions were created than come before the page, and how many these are; nil where the sessions
// have to be passed over. Until a bulk revocation has been applied to every row (minutes), the page index counts sessions that the list
// does not show, and pages are found without it.
func (p plain) seek(tx *gorm.DB, l listing) (before *time.Time, newer int, err error) {
	group, _ := l.filter.counted(l.scope)
	if l.filter.ActiveOnly {
		if waiting, err := bulkRevocationsIn(tx, l.scope); err != nil || waiting {
			return nil, 0, err
		}
	}
	start, counted, found, err := p.counters.Seek(tx, group, l.filter.ActiveOnly, l.page.Offset)
	if err != nil || !found {
		return nil, 0, err
	}
	expired := int64(0)
	if l.filter.ActiveOnly {
		err = due(tx.Model(&Session{}), l.scope, l.now).Where("created_at >= ?", start).Count(&expired).Error
	}
	return &start, int(counted - expired), err
}

// count is the number of sessions that a list shows. Where they have to be counted one by one, more than atMost are counted as one more
// than that, unless it is 0.
func (p plain) count(tx *gorm.DB, l listing, atMost int) (int, error) {
	total := int64(0)
	group, counted := l.filter.counted(l.scope)
	if counted && l.filter.ActiveOnly {
		waiting, err := bulkRevocationsIn(tx, l.scope)
		if err != nil {
			return 0, err
		}
		counted = !waiting
		atMost = 0 // a tenant that was bulk revoked has few active sessions
	}
	if counted {
		total, err := p.counters.Total(tx, group, l.filter.ActiveOnly)
		if err != nil || !l.filter.ActiveOnly {
			return int(total), err
		}
		// Counted as open, but no longer active.
		expired := int64(0)
		err = due(tx.Model(&Session{}), l.scope, l.now).Count(&expired).Error
		return int(total - expired), err
	}
	query := tx.Model(&Session{}).Table(l.filter.table(l.scope)).Scopes(l.filter.where(l.scope, l.now))
	if atMost > 0 {
		query = tx.Table("(?) AS first", query.Select("1").Limit(atMost+1))
	}
	err := query.Count(&total).Error
	return int(total), err
}

// NewestActive returns the newest active sessions of a scope, never nil and at most MaxListed, and whether there are more.
func (s *Store) NewestActive(ctx context.Context, caller CallerSession, scope Scope) ([]ListItem, bool, error) {
	scope, err := s.knownPartner(ctx, scope)
	if err != nil {
		return nil, false, err
	}
	if scope.empty() {
		return []ListItem{}, false, mapError("list sessions", s.checkCaller(ctx, caller))
	}
	items, more, err := s.operations.newestActive(ctx, caller, scope, s.now())
	return items, more, mapError("list sessions", err)
}

func (p plain) newestActive(ctx context.Context, caller CallerSession, scope Scope, now time.Time) ([]ListItem, bool, error) {
	if err := p.checkCaller(ctx, caller); err != nil {
		return nil, false, err
	}
	items, many := []ListItem{}, false
	newest := func(limit int) func(tx *gorm.DB) error {
		return func(tx *gorm.DB) error {
			items = []ListItem{}
			return tx.Model(&Session{}).Scopes(Filter{ActiveOnly: true}.where(scope, now)).Order(listOrder).Limit(limit).Find(&items).Error
		}
	}
	err := p.read(ctx, func(tx *gorm.DB) error {
		if l := (listing{scope: scope, filter: Filter{ActiveOnly: true}, now: now}); l.sorts() {
			n, err := p.count(tx, l, maxShort)
			if many = n > maxShort; err != nil || many {
				return err
			}
		}
		return newest(maxShort + 1)(tx)
	})
	if err == nil && (many || len(items) > maxShort) {
		err = p.readLong(ctx, scope.tenantID(), newest(MaxListed+1))
	}
	return items[:min(len(items), MaxListed)], len(items) > MaxListed, err
}

// CountActive is the number of active sessions of a scope.
func (s *Store) CountActive(ctx context.Context, scope Scope) (int, error) {
	_, total, err := s.ListSessions(ctx, CallerSession{}, scope, Filter{ActiveOnly: true}, Page{Limit: 1})
	return total, err
}
