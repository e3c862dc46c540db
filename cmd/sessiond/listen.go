package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"

	"github.com/sessiond/sessiond/internal/httpserver"
)

// shutdownTimeout is how long each part of the process has at the end; requests have as long.
const shutdownTimeout = httpserver.ShutdownTimeout

// loopback reports whether an address is reached from this machine only.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// listen takes an address; what cannot be used is said with the flag that names it.
func listen(ctx context.Context, flag, addr string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("address %s is in use: end the program that listens there, or choose another with %s", addr, flag)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("address %s needs more rights than this user has: choose a port above 1023 with %s", addr, flag)
	case err != nil:
		return nil, fmt.Errorf("address %q cannot be listened on: use HOST:PORT for %s, as in 127.0.0.1:8080 (%w)", addr, flag, err)
	}
	return listener, nil
}

// closers are what was opened, to be closed in the opposite order.
type closers []func() error

func (c *closers) add(closer func() error) { *c = append(*c, closer) }

func (c *closers) close() error {
	var err error
	for _, closer := range slices.Backward(*c) {
		err = errors.Join(err, closer())
	}
	return err
}

// ignoreClosed is for a listener, which a server that ends closes itself.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
