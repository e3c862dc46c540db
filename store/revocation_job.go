package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// States of a revocation job.
const (
	JobRunning   = "running"
	JobPaused    = "paused"
	JobCompleted = "completed"
	JobCancelled = "cancelled"
)

const (
	// sampleSize is how many sessions a preview shows.
	sampleSize = 20
	// confirmationLives is how long a preview can be confirmed.
	confirmationLives = 15 * time.Minute
	// MaxJobs is the most jobs that one call returns.
	MaxJobs = 200
	// jobsAtOnce bounds the jobs of a tenant, or of all tenants together, that are not finished.
	jobsAtOnce = 20
)

// RevocationJob ends the active sessions that a filter finds, of those that were registered before it was created.
type RevocationJob struct {
	// TenantID and ID are the key. TenantID is "" for a job about all tenants.
	TenantID string `gorm:"primaryKey"`
	ID       string `gorm:"primaryKey"`
	// PartnerID and UserID narrow the scope of the job.
	PartnerID, UserID *string
	Filter            SessionFilter `gorm:"serializer:json"`
	// ExceptSessionID is a session that stays, "" for none.
	ExceptSessionID string
	// BlockLoginsBefore: logins from before that time, of users whose sessions the job ends, cannot be registered any more.
	BlockLoginsBefore                                *time.Time
	CreatedBySub, CreatedByClient, Reason, RequestID string
	CreatedAt                                        time.Time `gorm:"autoCreateTime:false"`
	// Level is who may stop the job: callers of at least that level.
	Level Level
	State string
	// Sessions is how many there were to end when it was created, Ended how many it has ended. What is missing at its end somebody else has
	// ended meanwhile.
	Sessions, Ended int
	Chunks          int
	PositionAt      *time.Time
	PositionID      string
	UpdatedAt       time.Time `gorm:"autoUpdateTime:false"`
	FinishedAt      *time.Time
}

// AfterFind gives times one form whatever the driver's time zone is.
func (j *RevocationJob) AfterFind(*gorm.DB) error {
	j.CreatedAt, j.UpdatedAt = j.CreatedAt.UTC(), j.UpdatedAt.UTC()
	for _, at := range []*time.Time{j.BlockLoginsBefore, j.PositionAt, j.FinishedAt} {
		if at != nil {
			*at = at.UTC()
		}
	}
	return nil
}

// Finished reports whether nothing more happens.
func (j *RevocationJob) Finished() bool { return j.State == JobCompleted || j.State == JobCancelled }

// finishing adds to the columns of a job what is forgotten of one that is finished: it names sessions.
func (j *RevocationJob) finishing(columns map[string]any) map[string]any {
	if j.Finished() {
		columns["finished_at"], columns["position_id"], columns["except_session_id"] = j.FinishedAt, "", ""
	}
	return columns
}

// scope is whose sessions the job may end.
func (j *RevocationJob) scope() Scope {
	scope := AllTenants()
	if j.TenantID != "" {
		scope = scope.InTenant(j.TenantID)
	}
	if j.PartnerID != nil {
		scope = scope.OfPartner(*j.PartnerID)
	}
	if j.UserID != nil {
		scope = scope.OfUser(*j.UserID)
	}
	return scope
}

// actor is who created the job.
func (j *RevocationJob) actor() Actor {
	return Actor{Subject: j.CreatedBySub, ClientID: j.CreatedByClient, Reason: j.Reason, RequestID: j.RequestID}
}

// Level is how far the authorization of who created a job reaches.
type Level int

// The levels.
const (
	OfTenant Level = iota
	OfPartner
	OfPlatform
)

func levelOf(scope Scope) Level {
	switch {
	case scope.tenant != nil:
		return OfTenant
	case scope.partner != nil:
		return OfPartner
	default:
		return OfPlatform
	}
}

// Revocation says which sessions a job ends: the active ones of a scope that a filter finds, but for one.
type Revocation struct {
	// Authorized is what the caller may end sessions of, Scope a part of it.
	Authorized, Scope Scope
	Filter            SessionFilter
	ExceptSessionID   string
}

