package handlers_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/handlers"
	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/qa/sequential"
	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutFixture is a fixture whose issuer's key the test has, to sign what the issuer never would.
type logoutFixture struct {
	*fixture
	key   jose.JSONWebKey
	count int
}

func newLogoutFixture(f *fixture) *logoutFixture {
	f.t.Helper()
	l := &logoutFixture{fixture: f}
	f.issuer, l.key = newIssuer(f.t)
	f.serve(f.store)
	return l
}

// newIssuer makes an issuer and hands out its key.
func newIssuer(t *testing.T) (*auth.DevIssuer, jose.JSONWebKey) {
	t.Helper()
	dir := t.TempDir()
	issuer, err := auth.OpenDevIssuer(dir)
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(dir, "*.jwk"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	data, err := os.ReadFile(files[0])
	require.NoError(t, err)
	var key jose.JSONWebKey
	require.NoError(t, json.Unmarshal(data, &key))
	return issuer, key
}

// claims are those of a good logout token with changes; a nil value takes a claim out.
func (l *logoutFixture) claims(changes map[string]any) map[string]any {
	l.count++
	all := map[string]any{
		"iss": auth.DevIssuerName, "aud": auth.DevAudience, "jti": fmt.Sprintf("logout-%d", l.count),
		"iat": l.clock.Now().Unix(), "exp": l.clock.Now().Add(2 * time.Minute).Unix(),
		"events": map[string]any{logoutEvent: map[string]any{}},
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

func (l *logoutFixture) sign(key jose.JSONWebKey, typ string, claims map[string]any) string {
	l.t.Helper()
	options := new(jose.SignerOptions)
	if typ != "" {
		options = options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, options)
	require.NoError(l.t, err)
	payload, err := json.Marshal(claims)
	require.NoError(l.t, err)
	signed, err := signer.Sign(payload)
	require.NoError(l.t, err)
	token, err := signed.CompactSerialize()
	require.NoError(l.t, err)
	return token
}

// token is a good logout token with changed claims.
func (l *logoutFixture) token(changes map[string]any) string {
	l.t.Helper()
	return l.sign(l.key, "logout+jwt", l.claims(changes))
}

// post sends a logout token as a provider does.
func (l *logoutFixture) post(token string) answer {
	l.t.Helper()
	return l.do(http.MethodPost, "/oauth2/backchannel-logout", "", url.Values{"logout_token": {token}}.Encode(),
		"Content-Type", "application/x-www-form-urlencoded")
}

// registerAll registers two of ada's sessions at acme, one of hers at globex, and bob's. The suffix tells them from those
// of another round on the same store.
func (l *logoutFixture) registerAll(suffix string) {
	l.t.Helper()
	l.register("acme"+suffix, "ada"+suffix, "a-1"+suffix)
	l.register("acme"+suffix, "ada"+suffix, "a-2"+suffix)
	l.register("acme"+suffix, "bob"+suffix, "b-1"+suffix)
	l.register("globex"+suffix, "ada"+suffix, "g-1"+suffix)
}

// active are the ids of the active sessions of a round.
func (l *logoutFixture) active(suffix string) string {
	l.t.Helper()
	ids := slices.Sorted(slices.Values(append(l.activeIDs("acme"+suffix), l.activeIDs("globex"+suffix)...)))
	return strings.ReplaceAll(strings.Join(ids, " "), suffix, "")
}

func TestBackchannelLogoutEndsSessions(t *testing.T) {
	const all = "a-1 a-2 b-1 g-1"
	cases := map[string]struct {
		claims map[string]string
		left   string
	}{
		"a session":                    {map[string]string{"sid": "a-1"}, "a-2 b-1 g-1"},
		"a session and its user":       {map[string]string{"sid": "a-1", "sub": "ada"}, "a-2 b-1 g-1"},
		"a session and its tenant":     {map[string]string{"sid": "a-1", "tenant_id": "acme"}, "a-2 b-1 g-1"},
		"a session and another user":   {map[string]string{"sid": "a-1", "sub": "bob"}, all},
		"a session and another tenant": {map[string]string{"sid": "a-1", "tenant_id": "globex"}, all},
		"an unknown session":           {map[string]string{"sid": "x"}, all},
		"an unknown session of a user": {map[string]string{"sid": "x", "sub": "ada"}, all},
		"a user":                       {map[string]string{"sub": "ada"}, "b-1"},
		"a user in a tenant":           {map[string]string{"sub": "ada", "tenant_id": "acme"}, "b-1 g-1"},
		"an unknown user":              {map[string]string{"sub": "x"}, all},
	}
	onBothEngines(t, func(f *fixture) {
		l := newLogoutFixture(f)
		for name, c := range cases {
			suffix := fmt.Sprintf("@%d", l.count)
			l.registerAll(suffix)
			changes := map[string]any{}
			for claim, value := range c.claims {
				changes[claim] = value + suffix
			}
			got := l.post(l.token(changes)).want(http.StatusOK)
			assert.Empty(l.t, got.body, name)
			assert.Equal(l.t, "no-store", got.header.Get("Cache-Control"), name)
			assert.Equal(l.t, c.left, l.active(suffix), name)
		}
	})
}

// TestBackchannelLogoutIsTheProvidersDoing: who ended the sessions is the issuer, for the client that the token names, and
// not the user, who may have done nothing.
func TestBackchannelLogoutIsTheProvidersDoing(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		l := newLogoutFixture(f)
		for i, claims := range []map[string]any{{"sid": "a-1"}, {"sub": "ada"}, {"sid": "a-1", "sub": "ada"}} {
			suffix := fmt.Sprintf("@%d", i)
			l.registerAll(suffix)
			changes := map[string]any{"aud": []string{"x", auth.DevAudience}}
			for claim, value := range claims {
				changes[claim] = fmt.Sprint(value, suffix)
			}
			l.do(http.MethodPost, "/oauth2/backchannel-logout", "", url.Values{"logout_token": {l.token(changes)}}.Encode(),
				"Content-Type", "application/x-www-form-urlencoded", "X-Request-ID", "r"+suffix, "X-Revoke-Reason", "x").want(http.StatusOK)
			events, err := l.store.ListAuditEvents(l.t.Context(), store.AuditFilter{
				TenantID: "acme" + suffix, SessionID: "a-1" + suffix, Action: store.ActionRevoked,
			})
			require.NoError(l.t, err)
			require.Len(l.t, events, 1, claims)
			events[0].OperationID, events[0].At = "", time.Time{}
			assert.Equal(l.t, store.AuditEvent{
				TenantID: "acme" + suffix, SessionID: "a-1" + suffix, UserID: "ada" + suffix, Action: store.ActionRevoked,
				ActorSub: auth.DevIssuerName, ActorClient: auth.DevAudience, Reason: "back-channel logout", RequestID: "r" + suffix,
			}, events[0], claims)
		}
	})
}

func TestBackchannelLogoutTakesWhatTheSpecificationAllows(t *testing.T) {
	l := newLogoutFixture(newFixture(t, storetest.SQLite))
	for _, typ := range []string{"logout+jwt", "application/logout+JWT", "JWT", ""} {
		l.post(l.sign(l.key, typ, l.claims(map[string]any{"sid": "x"}))).want(http.StatusOK)
	}
	for name, changes := range map[string]map[string]any{
		"without exp":                       {"exp": nil},
		"several audiences":                 {"aud": []string{"x", auth.DevAudience}},
		"several events":                    {"events": map[string]any{logoutEvent: map[string]any{"x": 1}, "y": 1}},
		"from a clock that is a bit behind": {"iat": storetest.Epoch.Add(-179 * time.Second).Unix(), "exp": storetest.Epoch.Add(-59 * time.Second).Unix()},
		"from a clock that is a bit ahead":  {"iat": storetest.Epoch.Add(time.Minute).Unix()},
	} {
		changes["sid"] = "x"
		assert.Equal(t, http.StatusOK, l.post(l.token(changes)).status, name)
	}
}

func TestBackchannelLogoutEndsTheToken(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		l := newLogoutFixture(f)
		l.register("acme", "ada", "a-1")
		me := l.user("acme", "ada", "a-1")
		l.do(http.MethodGet, "/api/v1/me/sessions", me, nil).want(http.StatusOK)
		l.post(l.token(map[string]any{"sid": "a-1", "sub": "ada"})).want(http.StatusOK)
		l.do(http.MethodGet, "/api/v1/me/sessions", me, nil).want(http.StatusUnauthorized)
	})
}

