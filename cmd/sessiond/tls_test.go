package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/qa/certs"
	"github.com/sessiond/sessiond/store/storetest"
)

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
	certFile, keyFile := certs.Write(t, t.TempDir(), 1)
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
