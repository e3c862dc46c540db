package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/sessiond/sessiond/store"
)

// limits are the deployment's, and where to find those of tenants that differ.
type limits struct {
	defaults tenantLimits
	file     string
	// tenants are those of the file, read last.
	tenants atomic.Pointer[map[string]store.Limits]
}

// tenantLimits are limits as they are written down. An absent member takes the deployment's.
type tenantLimits struct {
	MaxLifetime *time.Duration `yaml:"max_lifetime"`
	IdleTimeout *time.Duration `yaml:"idle_timeout"`
	MaxSessions *int           `yaml:"max_sessions"`
	Surplus     *string        `yaml:"surplus"`
}

const (
	endOldest = "end-oldest"
	refuse    = "refuse"
)

func (l *limits) flags(flags *pflag.FlagSet) {
	d := &l.defaults
	d.MaxLifetime = flags.Duration("max-lifetime", 0, "maximum lifetime of a session after its login; 0 for no limit")
	d.IdleTimeout = flags.Duration("idle-timeout", 0, "end a session that had no activity for this time; 0 for no limit")
	d.MaxSessions = flags.Int("max-sessions", 0, "maximum number of active sessions of a user in a tenant; 0 for no limit")
	d.Surplus = flags.String("surplus", endOldest, "`POLICY` for a login beyond --max-sessions: "+endOldest+" ends the oldest session, "+refuse+" refuses the login")
	flags.StringVar(&l.file, "tenant-limits", "", "YAML `FILE` with limits of single tenants; reloaded on SIGHUP")
}

// check refuses limits that cannot be meant.
func (l *limits) check() error {
	d := l.defaults
	switch {
	case *d.MaxLifetime < 0 || *d.IdleTimeout < 0 || *d.MaxSessions < 0:
		return usageError{errors.New("--max-lifetime, --idle-timeout and --max-sessions must not be negative; 0 is for no limit")}
	case *d.Surplus != endOldest && *d.Surplus != refuse:
		return usageError{fmt.Errorf("--surplus is %q: use %s or %s", *d.Surplus, endOldest, refuse)}
	}
	return nil
}

// load reads the tenants' limits and returns the function that the store asks.
func (l *limits) load() (func(tenantID string) store.Limits, error) {
	defaults, err := l.defaults.over(store.Limits{})
	if err != nil {
		return nil, usageError{err}
	}
	l.tenants.Store(&map[string]store.Limits{})
	if l.file != "" {
		if err := l.read(defaults); err != nil {
			return nil, err
		}
	}
	return func(tenantID string) store.Limits {
		if own, found := (*l.tenants.Load())[tenantID]; found {
			return own
		}
		return defaults
	}, nil
}

// reload reads the file again, if there is one. A file with a mistake leaves the limits as they are.
func (l *limits) reload(ctx context.Context, logger *slog.Logger) {
	if l.file == "" {
		return
	}
	defaults, err := l.defaults.over(store.Limits{})
	if err == nil {
		err = l.read(defaults)
	}
	if err != nil {
		logger.WarnContext(ctx, "the changed tenant limits cannot be used, the old ones stay", "error", err)
		return
	}
	logger.InfoContext(ctx, "the tenant limits were read again")
}

// read takes the file's limits, if all of them can be used.
func (l *limits) read(defaults store.Limits) error {
	file, err := os.Open(l.file)
	if err != nil {
		return fmt.Errorf("tenant limits cannot be read: %w", err)
	}
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	written := map[string]tenantLimits{}
	if err := decoder.Decode(&written); err != nil {
		return fmt.Errorf("tenant limits in %s: %s", l.file, oneLine(err))
	}
	tenants := map[string]store.Limits{}
	for tenantID, own := range written {
		if tenants[tenantID], err = own.over(defaults); err != nil {
			return fmt.Errorf("tenant limits in %s: %s: %w", l.file, tenantID, err)
		}
	}
	l.tenants.Store(&tenants)
	return nil
}

// over puts what is written over other limits.
func (t tenantLimits) over(base store.Limits) (store.Limits, error) {
	if t.MaxLifetime != nil {
		base.Absolute = *t.MaxLifetime
	}
	if t.IdleTimeout != nil {
		base.Idle = *t.IdleTimeout
	}
	if t.MaxSessions != nil {
		base.MaxSessions = *t.MaxSessions
	}
	if t.Surplus != nil {
		if *t.Surplus != endOldest && *t.Surplus != refuse {
			return base, fmt.Errorf("surplus is %q: use %s or %s", *t.Surplus, endOldest, refuse)
		}
		base.RefuseSurplus = *t.Surplus == refuse
	}
	if base.Absolute < 0 || base.Idle < 0 || base.MaxSessions < 0 {
		return base, errors.New("a limit must not be negative; 0 is for no limit")
	}
	return base, nil
}