func TestBackchannelLogoutRefuses(t *testing.T) {
	past, future := storetest.Epoch.Add(-4*time.Minute).Unix(), storetest.Epoch.Add(2*time.Minute).Unix()
	cases := map[string]struct {
		changes map[string]any
		reason  string
	}{
		"no events":               {map[string]any{"events": nil}, "the events claim does not say that it is one"},
		"events of a text":        {map[string]any{"events": logoutEvent}, "the events claim does not say that it is one"},
		"another event":           {map[string]any{"events": map[string]any{logoutEvent + "s": map[string]any{}}}, "the events claim does not say that it is one"},
		"an event of null":        {map[string]any{"events": map[string]any{logoutEvent: nil}}, "the events claim does not say that it is one"},
		"a nonce":                 {map[string]any{"nonce": "n"}, "it has a nonce claim"},
		"an empty nonce":          {map[string]any{"nonce": ""}, "it has a nonce claim"},
		"another audience":        {map[string]any{"aud": "web"}, "the aud claim has none of the configured clients"},
		"no audience":             {map[string]any{"aud": nil}, "the aud claim has none of the configured clients"},
		"another issuer":          {map[string]any{"iss": "https://id.example.com"}, "the iss claim is not the configured issuer"},
		"no issuer":               {map[string]any{"iss": nil}, "the iss claim is not the configured issuer"},
		"expired":                 {map[string]any{"exp": past}, "the exp claim is in the past or is not a time"},
		"exp of a text":           {map[string]any{"exp": "soon"}, "the exp claim is in the past or is not a time"},
		"issued long ago":         {map[string]any{"iat": past, "exp": nil}, "the iat claim is too long ago"},
		"issued in the future":    {map[string]any{"iat": future}, "the iat claim is in the future"},
		"not issued":              {map[string]any{"iat": nil}, "the iat claim is missing or is not a time"},
		"no jti":                  {map[string]any{"jti": nil}, "the jti claim is missing"},
		"an empty jti":            {map[string]any{"jti": ""}, "a claim that names something is not a non-empty text"},
		"neither sid nor sub":     {map[string]any{"sid": nil}, "it has neither a sid nor a sub claim"},
		"an empty sid and a sub":  {map[string]any{"sid": "", "sub": "ada"}, "a claim that names something is not a non-empty text"},
		"an empty tenant":         {map[string]any{"tenant_id": ""}, "a claim that names something is not a non-empty text"},
		"a tenant that is a list": {map[string]any{"tenant_id": []string{"acme"}}, "a claim that names something is not a non-empty text"},
	}
	onBothEngines(t, func(f *fixture) {
		l := newLogoutFixture(f)
		l.registerAll("")
		for name, c := range cases {
			claims := map[string]any{"sid": "a-1"}
			maps.Copy(claims, c.changes)
			got := l.post(l.token(claims)).want(http.StatusBadRequest)
			assert.Equal(l.t, "The logout token is not valid: "+c.reason+".", got.detail(), name)
			assert.Empty(l.t, got.header.Get("WWW-Authenticate"), name)
		}
		assert.Equal(l.t, "a-1 a-2 b-1 g-1", l.active(""))
	})
}

