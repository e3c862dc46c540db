package httpserver_test

import (
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/httpserver"
	"github.com/sessiond/sessiond/internal/qa/certs"
)

func TestACertificateIsFollowed(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := certs.Write(t, dir, 1)
	log := &logs{}
	c, err := httpserver.OpenCertificate(certFile, keyFile, slog.New(slog.NewJSONHandler(log, nil)))
	require.NoError(t, err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", c.TLSConfig())
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).HandshakeContext(t.Context())
			_ = conn.Close()
		}
	}()
	serial := func() int64 {
		dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // the serial number is what counts
		conn, err := dialer.DialContext(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			return 0
		}
		defer conn.Close()
		return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	eventually := func(condition func() bool) {
		t.Helper()
		require.Eventually(t, condition, 30*time.Second, 5*time.Millisecond)
	}
	stop := c.Watch(t.Context(), time.Millisecond)
	defer func() { require.NoError(t, stop()) }()
	assert.Equal(t, int64(1), serial())

	require.NoError(t, os.WriteFile(certFile, []byte("broken"), 0o600))
	eventually(func() bool { return strings.Contains(log.String(), "the old one stays") })
	assert.Equal(t, int64(1), serial())
	time.Sleep(20 * time.Millisecond) // it may have been read while it was written
	said := len(log.String())
	time.Sleep(20 * time.Millisecond)
	assert.Len(t, log.String(), said, "the same files are not tried again")
	require.NoError(t, os.Remove(keyFile))
	eventually(func() bool { return strings.Contains(log.String(), "no such file") })
	assert.Equal(t, int64(1), serial())
	for range 20 { // it goes on looking and says nothing more
		time.Sleep(time.Millisecond)
	}
	assert.Equal(t, 1, strings.Count(log.String(), "no such file"), log.String())

	certs.Write(t, dir, 2)
	eventually(func() bool { return serial() == 2 })
	assert.Contains(t, log.String(), "the changed certificate is used from now on")
}
