package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store"
)

// preview is the dry run of a revocation.
func (f fixture) preview(r store.Revocation) store.RevocationPreview {
	f.t.Helper()
	found, err := f.PreviewRevocation(f.ctx, r)
	require.NoError(f.t, err)
	return found
}

// job creates a job after its dry run.
func (f fixture) job(r store.Revocation) store.RevocationJob {
	f.t.Helper()
	job, created, err := f.CreateRevocationJob(f.ctx, r, f.preview(r).Confirmation, 0, nil, store.Actor{Subject: "grace", ClientID: "console", Reason: "stolen"})
	require.NoError(f.t, err)
	require.True(f.t, created)
	return job
}

// run does all that there is for jobs to do, so many sessions at a time.
func (f fixture) run(limit int) {
	f.t.Helper()
	for range 10_000 {
		more, err := f.RunRevocationJobs(f.ctx, limit)
		require.NoError(f.t, err)
		if !more {
			return
		}
	}
	f.t.Fatal("the jobs have no end")
}

func (f fixture) getJob(id string) store.RevocationJob {
	f.t.Helper()
	job, err := f.GetRevocationJob(f.ctx, store.AllTenants(), id)
	require.NoError(f.t, err)
	return job
}

func testJobs(t *testing.T, newStore Factory) {
	t.Helper()
	t.Run("end what the search finds, and only that", func(t *testing.T) {
		w := newSearched(t, newStore)
		each(t, func(d drawn) {
			if w.random.IntN(4) > 0 {
				return // to end much at a time leaves nothing for the others
			}
			f, page := d.filter, store.SessionPage{Sort: store.SortCreated}
			r := store.Revocation{Authorized: d.scope, Scope: d.scope, Filter: f}
			if len(f.Statuses) > 0 && !slices.Contains(f.Statuses, store.Active) || f.Ended != (store.Period{}) {
				_, err := w.PreviewRevocation(w.ctx, r)
				require.ErrorIs(t, err, store.ErrNotActive)
				return
			}
			f.Statuses = []string{store.Active}
			want := w.expected(d.of, f, page)
			preview := w.preview(r)
			require.Equal(t, len(want), preview.Sessions, "%+v", f)
			job := w.job(r)
			w.clock.Advance(time.Second)
			late, _ := w.session()
			late.CreatedAt = w.clock.Now()
			w.register(late)
			w.run(1 + w.random.IntN(7))
			job = w.getJob(job.ID)
			require.Equal(t, []any{store.JobCompleted, len(want), len(want)}, []any{job.State, job.Sessions, job.Ended}, "%+v", f)
			for id, before := range w.sessions {
				w.learn(id)
				after := w.sessions[id]
				if slices.Contains(want, id) {
					require.Equal(t, []any{new(store.Revoked), new("grace"), new("stolen")}, []any{after.EndCause, after.EndedBySub, after.EndReason})
				} else {
					require.Equal(t, before.RevokedAt, after.RevokedAt, "%s: %+v", id, f)
				}
			}
			w.learn(late.ID)
			now := w.clock.Now()
			require.True(t, w.sessions[late.ID].Active(now), "a login after it is not touched")
			events, err := w.ListAuditEvents(w.ctx, store.AuditFilter{Action: store.ActionRevoked})
			require.NoError(t, err)
			told := map[string]int{}
			for _, event := range events {
				if event.OperationID == job.ID {
					told[event.SessionID]++
				}
			}
			require.Len(t, told, len(want), "each has its event, once")
		})
		w.verifyCounters()
	})
	for name, test := range map[string]func(f fixture){
		"over kills": testJobOverKills, "confirmations": testJobConfirmation, "states": testJobStates, "turns": testJobTurns,
		"cutoffs and exceptions": testJobCutoff, "whose jobs": testWhoseJobs, "what is not the caller's": testForeignJob, "erasure": testErasedFromJobs,
	} {
		t.Run(name, onFixture(newStore, test))
	}
}

// ofNetwork registers sessions of which every other one is from a network.
func (f fixture) ofNetwork(tenantID string, n int) store.Revocation {
	f.t.Helper()
	for i := range n {
		s := session(tenantID, fmt.Sprintf("u%d", i%3), fmt.Sprintf("%s-%02d", tenantID, i))
		s.Browser = new([]string{"Chrome", "Firefox"}[i%2])
		f.register(s)
	}
	return store.Revocation{Authorized: store.InTenant(tenantID), Scope: store.InTenant(tenantID), Filter: store.SessionFilter{Browser: new("firefox")}}
}

