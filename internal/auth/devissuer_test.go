package auth

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

func openDev(t *testing.T, dir string) *DevIssuer {
	t.Helper()
	issuer, err := OpenDevIssuer(dir)
	require.NoError(t, err)
	return issuer
}

func devVerifier(t *testing.T, issuer *DevIssuer) *Verifier {
	t.Helper()
	verifier, err := NewVerifier(issuer.Config(), issuer.Keys(), func() time.Time { return testTime })
	require.NoError(t, err)
	return verifier
}

func TestDevIssuerTokens(t *testing.T) {
	issuer := openDev(t, t.TempDir())
	token, err := issuer.Mint(TokenRequest{
		Subject: "u-1", TenantID: "t-1", PartnerID: "p-1", SessionID: "s-1", ClientID: "app", Scope: "a b", TTL: time.Minute,
	}, testTime)
	require.NoError(t, err)
	caller, err := devVerifier(t, issuer).Verify(t.Context(), token)
	require.NoError(t, err)
	require.NotEmpty(t, caller.TokenID)
	require.Equal(t, Caller{
		TokenID: caller.TokenID, Subject: "u-1", TenantID: "t-1", PartnerID: "p-1", SessionID: "s-1", ClientID: "app", Scopes: []string{"a", "b"},
		Issuer: "urn:sessiond:dev", Audience: []string{"sessiond"}, IssuedAt: testTime, ExpiresAt: testTime.Add(time.Minute),
	}, caller)

	parts := strings.Split(token, ".")
	require.Equal(t, map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": issuer.key.KeyID}, decoded(t, parts[0]))
	first, second := mint(t, issuer), mint(t, issuer)
	require.NotEmpty(t, first["jti"])
	require.NotEqual(t, first["jti"], second["jti"])
}

func decoded(t *testing.T, part string) map[string]any {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(part)
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(data, &members))
	return members
}

// mint returns the claims of a small token.
func mint(t *testing.T, issuer *DevIssuer) map[string]any {
	t.Helper()
	token, err := issuer.Mint(TokenRequest{Subject: "u-1"}, testTime)
	require.NoError(t, err)
	return decoded(t, strings.Split(token, ".")[1])
}

func TestDevIssuerLeavesOutWhatIsEmpty(t *testing.T) {
	issuer := openDev(t, t.TempDir())
	token, err := issuer.Mint(TokenRequest{Subject: "u-1"}, testTime)
	require.NoError(t, err)
	caller, err := devVerifier(t, issuer).Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, Caller{
		TokenID: caller.TokenID, Subject: "u-1", ClientID: "sessiond-cli", Issuer: DevIssuerName, Audience: []string{DevAudience},
		IssuedAt: testTime, ExpiresAt: testTime.Add(time.Hour),
	}, caller)
	require.False(t, caller.IsClient())
	service, err := issuer.Mint(TokenRequest{Subject: "svc", ClientID: "svc"}, testTime)
	require.NoError(t, err)
	caller, err = devVerifier(t, issuer).Verify(t.Context(), service)
	require.NoError(t, err)
	require.True(t, caller.IsClient())
}

func TestDevIssuerRefusesUselessRequests(t *testing.T) {
	issuer := openDev(t, t.TempDir())
	for _, request := range []TokenRequest{
		{}, {TenantID: "t"}, {Subject: "u", TTL: -1}, {Subject: "u\x00"}, {Subject: "u", TenantID: "\xff"}, {Subject: "u", Scope: "\uFFFD"},
	} {
		token, err := issuer.Mint(request, testTime)
		require.Error(t, err)
		require.Empty(t, token)
	}
	_, err := issuer.Mint(TokenRequest{Subject: "u", TenantID: "\xff"}, testTime)
	require.EqualError(t, err, "a token's tenant id must be plain UTF-8 text")
}

func TestDevIssuerKeepsItsKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	first := openDev(t, dir)
	token, err := first.Mint(TokenRequest{Subject: "u-1"}, testTime)
	require.NoError(t, err)
	second := openDev(t, dir)
	_, err = devVerifier(t, second).Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, first.Keys(), second.Keys())

	other := openDev(t, t.TempDir())
	_, err = devVerifier(t, other).Verify(t.Context(), token)
	requireInvalid(t, err)

	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1, "nothing temporary is left")
	if runtime.GOOS != "windows" { // which has no such modes
		info, err := os.Stat(filepath.Join(dir, "dev-issuer.jwk"))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		info, err = os.Stat(dir)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	}
}

func TestDevIssuerKeysHoldNothingSecret(t *testing.T) {
	issuer := openDev(t, t.TempDir())
	keys, err := issuer.Keys().Keys(t.Context(), issuer.key.KeyID)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.IsType(t, ed25519.PublicKey{}, keys[0].Public)
}

func TestDevIssuerProcessesAgree(t *testing.T) {
	for range 20 {
		dir := t.TempDir()
		ids := make([]string, 8)
		var group sync.WaitGroup
		for i := range ids {
			group.Go(func() {
				issuer, err := OpenDevIssuer(dir)
				if err != nil {
					t.Error(err)
					return
				}
				ids[i] = issuer.key.KeyID
			})
		}
		group.Wait()
		for _, id := range ids {
			require.Equal(t, ids[0], id)
		}
	}
}

func TestDevIssuerDamagedFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dev-issuer.jwk")
	public, err := json.Marshal(jwk("k", "EdDSA", edKey()))
	require.NoError(t, err)
	otherKind, err := json.Marshal(jose.JSONWebKey{KeyID: "k", Key: ecKey()})
	require.NoError(t, err)
	noID, err := json.Marshal(jose.JSONWebKey{Key: edKey()})
	require.NoError(t, err)
	for _, content := range []string{"", "{", "null", string(public), string(otherKind), string(noID)} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err := OpenDevIssuer(dir)
		require.EqualError(t, err,
			"the development key "+path+" is damaged: delete the file to have a new one made, and mint tokens anew", content)
	}
}

func TestDevIssuerWithoutADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := OpenDevIssuer(filepath.Join(file, "data"))
	require.ErrorContains(t, err, "check the data directory")
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "dev-issuer.jwk"), 0o700))
	_, err = OpenDevIssuer(dir)
	require.ErrorContains(t, err, "check the data directory")
}