func TestBackchannelLogoutRefusesForgeries(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		l := newLogoutFixture(f)
		l.registerAll("")
		payload, err := json.Marshal(l.claims(map[string]any{"sid": "a-1"}))
		require.NoError(l.t, err)
		forge := func(header string, signature func(signed string) []byte) string {
			encode := base64.RawURLEncoding.EncodeToString
			signed := encode([]byte(header)) + "." + encode(payload)
			return signed + "." + encode(signature(signed))
		}
		public, err := json.Marshal(l.key.Public())
		require.NoError(l.t, err)
		good := l.token(map[string]any{"sid": "a-1"})
		_, stranger := newIssuer(l.t)
		stranger.KeyID = l.key.KeyID
		for name, c := range map[string]struct{ token, reason string }{
			"alg none": {forge(`{"alg":"none","kid":"`+l.key.KeyID+`"}`, func(string) []byte { return nil }), "the algorithm is not allowed"},
			"alg HS256, signed with the public key": {forge(`{"alg":"HS256","kid":"`+l.key.KeyID+`"}`, func(signed string) []byte {
				mac := hmac.New(sha256.New, public)
				mac.Write([]byte(signed))
				return mac.Sum(nil)
			}), "the algorithm is not allowed"},
			"no signature":      {good[:strings.LastIndex(good, ".")+1], "no key with this id made the signature"},
			"a stranger's key":  {l.sign(stranger, "logout+jwt", l.claims(map[string]any{"sid": "a-1"})), "no key with this id made the signature"},
			"an access token":   {l.user("acme", "ada", "a-1"), "the typ header is not accepted"},
			"as an access JWT":  {l.sign(l.key, "at+jwt", l.claims(map[string]any{"sid": "a-1"})), "the typ header is not accepted"},
			"an ID token":       {l.sign(l.key, "JWT", l.claims(map[string]any{"sid": "a-1", "sub": "ada", "events": nil})), "the events claim does not say that it is one"},
			"no token":          {"x", "the token has not two dots"},
			"a very long token": {strings.Repeat("x", 9<<10), "the token is over 8 KiB"},
		} {
			got := l.post(c.token).want(http.StatusBadRequest)
			assert.Contains(l.t, got.detail(), "The logout token is not valid: "+c.reason, name)
		}
		assert.Equal(l.t, "a-1 a-2 b-1 g-1", l.active(""))
	})
}

