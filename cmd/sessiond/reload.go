package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// reloads is what a running server reads again when the process gets SIGHUP.
type reloads struct {
	signals chan os.Signal
	read    []func(context.Context)
}

// openReloads takes SIGHUP from now on, which would end the process otherwise.
func openReloads() *reloads {
	r := &reloads{signals: make(chan os.Signal, 1)}
	signal.Notify(r.signals, syscall.SIGHUP)
	return r
}

func (r *reloads) add(read func(context.Context)) { r.read = append(r.read, read) }

// start reads everything again at each signal until it is stopped. What cannot be used is logged by whoever reads it, and
// leaves the last that could.
func (r *reloads) start(ctx context.Context, logger *slog.Logger) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-r.signals:
				logger.InfoContext(ctx, "SIGHUP: files are read again")
				for _, read := range r.read {
					read(ctx)
				}
			}
		}
	})
	return func() error {
		cancel()
		running.Wait()
		return nil
	}
}

// close gives SIGHUP its usual effect back.
func (r *reloads) close() error {
	signal.Stop(r.signals)
	return nil
}
