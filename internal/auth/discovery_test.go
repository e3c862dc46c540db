package auth

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// site is an HTTP server of fixed documents; everything else is 404. %s in a document becomes the server's address.
func site(t *testing.T, tls bool, documents func(url string) map[string]any) *httptest.Server {
	t.Helper()
	var server *httptest.Server
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch document := documents(server.URL)[r.URL.EscapedPath()].(type) {
		case nil:
			http.NotFound(w, r)
		case http.HandlerFunc:
			document(w, r)
		default:
			_ = json.NewEncoder(w).Encode(document)
		}
	})
	if tls {
		server = httptest.NewTLSServer(handler)
	} else {
		server = httptest.NewServer(handler)
	}
	t.Cleanup(server.Close)
	return server
}

func metadata(issuer, keys string) map[string]string {
	return map[string]string{"issuer": issuer, "jwks_uri": keys}
}

func TestDiscover(t *testing.T) {
	const (
		openid = "/.well-known/openid-configuration"
		oauth  = "/.well-known/oauth-authorization-server"
	)
	for name, test := range map[string]struct {
		path      string // of the issuer
		documents func(url string) map[string]any
		want      string // path of the key set, empty for an error
	}{
		"OpenID Connect": {"", func(u string) map[string]any {
			return map[string]any{openid: metadata(u, u+"/keys")}
		}, "/keys"},
		"OpenID Connect under a path": {"/realms/a", func(u string) map[string]any {
			return map[string]any{"/realms/a" + openid: metadata(u+"/realms/a", u+"/keys")}
		}, "/keys"},
		"issuer with a slash at the end": {"/", func(u string) map[string]any {
			return map[string]any{openid: metadata(u+"/", u+"/keys")}
		}, "/keys"},
		"RFC 8414": {"", func(u string) map[string]any {
			return map[string]any{oauth: metadata(u, u+"/keys")}
		}, "/keys"},
		"RFC 8414 under a path": {"/tenant", func(u string) map[string]any {
			return map[string]any{oauth + "/tenant": metadata(u+"/tenant", u+"/keys")}
		}, "/keys"},
		"a page in the first place": {"", func(u string) map[string]any {
			return map[string]any{openid: "hello", oauth: metadata(u, u+"/keys")}
		}, "/keys"},
		"no document": {"", func(string) map[string]any { return nil }, ""},
		"another issuer": {"", func(u string) map[string]any {
			return map[string]any{openid: metadata("https://attacker.example", u+"/keys")}
		}, ""},
		"another tenant's issuer": {"/a", func(u string) map[string]any {
			return map[string]any{"/a" + openid: metadata(u+"/b", u+"/keys")}
		}, ""},
		"a slash too much": {"", func(u string) map[string]any {
			return map[string]any{openid: metadata(u+"/", u+"/keys"), oauth: metadata(u+"/", u+"/keys")}
		}, ""},
		"a slash too few": {"/", func(u string) map[string]any {
			return map[string]any{openid: metadata(u, u+"/keys")}
		}, ""},
		"no issuer": {"", func(u string) map[string]any {
			return map[string]any{openid: map[string]string{"jwks_uri": u + "/keys"}}
		}, ""},
		"no address": {"", func(u string) map[string]any {
			return map[string]any{openid: metadata(u, "")}
		}, ""},
		"a file": {"", func(u string) map[string]any {
			return map[string]any{openid: metadata(u, "file:///etc/keys")}
		}, ""},
		"an address of another kind": {"", func(u string) map[string]any {
			return map[string]any{openid: metadata(u, "ftp://id.example.com/keys")}
		}, ""},
		"an address without a host": {"", func(u string) map[string]any {
			return map[string]any{openid: metadata(u, "https:///keys")}
		}, ""},
		"keys without TLS": {"", func(u string) map[string]any {
			return map[string]any{openid: metadata(u, "http://127.0.0.1/keys")}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := site(t, true, test.documents)
			found, err := Discover(t.Context(), server.URL+test.path, server.Client())
			if test.want == "" {
				require.Error(t, err)
				require.Empty(t, found)
				return
			}
			require.NoError(t, err)
			require.Equal(t, server.URL+test.want, found)
		})
	}
}

func TestDiscoverNeedsAnAddress(t *testing.T) {
	for _, issuer := range []string{
		"", "urn:sessiond:dev", "id.example.com", "ftp://id.example.com", "https://", "https://id.example.com?x=1",
		"https://id.example.com#x", "https://user@id.example.com", "https://%zz",
	} {
		_, err := Discover(t.Context(), issuer, nil)
		require.ErrorContains(t, err, "an https URL without a query is needed", issuer)
	}
}

func TestDiscoverWithoutTLSIsForDevelopment(t *testing.T) {
	server := site(t, false, func(u string) map[string]any {
		return map[string]any{"/.well-known/openid-configuration": metadata(u, u+"/keys")}
	})
	found, err := Discover(t.Context(), server.URL, nil)
	require.NoError(t, err)
	require.Equal(t, server.URL+"/keys", found)
}

func TestRedirectsStayOnTLS(t *testing.T) {
	plain := site(t, false, func(string) map[string]any {
		return map[string]any{"/keys": json.RawMessage(keySet(t, jwk("evil", "EdDSA", strangeKey())))}
	})
	secure := site(t, true, func(u string) map[string]any {
		to := func(address string) http.HandlerFunc {
			return http.RedirectHandler(address, http.StatusFound).ServeHTTP
		}
		return map[string]any{
			"/down": to(plain.URL + "/keys"), "/moved": to(u + "/keys"), "/1": to("/2"), "/2": to("/3"), "/3": to("/4"), "/4": to("/keys"),
			"/keys": json.RawMessage(keySet(t, jwk("good", "EdDSA", edKey()))),
		}
	})
	client := secure.Client()
	keys := func(path string) *RemoteKeys { return NewRemoteKeys(secure.URL+path, client, newClock().now, Timing{}) }
	requireKeys(t, keys("/moved"), "good", 1)
	requireKeys(t, keys("/2"), "good", 1) // three redirects
	requireUnavailable(t, keys("/1"), "good")
	requireUnavailable(t, keys("/down"), "evil")
	require.Nil(t, client.CheckRedirect, "the client that was handed in is not changed")
}

func TestDiscoveredKeysWaitForTheIssuer(t *testing.T) {
	var document any
	server := site(t, true, func(u string) map[string]any {
		return map[string]any{
			"/.well-known/openid-configuration": document,
			"/keys":                             json.RawMessage(keySet(t, jwk("a", "EdDSA", edKey()))),
			"/moved":                            json.RawMessage(keySet(t, jwk("b", "EdDSA", edKey()))),
		}
	})
	clock := newClock()
	keys := NewDiscoveredKeys(server.URL, server.Client(), clock.now, Timing{})
	require.ErrorIs(t, keys.Ready(t.Context()), ErrKeysUnavailable, "a start without the issuer is not ready")
	document = metadata("https://attacker.example", server.URL+"/keys")
	clock.advance(5 * time.Second)
	requireUnavailable(t, keys, "a")
	document = metadata(server.URL, server.URL+"/keys")
	clock.advance(5 * time.Second)
	require.NoError(t, keys.Ready(t.Context()))
	requireKeys(t, keys, "a", 1)
	document = metadata(server.URL, server.URL+"/moved")
	requireKeys(t, keys, "b", 1) // the address is looked up anew with each fetch
}