// testJobOverKills: whatever fails, and whenever, each session ends once and the job's number is right.
func testJobOverKills(f fixture) {
	job := f.job(f.ofNetwork("acme", 40))
	f.revoke("acme-01") // ended otherwise
	killed := 0
	for step := range 60 { // the later, the more of a step is done
		ctx, cancel := context.WithTimeout(f.ctx, time.Duration(step%30)*200*time.Microsecond)
		if _, err := f.RunRevocationJobs(ctx, 1); err != nil {
			require.ErrorIs(f.t, err, store.ErrUnavailable)
			killed++
		}
		cancel()
	}
	require.Positive(f.t, killed)
	f.run(3)
	done := f.getJob(job.ID)
	assert.Equal(f.t, []any{store.JobCompleted, 20, 19}, []any{done.State, done.Sessions, done.Ended})
	events, err := f.ListAuditEvents(f.ctx, store.AuditFilter{Action: store.ActionRevoked})
	require.NoError(f.t, err)
	assert.Len(f.t, events, 20)
	f.verifyCounters()
}

func testJobConfirmation(f fixture) {
	r := f.ofNetwork("acme", 10)
	preview := f.preview(r)
	assert.Equal(f.t, []int{5, 1, 3, 5}, []int{preview.Sessions, preview.Tenants, preview.Users, len(preview.Sample)})
	create := func(r store.Revocation, confirmation string, tolerance int) (store.RevocationJob, bool, error) {
		return f.CreateRevocationJob(f.ctx, r, confirmation, tolerance, nil, tester())
	}
	other := r
	other.Filter.Browser = new("chrome")
	kept := r
	kept.ExceptSessionID = "acme-01"
	for what, c := range map[string]struct {
		r            store.Revocation
		confirmation string
	}{"none": {r, ""}, "another filter": {other, preview.Confirmation}, "another exception": {kept, preview.Confirmation}, "a cursor": {r, "x"}} {
		_, _, err := create(c.r, c.confirmation, 100)
		require.ErrorIs(f.t, err, store.ErrConfirmation, what)
	}
	f.revoke("acme-01")
	f.revoke("acme-03")
	_, _, err := create(r, preview.Confirmation, 1)
	require.ErrorAs(f.t, err, new(store.DriftedError))
	job, created, err := create(r, preview.Confirmation, 2)
	require.NoError(f.t, err)
	assert.True(f.t, created)
	assert.Equal(f.t, 3, job.Sessions)
	_, _, err = f.CreateRevocationJob(f.ctx, r, preview.Confirmation, 2, nil, store.Actor{Subject: "tester", Reason: "another"})
	require.ErrorIs(f.t, err, store.ErrOtherJob)
	again, created, err := create(r, preview.Confirmation, 0)
	require.NoError(f.t, err)
	assert.False(f.t, created, "the same call again is the same job")
	assert.Equal(f.t, f.getJob(job.ID), again)
	late := f.preview(other)
	f.clock.Advance(16 * time.Minute)
	_, _, err = create(other, late.Confirmation, 0)
	require.ErrorIs(f.t, err, store.ErrConfirmation, "it is too old")
}

func testJobStates(f fixture) {
	job := f.job(f.ofNetwork("acme", 20))
	set := func(state string) (store.RevocationJob, error) {
		return f.SetRevocationJobState(f.ctx, store.InTenant("acme"), job.ID, state)
	}
	f.clock.Advance(time.Second)
	late := session("acme", "u1", "late")
	late.Browser = new("Firefox")
	f.register(late)
	_, err := f.RunRevocationJobs(f.ctx, 2)
	require.NoError(f.t, err)
	assert.True(f.t, new(f.get("late")).Active(f.clock.Now()), "it was registered after the job was created")
	for range 2 {
		paused, err := set(store.JobPaused)
		require.NoError(f.t, err)
		assert.Equal(f.t, store.JobPaused, paused.State)
	}
	f.run(2)
	assert.Equal(f.t, 2, f.getJob(job.ID).Ended)
	_, err = set(store.JobRunning)
	require.NoError(f.t, err)
	_, err = f.RunRevocationJobs(f.ctx, 2)
	require.NoError(f.t, err)
	cancelled, err := set(store.JobCancelled)
	require.NoError(f.t, err)
	assert.NotNil(f.t, cancelled.FinishedAt)
	f.run(2)
	assert.Equal(f.t, 4, f.getJob(job.ID).Ended)
	_, err = set(store.JobRunning)
	require.ErrorIs(f.t, err, store.ErrJobFinished)
	_, err = f.SetRevocationJobState(f.ctx, store.InTenant("wonka"), job.ID, store.JobCancelled)
	require.ErrorIs(f.t, err, store.ErrNotFound)
	_, err = f.PurgeTombstones(f.ctx, f.clock.Now().Add(time.Second), 10)
	require.NoError(f.t, err)
	_, err = f.GetRevocationJob(f.ctx, store.AllTenants(), job.ID)
	require.ErrorIs(f.t, err, store.ErrNotFound, "it is purged")
}

