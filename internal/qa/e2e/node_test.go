package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// startNodeProvider runs provider/provider.mjs and returns its issuer.
func startNodeProvider(t *testing.T, sessiondURL string) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		_, err := exec.LookPath(program)
		require.NoError(t, err, "%s is missing: install Node.js 18 or newer with npm (on Debian: apt-get install nodejs npm)", program)
	}
	// In a directory of the test's own, for nothing may be left in the tree.
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("provider")))
	install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund")
	install.Dir = dir
	text, err := install.CombinedOutput()
	require.NoError(t, err, "npm ci: %s", text)

	run := exec.Command("node", "provider.mjs") //nolint:noctx // ends with the test
	run.Dir = dir
	run.Env = append(os.Environ(),
		"SESSIOND_URL="+sessiondURL, "SESSIOND_AUDIENCE="+audience, "CLIENT_ID="+clientID, "CLIENT_SECRET="+clientSecret,
		"IDP_SECRET="+idpSecret, "REDIRECT_URI="+redirectURI, "POST_LOGOUT_REDIRECT_URI="+goodbyeURI)
	// The provider ends when its standard input does, so it cannot outlive the test.
	_, err = run.StdinPipe()
	require.NoError(t, err)
	return start(t, run, func(line string) string {
		var announcement struct{ Issuer string }
		_ = json.Unmarshal([]byte(line), &announcement) // other lines are warnings
		return announcement.Issuer
	})
}