// search is the search for the sessions that end: active ones.
func (r Revocation) search(s *Store, before time.Time) search {
	filter := r.Filter
	filter.Statuses = []string{Active}
	return search{
		Store: s, scope: r.Scope, filter: filter, page: SessionPage{Sort: SortCreated}, now: s.now(), except: r.ExceptSessionID, createdUntil: &before,
	}
}

// asked is what a confirmation is bound to.
func (r Revocation) asked() (string, error) {
	text, err := json.Marshal([]any{"revocation", r.Scope.all, r.Scope.tenant, r.Scope.partner, r.Scope.user, r.Filter, r.ExceptSessionID})
	return string(text), err
}

// RevocationPreview is what a job would do now.
type RevocationPreview struct {
	Sessions, Tenants, Users int
	// Sample are some of the sessions, newest first.
	Sample []Session
	// Confirmation has to be given to create the job, within 15 minutes.
	Confirmation string
	AsOf         time.Time
}

// confirmation is what a preview's token says.
type confirmation struct {
	// Job is the id of the job that it creates: one, however often the call is repeated.
	Job      string
	Sessions int
	At       time.Time
}

// check answers ErrOutOfScope for what is not the caller's, or cannot be, and ErrNotActive for a filter that finds no active session: what has
// ended cannot end.
func (r Revocation) check() error {
	if len(r.Filter.Statuses) > 0 && !slices.Contains(r.Filter.Statuses, Active) || r.Filter.Ended != (Period{}) {
		return ErrNotActive
	}
	if r.Scope.empty() || r.Authorized.empty() || !r.Filter.storable() || r.ExceptSessionID != "" && !storable(r.ExceptSessionID) {
		return ErrOutOfScope
	}
	return nil
}

