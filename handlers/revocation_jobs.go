package handlers

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/internal/validation"
	"github.com/sessiond/sessiond/store"
)

// CreateRevocationJob serves POST /api/v1/revocation-jobs.
func (s *Server) CreateRevocationJob(ctx context.Context, request gen.CreateRevocationJobRequestObject) (gen.CreateRevocationJobResponseObject, error) {
	body := request.Body
	revocation, err := s.FromAPIRevocation(ctx, *body)
	if err != nil {
		return nil, err
	}
	if body.DryRun == nil || *body.DryRun {
		preview, err := s.store.PreviewRevocation(ctx, revocation)
		if err != nil {
			return nil, err
		}
		return gen.CreateRevocationJob200JSONResponse{Body: gen.RevocationPreviewAnswer{
			Data: ToAPIPreview(&preview, caller(ctx).SessionID), Meta: s.meta(ctx),
		}}, nil
	}
	switch {
	case textOf(body.Confirmation) == "":
		return nil, validation.ValueError("the confirmation of a dry run is needed", "body", "confirmation")
	case body.AlsoBlockLoginsBefore != nil && body.AlsoBlockLoginsBefore.After(s.now()):
		return nil, validation.ValueError("it is in the future", "body", "also_block_logins_before")
	}
	by := actor(ctx)
	if body.Reason != nil {
		by.Reason = sanitizeReason(*body.Reason)
	}
	tolerance := 0
	if body.Tolerance != nil {
		tolerance = *body.Tolerance
	}
	job, _, err := s.store.CreateRevocationJob(ctx, revocation, *body.Confirmation, tolerance, body.AlsoBlockLoginsBefore, by)
	if err != nil {
		return nil, err
	}
	return gen.CreateRevocationJob202JSONResponse{Body: gen.RevocationJobAnswer{Data: ToAPIJob(&job), Meta: s.meta(ctx)}}, nil
}

// FromAPIRevocation converts what is to end. Without a tenant it has to be said that all are meant, by who may say so.
func (s *Server) FromAPIRevocation(ctx context.Context, body gen.RevocationJobRequest) (store.Revocation, error) {
	if err := inRange("also_block_logins_before", body.AlsoBlockLoginsBefore); err != nil {
		return store.Revocation{}, err
	}
	f, authorized := body.Filter, authorizedScope(ctx)
	all := body.AllTenants != nil && *body.AllTenants
	switch {
	case f == gen.RevocationFilter{}:
		return store.Revocation{}, validation.ValueError("an empty filter finds nothing", "body", "filter")
	case f.TenantId == nil && !all:
		return store.Revocation{}, validation.ValueError("a tenant_id is needed, or all_tenants", "body", "filter", "tenant_id")
	case f.TenantId != nil && all:
		return store.Revocation{}, validation.ValueError("it contradicts the filter's tenant_id", "body", "all_tenants")
	case f.TenantId == nil && authorized != store.AllTenants():
		return store.Revocation{}, validation.ValueError("only the platform can mean all tenants", "body", "all_tenants")
	}
	scope, filter, err := FromAPISearch(authorized, gen.SearchSessionsParams{
		TenantId: f.TenantId, PartnerId: f.PartnerId, UserId: f.UserId, Q: f.Q, Status: f.Status, Ip: f.Ip, Country: f.Country,
		DeviceType: (*gen.SearchSessionsParamsDeviceType)(f.DeviceType), Browser: f.Browser, Os: f.Os, ApplicationId: f.ApplicationId,
		CreatedAfter: f.CreatedAfter, CreatedBefore: f.CreatedBefore, LastActivityAfter: f.LastActivityAfter, LastActivityBefore: f.LastActivityBefore,
		EndedAfter: f.EndedAfter, EndedBefore: f.EndedBefore,
	})
	if invalid, ok := errors.AsType[*validation.Error](err); ok {
		return store.Revocation{}, invalid.Within("body", "filter")
	}
	conditions := filter
	conditions.Statuses = nil // all that can end are active
	if conditions.IsZero() && f.UserId == nil {
		return store.Revocation{}, validation.ValueError(
			"say which sessions, besides whose and their status: all sessions of a tenant or of a user end by the operations for that", "body", "filter")
	}
	revocation := store.Revocation{Authorized: authorized, Scope: scope, Filter: filter}
	if body.IncludeOwnSession == nil || !*body.IncludeOwnSession {
		revocation.ExceptSessionID = caller(ctx).SessionID
	}
	return revocation, nil
}

// ListRevocationJobs serves GET /api/v1/revocation-jobs.
func (s *Server) ListRevocationJobs(ctx context.Context, request gen.ListRevocationJobsRequestObject) (gen.ListRevocationJobsResponseObject, error) {
	params := request.Params
	var states []string
	if params.State != nil {
		for _, state := range *params.State {
			states = append(states, string(state))
		}
	}
	found, err := s.store.ListRevocationJobs(ctx, authorizedScope(ctx), states, *params.Limit, textOf(params.Cursor))
	if err != nil {
		return nil, err
	}
	list := gen.RevocationJobList{
		Data: make([]gen.RevocationJob, len(found.Jobs)), Meta: s.meta(ctx),
		Pagination: gen.CursorPagination{Limit: *params.Limit, NextCursor: optional(found.Next)},
	}
	for i := range found.Jobs {
		list.Data[i] = ToAPIJob(&found.Jobs[i])
	}
	return gen.ListRevocationJobs200JSONResponse{Body: list}, nil
}

