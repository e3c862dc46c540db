package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the providers and sessiond are told of each other.
const (
	audience     = "sessiond"
	clientID     = "web"
	clientSecret = "secret-of-the-client"
	idpSecret    = "secret-of-the-provider"
	redirectURI  = "https://app.example.com/callback"
	goodbyeURI   = "https://app.example.com/goodbye"
)

// The user that signs in.
const (
	user   = "ada"
	tenant = "acme"
)

func TestProviders(t *testing.T) {
	binary := buildSessiond(t)
	for name, c := range map[string]struct {
		// start runs the provider, which calls sessiond at the address, and returns its issuer.
		start func(t *testing.T, sessiondURL string) string
		flags []string
	}{
		"oidc-provider": {startNodeProvider, nil},
		"zitadel/oidc":  {startGoProvider, []string{"--token-types", "JWT"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			front := newFront(t)
			issuer := c.start(t, front.URL)
			front.serve(startSessiond(t, binary, append(c.flags, "--issuer", issuer, "--audience", audience, "--logout-audiences", clientID)...))
			p := discover(t, issuer)
			t.Run("a session ends here", func(t *testing.T) { endsHere(t, p, front) })
			t.Run("a session ends at the provider", func(t *testing.T) { endsAtProvider(t, p, front) })
		})
	}
}

// endsHere: a login there registers a session here, its access token works here, and revoking it here is the end of both.
func endsHere(t *testing.T, p *provider, front *front) {
	t.Helper()
	api := &api{t: t, base: front.URL, token: p.clientToken(t, "sessions:introspect")}
	before := time.Now()
	signedIn := newBrowser(t).signIn(p)

	session := api.current(signedIn.AccessToken)
	assert.Equal(t, user, session.UserID)
	assert.Equal(t, "ada@example.com", session.UserEmail)
	assert.Equal(t, "127.0.0.1", session.IPAddress)
	assert.Equal(t, "desktop", session.DeviceType, "the browser's user agent, not the provider's own")
	assert.WithinDuration(t, before, session.CreatedAt, 30*time.Second)
	assert.Greater(t, session.ExpiresAt, before)

	state := api.introspect(signedIn.AccessToken)
	assert.Equal(t, introspection{
		Active: true, Sub: user, Sid: session.ID, TenantID: tenant, ClientID: clientID, Issuer: p.Issuer,
	}, state)
	assert.False(t, api.introspect(signedIn.IDToken).Active, "an ID token is no access token")

	status, body := api.do(http.MethodDelete, "/api/v1/me/sessions/"+session.ID, signedIn.AccessToken, "")
	require.Equal(t, http.StatusOK, status, body)
	api.requireEnded(signedIn.AccessToken)
	assert.Empty(t, front.logouts(), "it was not the provider that ended it")
}

// endsAtProvider: a logout there ends the session here, and no other session of the same user.
func endsAtProvider(t *testing.T, p *provider, front *front) {
	t.Helper()
	api := &api{t: t, base: front.URL, token: p.clientToken(t, "sessions:introspect")}
	laptop, phone := newBrowser(t), newBrowser(t)
	onLaptop, onPhone := laptop.signIn(p), phone.signIn(p)
	require.True(t, api.introspect(onLaptop.AccessToken).Active)
	require.NotEqual(t, api.current(onLaptop.AccessToken).ID, api.current(onPhone.AccessToken).ID)

	laptop.signOut(p, onLaptop)
	require.Eventually(t, func() bool { return len(front.logouts()) > 0 }, 10*time.Second, 10*time.Millisecond)
	assert.Equal(t, []int{http.StatusOK}, front.logouts())
	api.requireEnded(onLaptop.AccessToken)
	assert.True(t, api.introspect(onPhone.AccessToken).Active)

	phone.signOut(p, onPhone)
	require.Eventually(t, func() bool { return len(front.logouts()) > 1 }, 10*time.Second, 10*time.Millisecond)
	api.requireEnded(onPhone.AccessToken)
}
