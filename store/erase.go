package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Erasure is what EraseUser did.
type Erasure struct {
	// Ended were active and ended first, Sessions were deleted in all, Events of the audit trail lost whom they were about.
	Ended, Sessions, Events int
	// Receipt is the operation id of the event that stays in the audit trail.
	Receipt string
}

// EraseUser ends the active sessions of a user in a tenant and then deletes all that is known of the user there: sessions,
// applications, and the user's name in the audit trail. The name goes in all tenants from what the user did. What stays says of
// nobody who he was: digests by which the ended sessions, and logins from before, are kept out, and an event with a digest of
// the user, by which the erasure can be proved to who knows the id.
//
// On SQLite nothing is left in the file or its write-ahead log either. PostgreSQL keeps old versions of rows until they are
// vacuumed, and its write-ahead log.
func (s *Store) EraseUser(ctx context.Context, tenantID, userID string, by Actor) (Erasure, error) {
	var done Erasure
	if !storable(tenantID) || !storable(userID) {
		return done, mapError("erase user", ErrNotFound)
	}
	e := erasure{tenantID: tenantID, userID: userID}
	var err error
	if e.userDigest, err = s.digest(ctx, digestOfUser, userID); err != nil {
		return done, err
	}
	if e.receipt, err = s.digest(ctx, digestOfErasure, tenantID, userID); err != nil {
		return done, err
	}
	err = s.write(ctx, "erase user", func(tx *gorm.DB) error {
		trail, err := s.trail(by)
		if err != nil {
			return err
		}
		e.revocation = revocation{querier: querier{Store: s, ctx: ctx, tx: tx}, sel: InTenant(tenantID).OfUser(userID), trail: trail}
		done, err = e.run()
		return err
	})
	if err != nil {
		return Erasure{}, err
	}
	s.onEnded(Revoked, done.Ended)
	return done, s.scrub(ctx, tenantID, userID)
}

// KnownOf counts what EraseUser would find of a user in a tenant: sessions, of which active ones, and audit events.
func (s *Store) KnownOf(ctx context.Context, tenantID, userID string) (Erasure, error) {
	var known Erasure
	if !storable(tenantID) || !storable(userID) {
		return known, nil
	}
	_, all, err := s.ListSessions(ctx, InTenant(tenantID).OfUser(userID), Page{Limit: 1})
	if err == nil {
		known.Ended, err = s.CountActive(ctx, InTenant(tenantID).OfUser(userID))
	}
	events := int64(0)
	if err == nil {
		err = s.db.WithContext(ctx).Model(&AuditEvent{}).
			Where("tenant_id IN ? AND user_id = ? OR actor_sub = ?", []string{"", tenantID}, userID, userID).Count(&events).Error
	}
	known.Sessions, known.Events = all, int(events)
	return known, mapError("look for a user", err)
}

// erasure is one transaction of EraseUser.
type erasure struct {
	revocation
	tenantID, userID    string
	userDigest, receipt string
}

func (e *erasure) run() (Erasure, error) {
	done := Erasure{Receipt: e.trail.operation}
	if err := e.waitForMaintenance(); err != nil {
		return done, err
	}
	if err := e.lockAll(); err != nil {
		return done, err
	}
	ids, err := e.endActive()
	if err != nil {
		return done, err
	}
	done.Ended = len(ids)
	if done.Sessions, err = e.deleteSessions(); err != nil {
		return done, err
	}
	if done.Events, err = e.forgetEvents(); err != nil {
		return done, err
	}
	if err := e.forgetActor(); err != nil {
		return done, err
	}
	if err := e.forgetCutoffs(); err != nil {
		return done, err
	}
	event := e.trail.event(ActionErased, e.tenantID, "", "")
	event.Reason = fmt.Sprintf("hmac-sha256:%s ended:%d sessions:%d", e.receipt, done.Ended, done.Sessions)
	return done, e.tx.Create(&event).Error
}

// waitForMaintenance has the jobs that work on ended sessions leave them alone: what they have read may name the user.
func (e *erasure) waitForMaintenance() error {
	if e.engine.serial != nil {
		return nil
	}
	for _, job := range []int64{endedLock, endingLock} {
		if err := execIn(e.tx, e.engine.statement("SELECT "+exclusive+"(?)", job)); err != nil {
			return err
		}
	}
	return nil
}

