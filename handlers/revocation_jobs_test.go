package handlers_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// preview sends a dry run.
func (f *fixture) preview(token string, body map[string]any) gen.RevocationPreview {
	f.t.Helper()
	var answer gen.RevocationPreviewAnswer
	f.do(http.MethodPost, "/api/v1/revocation-jobs", token, body).want(http.StatusOK).decode(&answer)
	return answer.Data
}

// confirmed sends the call that a dry run has confirmed.
func (f *fixture) confirmed(token string, body map[string]any) gen.RevocationJob {
	f.t.Helper()
	body["confirmation"], body["dry_run"] = f.preview(token, body).Confirmation, false
	var answer gen.RevocationJobAnswer
	f.do(http.MethodPost, "/api/v1/revocation-jobs", token, body).want(http.StatusAccepted).decode(&answer)
	return answer.Data
}

func (f *fixture) runJobs() {
	f.t.Helper()
	for more := true; more; {
		var err error
		more, err = f.store.RunRevocationJobs(f.t.Context(), 2)
		require.NoError(f.t, err)
	}
}

// network is a filter, with other members of a request.
func network(tenant string, more ...any) map[string]any {
	body := map[string]any{"filter": map[string]any{"tenant_id": tenant, "ip": "203.0.113.0/24"}}
	for pair := range slices.Chunk(more, 2) {
		body[pair[0].(string)] = pair[1]
	}
	return body
}

