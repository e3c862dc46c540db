package e2e_test

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// jwtClient is a client whose access tokens are JWTs: sessiond cannot read others.
type jwtClient struct{ op.Client }

// AccessTokenType returns JWT.
func (jwtClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// LoginURL returns where the user signs in.
func (jwtClient) LoginURL(id string) string { return "/login?id=" + id }

// PostLogoutRedirectURIs returns where the user goes after signing out.
func (jwtClient) PostLogoutRedirectURIs() []string { return []string{goodbyeURI} }

// serviceClient is a client that gets access tokens for itself.
type serviceClient struct{ jwtClient }

// GrantTypes returns client_credentials.
func (serviceClient) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeClientCredentials}
}

// GetClientByClientID changes the kind of the access tokens.
func (p *goProvider) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	client, err := p.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return jwtClient{client}, nil
}

// ClientCredentials knows one service, the provider itself.
func (p *goProvider) ClientCredentials(_ context.Context, id, secret string) (op.Client, error) {
	if id != "idp" || subtle.ConstantTimeCompare([]byte(secret), []byte(idpSecret)) != 1 {
		return nil, errors.New("wrong client or secret")
	}
	return serviceClient{jwtClient{storage.WebClient(id, secret)}}, nil
}

// ClientCredentialsTokenRequest grants a service what it may do at sessiond.
func (p *goProvider) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	for _, scope := range scopes {
		if !slices.Contains([]string{"sessions:ingest", "sessions:introspect"}, scope) {
			return nil, oidc.ErrInvalidScope()
		}
	}
	return &oidc.JWTTokenRequest{Subject: id, Audience: oidc.Audience{audience}, Scopes: scopes}, nil
}

// password is the one of everybody.
const password = "correct horse battery staple"

// users are those who may sign in.
type users struct{}

// GetUserByID finds a user.
func (users) GetUserByID(id string) *storage.User {
	if id != user {
		return nil
	}
	return &storage.User{ID: user, Username: user, Password: password}
}

// GetUserByUsername finds a user under the name that they sign in with.
func (u users) GetUserByUsername(name string) *storage.User { return u.GetUserByID(name) }

// ExampleClientID is of no use here.
func (users) ExampleClientID() string { return "" }
