package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sessiond/sessiond/internal/auth"
)

// issuer is the identity provider whose access tokens are trusted.
type issuer struct {
	config  auth.Config
	jwksURL string
	file    string
}

func (i *issuer) flags(flags *pflag.FlagSet) {
	flags.StringVar(&i.config.Issuer, "issuer", "", "`URL` of the issuer of access tokens, exactly as in the iss claim")
	flags.StringVar(&i.config.Audience, "audience", "", "name of this service in the aud claim of access tokens")
	flags.StringVar(&i.jwksURL, "jwks-url", "", "`URL` of the issuer's key set (JWKS); OpenID Connect discovery when empty")
	flags.StringVar(&i.file, "jwks-file", "", "`FILE` with the issuer's key set (JWKS), instead of a URL")
	flags.StringSliceVar(&i.config.TokenTypes, "token-types", []string{"at+jwt"}, "accepted typ headers of access tokens, as a comma-separated list of `TYPES` (RFC 9068)")
	flags.StringSliceVar(&i.config.LogoutAudiences, "logout-audiences", nil, "accepted audiences of logout tokens, as a comma-separated list of client `IDS`; --audience when empty")
	flags.StringVar(&i.config.Claims.Tenant, "claim-tenant", "tenant_id", "name of the claim with the tenant")
	flags.StringVar(&i.config.Claims.Partner, "claim-partner", "partner_id", "name of the claim with the partner")
	flags.StringVar(&i.config.Claims.Session, "claim-session", "sid", "name of the claim with the session")
	flags.StringVar(&i.config.Claims.Scope, "claim-scope", "scope", "name of the claim with the scopes")
	flags.StringVar(&i.config.Claims.Client, "claim-client", "client_id", "name of the claim with the client")
}

// given reports whether any of it was set.
func (i *issuer) given() bool {
	return i.config.Issuer != "" || i.config.Audience != "" || i.jwksURL != "" || i.file != ""
}

func (i *issuer) check() error {
	switch {
	case i.config.Issuer == "":
		return usageError{errors.New("--issuer is missing: set it to the iss claim of the access tokens")}
	case i.config.Audience == "":
		return usageError{errors.New("--audience is missing: set it to this service's name in the aud claim")}
	case strings.TrimSpace(i.config.Audience) != i.config.Audience:
		return usageError{fmt.Errorf("--audience %q begins or ends with a space: set it exactly as in the aud claim", i.config.Audience)}
	case i.jwksURL != "" && i.file != "":
		return usageError{errors.New("--jwks-url and --jwks-file exclude each other: set one")}
	case !webAddress(i.config.Issuer) && !strings.HasPrefix(i.config.Issuer, "urn:"):
		return usageError{fmt.Errorf("--issuer %q is not an http or https URL: set it exactly as in the iss claim, as in https://id.example.com", i.config.Issuer)}
	case !webAddress(i.config.Issuer) && i.jwksURL == "" && i.file == "":
		return usageError{fmt.Errorf("nothing can be discovered at --issuer %q: set --jwks-url or --jwks-file", i.config.Issuer)}
	case i.jwksURL != "" && !webAddress(i.jwksURL):
		return usageError{fmt.Errorf("--jwks-url %q is not an http or https URL: use one as in https://id.example.com/keys", i.jwksURL)}
	case len(i.config.TokenTypes) == 0 || slices.ContainsFunc(i.config.TokenTypes, blank):
		return usageError{errors.New("--token-types has an empty type: use at+jwt, or what the issuer puts into the typ header")}
	}
	return i.checkClaims()
}

// checkClaims refuses a claim without a name: what it says would count as absent in every token.
func (i *issuer) checkClaims() error {
	names := i.config.Claims
	for flag, name := range map[string]string{
		"tenant": names.Tenant, "partner": names.Partner, "session": names.Session, "scope": names.Scope, "client": names.Client,
	} {
		if blank(name) {
			return usageError{fmt.Errorf("--claim-%s is empty: set it to the claim's name, or leave it away", flag)}
		}
	}
	return nil
}

func blank(text string) bool { return strings.TrimSpace(text) == "" }

// webAddress reports whether a text is an absolute URL with a host.
func webAddress(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && (parsed.Scheme == "https" || parsed.Scheme == "http") && parsed.Host != ""
}

func (i *issuer) trust() (auth.Config, auth.KeySource, error) {
	switch {
	case i.file != "":
		keys, err := auth.LoadKeyFile(i.file)
		return i.config, keys, err
	case i.jwksURL != "":
		return i.config, auth.NewRemoteKeys(i.jwksURL, http.DefaultClient, time.Now, auth.Timing{}), nil
	default:
		return i.config, auth.NewDiscoveredKeys(i.config.Issuer, http.DefaultClient, time.Now, auth.Timing{}), nil
	}
}
