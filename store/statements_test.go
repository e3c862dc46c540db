package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/qa/sequential"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestTheNumberOfStatementsIsBounded: every connection to PostgreSQL keeps each statement prepared, so no parameter of a request
// and no number of rows may make another text. A second workload sends no text that the first one has not sent.
func TestTheNumberOfStatementsIsBounded(t *testing.T) {
	sequential.Test(t)
	clock := storetest.NewClock()
	s := storetest.Postgres(t, store.Options{Now: clock.Now, MaxConns: 4}, 300)
	w := workload{t: t, s: s, clock: clock}
	w.fill()
	w.run(1)
	first, err := s.PreparedStatements(t.Context())
	require.NoError(t, err)
	w.run(2)
	second, err := s.PreparedStatements(t.Context())
	require.NoError(t, err)
	var more []string
	for text := range second {
		if !first[text] {
			more = append(more, text)
		}
	}
	slices.Sort(more)
	assert.Empty(t, more)
	t.Logf("%d statements", len(second))
	assert.LessOrEqual(t, len(second), store.MaxStatements*9/10)
}

// workload calls every operation with every kind of scope, filter and page.
type workload struct {
	t      *testing.T
	s      *store.Store
	clock  *storetest.Clock
	random *rand.Rand
	made   int
}

// fill makes tenants t0 to t7, of partners p0 to p3, with 5 sessions of each of the users u0 to u9 and 210 of svc; in half of them 1000 more.
func (w *workload) fill() {
	for tenant := range 8 {
		w.register(fmt.Sprintf("t%d", tenant), "u0", time.Hour)
	}
	var rows store.Import
	add := func(tenant int, user string, n int) {
		for i := range n {
			rows.Sessions = append(rows.Sessions, store.Session{
				TenantID: fmt.Sprintf("t%d", tenant), ID: fmt.Sprintf("t%d-%s-%d", tenant, user, i), UserID: user,
				PartnerID: new(fmt.Sprintf("p%d", tenant%4)), CreatedAt: storetest.Epoch.Add(-time.Duration(len(rows.Sessions)) * time.Second),
				ExpiresAt: storetest.Epoch.Add(1000 * time.Hour), EndsAt: storetest.Epoch.Add(1000 * time.Hour),
			})
		}
	}
	for tenant := range 8 {
		for user := range 10 {
			add(tenant, fmt.Sprintf("u%d", user), 5)
		}
		add(tenant, "svc", 210+tenant%2*1000)
	}
	require.NoError(w.t, w.s.ImportSessions(w.t.Context(), rows))
	w.maintain()
}

func (w *workload) register(tenantID, userID string, lives time.Duration) string {
	w.made++
	w.clock.Advance(time.Millisecond) // after the last revocation of everything
	session := store.Session{
		TenantID: tenantID, ID: fmt.Sprintf("made%d", w.made), UserID: userID, PartnerID: new("p" + string(tenantID[len(tenantID)-1]%4+'0')),
		ExpiresAt: w.clock.Now().Add(lives),
	}
	_, _, err := w.s.RegisterSession(w.t.Context(), store.AllTenants(), session, store.Actor{Subject: "tester"})
	require.NoError(w.t, err)
	return session.ID
}

func (w *workload) maintain() {
	ctx := w.t.Context()
	for more := true; more; {
		var err error
		more, err = w.s.ApplyBulkRevocations(ctx, 25)
		require.NoError(w.t, err)
	}
	for n := 1000; n == 1000; {
		var err error
		n, err = w.s.RollUp(ctx, 1000)
		require.NoError(w.t, err)
	}
	_, err := w.s.RecordExpired(ctx, 500)
	require.NoError(w.t, err)
	_, err = w.s.PurgeEnded(ctx, w.clock.Now().Add(-time.Minute), 500)
	require.NoError(w.t, err)
	require.NoError(w.t, w.s.FlushActivity(ctx, true))
	_, err = w.s.Analyze(ctx)
	require.NoError(w.t, err)
}

