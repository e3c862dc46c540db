package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store/storetest"
)

// writePair writes a fresh self-signed certificate of a serial number and its key, and returns their files.
func writePair(t *testing.T, dir string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "sessiond"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return certFile, keyFile
}

// trusting is a client of a server whose certificate is in a file.
func trusting(t *testing.T, certFile string) *http.Client {
	t.Helper()
	text, err := os.ReadFile(certFile) //nolint:gosec // the test wrote it
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(text))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestServeTLS(t *testing.T) {
	certFile, keyFile := writePair(t, t.TempDir(), 1)
	s := startServer(t, storetest.SQLiteURL(t), "--tls-cert", certFile, "--tls-key", keyFile)
	require.True(t, strings.HasPrefix(s.base, "https://"), s.base)
	for path, status := range map[string]int{"/healthz": 200, "/nothing": 404, "/api/v1/me/sessions": 401} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+path, http.NoBody)
		require.NoError(t, err)
		response, err := trusting(t, certFile).Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, status, response.StatusCode)
		assert.Equal(t, "HTTP/2.0", response.Proto)
		assert.Equal(t, "max-age=63072000", response.Header.Get("Strict-Transport-Security"), path)
	}
	old := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}} //nolint:gosec // what has to be refused
	_, err := old.DialContext(t.Context(), "tcp", strings.TrimPrefix(s.base, "https://"))
	require.ErrorContains(t, err, "protocol version")
}

func TestACertificateIsFollowed(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := writePair(t, dir, 1)
	log := &output{}
	c, err := openCertificate(certFile, keyFile, slog.New(slog.NewJSONHandler(log, nil)))
	require.NoError(t, err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", c.config())
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
	stop := c.follow(t.Context(), time.Millisecond)
	defer func() { require.NoError(t, stop()) }()
	assert.Equal(t, int64(1), serial())

	require.NoError(t, os.WriteFile(certFile, []byte("broken"), 0o600))
	eventually(func() bool { return strings.Contains(log.String(), "the old one stays") })
	assert.Equal(t, int64(1), serial())
	require.NoError(t, os.Remove(keyFile))
	eventually(func() bool { return strings.Contains(log.String(), "no such file") })
	assert.Equal(t, int64(1), serial())
	for range 20 { // it goes on looking and says nothing more
		time.Sleep(time.Millisecond)
	}
	assert.Equal(t, 1, strings.Count(log.String(), "no such file"), log.String())

	writePair(t, dir, 2)
	eventually(func() bool { return serial() == 2 })
	assert.Contains(t, log.String(), "the changed certificate is used from now on")
}
