package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4/json"
)

// maxDocument bounds what is read from an issuer. Key sets are a few kilobytes.
const maxDocument = 1 << 20

// maxRedirects is enough for a moved host and for nothing strange.
const maxRedirects = 3

// Discover returns where the issuer publishes its keys: jwks_uri in its OpenID Connect discovery document or, where it
// has none, in its RFC 8414 metadata. A document that names another issuer is refused, else one tenant of a shared host
// could speak for another.
func Discover(ctx context.Context, issuer string, client *http.Client) (jwksURL string, err error) {
	addresses, err := metadataURLs(issuer)
	if err != nil {
		return "", err
	}
	client = cautious(client)
	var failures []error
	for _, address := range addresses {
		data, err := getDocument(ctx, client, address)
		if err == nil {
			jwksURL, err = keysAddress(data, issuer, address)
		}
		if err == nil {
			return jwksURL, nil
		}
		// Some servers answer every unknown path with a page, so a useless document is like a missing one.
		failures = append(failures, err)
	}
	return "", errors.Join(failures...)
}

// metadataURLs returns the two places: OpenID Connect puts the well-known part behind the issuer's path, RFC 8414 in front.
func metadataURLs(issuer string) ([]string, error) {
	base, err := url.Parse(issuer)
	if err != nil || (base.Scheme != "https" && base.Scheme != "http") || base.Host == "" ||
		base.RawQuery != "" || base.Fragment != "" || base.User != nil {
		return nil, fmt.Errorf("the issuer %q has no discovery document: an https URL without a query is needed", issuer)
	}
	root := base.Scheme + "://" + base.Host
	path := strings.TrimSuffix(base.EscapedPath(), "/")
	return []string{
		root + path + "/.well-known/openid-configuration",
		root + "/.well-known/oauth-authorization-server" + path,
	}, nil
}

// keysAddress reads one discovery document.
func keysAddress(data []byte, issuer, address string) (string, error) {
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return "", fmt.Errorf("the discovery document at %s is not JSON", address)
	}
	if document.Issuer != issuer {
		return "", fmt.Errorf("the discovery document at %s is of issuer %q, not of %q: the two must match exactly",
			address, document.Issuer, issuer)
	}
	keys, err := url.Parse(document.Keys)
	if err != nil || (keys.Scheme != "https" && keys.Scheme != "http") || keys.Host == "" {
		return "", fmt.Errorf("the discovery document at %s has no usable jwks_uri", address)
	}
	if keys.Scheme == "http" && strings.HasPrefix(address, "https:") {
		return "", fmt.Errorf("the discovery document at %s puts the keys at an address without TLS", address)
	}
	return document.Keys, nil
}

// cautious returns a client like the given one that does not follow a redirect away from TLS: whoever can answer plain
// HTTP could put keys of their own there.
func cautious(client *http.Client) *http.Client {
	if client == nil {
		client = &http.Client{}
	}
	careful := *client
	careful.CheckRedirect = func(to *http.Request, via []*http.Request) error {
		if to.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https" {
			return errors.New("a redirect leads away from TLS")
		}
		if len(via) > maxRedirects {
			return errors.New("too many redirects")
		}
		return nil
	}
	return &careful
}

// getDocument fetches a JSON document of bounded size.
func getDocument(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("%q is not an address to fetch from", address)
	}
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetching from the token issuer: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching from the token issuer: %s answered %s", address, response.Status)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("fetching from the token issuer: %s: %w", address, err)
	}
	if len(data) > maxDocument {
		return nil, fmt.Errorf("fetching from the token issuer: %s sent more than 1 MiB", address)
	}
	return data, nil
}