// GetRevocationJob serves GET /api/v1/revocation-jobs/{job_id}.
func (s *Server) GetRevocationJob(ctx context.Context, request gen.GetRevocationJobRequestObject) (gen.GetRevocationJobResponseObject, error) {
	job, err := s.store.GetRevocationJob(ctx, authorizedScope(ctx), request.JobId)
	if err != nil {
		return nil, err
	}
	if streamed(ctx) {
		return s.follow(ctx, job)
	}
	return gen.GetRevocationJob200JSONResponse{Body: gen.RevocationJobAnswer{Data: ToAPIJob(&job), Meta: s.meta(ctx)}}, nil
}

// PauseRevocationJob serves POST /api/v1/revocation-jobs/{job_id}/pause.
func (s *Server) PauseRevocationJob(ctx context.Context, request gen.PauseRevocationJobRequestObject) (gen.PauseRevocationJobResponseObject, error) {
	answer, err := s.setJobState(ctx, request.JobId, store.JobPaused)
	return gen.PauseRevocationJob200JSONResponse{Body: answer}, err
}

// ResumeRevocationJob serves POST /api/v1/revocation-jobs/{job_id}/resume.
func (s *Server) ResumeRevocationJob(ctx context.Context, request gen.ResumeRevocationJobRequestObject) (gen.ResumeRevocationJobResponseObject, error) {
	answer, err := s.setJobState(ctx, request.JobId, store.JobRunning)
	return gen.ResumeRevocationJob200JSONResponse{Body: answer}, err
}

// CancelRevocationJob serves POST /api/v1/revocation-jobs/{job_id}/cancel.
func (s *Server) CancelRevocationJob(ctx context.Context, request gen.CancelRevocationJobRequestObject) (gen.CancelRevocationJobResponseObject, error) {
	answer, err := s.setJobState(ctx, request.JobId, store.JobCancelled)
	return gen.CancelRevocationJob200JSONResponse{Body: answer}, err
}

func (s *Server) setJobState(ctx context.Context, id, state string) (gen.RevocationJobAnswer, error) {
	job, err := s.store.SetRevocationJobState(ctx, authorizedScope(ctx), id, state)
	return gen.RevocationJobAnswer{Data: ToAPIJob(&job), Meta: s.meta(ctx)}, err
}

// ToAPIPreview converts a preview; currentID is the caller's own session.
func ToAPIPreview(preview *store.RevocationPreview, currentID string) gen.RevocationPreview {
	answer := gen.RevocationPreview{
		Sessions: preview.Sessions, Tenants: preview.Tenants, Users: preview.Users, Confirmation: preview.Confirmation,
		Sample: make([]gen.SessionRecord, len(preview.Sample)),
	}
	for i := range preview.Sample {
		answer.Sample[i] = ToAPIRecord(&preview.Sample[i], preview.AsOf, "", currentID)
	}
	return answer
}

// ToAPIJob converts a job.
func ToAPIJob(job *store.RevocationJob) gen.RevocationJob {
	answer := gen.RevocationJob{
		Id: job.ID, State: gen.RevocationJobState(job.State), Filter: toAPIFilter(job), Reason: optional(job.Reason),
		CreatedAt: gen.Timestamp{Time: job.CreatedAt}, UpdatedAt: gen.Timestamp{Time: job.UpdatedAt}, FinishedAt: timestamp(job.FinishedAt),
		Sessions: job.Sessions, Ended: job.Ended,
	}
	if job.CreatedBySub != "" {
		answer.CreatedBy = &gen.EventActor{Sub: job.CreatedBySub, ClientId: optional(job.CreatedByClient)}
	}
	if job.State == store.JobCompleted {
		answer.AlreadyEnded = max(0, job.Sessions-job.Ended)
	}
	return answer
}

// toAPIFilter converts the filter of a job.
func toAPIFilter(job *store.RevocationJob) gen.RevocationFilter {
	f := job.Filter
	filter := gen.RevocationFilter{
		TenantId: optional(job.TenantID), PartnerId: job.PartnerID, UserId: job.UserID, Q: optional(f.Text), Country: f.Country,
		DeviceType: (*gen.RevocationFilterDeviceType)(f.DeviceType), Browser: f.Browser, Os: f.OS, ApplicationId: f.ApplicationID,
		CreatedAfter: someTime(f.Created.After), CreatedBefore: someTime(f.Created.Before),
		LastActivityAfter: someTime(f.LastActivity.After), LastActivityBefore: someTime(f.LastActivity.Before),
		EndedAfter: someTime(f.Ended.After), EndedBefore: someTime(f.Ended.Before),
	}
	if f.Network.IsValid() {
		filter.Ip = new(f.Network.String())
	}
	if len(f.Statuses) > 0 {
		statuses := make([]gen.SessionStatus, len(f.Statuses))
		for i, status := range f.Statuses {
			statuses[i] = gen.SessionStatus(status)
		}
		filter.Status = &statuses
	}
	return filter
}