// run makes every kind of call, by itself and in a batch with others of its kind.
func (w *workload) run(seed uint64) {
	w.random = rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // spread, not secret
	short, long := w.reads()
	for range 4 {
		for _, call := range slices.Concat(short, long) {
			call()()
		}
		w.clock.Advance(4 * time.Minute) // to the other half of a time bucket
	}
	several := func(of store.Queue, call func() func()) {
		calls := make([]func(), 17+w.random.IntN(16))
		for i := range calls {
			calls[i] = call()
		}
		together(w.t, w.s, of, calls...)
	}
	for _, call := range short {
		several(store.Reads, call)
	}
	for _, call := range w.changes() {
		call()()
		several(store.Writes, call)
	}
	for range 6 {
		w.ends()
	}
}

func (w *workload) tenant() string { return fmt.Sprintf("t%d", w.random.IntN(8)) }

// partnersUser is the kind of scope of a user in all tenants of a partner.
const partnersUser = 3

// scopes are the kinds of scopes that requests have, each with a context that is authorized for it.
func (w *workload) scopes() []func() (context.Context, store.Scope) {
	user := func() string { return pickOne(w.random, "u1", "svc") }
	partner := func() store.Scope { return store.AllTenants().OfPartner(fmt.Sprintf("p%d", w.random.IntN(4))) }
	tenant := func() store.Scope { return store.InTenant(w.tenant()) }
	var all []func() (context.Context, store.Scope)
	for _, authorized := range []func() store.Scope{store.AllTenants, partner, tenant} {
		for _, narrow := range []func(store.Scope) store.Scope{
			func(scope store.Scope) store.Scope { return scope }, func(scope store.Scope) store.Scope { return scope.OfUser(user()) },
		} {
			all = append(all, func() (context.Context, store.Scope) {
				scope := authorized()
				return store.WithScope(w.t.Context(), scope), narrow(scope)
			})
		}
	}
	return append(all, func() (context.Context, store.Scope) {
		n := w.random.IntN(8)
		scope := store.InTenant(fmt.Sprintf("t%d", n))
		return store.WithScope(w.t.Context(), scope), scope.OfPartner(fmt.Sprintf("p%d", n%4))
	})
}

// reads are calls with random parameters, each of one shape: those whose statements are batched, and those that are not.
func (w *workload) reads() (short, long []func() func()) {
	add := func(to *[]func() func(), call func() func() error) {
		*to = append(*to, func() func() {
			do := call()
			return func() { assert.NoError(w.t, do()) }
		})
	}
	for kind, scoped := range w.scopes() {
		lists := &short
		if kind == partnersUser { // takes its turn as a long read, because few of the user's sessions may be the partner's
			lists = &long
		}
		for _, hasSession := range []bool{false, true} {
			request := func() (context.Context, store.CallerSession, store.Scope) {
				ctx, scope := scoped()
				var caller store.CallerSession
				if hasSession {
					caller.TenantID = ctx.Value(store.ScopeKey{}).(*store.Scope).TenantID()
					if caller.TenantID == "" {
						caller.TenantID = w.tenant()
					}
					caller.TenantID = strings.Clone(caller.TenantID)
					caller.ID = fmt.Sprintf("caller%d", w.random.IntN(100))
				}
				return ctx, caller, scope
			}
			for _, activeOnly := range []bool{true, false} {
				for _, offsets := range [][2]int{{0, 0}, {1, 199}, {200, 299}, {300, 2000}, {2001, 1 << 20}, {1 << 40, 1 << 40}} {
					to := lists
					if offsets[1] >= 200 {
						to = &long
					}
					add(to, func() func() error {
						ctx, caller, scope := request()
						page := store.Page{Limit: 1 + w.random.IntN(100), Offset: offsets[0] + w.random.IntN(offsets[1]-offsets[0]+1)}
						return func() error {
							_, _, err := w.s.ListSessions(ctx, caller, scope, store.Filter{ActiveOnly: activeOnly}, page)
							return err
						}
					})
				}
			}
			add(lists, func() func() error {
				ctx, caller, scope := request()
				return func() error { _, _, err := w.s.NewestActive(ctx, caller, scope); return err }
			})
			add(&short, func() func() error {
				ctx, caller, scope := request()
				id := fmt.Sprintf("t%d-u1-%d", w.random.IntN(8), w.random.IntN(9))
				return func() error { return absent(w.s.GetSessionWithApps(ctx, caller, scope, id)) }
			})
		}
	}
	add(&short, func() func() error {
		of := w.tenant()
		return func() error { _, err := w.s.SessionEnded(w.t.Context(), of, fmt.Sprint(of, "-u1-1")); return err }
	})
	add(&short, func() func() error { // an unknown session, which is looked for in all tables
		id := fmt.Sprint("unknown", w.random.IntN(1000))
		return func() error { _, err := w.s.SessionEnded(w.t.Context(), w.tenant(), id); return err }
	})
	add(&short, func() func() error {
		of := w.tenant()
		return func() error {
			_, err := w.s.SessionActive(store.WithScope(w.t.Context(), store.InTenant(of)), store.InTenant(of).OfUser("u1"), fmt.Sprint(of, "-u1-1"))
			return err
		}
	})
	add(&long, func() func() error {
		of := w.tenant()
		return func() error {
			_, err := w.s.TenantStats(store.WithScope(w.t.Context(), store.InTenant(of)), store.InTenant(of))
			return err
		}
	})
	add(&long, func() func() error {
		of := w.tenant()
		return func() error { _, err := w.s.TenantPartner(w.t.Context(), of); return err }
	})
	return short, long
}

