package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// configure writes the configuration of a service where the command looks for it, and takes the variables away.
func (s *service) configure(text string, mode os.FileMode) {
	s.t.Helper()
	s.vars["XDG_CONFIG_HOME"] = s.dir
	path := filepath.Join(s.dir, "sessiond", "config.yaml")
	require.NoError(s.t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(s.t, os.WriteFile(path, []byte(text), mode))
	require.NoError(s.t, os.Chmod(path, mode), "whatever the umask")
	delete(s.vars, "SESSIOND_TOKEN")
	delete(s.vars, "SESSIOND_SERVER")
}

func TestProfiles(t *testing.T) {
	s := populated(t)
	good := s.vars["SESSIOND_TOKEN"]
	secret := filepath.Join(s.dir, "secret")
	require.NoError(t, os.WriteFile(secret, []byte(good+"\n"), 0o600))
	counter := filepath.Join(s.dir, "counter")
	s.configure(strings.NewReplacer("URL", s.url, "SECRET", secret, "COUNTER", counter, "TOKEN", good).Replace(`
default: command
profiles:
  command: {server: URL, token-command: [sh, -c, "echo x >> COUNTER; cat SECRET"]}
  failing: {server: URL, token-command: [sh, -c, "echo no luck >&2; exit 3"]}
  silent: {server: URL, token-command: ["true"]}
  chatty: {server: URL, token-command: [echo, please log in first]}
  absent: {server: URL, token-command: [/nonexistent/command]}
  token: {server: URL, token: TOKEN}
  bare: {server: URL}
`), 0o600)
	for name, c := range map[string]struct {
		args            []string
		code            int
		message, stderr string
	}{
		"the default one":    {nil, 0, "", ""},
		"a token":            {[]string{"--profile", "token"}, 0, "", ""},
		"a token file":       {[]string{"--profile", "bare", "--token-file", secret}, 0, "", ""},
		"no token":           {[]string{"--profile", "bare"}, exitUsage, "whose token?", ""},
		"no such profile":    {[]string{"--profile", "none"}, exitUsage, `there is no profile "none"; the configuration has ["absent" "bare"`, ""},
		"a failing command":  {[]string{"--profile", "failing"}, exitFailed, "the token command sh: exit status 3", "no luck\n"},
		"a silent command":   {[]string{"--profile", "silent"}, exitFailed, "there is no token in it", ""},
		"no token but words": {[]string{"--profile", "chatty"}, exitFailed, "what is in it is not a token", ""},
		"no such command":    {[]string{"--profile", "absent"}, exitFailed, "no such file", ""},
		"no such file":       {[]string{"--token-file", s.dir + "/none"}, exitFailed, "no such file", ""},
		"no such config":     {[]string{"--config", s.dir + "/none"}, exitUsage, "the configuration cannot be read", ""},
		"a foreign server":   {[]string{"--server", "http://127.0.0.2:1"}, exitUsage, "the profile's token is for " + s.url, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := s.run(append([]string{"list", "--all"}, c.args...)...)
			assert.Equal(t, c.code, o.code, o.message)
			assert.Contains(t, o.message, c.message)
			assert.NotContains(t, o.message, "log in", "what a command prints may be secret")
			assert.Equal(t, c.stderr, o.stderr)
			assert.Equal(t, c.code == 0, strings.Contains(o.stdout, "s-1"))
		})
	}
	require.NoError(t, os.Remove(counter))
	require.Zero(t, s.run("revoke", "s-1", "s-2", "s-3", "--yes").code)
	runs, err := os.ReadFile(filepath.Clean(counter))
	require.NoError(t, err)
	assert.Equal(t, "x\n", string(runs), "one token for three requests")
	// The environment is nearer than the profile.
	s.vars["SESSIOND_TOKEN"] = "x"
	assert.Equal(t, exitNotAllowed, s.run("list").code)
}

func TestConfigurationMistakes(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no YAML":             {"profiles: [", "the configuration in"},
		"an unknown member":   {"profiles: {a: {sever: x}}", "sever"},
		"a command as a text": {"profiles: {a: {token-command: cat x}}", "the configuration in"},
		"no default":          {"default: b\nprofiles: {a: {}}", `the default profile "b" is not there`},
		"nothing":             {"", "which server?"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &service{t: t, dir: t.TempDir(), vars: map[string]string{}}
			s.configure(c.text, 0o600)
			s.vars["SESSIOND_TOKEN"] = "t"
			o := s.run("list")
			assert.Equal(t, exitUsage, o.code)
			assert.Contains(t, o.message, c.want)
		})
	}
}

func TestConfigurationPermissions(t *testing.T) {
	withToken, without := "profiles: {a: {token: t}}", "profiles: {a: {}}" //nolint:gosec // G101: t is no credential
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want []string
	}{
		"private":                {withToken, 0o600, nil},
		"readable, with a token": {withToken, 0o640, []string{"holds a token and others may read it: run chmod 600 "}},
		"readable, without":      {without, 0o644, nil},
		"writable, without":      {without, 0o664, []string{"others may write "}},
		"writable, with a token": {withToken, 0o666, []string{"holds a token", "others may write "}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &service{t: t, dir: t.TempDir(), vars: map[string]string{}}
			s.configure(c.text, c.mode)
			o := s.run("list")
			assert.Len(t, strings.Split(o.stderr, "\n"), len(c.want)+1)
			for _, want := range c.want {
				assert.Contains(t, o.stderr, want)
			}
		})
	}
}

func TestConfigFile(t *testing.T) {
	for want, vars := range map[string]map[string]string{
		"/x/sessiond/config.yaml":         {"XDG_CONFIG_HOME": "/x", "HOME": "/h"},
		"/h/.config/sessiond/config.yaml": {"XDG_CONFIG_HOME": "relative", "HOME": "/h"},
		"":                                {},
	} {
		assert.Equal(t, want, configFile(func(name string) (string, bool) { value, found := vars[name]; return value, found }))
	}
}

func TestPlainHTTPIsWarnedAbout(t *testing.T) {
	for server, want := range map[string]bool{
		"http://127.0.0.1:8080": false, "http://localhost": false, "http://[::1]:1": false, "https://sessions.example.com": false,
		"http://sessions.example.com": true, "http://192.0.2.1:80": true,
	} {
		assert.Equal(t, want, readable(server), server)
	}
}

func TestCompletion(t *testing.T) {
	s := &service{t: t, dir: t.TempDir(), vars: map[string]string{}}
	s.configure("profiles: {prod: {}, staging: {}}", 0o666)
	complete := func(args ...string) string {
		out, err := command(t, s.getenv, append([]string{"__complete"}, args...)...)
		require.NoError(t, err)
		return out
	}
	assert.Equal(t, "prod\nstaging\n:4\n", complete("sessions", "list", "--profile", ""))
	assert.Contains(t, complete("sessions", "revo"), "revoke\t")
	assert.Contains(t, complete("sessions", "revoke-all", "--d"), "--dry-run\t")
	assert.Equal(t, ":4\n", complete("sessions", "get", ""), "no files: an id is none")
	assert.Equal(t, "yaml\nyml\n:8\n", complete("sessions", "list", "--config", ""))
	script, err := command(t, s.getenv, "completion", "bash")
	require.NoError(t, err)
	assert.Contains(t, script, "__start_sessiond")
}
