package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// followEvery is how often the certificate's files are looked at.
const followEvery = 10 * time.Second

// certificate is a key pair that follows its files: whoever renews it need not restart the server. Files are compared by
// content, because a mounted secret changes by a link and a copy keeps its time.
type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger
	pair              atomic.Pointer[tls.Certificate]

	mu                sync.Mutex
	lastCert, lastKey []byte // what was tried last
	said              string // the failure that was logged last
}

func openCertificate(certFile, keyFile string, logger *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, logger: logger}
	if _, err := c.load(); err != nil {
		return nil, fmt.Errorf("the certificate of --tls-cert and --tls-key cannot be used: %s", oneLine(err))
	}
	return c, nil
}

// load takes the pair in the files, and reports whether they had changed since the last time.
func (c *certificate) load() (changed bool, err error) {
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

// check looks at the files. A pair that cannot be used leaves the last one that could, and is said once.
func (c *certificate) check(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, err := c.load()
	switch {
	case err != nil && (changed || err.Error() != c.said):
		c.said = err.Error()
		c.logger.WarnContext(ctx, "the changed certificate cannot be used, the old one stays", "error", err)
	case err == nil && changed:
		c.said = ""
		c.logger.InfoContext(ctx, "the changed certificate is used from now on")
	}
}

// follow checks the files until the returned function is called.
func (c *certificate) follow(ctx context.Context, every time.Duration) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for sleep(ctx, every) {
			c.check(ctx)
		}
	})
	return func() error {
		cancel()
		running.Wait()
		return nil
	}
}

// config is for TLS 1.2 at least, HTTP/2 preferred; suites and curves are Go's, which its releases keep up to date.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil },
	}
}