// endActive ends the user's active sessions, after those that have ended with all of the tenant and do not say so yet: who ended
// these stays.
func (e *erasure) endActive() ([]string, error) {
	var endings []tenantEnding
	if err := e.tx.Where("tenant_id = ?", e.tenantID).Order("at, operation_id").Find(&endings).Error; err != nil {
		return nil, err
	}
	for _, ending := range endings {
		earlier := revocation{querier: e.querier, sel: e.sel, trail: ending.trail()}
		_, err := earlier.finish(ending, func(st *statement) { st.add(" AND user_id = ?", e.userID) }, "")
		if err != nil {
			return nil, err
		}
	}
	return e.endInOrder(Revoked, every)
}

// deleteSessions deletes the user's sessions and keeps their digests.
func (e *erasure) deleteSessions() (int, error) {
	var sessions []Session
	err := selectKept(e.tx).Where("tenant_id = ? AND user_id = ?"+userAll, e.tenantID, e.userID).Find(&sessions).Error
	if err != nil {
		return 0, err
	}
	if err := e.keepEnded(e.tx, sessions); err != nil {
		return 0, err
	}
	return len(sessions), e.tx.Where("tenant_id = ? AND user_id = ?"+userAll, e.tenantID, e.userID).Delete(&Session{}).Error
}

// forgetEvents takes the user out of the events that are about the user.
func (e *erasure) forgetEvents() (int, error) {
	events := e.tx.Model(&AuditEvent{}).Where("tenant_id IN ? AND user_id = ?", []string{"", e.tenantID}, e.userID).
		Updates(map[string]any{"user_id": "", "reason": "", "request_id": ""})
	return int(events.RowsAffected), events.Error
}

// forgetActor takes the user, the reasons that the user gave and the ids that the user chose for requests, out of what the user has
// done, in whatever tenant: an administrator may have ended sessions in many.
func (e *erasure) forgetActor() error {
	for _, done := range []struct {
		model              any
		actor, reasonGiven string
		requests           bool
	}{
		{&AuditEvent{}, "actor_sub", "reason", true},
		{&Session{}, "ended_by_sub", "ended_reason", false},
		{&tenantEnding{}, "ended_by_sub", "ended_reason", true},
	} {
		forgotten := map[string]any{done.actor: "", done.reasonGiven: ""}
		if done.requests {
			forgotten["request_id"] = ""
		}
		if err := e.tx.Model(done.model).Where(done.actor+" = ?", e.userID).Updates(forgotten).Error; err != nil {
			return err
		}
	}
	return nil
}

// forgetCutoffs keeps logins from before the erasure out, and puts a digest in the place of the user in every other cutoff.
func (e *erasure) forgetCutoffs() error {
	var marks []watermark
	if err := e.tx.Where("tenant_id IN ? AND user_id = ?", []string{"", e.tenantID}, e.userID).Find(&marks).Error; err != nil {
		return err
	}
	marks = append(marks, watermark{TenantID: e.tenantID, NotBefore: e.trail.at, KeepUntil: timestamp(e.keepUntil(e.trail.at, e.expires))})
	for _, mark := range marks {
		mark.UserID = e.userDigest
		if mark.KeepUntil.IsZero() { // the previous version has written it
			mark.KeepUntil = timestamp(e.keepUntil(mark.NotBefore, time.Time{}))
		}
		if err := advance(e.tx, &mark, "watermarks", "tenant_id"); err != nil {
			return err
		}
	}
	if err := e.tx.Where("tenant_id IN ? AND user_id = ?", []string{"", e.tenantID}, e.userID).Delete(&watermark{}).Error; err != nil {
		return err
	}
	return e.forgetPartnerCutoffs()
}

func (e *erasure) forgetPartnerCutoffs() error {
	var cutoffs []partnerCutoff
	if err := e.tx.Where("user_id = ?", e.userID).Find(&cutoffs).Error; err != nil {
		return err
	}
	for _, cutoff := range cutoffs {
		cutoff.UserID = e.userDigest
		if err := advance(e.tx, &cutoff, "partner_cutoffs", "partner_id"); err != nil {
			return err
		}
	}
	return e.tx.Where("user_id = ?", e.userID).Delete(&partnerCutoff{}).Error
}