func TestRevocationJobs(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		t := f.t
		for _, id := range []string{"s1", "s2", "s3"} {
			f.register("acme", "u"+id, id, "ip_address", "203.0.113.7")
		}
		f.register("acme", "u4", "s4", "ip_address", "198.51.100.4")
		f.register("globex", "u5", "s5", "ip_address", "203.0.113.8")

		preview := f.preview(f.tenant("acme"), network("acme"))
		assert.Equal(t, []int{3, 1, 3, 3}, []int{preview.Sessions, preview.Tenants, preview.Users, len(preview.Sample)})
		assert.Len(t, f.activeIDs("acme"), 4, "a dry run ends nothing")

		job := f.confirmed(f.tenant("acme"), network("acme", "reason", "stolen laptops"))
		assert.Equal(t, []any{gen.Running, new("stolen laptops"), 3, 0}, []any{job.State, job.Reason, job.Sessions, job.Ended})
		f.clock.Advance(time.Minute)
		f.register("acme", "us1", "s6", "ip_address", "203.0.113.7")
		f.runJobs()
		var done gen.RevocationJobAnswer
		f.do(http.MethodGet, "/api/v1/revocation-jobs/"+job.Id, f.tenant("acme"), nil).want(http.StatusOK).decode(&done)
		assert.Equal(t, []any{gen.Completed, 3, 0}, []any{done.Data.State, done.Data.Ended, done.Data.AlreadyEnded})
		assert.ElementsMatch(t, []string{"s4", "s6"}, f.activeIDs("acme"))
		assert.Equal(t, []string{"s5"}, f.activeIDs("globex"))
		events := f.eventsOf("/api/v1/sessions/s1/history?action=session.revoked", f.tenant("acme")).Data
		require.Len(t, events, 1)
		assert.Equal(t, []*string{&job.Id, new("stolen laptops")}, []*string{events[0].OperationId, events[0].Reason})

		// The own session stays unless it is asked for; all tenants have to be meant.
		body := map[string]any{"filter": map[string]any{"ip": "203.0.113.0/24"}, "all_tenants": true}
		admin := f.admin()
		assert.Equal(t, 2, f.preview(admin, body).Sessions)
		own := f.user("acme", "us1", "s6")
		assert.NotEmpty(t, own)
		for what, refused := range map[string]struct {
			token  string
			body   map[string]any
			status int
			says   string
		}{
			"an empty filter":             {admin, map[string]any{"filter": map[string]any{}, "all_tenants": true}, 422, `"filter"`},
			"no filter":                   {admin, map[string]any{"all_tenants": true}, 422, `"filter"`},
			"a misspelled filter":         {admin, map[string]any{"filter": map[string]any{"tenant_id": "acme", "userid": "x"}}, 422, "extra_forbidden"},
			"a misspelled member":         {admin, network("acme", "dryrun", false), 422, "extra_forbidden"},
			"no tenant":                   {admin, map[string]any{"filter": map[string]any{"q": "u"}}, 422, `"tenant_id"`},
			"all tenants by a tenant":     {f.tenant("acme"), body, 422, "only the platform"},
			"all tenants by a partner":    {f.partner("north"), body, 422, "only the platform"},
			"no confirmation":             {admin, network("acme", "dry_run", false), 422, `"confirmation"`},
			"a wrong confirmation":        {admin, network("acme", "dry_run", false, "confirmation", "x"), 422, `"confirmation"`},
			"another one's confirmation":  {admin, network("globex", "dry_run", false, "confirmation", preview.Confirmation), 422, `"confirmation"`},
			"no address":                  {admin, map[string]any{"filter": map[string]any{"tenant_id": "acme", "ip": "x y"}}, 422, `"ip"`},
			"a cutoff in the future":      {admin, network("acme", "dry_run", false, "confirmation", "x", "also_block_logins_before", f.clock.Now().Add(time.Hour)), 422, "future"},
			"sessions that have ended":    {admin, network("acme", "filter", map[string]any{"tenant_id": "acme", "ip": "203.0.113.7", "status": []string{"revoked", "idle"}}), 422, "only active"},
			"by their end":                {admin, network("acme", "filter", map[string]any{"tenant_id": "acme", "ended_after": "2026-01-15T00:00:00Z"}), 422, "only active"},
			"only whose":                  {admin, network("acme", "filter", map[string]any{"tenant_id": "acme"}), 422, "besides whose"},
			"only whose, and active":      {admin, network("acme", "filter", map[string]any{"tenant_id": "acme", "status": []string{"active"}}), 422, "besides whose"},
			"a tenant and all":            {admin, network("acme", "all_tenants", true), 422, "contradicts"},
			"no status":                   {admin, map[string]any{"filter": map[string]any{"status": []string{}}, "all_tenants": true}, 422, `"status"`},
			"what cannot be stored":       {admin, map[string]any{"filter": map[string]any{"tenant_id": "acme", "q": "\x00"}}, 422, `"q"`},
			"a user without scopes":       {f.user("acme", "us1", ""), network("acme"), 403, ""},
			"a service":                   {f.service(), network("acme"), 403, ""},
			"a time of a year too far on": {admin, network("acme", "also_block_logins_before", "12026-01-01T00:00:00Z"), 422, ""},
		} {
			got := f.do(http.MethodPost, "/api/v1/revocation-jobs", refused.token, refused.body).want(refused.status)
			assert.Contains(t, got.body, refused.says, what)
		}
		f.testForeignJobs()

		// The same call again is the same job; when the number has changed it is refused.
		again := network("globex")
		confirmation := f.preview(admin, again).Confirmation
		again["confirmation"], again["dry_run"] = confirmation, false
		f.do(http.MethodDelete, "/api/v1/admin/sessions/s5", admin, nil).want(http.StatusNoContent)
		conflict := f.do(http.MethodPost, "/api/v1/revocation-jobs", admin, again).want(http.StatusConflict)
		assert.Equal(t, "The dry run found 1 sessions, now there are 0: repeat it, or set a tolerance.", conflict.detail())
		again["tolerance"] = 1
		var first, second gen.RevocationJobAnswer
		f.do(http.MethodPost, "/api/v1/revocation-jobs", admin, again).want(http.StatusAccepted).decode(&first)
		f.do(http.MethodPost, "/api/v1/revocation-jobs", admin, again).want(http.StatusAccepted).decode(&second)
		assert.Equal(t, first.Data, second.Data)

		for _, step := range []struct {
			verb, state string
			status      int
		}{{"pause", "paused", 200}, {"resume", "running", 200}, {"cancel", "cancelled", 200}, {"cancel", "cancelled", 200}, {"resume", "", 409}} {
			got := f.do(http.MethodPost, "/api/v1/revocation-jobs/"+first.Data.Id+"/"+step.verb, admin, nil).want(step.status)
			assert.Contains(t, got.body, step.state)
		}
		for _, token := range []string{f.tenant("acme"), f.partner("south")} {
			assert.Equal(t, "Revocation job not found.", f.do(http.MethodGet, "/api/v1/revocation-jobs/"+first.Data.Id, token, nil).want(http.StatusNotFound).detail())
			f.do(http.MethodPost, "/api/v1/revocation-jobs/"+first.Data.Id+"/cancel", token, nil).want(http.StatusNotFound)
		}
		var list gen.RevocationJobList
		f.do(http.MethodGet, "/api/v1/revocation-jobs?state=completed", f.tenant("acme"), nil).want(http.StatusOK).decode(&list)
		assert.Equal(t, []gen.RevocationJob{done.Data}, list.Data)
	})
}

