package httpserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Certificate is a key pair that is read again when its files change: whoever renews it need not restart the server. Files are
// compared by content, because a mounted secret changes by a link and a copy keeps its time.
type Certificate struct {
	certFile, keyFile string
	logger            *slog.Logger
	pair              atomic.Pointer[tls.Certificate]

	mu                sync.Mutex
	lastCert, lastKey []byte // what was tried last
	lastFailure       string // what was logged last
}

// OpenCertificate reads the pair in two PEM files.
func OpenCertificate(certFile, keyFile string, logger *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, logger: logger}
	if _, err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// load takes the pair in the files, and reports whether they had changed since the last time.
func (c *Certificate) load() (changed bool, err error) {
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		return false, err
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return false, err
	}
	if bytes.Equal(cert, c.lastCert) && bytes.Equal(key, c.lastKey) {
		return false, nil
	}
	c.lastCert, c.lastKey = cert, key
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return true, err
	}
	c.pair.Store(&pair)
	return true, nil
}

// Reload reads the files again. A pair that cannot be used leaves the last one that could, and is logged once.
func (c *Certificate) Reload(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, err := c.load()
	switch {
	case err != nil && (changed || err.Error() != c.lastFailure):
		c.lastFailure = err.Error()
		c.logger.WarnContext(ctx, "the changed certificate cannot be used, the old one stays", "error", err)
	case err == nil && changed:
		c.lastFailure = ""
		c.logger.InfoContext(ctx, "the changed certificate is used from now on")
	}
}

// Watch reloads the pair at an interval until the returned function is called.
func (c *Certificate) Watch(ctx context.Context, interval time.Duration) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		ticks := time.NewTicker(interval)
		defer ticks.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticks.C:
				c.Reload(ctx)
			}
		}
	})
	return func() error {
		cancel()
		running.Wait()
		return nil
	}
}

// TLSConfig is for TLS 1.2 at least, HTTP/2 preferred; suites and curves are Go's, which its releases keep up to date.
func (c *Certificate) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil },
	}
}
