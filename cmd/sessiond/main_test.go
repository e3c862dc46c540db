package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// output is a buffer that a command writes to while the test reads it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func noEnvironment(string) (string, bool) { return "", false }

// command runs sessiond with arguments and returns what it printed.
func command(t *testing.T, getenv func(string) (string, bool), args ...string) (string, error) {
	t.Helper()
	var out output
	err := run(t.Context(), args, getenv, &out, io.Discard)
	return out.String(), err
}

func TestMistakesAreOneSentence(t *testing.T) {
	busy, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.json")
	require.NoError(t, os.WriteFile(garbage, []byte("{"), 0o600))
	keys := filepath.Join(dir, "keys.json")
	require.NoError(t, os.WriteFile(keys, []byte(`{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "use": "sig", "alg": "EdDSA",
		"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`), 0o600))
	fresh := "sqlite://" + filepath.Join(dir, "fresh.db")
	empty := "sqlite://" + filepath.Join(dir, "empty.db")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "empty.db"), nil, 0o600))
	trusted := []string{"serve", "--addr", "127.0.0.1:0", "--issuer", "https://id.example.com", "--audience", "x"}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no issuer":            {[]string{"serve"}, "set --issuer and --audience, or --dev"},
		"issuer, no audience":  {[]string{"serve", "--issuer", "https://id.example.com"}, "--audience is missing"},
		"audience, no issuer":  {[]string{"serve", "--audience", "x"}, "--issuer is missing"},
		"dev and issuer":       {[]string{"serve", "--dev", "--issuer", "x"}, "exclude each other"},
		"two key sources":      {append(trusted, "--jwks-url", "x", "--jwks-file", "y"), "exclude each other"},
		"no key file":          {append(trusted, "--jwks-file", filepath.Join(dir, "none.json")), "none.json"},
		"no location database": {append(trusted, "--jwks-file", keys, "--geoip-database", garbage), "garbage.json"},
		"a bad limit":          {append(trusted, "--jwks-file", keys, "--idle-timeout", "-1m"), "must not be negative"},
		"a bad surplus":        {append(trusted, "--jwks-file", keys, "--surplus", "x"), "use end-oldest or refuse"},
		"no tenant limits":     {append(trusted, "--jwks-file", keys, "--tenant-limits", dir+"/none"), "tenant limits cannot be read"},
		"a bad retention":      {append(trusted, "--retention", "0s"), "must be positive"},
		"a broken key file":    {append(trusted, "--jwks-file", garbage), "garbage.json"},
		"dev for everybody":    {[]string{"serve", "--dev", "--addr", ":8080"}, "loopback addresses only"},
		"dev on an address":    {[]string{"serve", "--dev", "--addr", "192.0.2.1:8080"}, "loopback addresses only"},
		"issuer, no scheme":    {[]string{"serve", "--issuer", "id.example.com", "--audience", "x"}, "as in https://id.example.com"},
		"issuer of a port":     {[]string{"serve", "--issuer", "id.example.com:443", "--audience", "x"}, "as in https://id.example.com"},
		"a name to discover":   {[]string{"serve", "--issuer", "urn:example:id", "--audience", "x"}, "set --jwks-url or --jwks-file"},
		"keys, no scheme":      {append(trusted, "--jwks-url", "id.example.com/keys"), "--jwks-url"},
		"no token types":       {append(trusted, "--token-types", ""), "--token-types"},
		"an empty token type":  {append(trusted, "--token-types", "JWT,"), "--token-types"},
		"no tenant claim":      {append(trusted, "--claim-tenant", ""), "--claim-tenant"},
		"no partner claim":     {append(trusted, "--claim-partner", ""), "--claim-partner"},
		"no session claim":     {append(trusted, "--claim-session", ""), "--claim-session"},
		"no scope claim":       {append(trusted, "--claim-scope", ""), "--claim-scope"},
		"no client claim":      {append(trusted, "--claim-client", ""), "--claim-client"},
		"no address":           {append(trusted, "--jwks-file", keys, "--addr", ""), "--addr"},
		"no connections":       {append(trusted, "--jwks-file", keys, "--database-max-conns", "0"), "--database-max-conns"},
		"fewer events than 0":  {[]string{"audit", "--limit", "-1"}, "--limit"},
		"an unknown action":    {[]string{"audit", "--action", "session.revokd"}, "use one of session.registered, session.changed"},
		"an ago to come":       {[]string{"audit", "--since", "-24h"}, "is not a time"},
		"an end before":        {[]string{"audit", "--since", "1h", "--until", "2h"}, "--until"},
		"a negative timeout":   {[]string{"sessions", "list", "--timeout", "-1s"}, "--timeout"},
		"blank audience":       {[]string{"serve", "--issuer", "https://id.example.com", "--audience", " x"}, "--audience"},
		"blank token type":     {append(trusted, "--token-types", " "), "--token-types"},
		"blank claim":          {append(trusted, "--claim-scope", " "), "--claim-scope"},
		"negative sessions":    {append(trusted, "--max-sessions", "-1"), "--max-sessions"},
		"negative interval":    {append(trusted, "--activity-interval", "-1s"), "--activity-interval is -1s"},
		"negative retention":   {append(trusted, "--audit-retention", "-1h"), "--audit-retention is -1h0m0s"},
		"erase with no life":   {[]string{"erase", "--tenant", "t", "--user", "u", "--max-token-lifetime", "-1h"}, "--max-token-lifetime is"},
		"no database URL":      {append(trusted, "--jwks-file", keys, "--database-url", ""), "--database-url"},
		"no database file":     {append(trusted, "--jwks-file", keys, "--database-url", "sqlite://"), "--database-url"},
		"status of no file":    {[]string{"migrate", "status", "--database-url", fresh}, "does not exist"},
		"tenant in no file":    {[]string{"tenant", "set-partner", "--tenant", "t", "--none", "--database-url", fresh}, "does not exist"},
		"audit of no schema":   {[]string{"audit", "--database-url", empty}, "run `sessiond migrate up --database-url " + empty + "`"},
		"check of no schema":   {[]string{"check", "--database-url", empty}, "run `sessiond migrate up --database-url " + empty + "`"},
		"help of nothing":      {[]string{"help", "sevre"}, "unknown command \"sevre\""},
		"help of no part":      {[]string{"help", "migrate", "upp"}, "unknown command \"migrate upp\""},
		"an unknown part":      {[]string{"sessions", "lst"}, "unknown command \"lst\""},
		"an unknown shell":     {[]string{"completion", "csh"}, "unknown command \"csh\""},
		"two shells":           {[]string{"completion", "bash", "zsh"}, "unknown command \"zsh\""},
		"audit of no file":     {[]string{"audit", "--database-url", fresh}, "does not exist"},
		"check of no file":     {[]string{"check", "--database-url", fresh}, "does not exist"},
		"erase in no file":     {[]string{"erase", "--tenant", "t", "--user", "u", "--database-url", fresh}, "does not exist"},
		"serve of no file":     {append(trusted, "--jwks-file", keys, "--database-url", fresh), "does not exist"},
		"audit of no place":    {[]string{"audit", "--database-url", "sqlite://" + dir + "/none/x.db"}, "does not exist"},
		"a busy port":          {[]string{"serve", "--dev", "--addr", busy.Addr().String(), "--data-dir", dir}, "is in use"},
		"an odd address":       {append(trusted, "--addr", "nonsense"), "use HOST:PORT"},
		"a busy metrics port":  {append(trusted, "--jwks-file", keys, "--metrics-addr", busy.Addr().String()), "choose another with --metrics-addr"},
		"an odd collector":     {append(trusted, "--jwks-file", keys, "--otlp-endpoint", "collector"), "use http://HOST:4318"},
		"no request time":      {append(trusted, "--request-timeout", "0s"), "--request-timeout must be positive"},
		"a negative rate":      {append(trusted, "--rate-limit", "-1"), "not negative"},
		"a rate that is none":  {append(trusted, "--address-rate-limit", "NaN"), "not negative"},
		"a negative burst":     {append(trusted, "--rate-limit", "1", "--rate-burst", "-1"), "--rate-burst must not be negative"},
		"a burst of nothing":   {append(trusted, "--rate-burst", "5"), "set --rate-limit or --address-rate-limit too"},
		"an odd proxy":         {append(trusted, "--trusted-proxies", "10.0.0.1"), "--trusted-proxies"},
		"every origin":         {append(trusted, "--cors-origin", "*"), "use https://HOST"},
		"a pattern of origins": {append(trusted, "--cors-origin", "https://*.example.com"), "use https://HOST"},
		"an origin and a path": {append(trusted, "--cors-origin", "https://example.com/"), "use https://HOST"},
		"half a certificate":   {append(trusted, "--tls-cert", garbage), "set both"},
		"no certificate":       {append(trusted, "--jwks-file", keys, "--tls-cert", garbage, "--tls-key", garbage), "cannot be used"},
		"an unknown engine":    {append(trusted, "--database-url", "mysql://x"), "use sqlite://FILE or postgres://"},
		"an unreadable URL":    {append(trusted, "--database-url", "postgres://u:secret@h:port/x"), "cannot be read"},
		"no database":          {append(trusted, "--database-url", "postgres://u:secret@127.0.0.1:1/x"), "cannot be reached: check that it runs"},
		"not a database":       {[]string{"migrate", "up", "--database-url", "sqlite://" + garbage + "/x"}, "directory cannot be made"},
		"no such database":     {append(trusted, "--database-url", strings.Replace(storetest.PostgresURL(t), "/test_", "/other_", 1)), "does not exist"},
		"no directory":         {[]string{"demo", "--database-url", "sqlite:///dev/null/x.db"}, "directory cannot be made"},
		"an old schema":        {append(trusted, "--database-url", empty), "run `sessiond migrate up --database-url " + empty + "`"},
		"demo of nothing":      {[]string{"demo", "--sessions", "0"}, "at least 1"},
		"token of nobody":      {[]string{"token", "--data-dir", dir}, "--sub"},
		"token of no length":   {[]string{"token", "--sub", "x", "--ttl", "0s", "--data-dir", dir}, "--ttl"},
		"a bad flag":           {[]string{"serve", "--prot", "1"}, "unknown flag: --prot"},
		"a bad value":          {[]string{"serve", "--dev=maybe"}, "invalid argument"},
		"a bad log level":      {[]string{"serve", "--dev", "--log-level", "loud"}, "log-level"},
		"an unknown command":   {[]string{"sevre"}, "unknown command"},
		"migrate alone":        {[]string{"migrate"}, "migrate needs up or status"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := command(t, noEnvironment, c.args...)
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "\n", "one sentence")
			assert.NotContains(t, err.Error(), "secret", "no password")
		})
	}
	help, err := command(t, noEnvironment, "help", "migrate", "up")
	require.NoError(t, err)
	assert.Contains(t, help, "sessiond migrate up [flags]")
	assert.NoFileExists(t, filepath.Join(dir, "fresh.db"), "a refusal makes nothing")
	assert.NoDirExists(t, filepath.Join(dir, "none"))
}

