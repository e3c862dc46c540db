// Command sdkcheck generates clients from openapi.sdk.yaml with several generators, compiles them, and runs the same calls with
// each against a running sessiond; then a browser reads the API explorer. It prints one line for each.
//
// It runs in a directory of its own that it removes. Run it with `make clients`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sessiond/sessiond"
)

func main() {
	tools := flag.String("tools", "", "directory in which npm has installed package.json (required)")
	picture := flag.String("picture", "", "file for a picture of the API explorer; none is kept when empty")
	flag.Parse()
	ctx := context.Background() //nolint:forbidigo // a program begins here
	if err := run(ctx, os.Stdout, *tools, *picture); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run plays the matrix and returns what failed.
func run(ctx context.Context, out io.Writer, tools, picture string) error {
	work, err := os.MkdirTemp("", "sessiond-clients-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := prepare(work, tools); err != nil {
		return err
	}
	server, err := startServer(ctx, work)
	if err != nil {
		return err
	}
	defer server.stop()
	if picture == "" {
		picture = filepath.Join(work, "explorer.png")
	}
	if picture, err = filepath.Abs(picture); err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "generator\tversion\tlines\tgenerate\tcompile\tstory\tseconds")
	var failures []error
	for _, g := range generators(work, picture) {
		line, err := g.play(ctx, work, server)
		fmt.Fprintln(table, line)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", g.name, err))
		}
	}
	return errors.Join(append(failures, table.Flush())...)
}

// prepare copies this directory and the contract, so that nothing generated stays in the tree.
func prepare(work, tools string) error {
	modules, err := filepath.Abs(filepath.Join(tools, "node_modules"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(modules); err != nil {
		return fmt.Errorf("npm has not installed the generators; run `make clients`: %w", err)
	}
	return errors.Join(
		os.CopyFS(work, os.DirFS("internal/qa/sdkcheck")),
		os.WriteFile(filepath.Join(work, "openapi.yaml"), sessiond.OpenAPI, 0o600),
		os.WriteFile(filepath.Join(work, "openapi.sdk.yaml"), sessiond.OpenAPIForSDKs, 0o600),
		os.Symlink(modules, filepath.Join(work, "node_modules")),
	)
}

// play generates, compiles and runs one client. The line tells how far it came.
func (g generator) play(ctx context.Context, work string, server *server) (string, error) {
	start := time.Now() //nolint:forbidigo // how long it took is for people
	dir := filepath.Join(work, g.name)
	outcome := [3]string{"-", "-", "-"}
	var err error
	for i, command := range [3][]string{g.generate, g.compile, g.story} {
		if i == 2 {
			command = append(command, server.url, server.tenant, server.tenantToken, server.platformToken)
			if g.picture != "" {
				command[len(command)-1] = g.picture
			}
		}
		if len(g.generate) == 0 && i < 2 {
			continue
		}
		if err = execute(ctx, dir, command); err != nil {
			outcome[i] = "FAILED"
			break
		}
		outcome[i] = "ok"
	}
	lines, countErr := countLines(filepath.Join(dir, g.output))
	took := time.Since(start)
	return fmt.Sprintf("%s\t%s\t%d\t%s\t%.1f", g.name, g.version(work), lines, strings.Join(outcome[:], "\t"), took.Seconds()),
		errors.Join(err, countErr)
}

// execute runs a command; its output is the error's text.
func execute(ctx context.Context, dir string, command []string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // from our own table
	cmd.Dir = dir
	// The Node.js that npm has installed comes first: Kubb needs a newer one than Debian's.
	path := filepath.Join(dir, "..", "node_modules", ".bin") + string(os.PathListSeparator) + os.Getenv("PATH") //nolint:forbidigo // the machine's
	cmd.Env = append(os.Environ(), "PATH="+path)
	text, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command[:min(2, len(command))], " "), err, text)
	}
	return nil
}
