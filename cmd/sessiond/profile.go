package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/sessiond/sessiond/client"
)

// profile is one server and how to get a token for it.
type profile struct {
	Server       string   `yaml:"server"`
	TokenCommand []string `yaml:"token-command"`
	Token        string   `yaml:"token"`
}

// profiles is the configuration file of the sessions commands.
type profiles struct {
	// Default is the profile that is used when none is named.
	Default  string             `yaml:"default"`
	Profiles map[string]profile `yaml:"profiles"`
}

// configFile is where the profiles are when --config does not say: below $XDG_CONFIG_HOME (XDG Base Directory
// Specification), or ~/.config. It is empty when neither is known.
func configFile(getenv func(string) (string, bool)) string {
	if dir, _ := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sessiond", "config.yaml")
	}
	if home, _ := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".config", "sessiond", "config.yaml")
	}
	return ""
}

// readProfiles reads a configuration file. The default file may be absent.
func readProfiles(path string, required bool, warnings io.Writer) (profiles, error) {
	var written profiles
	file, err := os.Open(path) //nolint:gosec // G304: which file is the operator's to say
	if errors.Is(err, fs.ErrNotExist) && !required {
		return written, nil
	}
	if err != nil {
		return written, usageError{fmt.Errorf("the configuration cannot be read: %w", err)}
	}
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	if err := decoder.Decode(&written); err != nil && !errors.Is(err, io.EOF) {
		return written, usageError{fmt.Errorf("the configuration in %s: %s", path, oneLine(err))}
	}
	if written.Default != "" {
		if _, found := written.Profiles[written.Default]; !found {
			return written, usageError{fmt.Errorf("the configuration in %s: the default profile %q is not there", path, written.Default)}
		}
	}
	info, err := file.Stat()
	if err != nil {
		return written, err
	}
	for _, warning := range written.warnings(path, info.Mode()) {
		fmt.Fprintln(warnings, "sessiond: warning:", warning)
	}
	return written, nil
}

// warnings says what others on this machine could do with a file of these permissions.
func (p profiles) warnings(path string, mode fs.FileMode) []string {
	var found []string
	for _, one := range p.Profiles {
		if one.Token != "" && mode.Perm()&0o077 != 0 {
			found = append(found, fmt.Sprintf("%s holds a token and others may read it: run chmod 600 %[1]s", path))
			break
		}
	}
	if mode.Perm()&0o022 != 0 {
		found = append(found, fmt.Sprintf("others may write %s, and so say which server and command are used: run chmod go-w %[1]s", path))
	}
	return found
}

// choose returns the profile of a name, the default one when there is no name, and an empty one when there is no default.
func (p profiles) choose(name string) (profile, error) {
	if name == "" {
		name = p.Default
	}
	if name == "" {
		return profile{}, nil
	}
	chosen, found := p.Profiles[name]
	if !found {
		return chosen, usageError{fmt.Errorf("there is no profile %q; the configuration has %q", name, p.names())}
	}
	return chosen, nil
}

// names are the profiles' names, sorted.
func (p profiles) names() []string {
	names := make([]string, 0, len(p.Profiles))
	for name := range p.Profiles {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// tokens is where the profile's tokens come from; nil when it does not say.
func (p profile) tokens(stderr io.Writer) client.TokenSource {
	switch {
	case len(p.TokenCommand) > 0:
		return commandTokens(p.TokenCommand, stderr)
	case p.Token != "":
		return client.Token(p.Token)
	default:
		return nil
	}
}
