package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/internal/maintenance"
	"github.com/sessiond/sessiond/store"
)

// maintenanceOptions are the flags of what happens to sessions when nobody asks.
type maintenanceOptions struct {
	maintenance.Config
	activityInterval, changeInterval, maxTokenLifetime time.Duration
}

func (o *maintenanceOptions) flags(flags *pflag.FlagSet) {
	const day = 24 * time.Hour
	flags.DurationVar(&o.activityInterval, "activity-interval", 15*time.Second,
		"write the activity of a session at most once in this interval; 0 to write each at once")
	flags.DurationVar(&o.changeInterval, "change-interval", time.Hour,
		"record a change of a session's address, agent or country at most once in this interval; 0 to record each")
	flags.DurationVar(&o.Retention, "retention", 90*day, "delete sessions this long after their end")
	flags.DurationVar(&o.AuditRetention, "audit-retention", 365*day, "delete audit events after this time")
	maxTokenLifetimeFlag(flags, &o.maxTokenLifetime)
	flags.DurationVar(&o.PurgeInterval, "purge-interval", time.Minute, "how often sessions and audit events past their retention are deleted")
}

func maxTokenLifetimeFlag(flags *pflag.FlagSet, lifetime *time.Duration) {
	flags.DurationVar(lifetime, "max-token-lifetime", store.DefaultMaxTokenLifetime,
		"longest lifetime of an access token; an ended session is remembered for this time after its end, even if it is deleted")
}

func (o *maintenanceOptions) check() error {
	for flag, interval := range map[string]time.Duration{"activity-interval": o.activityInterval, "change-interval": o.changeInterval} {
		if interval < 0 {
			return usageError{fmt.Errorf("--%s is %s: it must not be negative", flag, interval)}
		}
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"retention", o.Retention}, {"audit-retention", o.AuditRetention}, {"purge-interval", o.PurgeInterval},
	} {
		if err := checkPositive(d.flag, d.value); err != nil {
			return err
		}
	}
	return checkPositive("max-token-lifetime", o.maxTokenLifetime)
}

// checkPositive refuses a duration that is none.
func checkPositive(flag string, d time.Duration) error {
	if d <= 0 {
		return usageError{fmt.Errorf("--%s is %s: it must be positive, as in 24h or 15m", flag, d)}
	}
	return nil
}

// start runs the jobs beside the server. The returned function stops them and writes the activity that still waits.
func (o *maintenanceOptions) start(ctx context.Context, db *store.Store, logger *slog.Logger) (stop func() error) {
	end := maintenance.New(maintenanceStore{db}, o.Config, time.Now, logger).Start(ctx)
	return func() error {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpserver.ShutdownTimeout)
		defer cancel()
		return end(last)
	}
}

// maintenanceStore is the store as package maintenance needs it.
type maintenanceStore struct{ *store.Store }

// Analyze implements maintenance.Store.
func (s maintenanceStore) Analyze(ctx context.Context) error {
	_, err := s.Store.Analyze(ctx)
	return err
}