// PreviewRevocation counts the sessions that a job would end. It must answer ErrOutOfScope for a revocation of what is not the caller's.
func (s *Store) PreviewRevocation(ctx context.Context, r Revocation) (RevocationPreview, error) {
	preview := RevocationPreview{Sample: []Session{}, AsOf: s.now()}
	if err := r.check(); err != nil {
		return preview, mapError("preview a revocation", err)
	}
	scope, err := s.knownPartner(ctx, r.Scope)
	switch {
	case err != nil:
	case !scope.empty():
		q := r.search(s, preview.AsOf)
		q.scope = scope
		err = q.run(ctx, s.reading(scope), func(tx *gorm.DB) (err error) {
			if preview.Sessions, preview.Tenants, preview.Users, err = q.countAll(tx); err == nil {
				preview.Sample, err = q.sessions(tx, nil, sampleSize)
			}
			return err
		})
	case r.Authorized.partner != nil: // the tenant is another partner's
		err = ErrOutOfScope
	}
	if err != nil {
		return preview, mapError("preview a revocation", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return preview, err
	}
	asked, err := r.asked()
	if err == nil {
		preview.Confirmation, err = s.sealCursor(ctx, asked, confirmation{id.String(), preview.Sessions, preview.AsOf})
	}
	return preview, mapError("preview a revocation", err)
}

// countAll counts all sessions that are found, and their tenants and users.
func (q search) countAll(tx *gorm.DB) (sessions, tenants, users int, err error) {
	var counted struct{ Sessions, Tenants, Users int }
	byUser := tx.Table("(?) AS found", q.part(tx, part{columns: "tenant_id, user_id", most: allRows, which: q.matching})).
		Select("tenant_id, user_id, count(*) AS n").Group("tenant_id, user_id")
	err = tx.Table("(?) AS users", byUser).
		Select("coalesce(sum(n), 0) AS sessions, count(DISTINCT tenant_id) AS tenants, count(*) AS users").Scan(&counted).Error
	return counted.Sessions, counted.Tenants, counted.Users, err
}

// CreateRevocationJob creates a job of what a preview has shown. The sessions that are found now may be more or fewer than those of the preview
// by the tolerance at the most. With the confirmation of a job that exists it returns that one and false.
//
// It must answer ErrConfirmation for a confirmation of something else, or one that is too old, ErrOtherJob when the job that exists has another
// reason or cutoff, a DriftedError when the number has changed by more, and ErrTooManyJobs when as many as may be are not finished.
func (s *Store) CreateRevocationJob(
	ctx context.Context, r Revocation, confirmed string, tolerance int, blockLoginsBefore *time.Time, by Actor,
) (RevocationJob, bool, error) {
	var job RevocationJob
	if blockLoginsBefore != nil {
		blockLoginsBefore = new(timestamp(*blockLoginsBefore))
	}
	c, err := s.openConfirmation(ctx, r, confirmed)
	if err != nil {
		return job, false, mapError("create a revocation job", err)
	}
	if job, err = s.GetRevocationJob(ctx, r.Authorized, c.Job); err == nil || !errors.Is(err, ErrNotFound) {
		if err == nil && (job.Reason != by.Reason || !sameTime(job.BlockLoginsBefore, blockLoginsBefore)) {
			err = mapError("create a revocation job", ErrOtherJob)
		}
		return job, false, err
	}
	now := s.now()
	if now.Sub(c.At) > confirmationLives {
		return job, false, mapError("create a revocation job", ErrConfirmation)
	}
	preview, err := s.PreviewRevocation(ctx, r)
	if err != nil {
		return job, false, err
	}
	if drift := preview.Sessions - c.Sessions; max(drift, -drift) > tolerance {
		return job, false, mapError("create a revocation job", DriftedError{c.Sessions, preview.Sessions})
	}
	job = RevocationJob{
		TenantID: text(r.Scope.tenant), ID: c.Job, PartnerID: r.Scope.partner, UserID: r.Scope.user, Filter: r.Filter, ExceptSessionID: r.ExceptSessionID,
		CreatedBySub: by.Subject, CreatedByClient: by.ClientID, Reason: by.Reason, RequestID: by.RequestID, CreatedAt: preview.AsOf, State: JobRunning,
		BlockLoginsBefore: blockLoginsBefore, Level: levelOf(r.Authorized),
		Sessions: preview.Sessions, UpdatedAt: preview.AsOf,
	}
	created, err := s.insertJob(ctx, &job)
	if err == nil && !created {
		job, err = s.GetRevocationJob(ctx, r.Authorized, c.Job)
	}
	return job, created, err
}

// openConfirmation reads the confirmation of a revocation.
func (s *Store) openConfirmation(ctx context.Context, r Revocation, confirmed string) (c confirmation, err error) {
	if err := r.check(); err != nil {
		return c, err
	}
	asked, err := r.asked()
	if err != nil {
		return c, err
	}
	if err = s.openCursor(ctx, asked, confirmed, &c); errors.Is(err, ErrCursor) {
		err = ErrConfirmation
	}
	return c, err
}

// insertJob stores a job, if there are not too many, and reports false when somebody has stored it before.
func (s *Store) insertJob(ctx context.Context, job *RevocationJob) (created bool, err error) {
	err = s.write(ownedBy(ctx, job.TenantID), "create a revocation job", func(tx *gorm.DB) error {
		unfinished := int64(0)
		err := tx.Model(&RevocationJob{}).Where("tenant_id = ? AND level = ? AND finished_at IS NULL", job.TenantID, job.Level).Count(&unfinished).Error
		if err == nil && unfinished >= jobsAtOnce {
			err = ErrTooManyJobs
		}
		if err != nil {
			return err
		}
		inserted := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(job)
		created = inserted.RowsAffected > 0
		return inserted.Error
	})
	return created, err
}

func sameTime(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

// jobs selects the jobs that a scope may see: those about its tenants. A user sees none.
func (s Scope) jobs(tx *gorm.DB) *gorm.DB {
	if s.tenant != nil {
		tx = tx.Where("tenant_id = ?", *s.tenant)
	}
	if s.partner != nil {
		of := tx.Session(&gorm.Session{NewDB: true}).Model(&Tenant{}).Select("tenant_id").Where("partner_id = ?", *s.partner)
		tx = tx.Where("tenant_id IN (?)", of)
	}
	return tx
}

// GetRevocationJob returns a job about tenants of a scope. It must answer ErrNotFound for every other one.
func (s *Store) GetRevocationJob(ctx context.Context, scope Scope, id string) (RevocationJob, error) {
	var job RevocationJob
	if scope.empty() || !storable(id) {
		return job, mapError("get a revocation job", ErrNotFound)
	}
	err := s.read(ctx, func(tx *gorm.DB) error { return tx.Scopes(scope.jobs).Where("id = ?", id).Take(&job).Error })
	return job, mapError("get a revocation job", err)
}

// RevocationJobs is one page of jobs.
type RevocationJobs struct {
	Jobs []RevocationJob
	Next string
}

// ListRevocationJobs returns the jobs about tenants of a scope, newest first. It must answer ErrCursor for a cursor of another list.
func (s *Store) ListRevocationJobs(ctx context.Context, scope Scope, states []string, limit int, cursor string) (RevocationJobs, error) {
	found := RevocationJobs{Jobs: []RevocationJob{}}
	if scope.empty() {
		return found, nil
	}
	asked, err := json.Marshal([]any{"jobs", scope.tenant, scope.partner, states})
	if err != nil {
		return found, err
	}
	var from sessionPlace
	if cursor != "" {
		if err := s.openCursor(ctx, string(asked), cursor, &from); err != nil {
			return found, mapError("list revocation jobs", err)
		}
	}
	if limit <= 0 || limit > MaxJobs {
		limit = MaxJobs
	}
	err = s.read(ctx, func(tx *gorm.DB) error {
		query := tx.Scopes(scope.jobs).Order(listOrder).Limit(limit + 1)
		if len(states) > 0 {
			query = query.Where("state IN ?", states)
		}
		if cursor != "" {
			query = query.Where("(created_at, id) < (?, ?)", timestamp(from.At), from.ID)
		}
		return query.Find(&found.Jobs).Error
	})
	if err == nil && len(found.Jobs) > limit {
		found.Jobs = found.Jobs[:limit]
		last := found.Jobs[limit-1]
		found.Next, err = s.sealCursor(ctx, string(asked), sessionPlace{last.CreatedAt, last.ID})
	}
	return found, mapError("list revocation jobs", err)
}

// SetRevocationJobState pauses, resumes or cancels a job, and returns it as it is then. To set the state that it has is no change. It must
// answer ErrJobFinished for one that is finished, and ErrOutOfScope for one of a caller whose authorization reaches further.
func (s *Store) SetRevocationJobState(ctx context.Context, scope Scope, id, state string) (RevocationJob, error) {
	var job RevocationJob
	if scope.empty() || !storable(id) {
		return job, mapError("change a revocation job", ErrNotFound)
	}
	err := s.write(ctx, "change a revocation job", func(tx *gorm.DB) error {
		job = RevocationJob{} // an attempt before this one was rolled back
		locked := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Scopes(scope.jobs).Where("id = ?", id)
		if err := locked.Take(&job).Error; err != nil || job.State == state {
			return err
		}
		if job.Finished() {
			return ErrJobFinished
		}
		if levelOf(scope) < job.Level {
			return ErrOutOfScope
		}
		job.State, job.UpdatedAt = state, s.now()
		if job.Finished() {
			job.FinishedAt = &job.UpdatedAt
		}
		return tx.Model(&RevocationJob{}).Where("tenant_id = ? AND id = ?", job.TenantID, job.ID).
			Updates(job.finishing(map[string]any{"state": job.State, "updated_at": job.UpdatedAt})).Error
	})
	return job, err
}