// testJobTurns: jobs take turns.
func testJobTurns(f fixture) {
	first, second := f.job(f.ofNetwork("acme", 20)), f.job(f.ofNetwork("wonka", 20))
	for range 4 {
		f.clock.Advance(time.Second)
		_, err := f.RunRevocationJobs(f.ctx, 2)
		require.NoError(f.t, err)
	}
	assert.Equal(f.t, []int{4, 4}, []int{f.getJob(first.ID).Ended, f.getJob(second.ID).Ended})
}

func testJobCutoff(f fixture) {
	r := f.ofNetwork("acme", 6)
	r.ExceptSessionID = "acme-01"
	before := f.clock.Now().Add(-time.Minute)
	f.clock.Advance(time.Minute)
	_, _, err := f.CreateRevocationJob(f.ctx, r, f.preview(r).Confirmation, 0, &before, tester())
	require.NoError(f.t, err)
	f.run(1)
	assert.True(f.t, f.get("acme-01").Active(f.clock.Now()), "it is excepted")
	assert.False(f.t, f.get("acme-03").Active(f.clock.Now()))
	login := func(user, id string, at time.Time) error {
		s := session("acme", user, id)
		s.CreatedAt = at
		_, _, err := f.RegisterSession(f.ctx, store.AllTenants(), s, tester())
		return err
	}
	require.ErrorIs(f.t, login("u0", "n1", before), store.ErrTooOld)
	require.NoError(f.t, login("u0", "n2", before.Add(time.Second)))
	require.NoError(f.t, login("u1", "n3", before), "only the excepted session of this user was found")
}

func testWhoseJobs(f fixture) {
	first := f.ofNetwork("acme", 4)
	s := session("wonka", "u1", "w1")
	s.PartnerID = new("north")
	f.register(s)
	a := f.job(first)
	f.clock.Advance(time.Second)
	w := f.job(store.Revocation{Authorized: store.AllTenants(), Scope: store.InTenant("wonka"), Filter: store.SessionFilter{Text: "u"}})
	f.clock.Advance(time.Second)
	all := f.job(store.Revocation{Authorized: store.AllTenants(), Scope: store.AllTenants(), Filter: store.SessionFilter{Text: "nobody"}})
	list := func(scope store.Scope, limit int, cursor string, states ...string) (ids []string, next string) {
		found, err := f.ListRevocationJobs(store.WithScope(f.ctx, scope), scope, states, limit, cursor)
		require.NoError(f.t, err)
		for _, job := range found.Jobs {
			ids = append(ids, job.ID)
		}
		return ids, found.Next
	}
	ids, _ := list(store.AllTenants(), 0, "")
	assert.Equal(f.t, []string{all.ID, w.ID, a.ID}, ids)
	ids, next := list(store.AllTenants(), 2, "")
	assert.Equal(f.t, []string{all.ID, w.ID}, ids)
	ids, _ = list(store.AllTenants(), 2, next)
	assert.Equal(f.t, []string{a.ID}, ids)
	ids, _ = list(store.InTenant("acme"), 0, "")
	assert.Equal(f.t, []string{a.ID}, ids)
	ids, _ = list(store.AllTenants().OfPartner("north"), 0, "")
	assert.Equal(f.t, []string{w.ID}, ids)
	ids, _ = list(store.AllTenants(), 0, "", store.JobPaused)
	assert.Empty(f.t, ids)
	_, err := f.GetRevocationJob(f.ctx, store.InTenant("acme"), all.ID)
	require.ErrorIs(f.t, err, store.ErrNotFound)
	_, err = f.ListRevocationJobs(f.ctx, store.InTenant("acme"), nil, 2, next)
	require.ErrorIs(f.t, err, store.ErrCursor)
}