// absent returns the error of a get unless it is ErrNotFound.
func absent(_ store.Session, _ []store.App, err error) error {
	if err != nil && err.Error() == fmt.Sprintf("get session: %v", store.ErrNotFound) {
		return nil
	}
	return err
}

// changes are the calls whose statements are batched.
func (w *workload) changes() []func() func() {
	by := store.Actor{Subject: "tester", Reason: "workload"}
	revoke := func(more func(store.Scope) store.Scope) func() func() {
		return func() func() {
			of := w.tenant()
			id := w.register(of, "u1", time.Hour)
			return func() {
				_, err := w.s.RevokeSession(store.WithScope(w.t.Context(), store.InTenant(of)), more(store.InTenant(of)), id, by)
				assert.NoError(w.t, err)
			}
		}
	}
	return []func() func(){
		revoke(func(scope store.Scope) store.Scope { return scope }),
		revoke(func(scope store.Scope) store.Scope { return scope.OfUser("u1") }),
		func() func() {
			of := w.tenant()
			w.made++
			w.clock.Advance(time.Millisecond)
			session := store.Session{TenantID: of, ID: fmt.Sprintf("made%d", w.made), UserID: "u3", ExpiresAt: w.clock.Now().Add(time.Hour)}
			return func() {
				_, _, err := w.s.RegisterSession(w.t.Context(), store.AllTenants(), session, by)
				assert.NoError(w.t, err)
			}
		},
		func() func() {
			id := w.register(w.tenant(), "u4", time.Hour)
			return func() {
				assert.NoError(w.t, w.s.RecordActivity(w.t.Context(), store.AllTenants(), id, store.Activity{}, by))
			}
		},
	}
}

// ends revokes random numbers of sessions in every way, and lets others expire.
func (w *workload) ends() {
	by := store.Actor{Subject: "tester"}
	ctx := w.t.Context()
	var ids []string
	for range 1 + w.random.IntN(20) {
		ids = append(ids, w.register("t5", "u5", time.Hour))
	}
	_, err := w.s.RevokeSessions(ctx, store.InTenant("t5").OfUser("u5"), ids, by)
	require.NoError(w.t, err)
	for range w.random.IntN(20) {
		w.register("t6", "u6", time.Hour)
	}
	for _, scope := range []store.Scope{store.InTenant("t6").OfUser("u6"), store.AllTenants().OfUser("u6"), store.InTenant("t6")} {
		_, err = w.s.RevokeAllSessions(ctx, scope, "", by)
		require.NoError(w.t, err)
	}
	_, err = w.s.RevokeAllSessions(ctx, store.InTenant("t7").OfUser("u1"), "t7-u1-1", by)
	require.NoError(w.t, err)
	for range 2 { // the second time it is the same call
		by.IdempotencyKey = fmt.Sprint("key", w.made)
		_, err = w.s.RevokeAllSessions(ctx, store.InTenant("t4").OfUser("u2"), "", by)
		require.NoError(w.t, err)
	}
	for range 1 + w.random.IntN(50) {
		w.register(w.tenant(), "u8", time.Second)
	}
	w.clock.Advance(2 * time.Minute)
	w.maintain()
	w.clock.Advance(2 * time.Minute)
	w.maintain()
}

func pickOne[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }
