package e2e_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// userAgent is what the browsers call themselves.
const userAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// provider is an identity provider as its discovery document describes it.
type provider struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	EndSession    string `json:"end_session_endpoint"`
}

// tokens are what a client gets from a provider.
type tokens struct {
	AccessToken string `json:"access_token"`
	IDToken     string `json:"id_token"`
}

func discover(t *testing.T, issuer string) *provider {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, issuer+"/.well-known/openid-configuration", http.NoBody)
	require.NoError(t, err)
	status, body := send(t, http.DefaultClient, request)
	require.Equal(t, http.StatusOK, status, body)
	var p provider
	require.NoError(t, json.Unmarshal([]byte(body), &p))
	require.Equal(t, issuer, p.Issuer)
	return &p
}

// token asks the token endpoint.
func (p *provider) token(t *testing.T, client, secret string, form url.Values) tokens {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.Token, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(client, secret)
	status, body := send(t, http.DefaultClient, request)
	require.Equal(t, http.StatusOK, status, body)
	var got tokens
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	return got
}

// clientToken is a token for a service itself.
func (p *provider) clientToken(t *testing.T, scope string) string {
	t.Helper()
	return p.token(t, "idp", idpSecret, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}).AccessToken
}

// browser keeps cookies and follows redirects, but for those to the application, which there is none of.
type browser struct {
	t      *testing.T
	client *http.Client
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{t: t, client: &http.Client{Jar: jar, CheckRedirect: func(to *http.Request, _ []*http.Request) error {
		if to.URL.Host == "app.example.com" {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// visit opens a page, with a form when there is one to send. It returns where in the application the browser ends up, or
// the page that it stays on.
func (b *browser) visit(address string, form url.Values) (application *url.URL, page string) {
	b.t.Helper()
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(b.t.Context(), method, address, body)
	require.NoError(b.t, err)
	request.Header.Set("User-Agent", userAgent)
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := b.client.Do(request)
	require.NoError(b.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	if response.StatusCode >= http.StatusMultipleChoices && response.StatusCode < http.StatusBadRequest {
		location, err := response.Location()
		require.NoError(b.t, err)
		return location, ""
	}
	require.Equal(b.t, http.StatusOK, response.StatusCode, "%s: %s", response.Request.URL, text)
	return nil, string(text)
}

// signIn goes through the authorization code flow, as the application's client.
func (b *browser) signIn(p *provider) tokens {
	b.t.Helper()
	verifier, state := rand.Text()+rand.Text(), rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	back, page := b.visit(p.Authorization+"?"+url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURI}, "scope": {"openid"},
		"state": {state}, "nonce": {rand.Text()}, "login_hint": {user},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode(), nil)
	require.NotNil(b.t, back, page)
	require.Equal(b.t, state, back.Query().Get("state"), back)
	require.NotEmpty(b.t, back.Query().Get("code"), back)
	return p.token(b.t, clientID, clientSecret, url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")},
		"redirect_uri": {redirectURI}, "code_verifier": {verifier},
	})
}

// signOut signs out at the provider (RP-Initiated Logout), and says yes if it asks.
func (b *browser) signOut(p *provider, signedIn tokens) {
	b.t.Helper()
	back, page := b.visit(p.EndSession+"?"+url.Values{
		"id_token_hint": {signedIn.IDToken}, "post_logout_redirect_uri": {goodbyeURI},
	}.Encode(), nil)
	if back == nil {
		action := regexp.MustCompile(`<form[^>]* action="([^"]+)"`).FindStringSubmatch(page)
		require.Len(b.t, action, 2, page)
		form := url.Values{}
		for _, field := range regexp.MustCompile(` name="([^"]+)" value="([^"]+)"`).FindAllStringSubmatch(page, -1) {
			form.Set(field[1], html.UnescapeString(field[2]))
		}
		back, page = b.visit(html.UnescapeString(action[1]), form)
	}
	require.NotNil(b.t, back, page)
	require.Equal(b.t, goodbyeURI, back.String())
}