// someTime is nil for the zero time.
func someTime(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// eventStream is the format of server-sent events (HTML, section 9.2).
const eventStream = "text/event-stream"

const (
	// followedAtOnce bounds the streams at a time, followedByOne those of one tenant or partner, and followedFor how long each is.
	followedAtOnce = 100
	followedByOne  = 10
	followedFor    = time.Hour
	// followPause is how often a job is looked at, and aliveAfter after how many of these a client is told that nothing has happened.
	followPause = time.Second
	aliveAfter  = 15
)

type streamKey struct{}

// streams puts into the context of a request that its answer may be a stream of events. Only a job's looks at it.
func streams(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		request := c.Request()
		if prefers(request.Header.Get(echo.HeaderAccept), eventStream) != "" {
			c.SetRequest(request.WithContext(context.WithValue(request.Context(), streamKey{}, true)))
		}
		return next(c)
	}
}

func streamed(ctx context.Context) bool { return ctx.Value(streamKey{}) != nil }

// streamCount is the streams that are open.
type streamCount struct {
	mu    sync.Mutex
	all   int
	owned map[string]int
}

// enter counts one more of an owner, and reports false when there are as many as may be.
func (c *streamCount) enter(owner string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all >= followedAtOnce || c.owned[owner] >= followedByOne {
		return false
	}
	if c.owned == nil {
		c.owned = map[string]int{}
	}
	c.all++
	c.owned[owner]++
	return true
}

func (c *streamCount) leave(owner string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.owned[owner]--; c.owned[owner] == 0 {
		delete(c.owned, owner)
	}
}

// following is an answer that tells of a job until it is finished.
type following struct {
	server *Server
	ctx    context.Context //nolint:containedctx // the answer is written within the request
	job    store.RevocationJob
	owner  string
}

// follow answers with the progress of a job.
func (s *Server) follow(ctx context.Context, job store.RevocationJob) (gen.GetRevocationJobResponseObject, error) {
	owner := cmp.Or(caller(ctx).TenantID, caller(ctx).PartnerID)
	if !s.followed.enter(owner) {
		return nil, fmt.Errorf("%w: as many jobs as may be are followed", store.ErrUnavailable)
	}
	return &following{s, ctx, job, owner}, nil
}

// VisitGetRevocationJobResponse implements gen.GetRevocationJobResponseObject.
func (f *following) VisitGetRevocationJobResponse(w http.ResponseWriter) error {
	defer f.server.followed.leave(f.owner)
	ctx, cancel := context.WithTimeout(httpserver.Unbounded(f.ctx), min(followedFor, caller(f.ctx).ExpiresAt.Sub(f.server.now())))
	defer cancel()
	w.Header().Set(echo.HeaderContentType, eventStream)
	w.Header().Set("X-Accel-Buffering", "no") // for NGINX, which would collect the events
	w.WriteHeader(http.StatusOK)
	out := pausing{w, http.NewResponseController(w)}
	tick := time.NewTicker(followPause)
	defer tick.Stop()
	going := out.event("job", ToAPIJob(&f.job)) == nil
	for quiet := 1; going && !f.job.Finished(); quiet++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		moved, err := f.look(ctx)
		switch {
		case err != nil:
			return nil // the client asks again, and gets the error
		case moved:
			going, quiet = out.event("job", ToAPIJob(&f.job)) == nil, 0
		case quiet%aliveAfter == 0:
			_, err := out.Write([]byte(":\n\n"))
			going = errors.Join(err, out.control.Flush()) == nil
		}
	}
	return nil
}

// look reads the job again, as long as the token is good, and reports whether it has moved on.
func (f *following) look(ctx context.Context) (moved bool, err error) {
	if who := caller(ctx); who.SessionID != "" {
		ended, err := f.server.store.SessionEnded(ctx, who.TenantID, who.SessionID)
		if err != nil || ended {
			return false, cmp.Or(err, store.ErrCallerEnded)
		}
	}
	job, err := f.server.store.GetRevocationJob(ctx, authorizedScope(ctx), f.job.ID)
	if err != nil {
		return false, err
	}
	moved = job.Chunks != f.job.Chunks || job.State != f.job.State
	f.job = job
	return moved, nil
}

// event writes one event, with data as JSON.
func (p pausing) event(name string, data any) error {
	var text bytes.Buffer
	text.WriteString("event: " + name + "\ndata: ")
	if err := json.NewEncoder(&text).Encode(data); err != nil {
		return err
	}
	text.WriteByte('\n')
	if _, err := p.Write(text.Bytes()); err != nil {
		return err
	}
	return p.control.Flush()
}
