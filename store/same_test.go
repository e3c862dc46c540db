package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessiond/sessiond/internal/qa/sequential"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestPlainAndFastAreTheSame runs the same random operations on three stores, SQLite, PostgreSQL without fast paths and PostgreSQL with
// them, and compares every answer and, in the end, every row of every table, but for what is random by design: operation ids and the order
// of deltas.
func TestPlainAndFastAreTheSame(t *testing.T) {
	sequential.Test(t)
	calls := map[string]int{}
	run := 0
	stores := newTriplet(t)
	rapid.Check(t, func(r *rapid.T) {
		run++
		w := same{t: r, triplet: stores, run: run, calls: calls}
		w.reset()
		r.Repeat(w.actions())
		w.compareRows()
	})
	t.Logf("%d runs: %v", run, calls)
	for name := range (&same{}).actions() {
		require.Positive(t, calls[name], "%s was never called", name)
	}
}

// triplet are three stores with one clock.
type triplet struct {
	clock  *storetest.Clock
	stores []*store.Store
}

func newTriplet(t *testing.T) triplet {
	t.Helper()
	clock := storetest.NewClock()
	w := triplet{clock: clock}
	for _, open := range []storetest.Factory{storetest.SQLite, storetest.Plain, storetest.Postgres} {
		w.stores = append(w.stores, open(t, store.Options{Now: clock.Now, Limits: func(tenantID string) store.Limits {
			if tenantID == "acme" {
				return store.Limits{Absolute: 3 * time.Hour, Idle: 20 * time.Minute}
			}
			return store.Limits{}
		}}, 3))
	}
	return w
}

// same is one run.
type same struct {
	triplet
	t     *rapid.T
	run   int
	calls map[string]int
}

// reset empties the stores, and has some sessions in them.
func (w *same) reset() {
	ctx := context.Background()
	for _, s := range w.stores {
		for _, table := range tablesWithRows() {
			require.NoError(w.t, s.Exec(ctx, "DELETE FROM "+table))
		}
	}
	w.clock.Advance(time.Hour)
	for i := range 10 {
		w.clock.Advance(time.Second)
		session := store.Session{
			TenantID: []string{"acme", "globex"}[i/8], ID: fmt.Sprintf("s%d", i), UserID: []string{"ada", "bob"}[i%2], ExpiresAt: w.clock.Now().Add(time.Hour),
		}
		app := store.App{SessionID: session.ID, ApplicationID: []string{"mail", "wiki"}[i%2], ApplicationName: "A"}
		for _, s := range w.stores {
			_, _, err := s.RegisterSession(ctx, store.AllTenants(), session, store.Actor{Subject: "idp"})
			require.NoError(w.t, err)
			require.NoError(w.t, s.RecordApp(ctx, store.AllTenants(), app, store.Actor{Subject: "idp"}))
		}
	}
}

func tablesWithRows() []string {
	return []string{
		"session_apps", "search_keys", "sessions", "tenants", "audit_events", "not_before_cutoffs", "bulk_revocations", "counter_deltas",
		"user_counter_deltas", "counters", "page_index", "session_tombstones", "idempotency_keys",
	}
}

// all calls an operation of each store and compares what they answer.
func (w *same) all(name string, do func(s *store.Store) (any, error)) {
	w.calls[name]++
	var answers [3]string
	for i, s := range w.stores {
		answer, err := do(s)
		answers[i] = fmt.Sprintf("%s, %v", show(reflect.ValueOf(answer)), sentinel(err))
	}
	require.Equal(w.t, answers[0], answers[1], "%s: SQLite and PostgreSQL", name)
	require.Equal(w.t, answers[1], answers[2], "%s: plain and fast", name)
}

