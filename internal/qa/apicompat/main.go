// Command apicompat fails when openapi.yaml breaks a client of the last release, unless its version says so: a higher
// major version, below 1.0 a higher minor one (Semantic Versioning 2.0.0, items 4 and 8). oasdiff knows what breaks a
// client. Run it with `make contract`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v4"
)

func main() {
	oasdiff := flag.String("oasdiff", "oasdiff", "the oasdiff command")
	accepted := flag.String("accepted", os.DevNull, "a `file` with the changes that break no client in fact, as oasdiff prints them after the operation")
	flag.Parse()
	ctx := context.Background() //nolint:forbidigo // a program begins here
	if err := run(ctx, *oasdiff, *accepted, flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run compares the contract of the last release with the one to come.
func run(ctx context.Context, oasdiff, accepted, released, current string) error {
	before, err := version(released)
	if err != nil {
		return err
	}
	after, err := version(current)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, oasdiff, "breaking", "--fail-on", "ERR", "--err-ignore", accepted, released, current) //nolint:gosec // the Makefile's
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err = cmd.Run()
	// 1 is oasdiff's answer for a breaking change; everything else is a fault.
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		return err
	}
	if mayBreak(before, after) {
		return nil
	}
	return fmt.Errorf("%s breaks clients of %s: undo it, or raise info.version in %s", after, before, current)
}

// version is info.version of a document.
func version(file string) (string, error) {
	data, err := os.ReadFile(file) //nolint:gosec // the Makefile names it
	if err != nil {
		return "", err
	}
	var document struct{ Info struct{ Version string } }
	if err := yaml.Unmarshal(data, &document); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	if semver().FindString(document.Info.Version) == "" {
		return "", fmt.Errorf("%s: info.version is %q, not three numbers with dots", file, document.Info.Version)
	}
	return document.Info.Version, nil
}

func semver() *regexp.Regexp { return regexp.MustCompile(`^(\d+)\.(\d+)\.\d+$`) }

// mayBreak reports whether a version after another may break its clients.
func mayBreak(before, after string) bool {
	major, minor := numbers(before)
	newMajor, newMinor := numbers(after)
	return newMajor > major || major == 0 && newMajor == 0 && newMinor > minor
}

func numbers(version string) (major, minor int) {
	match := semver().FindStringSubmatch(version)
	major, _ = strconv.Atoi(match[1]) // they are digits
	minor, _ = strconv.Atoi(match[2])
	return major, minor
}
