package e2e_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/crypto"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/sessiond/sessiond/gen"
)

// sessionLifetime is how long a login at the provider lasts.
const sessionLifetime = time.Hour

// goProvider is an identity provider on zitadel/oidc that keeps sessiond informed. It takes the storage of the library's
// example and changes what sessiond needs otherwise.
type goProvider struct {
	*storage.Storage
	issuer    string
	logoutURL string
	sessiond  *gen.ClientWithResponses
}

// startGoProvider runs the provider and returns its issuer.
func startGoProvider(t *testing.T, sessiondURL string) string {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p := &goProvider{
		Storage: storage.NewStorageWithClients(users{}, map[string]*storage.Client{
			clientID: storage.WebClient(clientID, clientSecret, redirectURI),
		}),
		issuer: server.URL, logoutURL: sessiondURL + "/oauth2/backchannel-logout",
	}
	// This client asks for an access token when it needs one, and keeps it while it is good.
	own := clientcredentials.Config{
		ClientID: "idp", ClientSecret: idpSecret, TokenURL: server.URL + "/oauth/token", Scopes: []string{"sessions:ingest"},
	}
	var err error
	p.sessiond, err = gen.NewClientWithResponses(sessiondURL, gen.WithHTTPClient(own.Client(t.Context())))
	require.NoError(t, err)

	config := &op.Config{CryptoKey: [32]byte([]byte(rand.Text() + rand.Text())[:32]), CodeMethodS256: true}
	handler, err := op.NewProvider(config, p, op.StaticIssuer(p.issuer), op.WithAllowInsecure()) // http, for loopback only
	require.NoError(t, err)
	// The interceptor puts the issuer into the context, from which the callback's address is made.
	withIssuer := op.NewIssuerInterceptor(handler.IssuerFromRequest)
	mux.Handle("/login", withIssuer.HandlerFunc(p.login(op.AuthCallbackURL(handler))))
	mux.Handle("/", handler)
	return p.issuer
}

// login signs a user in and registers the session: a provider hands out no code before sessiond knows the session. A real
// one asks for a password or better here; this one takes the login_hint's word for it.
func (p *goProvider) login(callback func(context.Context, string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.FormValue("id")
		request, err := p.AuthRequestByID(r.Context(), id)
		if err != nil {
			http.Error(w, "There is nothing to sign in for.", http.StatusBadRequest)
			return
		}
		err = p.CheckUsernamePassword(request.(*authRequest).LoginHint, password, id)
		if err == nil {
			err = p.register(r, request)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		http.Redirect(w, r, callback(r.Context(), id), http.StatusFound)
	}
}

// register tells sessiond of a login.
func (p *goProvider) register(r *http.Request, login op.AuthRequest) error {
	session, email, name, agent := login.GetID(), "ada@example.com", "Ada Lovelace", r.UserAgent()
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return err
	}
	answer, err := p.sessiond.RegisterSessionWithResponse(r.Context(), gen.SessionRegistration{
		Id: &session, UserId: login.GetSubject(), TenantId: tenant, UserEmail: &email, UserDisplayName: &name,
		IpAddress: &address, UserAgent: &agent, ExpiresAt: time.Now().Add(sessionLifetime),
	})
	if err != nil {
		return err
	}
	if answer.StatusCode() >= http.StatusMultipleChoices {
		return fmt.Errorf("sessiond does not take the session: %s: %s", answer.Status(), answer.Body)
	}
	return nil
}

// authRequest is a request to sign in. In this provider each is a login of its own, so its id is the session's.
type authRequest struct{ *storage.AuthRequest }

// GetAudience adds sessiond to the audience of the access tokens.
func (r *authRequest) GetAudience() []string { return []string{r.GetClientID(), audience} }

// AuthRequestByID changes the audience.
func (p *goProvider) AuthRequestByID(ctx context.Context, id string) (op.AuthRequest, error) {
	return changed(p.Storage.AuthRequestByID(ctx, id))
}

// AuthRequestByCode changes the audience.
func (p *goProvider) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	request, err := p.Storage.AuthRequestByCode(ctx, code)
	return changed(request, err)
}

func changed(request op.AuthRequest, err error) (op.AuthRequest, error) {
	if err != nil {
		return nil, err
	}
	return &authRequest{request.(*storage.AuthRequest)}, nil
}

// GetPrivateClaimsFromRequest adds to access tokens the claims by which sessiond knows scopes, tenant and session; a
// client's own token has the scopes only.
func (p *goProvider) GetPrivateClaimsFromRequest(_ context.Context, request op.TokenRequest, _ []string) (map[string]any, error) {
	claims := map[string]any{"scope": strings.Join(request.GetScopes(), " ")}
	if login, ok := request.(*authRequest); ok {
		claims["tenant_id"], claims["sid"] = tenant, login.GetID()
	}
	return claims, nil
}

// SetUserinfoFromRequest adds the session to ID tokens, so that a logout says which one it is.
func (p *goProvider) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	if login, ok := request.(*authRequest); ok {
		info.AppendClaims("sid", login.GetID())
	}
	return p.Storage.SetUserinfoFromRequest(ctx, info, request, scopes)
}

// TerminateSessionFromRequest signs a user out and tells sessiond. The library makes the logout token; sending it is left
// to the provider.
func (p *goProvider) TerminateSessionFromRequest(ctx context.Context, end *op.EndSessionRequest) (string, error) {
	if end.IDTokenHintClaims == nil {
		return "", errors.New("a logout needs an id_token_hint")
	}
	if err := p.TerminateSession(ctx, end.UserID, end.ClientID); err != nil {
		return "", err
	}
	key, err := p.SigningKey(ctx)
	if err != nil {
		return "", err
	}
	signer, err := op.SignerFromKey(key)
	if err != nil {
		return "", err
	}
	token, err := crypto.Sign(oidc.NewLogoutTokenClaims(p.issuer, end.UserID, oidc.Audience{end.ClientID},
		time.Now().Add(2*time.Minute), rand.Text(), end.IDTokenHintClaims.SessionID, 0), signer)
	if err != nil {
		return "", err
	}
	return end.RedirectURI, p.tell(ctx, token)
}

// tell sends a logout token to sessiond.
func (p *goProvider) tell(ctx context.Context, token string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.logoutURL,
		strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("sessiond has not taken the logout: %s", response.Status)
	}
	return nil
}