// show is a value with what its pointers point to.
func show(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Invalid:
		return "nothing"
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return "nil"
		}
		return show(v.Elem())
	case reflect.Slice:
		var all []string
		for i := range v.Len() {
			all = append(all, show(v.Index(i)))
		}
		return fmt.Sprint(all)
	case reflect.Struct:
		if at, ok := reflect.TypeAssert[time.Time](v); ok {
			return at.Format(time.RFC3339Nano)
		}
		text := ""
		for i := range v.NumField() {
			text += v.Type().Field(i).Name + ":" + show(v.Field(i)) + " "
		}
		return "{" + text + "}"
	default:
		return fmt.Sprintf("%v", v.Interface())
	}
}

// sentinel is the store's own answer that an error is.
func sentinel(err error) error {
	for _, known := range []error{
		store.ErrNotFound, store.ErrCallerEnded, store.ErrTaken, store.ErrEnded, store.ErrOutOfScope, store.ErrOtherPartner, store.ErrTooOld, store.ErrTooMany,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	return err
}

// Names and values that operations draw from.

func (w *same) id() string { return fmt.Sprintf("s%d", rapid.IntRange(0, 11).Draw(w.t, "id")) }

func (w *same) user() string {
	return rapid.SampledFrom([]string{"ada", "bob", "eve"}).Draw(w.t, "user")
}

func (w *same) tenant() string {
	return rapid.SampledFrom([]string{"acme", "globex"}).Draw(w.t, "tenant")
}

func (w *same) text(of string) *string {
	return rapid.SampledFrom([]*string{nil, new(of), new(of + " 2")}).Draw(w.t, of)
}

func (w *same) by() store.Actor {
	return store.Actor{Subject: "boss", ClientID: "console", RequestID: "r", Reason: rapid.SampledFrom([]string{"", "lost"}).Draw(w.t, "reason")}
}

func (w *same) scope() store.Scope {
	scope := store.AllTenants()
	if rapid.Bool().Draw(w.t, "in tenant") {
		scope = scope.InTenant(w.tenant())
	}
	if rapid.IntRange(0, 3).Draw(w.t, "of partner") == 0 {
		scope = scope.OfPartner("north")
	}
	if rapid.Bool().Draw(w.t, "of user") {
		scope = scope.OfUser(w.user())
	}
	return scope
}

func (w *same) caller() store.CallerSession {
	return rapid.SampledFrom([]store.CallerSession{{}, {TenantID: "acme", ID: w.id()}, {TenantID: "globex", ID: w.id()}, {ID: w.id()}}).Draw(w.t, "caller")
}

func (w *same) actions() map[string]func(*rapid.T) {
	ctx := context.Background()
	actions := map[string]func(){
		"register": func() {
			session := store.Session{
				TenantID: w.tenant(), ID: w.id(), UserID: w.user(), PartnerID: rapid.SampledFrom([]*string{nil, nil, new("north")}).Draw(w.t, "partner"),
				UserEmail: w.text("email"), UserDisplayName: w.text("name"), IPAddress: w.text("address"), UserAgent: w.text("agent"),
				DeviceType: w.text("device"), Location: w.text("place"), Country: w.text("country"),
				CreatedAt: w.clock.Now().Add(-time.Duration(rapid.IntRange(0, 3).Draw(w.t, "age")) * time.Minute),
				ExpiresAt: w.clock.Now().Add(time.Duration(rapid.IntRange(1, 300).Draw(w.t, "lives")) * time.Minute),
			}
			by := w.by()
			w.all("register", func(s *store.Store) (any, error) {
				kept, created, err := s.RegisterSession(ctx, store.AllTenants(), session, by)
				if err != nil {
					return nil, err
				}
				return []any{kept, created}, nil
			})
		},
		"get": func() {
			caller, scope, id := w.caller(), w.scope(), w.id()
			w.all("get", func(s *store.Store) (any, error) {
				session, apps, err := s.GetSessionWithApps(ctx, caller, scope, id)
				if err != nil {
					return nil, err
				}
				return []any{session, apps}, nil
			})
		},
		"look up": func() {
			scope, tenantID, id := w.scope(), w.tenant(), w.id()
			w.all("look up", func(s *store.Store) (any, error) {
				active, err := s.SessionActive(ctx, scope, id)
				ended, err2 := s.SessionEnded(ctx, tenantID, id)
				partner, err3 := s.TenantPartner(ctx, tenantID)
				return []any{active, ended, partner}, errors.Join(err, err2, err3)
			})
		},
		"list": func() {
			caller, scope := w.caller(), w.scope()
			filter := store.Filter{ActiveOnly: rapid.Bool().Draw(w.t, "active"), Country: rapid.SampledFrom([]string{"", "", "country"}).Draw(w.t, "country")}
			page := store.Page{Offset: rapid.IntRange(0, 9).Draw(w.t, "offset"), Limit: rapid.IntRange(1, 5).Draw(w.t, "limit")}
			w.all("list", func(s *store.Store) (any, error) {
				items, total, err := s.ListSessions(ctx, caller, scope, filter, page)
				if err != nil {
					return nil, err
				}
				return []any{items, total}, nil
			})
		},
		"newest": func() {
			caller, scope := w.caller(), w.scope()
			w.all("newest", func(s *store.Store) (any, error) {
				items, more, err := s.NewestActive(ctx, caller, scope)
				if err != nil {
					return nil, err
				}
				return []any{items, more}, nil
			})
		},
		"statistics": func() {
			scope := w.scope()
			w.all("statistics", func(s *store.Store) (any, error) { return s.TenantStats(ctx, scope) })
		},
		"use": func() {
			scope, id, by := w.scope(), w.id(), w.by()
			w.all("use", func(s *store.Store) (any, error) { return nil, s.RecordActivity(ctx, scope, id, store.Activity{}, by) })
		},
		"change": func() {
			scope, id, by := w.scope(), w.id(), w.by()
			activity := store.Activity{
				IPAddress: w.text("address"), UserAgent: w.text("agent"), DeviceType: w.text("device"), Location: w.text("place"), Country: w.text("country"),
			}
			if rapid.Bool().Draw(w.t, "extend") {
				activity.ExpiresAt = new(w.clock.Now().Add(time.Duration(rapid.IntRange(-10, 300).Draw(w.t, "lives")) * time.Minute))
			}
			w.all("change", func(s *store.Store) (any, error) { return nil, s.RecordActivity(ctx, scope, id, activity, by) })
		},
		"application": func() {
			scope, by := w.scope(), w.by()
			app := store.App{
				SessionID: w.id(), ApplicationID: rapid.SampledFrom([]string{"mail", "wiki"}).Draw(w.t, "application"),
				ApplicationName: rapid.SampledFrom([]string{"A", "B"}).Draw(w.t, "name"),
			}
			w.all("application", func(s *store.Store) (any, error) { return nil, s.RecordApp(ctx, scope, app, by) })
		},
		"revoke one": func() {
			scope, id, by := w.scope(), w.id(), w.by()
			w.all("revoke one", func(s *store.Store) (any, error) { return s.RevokeSession(ctx, scope, id, by) })
		},
		"revoke named": func() {
			scope, by := w.scope(), w.by()
			ids := []string{w.id(), w.id(), w.id()}
			w.all("revoke named", func(s *store.Store) (any, error) { return s.RevokeSessions(ctx, scope, ids, by) })
		},
		"revoke all": func() {
			scope, by := w.scope(), w.by()
			except := rapid.SampledFrom([]string{"", w.id()}).Draw(w.t, "except")
			by.IdempotencyKey = rapid.SampledFrom([]string{"", "k1"}).Draw(w.t, "key")
			w.all("revoke all", func(s *store.Store) (any, error) { return s.RevokeAllSessions(ctx, scope, except, by) })
		},
		"erase": func() {
			tenantID, userID, by := w.tenant(), w.user(), w.by()
			w.all("erase", func(s *store.Store) (any, error) {
				preview, err := s.PreviewErasure(ctx, tenantID, userID)
				if err != nil {
					return nil, err
				}
				done, err := s.EraseUser(ctx, tenantID, userID, by)
				done.Receipt = ""
				if err == nil {
					require.Equal(w.t, preview, done)
				}
				return done, err
			})
		},
		"maintain": func() {
			limit := rapid.SampledFrom([]int{1, 3, 100}).Draw(w.t, "limit")
			w.all("maintain", func(s *store.Store) (any, error) {
				expired, err := s.RecordExpired(ctx, limit)
				more, err2 := s.ApplyBulkRevocations(ctx, limit)
				_, err3 := s.RollUp(ctx, limit)
				return []any{expired, more}, errors.Join(err, err2, err3)
			})
		},
		"purge": func() {
			// All at once: of several that ended at the same time it does not matter which is recorded or deleted first.
			w.all("purge", func(s *store.Store) (any, error) {
				w.applyBulkRevocations(ctx, s)
				expired, err := s.RecordExpired(ctx, 100)
				purged, err2 := s.PurgeEnded(ctx, w.clock.Now(), 100)
				kept, err3 := s.PurgeTombstones(ctx, w.clock.Now(), 100)
				return []any{expired, purged, kept}, errors.Join(err, err2, err3)
			})
		},
		"time passes": func() {
			w.calls["time passes"]++
			w.clock.Advance(time.Duration(rapid.SampledFrom([]int{-1, 1, 60, 1500, 40_000}).Draw(w.t, "seconds")) * time.Second)
			for _, s := range w.stores {
				s.ReadClock() // one that reads it less often would stand still at another time when it is set back
			}
		},
	}
	drawn := map[string]func(*rapid.T){}
	for name, do := range actions {
		drawn[name] = func(r *rapid.T) {
			w.t = r
			do()
		}
	}
	return drawn
}

func (w *same) applyBulkRevocations(ctx context.Context, s *store.Store) {
	for more := true; more; {
		var err error
		more, err = s.ApplyBulkRevocations(ctx, 100)
		require.NoError(w.t, err)
	}
}

// compareRows compares the tables, after all maintenance has been done.
func (w *same) compareRows() {
	ctx := context.Background()
	for _, s := range w.stores {
		w.applyBulkRevocations(ctx, s)
		for n := 100; n == 100; {
			var err error
			n, err = s.RollUp(ctx, 100)
			require.NoError(w.t, err)
		}
		_, err := s.VerifyCounters(ctx, false, func(d store.Drift) { require.Fail(w.t, "drift", "%+v", d) })
		require.NoError(w.t, err)
	}
	for _, table := range tablesWithRows() {
		if table == "page_index" || table == "session_tombstones" || table == "idempotency_keys" {
			continue // cut at random times, and digests with a key of each database
		}
		var rows [3][]string
		for i, s := range w.stores {
			rows[i] = rowsOf(w.t, s, table)
		}
		require.Equal(w.t, rows[0], rows[1], "%s: SQLite and PostgreSQL", table)
		require.Equal(w.t, rows[1], rows[2], "%s: plain and fast", table)
	}
}

// rowsOf are the rows of a table as text, sorted, without what is random.
func rowsOf(t *rapid.T, s *store.Store, table string) []string {
	found, err := s.Rows(context.Background(), table, "operation_id", "seq")
	require.NoError(t, err)
	var rows []string
	for _, row := range found {
		text := ""
		for _, column := range slices.Sorted(maps.Keys(row)) {
			value := row[column]
			if at, ok := value.(time.Time); ok {
				value = at.UTC().UnixMicro()
			}
			if column == "reason" && row["action"] == store.ActionErased {
				continue // a digest with a key of each database
			}
			if column == "user_id" && table == "not_before_cutoffs" && len(fmt.Sprint(value)) > 10 {
				value = "a digest"
			}
			text += fmt.Sprintf("%s=%v ", column, value)
		}
		rows = append(rows, text)
	}
	slices.Sort(rows)
	return rows
}