func TestBackchannelLogoutTakesATokenOnce(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		l := newLogoutFixture(f)
		l.registerAll("")
		// A token whose sessions could not be ended may come again.
		token := l.token(map[string]any{"sub": "ada"})
		away := &outage{Store: l.store, on: true}
		l.serve(away)
		l.post(token).want(http.StatusServiceUnavailable)
		away.on = false
		l.post(token).want(http.StatusOK)
		l.clock.Advance(time.Second) // a login from before the logout is not registered any more
		l.register("acme", "ada", "a-3")
		for range 4 {
			assert.Equal(l.t, "The logout token is not valid: it has been used before.", l.post(token).want(http.StatusBadRequest).detail())
			l.clock.Advance(44 * time.Second)
		}
		l.clock.Advance(3 * time.Second) // the three minutes in which it is taken are over
		assert.Contains(l.t, l.post(token).want(http.StatusBadRequest).detail(), "the iat claim is too long ago")
		assert.Equal(l.t, "a-3 b-1", l.active(""))
	})
}

func TestBackchannelLogoutIsHeldAgainstTheContract(t *testing.T) {
	sequential.Test(t)
	onBothEngines(t, func(f *fixture) {
		l := newLogoutFixture(f)
		l.registerAll("")
		post := func(body, contentType string) answer {
			return l.do(http.MethodPost, "/oauth2/backchannel-logout", "", body, "Content-Type", contentType)
		}
		const form = "application/x-www-form-urlencoded"
		missing := `{"detail": [{"loc": ["body", "logout_token"], "msg": "Field required", "type": "missing"}]}`
		assert.JSONEq(l.t, missing, post("logout_token=", form).want(http.StatusUnprocessableEntity).body)
		assert.JSONEq(l.t, missing, post("token=x", form).want(http.StatusUnprocessableEntity).body)
		good := l.token(map[string]any{"sid": "a-1"})
		post(`{"logout_token": "`+good+`"}`, "application/json").want(http.StatusUnprocessableEntity)
		post(good, "application/logout+jwt").want(http.StatusUnprocessableEntity)
		post("logout_token="+strings.Repeat("x", 1<<20), form).want(http.StatusRequestEntityTooLarge)
		l.do(http.MethodPost, "/oauth2/backchannel-logout?logout_token="+good, "", nil).want(http.StatusUnprocessableEntity)
		l.do(http.MethodGet, "/oauth2/backchannel-logout", "", nil).want(http.StatusMethodNotAllowed)
		assert.Equal(l.t, "a-1 a-2 b-1 g-1", l.active(""))
		// An access token neither helps nor hurts.
		l.do(http.MethodPost, "/oauth2/backchannel-logout", l.admin(), "logout_token=x", "Content-Type", form).want(http.StatusBadRequest)
		l.do(http.MethodPost, "/oauth2/backchannel-logout", "x", "logout_token="+good, "Content-Type", form).want(http.StatusOK)
		assert.Equal(l.t, "a-2 b-1 g-1", l.active(""))
	})
}

// outage is a store whose database is away while it is on.
type outage struct {
	handlers.Store
	on bool
}

func (o *outage) RevokeAllSessions(ctx context.Context, scope store.Scope, except string, by store.Actor) ([]string, error) {
	if o.on {
		return nil, store.ErrUnavailable
	}
	return o.Store.RevokeAllSessions(ctx, scope, except, by)
}