// testForeignJobs: who confirms a dry run of another's tenant would end all of its sessions.
func (f *fixture) testForeignJobs() {
	f.t.Helper()
	f.register("initech", "u9", "i1", "partner_id", "north")
	for what, c := range map[string]struct{ token, tenant, partner string }{
		"a tenant of another":                   {f.tenant("acme"), "globex", ""},
		"a tenant of one that is not there":     {f.tenant("acme"), "nowhere", ""},
		"a partner of another":                  {f.partner("south"), "initech", ""},
		"a partner who names the other":         {f.partner("south"), "initech", "north"},
		"a partner of a tenant without partner": {f.partner("south"), "globex", ""},
	} {
		filter := map[string]any{"tenant_id": c.tenant, "q": "u"}
		if c.partner != "" {
			filter["partner_id"] = c.partner
		}
		f.do(http.MethodPost, "/api/v1/revocation-jobs", c.token, map[string]any{"filter": filter}).want(http.StatusForbidden)
		_, err := f.store.PreviewRevocation(f.t.Context(), store.Revocation{Authorized: store.InTenant("acme"), Scope: store.InTenant("acme").InTenant("globex")})
		require.ErrorIs(f.t, err, store.ErrOutOfScope, what)
	}
	own := map[string]any{"filter": map[string]any{"tenant_id": "initech", "q": "u9"}}
	job := f.confirmed(f.partner("north"), own)
	assert.Equal(f.t, 1, job.Sessions, "a partner may")
	f.do(http.MethodPost, "/api/v1/revocation-jobs/"+job.Id+"/cancel", f.tenant("initech"), nil).want(http.StatusForbidden)
	f.runJobs()
	assert.Empty(f.t, f.activeIDs("initech"))
	f.do(http.MethodGet, "/api/v1/revocation-jobs/"+job.Id, f.tenant("initech"), nil).want(http.StatusOK)
	other := map[string]any{"filter": own["filter"], "dry_run": false, "confirmation": own["confirmation"], "reason": "another"}
	f.do(http.MethodPost, "/api/v1/revocation-jobs", f.partner("north"), other).want(http.StatusConflict)
}

// TestFollowAJob: a job's progress comes as events until it is finished.
func TestFollowAJob(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	f.register("acme", "u1", "s1", "ip_address", "203.0.113.7")
	job := f.confirmed(f.tenant("acme"), network("acme"))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.server.URL+"/api/v1/revocation-jobs/"+job.Id, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+f.tenant("acme"))
	request.Header.Set("Accept", "text/event-stream")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	var states []gen.RevocationJobState
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if data, is := strings.CutPrefix(lines.Text(), "data: "); is {
			var told gen.RevocationJob
			require.NoError(t, json.Unmarshal([]byte(data), &told))
			states = append(states, told.State)
			f.runJobs()
		}
	}
	assert.Equal(t, []gen.RevocationJobState{gen.Running, gen.Completed}, states, "it ends with the job")
}
