package auth

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestErrorForms(t *testing.T) {
	for _, test := range []struct {
		err       *Error
		detail    string
		challenge string
		forbidden bool
		cause     string
	}{
		{errNoToken(), "A valid bearer token is required.", `Bearer realm="sessions"`, false, ""},
		{
			errInvalid(ReasonClaims, "the reason"), "The access token is not valid.",
			`Bearer realm="sessions", error="invalid_token", error_description="The access token is not valid."`, false, "the reason",
		},
		{
			SessionEnded(), "The session has ended.",
			`Bearer realm="sessions", error="invalid_token", error_description="The session has ended."`, false, "",
		},
		{
			errScope("sessions:read"), "The token lacks the scope for this operation.",
			`Bearer realm="sessions", error="insufficient_scope", scope="sessions:read"`, true, "",
		},
		{NotYourTenant(), "The token does not reach this tenant.", "", true, ""},
	} {
		require.Equal(t, test.detail, test.err.Detail())
		require.EqualError(t, test.err, test.detail)
		require.Equal(t, test.challenge, test.err.Challenge())
		require.Equal(t, test.forbidden, test.err.Forbidden())
		require.Equal(t, !test.forbidden, slices.Contains(Reasons(), test.err.Reason()), "a 401 has a reason")
		if test.cause == "" {
			require.NoError(t, errors.Unwrap(test.err))
		} else {
			require.EqualError(t, errors.Unwrap(test.err), test.cause)
		}
	}
}

// TestSentencesFitAQuotedString reads the source, so that a new refusal cannot bring a quote into the header unnoticed.
func TestSentencesFitAQuotedString(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	calls := regexp.MustCompile(`(errToken|errForbidden)\((.*)`)
	fixed := regexp.MustCompile(`^"[A-Z][ !#-\[\]-~]*\."[,)]`)
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file) //nolint:gosec // its own source
		require.NoError(t, err)
		for _, call := range calls.FindAllStringSubmatch(string(source), -1) {
			if strings.HasPrefix(call[2], "detail") { // the definition
				continue
			}
			found++
			require.Regexp(t, fixed, call[2], "%s in %s takes a fixed sentence", call[1], file)
		}
	}
	require.Greater(t, found, 10)
}