// everyCommand is a command with all those below it.
func everyCommand(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		all = append(all, everyCommand(sub)...)
	}
	return all
}

// TestUnknownCommandsAndFlagsExitWith2 asks every command for what it does not have.
func TestUnknownCommandsAndFlagsExitWith2(t *testing.T) {
	commands := everyCommand(rootCommand(noEnvironment))
	require.Greater(t, len(commands), 15)
	for _, cmd := range commands {
		path := strings.Fields(cmd.CommandPath())[1:]
		_, err := command(t, noEnvironment, append(path, "--no-such-flag")...)
		assert.Equal(t, exitUsage, exitCode(err), "%s --no-such-flag: %v", path, err)
		if strings.HasSuffix(cmd.Use, "...") || strings.Contains(cmd.Use, " ") {
			continue // it takes ids or a file
		}
		_, err = command(t, noEnvironment, append(path, "no-such-command")...)
		assert.Equal(t, exitUsage, exitCode(err), "%s no-such-command: %v", path, err)
	}
}

// TestHelpOfFlags: the placeholder of a value is a type or, in capitals, what it is; a switch has none. pflag takes a word in back
// quotes for it.
func TestHelpOfFlags(t *testing.T) {
	placeholder := regexp.MustCompile(`^(string|int|float|duration|[A-Z]+(:[A-Z]+)?)$`)
	for _, cmd := range everyCommand(rootCommand(noEnvironment)) {
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			name, _ := pflag.UnquoteUsage(flag)
			if flag.Value.Type() == "bool" {
				assert.Empty(t, name, "%s --%s", cmd.CommandPath(), flag.Name)
			} else {
				assert.Regexp(t, placeholder, name, "%s --%s", cmd.CommandPath(), flag.Name)
			}
		})
	}
	help, err := command(t, noEnvironment, "serve", "--help")
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^ +--dev +development mode: accept tokens of "sessiond token"`, help)
	assert.Regexp(t, `(?m)^ +--addr HOST:PORT +address to listen on`, help)
}

func TestUnknownVariables(t *testing.T) {
	for variable, known := range map[string]bool{
		"SESSIOND_ISSUER=x": true, "SESSIOND_TOKEN=x": true, "SESSIOND_PER_PAGE=20": true, "SESSIOND_DATABASE_URL=x": true,
		"PATH=x": true, "XSESSIOND_ISUER=x": true,
		"SESSIOND_ISUER=x": false, "SESSIOND_=x": false, "SESSIOND_PORT=8080": false, "SESSIOND_HELP=x": false,
		// What Kubernetes sets beside a Service of that name is nobody's mistake.
		"SESSIOND_SERVICE_HOST=10.0.0.11": true, "SESSIOND_SERVICE_PORT=8080": true, "SESSIOND_SERVICE_PORT_HTTP=8080": true,
		"SESSIOND_PORT=tcp://10.0.0.11:8080": true, "SESSIOND_PORT_8080_TCP=tcp://10.0.0.11:8080": true,
		"SESSIOND_PORT_8080_TCP_PROTO=tcp": true, "SESSIOND_PORT_8080_TCP_PORT=8080": true, "SESSIOND_PORT_8080_TCP_ADDR=10.0.0.11": true,
		"SESSIOND_METRICS_SERVICE_HOST=10.0.0.12": true, "SESSIOND_METRICS_PORT=tcp://10.0.0.12:9090": true,
	} {
		err := run(t.Context(), []string{"version"}, noEnvironment, io.Discard, io.Discard, variable)
		if known {
			require.NoError(t, err, variable)
			continue
		}
		name, _, _ := strings.Cut(variable, "=")
		require.ErrorContains(t, err, name+" is not a setting of sessiond", variable)
		assert.Equal(t, exitUsage, exitCode(err), variable)
	}
}

func TestEnvironment(t *testing.T) {
	getenv := func(name string) (string, bool) {
		values := map[string]string{"SESSIOND_DEV": "true", "SESSIOND_ADDR": "192.0.2.1:1"}
		value, found := values[name]
		return value, found
	}
	_, err := command(t, getenv, "serve")
	require.ErrorContains(t, err, `"192.0.2.1:1" is not one with its port`)
	_, err = command(t, getenv, "serve", "--addr", "192.0.2.2:2")
	require.ErrorContains(t, err, `"192.0.2.2:2" is not one with its port`, "a flag wins")
	_, err = command(t, func(name string) (string, bool) { return "maybe", name == "SESSIOND_DEV" }, "serve")
	require.ErrorContains(t, err, "SESSIOND_DEV")
}

func TestMigrate(t *testing.T) {
	for name, url := range map[string]string{"sqlite": storetest.SQLiteURL(t), "postgres": storetest.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) {
			if name == "postgres" { // a SQLite file that is not there has no state
				status, err := command(t, noEnvironment, "migrate", "status", "--database-url", url)
				require.NoError(t, err)
				assert.Regexp(t, `00001_init.sql +pending`, status)
			}
			up, err := command(t, noEnvironment, "migrate", "up", "--database-url", url)
			require.NoError(t, err)
			assert.Contains(t, up, "applied 00001_init.sql")
			up, err = command(t, noEnvironment, "migrate", "up", "--database-url", url)
			require.NoError(t, err)
			assert.Equal(t, "the schema is up to date\n", up)
			status, err := command(t, noEnvironment, "migrate", "status", "--database-url", url)
			require.NoError(t, err)
			assert.Regexp(t, `00001_init.sql +applied 20\d\d-`, status)
		})
	}
}

func TestDemo(t *testing.T) {
	for name, url := range map[string]string{"sqlite": storetest.SQLiteURL(t), "postgres": storetest.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) {
			filled, err := command(t, noEnvironment, "demo", "--sessions", "20", "--database-url", url)
			require.NoError(t, err)
			assert.Equal(t, "stored 20 demo sessions\n", filled)
			filled, err = command(t, noEnvironment, "demo", "--sessions", "30", "--database-url", url)
			require.NoError(t, err)
			assert.Equal(t, "stored 10 demo sessions; 20 were there before\n", filled)
		})
	}
}

func TestVersion(t *testing.T) {
	out, err := command(t, noEnvironment, "version")
	require.NoError(t, err)
	assert.Regexp(t, `^sessiond \S+ \(go1\.\d+`, out)
}

// TestServe is the tour that serve prints, on both engines: start, ask, shut down.
func TestServe(t *testing.T) {
	for name, url := range map[string]string{"sqlite": storetest.SQLiteURL(t), "postgres": storetest.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var out output
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- run(ctx, []string{
					"serve", "--dev", "--addr", "127.0.0.1:0", "--data-dir", dir, "--database-url", url, "--demo-sessions", "50",
				}, noEnvironment, &out, io.Discard)
			}()
			require.Eventually(t, func() bool { return strings.Contains(out.String(), "identity provider") }, 30*time.Second, 20*time.Millisecond)
			base := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(out.String())

			for who, path := range map[string]string{
				"ADMIN": "/api/v1/admin/sessions/?per_page=2", "TENANT": "/api/v1/tenants/" + tenantOf(t, out.String()) + "/sessions/stats", "ME": "/api/v1/me/sessions",
			} {
				assert.Equal(t, http.StatusOK, get(t, base+path, tokenOf(t, out.String(), who)), who)
			}
			minted, err := command(t, noEnvironment, "token", "--sub", "x", "--scope", "admin:sessions:read", "--data-dir", dir)
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, get(t, base+"/api/v1/admin/sessions/", strings.TrimSpace(minted)))
			assert.Equal(t, http.StatusUnauthorized, get(t, base+"/api/v1/admin/sessions/", "x"))

			stop()
			require.NoError(t, <-ended)
		})
	}
}

func tokenOf(t *testing.T, tour, who string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^  ` + who + `='(.+)'$`).FindStringSubmatch(tour)
	require.Len(t, found, 2, tour)
	return found[1]
}

func tenantOf(t *testing.T, tour string) string {
	t.Helper()
	found := regexp.MustCompile(`administrator of the tenant (\w+):`).FindStringSubmatch(tour)
	require.Len(t, found, 2)
	return found[1]
}

func get(t *testing.T, url, token string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var body map[string]any
	require.NoError(t, json.NewDecoder(response.Body).Decode(&body), fmt.Sprint(response.Status))
	return response.StatusCode
}