// testForeignJob: a contradiction between what a caller may and what is asked for must not be forgotten on the way.
func testForeignJob(f fixture) {
	r := f.ofNetwork("acme", 4)
	w := session("wonka", "u1", "w1")
	w.PartnerID = new("north")
	f.register(w)
	confirmed := f.preview(r).Confirmation
	for what, scopes := range map[string][2]store.Scope{
		"another tenant":         {store.InTenant("wonka"), store.InTenant("wonka").InTenant("acme")},
		"another partner":        {store.AllTenants().OfPartner("south"), store.InTenant("wonka").OfPartner("south")},
		"a tenant of no partner": {store.AllTenants().OfPartner("north"), store.InTenant("acme").OfPartner("north")},
		"nothing":                {store.Scope{}, store.Scope{}},
		"what cannot be":         {store.AllTenants(), store.AllTenants().OfUser("a\x00")},
	} {
		foreign := store.Revocation{Authorized: scopes[0], Scope: scopes[1], Filter: r.Filter}
		_, err := f.PreviewRevocation(f.ctx, foreign)
		require.ErrorIs(f.t, err, store.ErrOutOfScope, what)
		_, _, err = f.CreateRevocationJob(f.ctx, foreign, confirmed, 100, nil, tester())
		require.Error(f.t, err, what)
	}
	unstorable := r
	unstorable.Filter.Text = "\x00"
	_, err := f.PreviewRevocation(f.ctx, unstorable)
	require.ErrorIs(f.t, err, store.ErrOutOfScope)
	f.run(10)
	assert.Len(f.t, f.activeOf("acme"), 4)
	// A partner's job is of the partner.
	job := f.job(store.Revocation{Authorized: store.AllTenants().OfPartner("north"), Scope: store.InTenant("wonka").OfPartner("north"), Filter: store.SessionFilter{Text: "u"}})
	for _, state := range []string{store.JobPaused, store.JobCancelled} {
		_, err := f.SetRevocationJobState(f.ctx, store.InTenant("wonka"), job.ID, state)
		require.ErrorIs(f.t, err, store.ErrOutOfScope)
	}
	f.run(10)
	assert.Empty(f.t, f.activeOf("wonka"))
}

func (f fixture) activeOf(tenantID string) []string {
	f.t.Helper()
	ids, _ := f.ids(store.InTenant(tenantID), page{ActiveOnly: true})
	return ids
}

// testErasedFromJobs: what a job was about, and who created it, is forgotten; a job about all tenants goes on.
func testErasedFromJobs(f fixture) {
	for _, tenant := range []string{"acme", "wonka"} {
		s := session(tenant, "victim", tenant+"-1")
		s.UserEmail = new("Victim@example.com")
		f.register(s)
	}
	all := store.AllTenants()
	byText := f.job(store.Revocation{Authorized: all, Scope: store.InTenant("acme"), Filter: store.SessionFilter{Text: "VICTIM@", Browser: new("none")}})
	other := f.job(store.Revocation{Authorized: all, Scope: store.InTenant("acme"), Filter: store.SessionFilter{Text: "vic0"}})
	byUser := f.job(store.Revocation{Authorized: all, Scope: store.InTenant("acme").OfUser("victim"), Filter: store.SessionFilter{Browser: new("none")}})
	f.run(10)
	everywhere := f.job(store.Revocation{Authorized: all, Scope: all.OfUser("victim")})
	_, err := f.EraseUser(f.ctx, "acme", "victim", tester())
	require.NoError(f.t, err)
	forgotten := f.getJob(byText.ID)
	assert.Equal(f.t, []string{"", ""}, []string{forgotten.Filter.Text, forgotten.Reason})
	assert.Equal(f.t, "vic0", f.getJob(other.ID).Filter.Text)
	_, err = f.GetRevocationJob(f.ctx, all, byUser.ID)
	require.ErrorIs(f.t, err, store.ErrNotFound)
	f.run(10)
	assert.Equal(f.t, 1, f.getJob(everywhere.ID).Ended)
	_, err = f.EraseUser(f.ctx, "wonka", "victim", tester())
	require.NoError(f.t, err)
	assert.Nil(f.t, f.getJob(everywhere.ID).UserID)
	_, err = f.EraseUser(f.ctx, "acme", "grace", tester())
	require.NoError(f.t, err)
	assert.Empty(f.t, f.getJob(other.ID).CreatedBySub)
}
