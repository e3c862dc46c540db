package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sessiond/sessiond/store"
)

// RunBuilds measures two builds of sessiond against each other on PostgreSQL, each on a database of its own with the same sessions, in
// rounds that alternate, and says what changed. A build is a program, or a revision of this repository, which is built.
//
// Each build makes its own schema and its own counters, so that the two may differ in their migrations.
func RunBuilds(ctx context.Context, config Config, before, after string, out io.Writer) error {
	config.SQLite = Shape{}
	return with(ctx, config, func(b *bench) error {
		chosen, err := selected(operations(b.wire), config.Only)
		if err != nil {
			return err
		}
		withNewTokens := slices.ContainsFunc(chosen, func(op operation) bool { return op.newTokens })
		err = b.serveBuild(ctx, "old", before, b.databases.baseline, withNewTokens)
		if err == nil {
			err = b.serveBuild(ctx, "new", after, b.databases.sessiond, withNewTokens)
		}
		if err != nil {
			return err
		}
		all, err := b.measure(ctx, chosen, func(op operation, class, concurrency int) ([]*contestant, int) {
			return []*contestant{b.contestant(op, b.servers[0], class, concurrency), b.contestant(op, b.servers[1], class, concurrency)}, 0
		})
		if err != nil {
			return err
		}
		var t strings.Builder
		b.conditions(&t, all)
		fmt.Fprintf(&t, "- old: %s; new: %s; %s\n", before, after, config.Shape)
		changes(&t, all)
		return errors.Join(write(out, &t), b.writeJSON(all))
	})
}

// serveBuild fills a database and starts a build on it.
func (b *bench) serveBuild(ctx context.Context, name, from, database string, withNewTokens bool) (err error) {
	d := b.databases
	if b.sessiond, err = b.program(ctx, name, from); err != nil {
		return err
	}
	owned, err := d.make(ctx, database)
	if err != nil {
		return err
	}
	tenants := b.config.Shape.tenants()
	f := newFilling(tenants, classes(tenants))
	if err := b.fillByProgram(ctx, f, owned, d.url(database)); err != nil {
		return err
	}
	if withNewTokens {
		if err := b.mintNew(f.classes[0]); err != nil {
			return err
		}
	}
	return b.serve(ctx, name, owned, f.classes, d.postmaster)
}

// program is the path of a build: that of a file, or of what a revision of the repository gives.
func (b *bench) program(ctx context.Context, name, from string) (string, error) {
	if info, err := os.Stat(from); err == nil && info.Mode().IsRegular() {
		return filepath.Abs(from)
	}
	tree := filepath.Join(b.dir, name+"-tree")
	run := func(dir, command string, args ...string) error {
		cmd := exec.CommandContext(ctx, command, args...) //nolint:gosec // git and go, for who starts a benchmark
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%q is neither a program nor a revision that can be built: %w: %s", from, err, strings.TrimSpace(string(text)))
		}
		return nil
	}
	b.progress("building %s", from)
	// Also when the context has ended, or nothing came of it: the repository would go on listing it.
	defer func() {
		ctx := context.WithoutCancel(ctx)
		_ = exec.CommandContext(ctx, "git", "worktree", "remove", "--force", tree).Run() //nolint:gosec // our own directory
		_ = exec.CommandContext(ctx, "git", "worktree", "prune").Run()
	}()
	if err := run("", "git", "worktree", "add", "--detach", tree, from); err != nil {
		return "", err
	}
	path := filepath.Join(b.dir, name)
	return path, run(tree, "go", "build", "-o", path, "./cmd/sessiond")
}

// fillByProgram fills a database whose schema and counters the build makes.
func (b *bench) fillByProgram(ctx context.Context, f filling, url, super string) error {
	run := func(args ...string) error {
		cmd := exec.CommandContext(ctx, b.sessiond, append(args, "--database-url", url)...) //nolint:gosec // the program to measure
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w: %s", filepath.Base(b.sessiond), args[0], err, strings.TrimSpace(string(text)))
		}
		return nil
	}
	b.progress("filling %s", store.Redact(super))
	err := run("migrate", "up")
	if err == nil {
		err = f.fillPostgres(ctx, super)
	}
	if err == nil {
		err = run("check", "--repair")
	}
	if err == nil {
		err = vacuum(ctx, super)
	}
	if err == nil {
		err = f.mix()
	}
	if err != nil {
		return err
	}
	return b.mint(f)
}

// changes says of each measurement how the new build's rate is to the old one's.
func changes(t *strings.Builder, all []*contestant) {
	t.WriteString("- changed: the interval in which the median of the rounds' ratios lies, with a confidence of 95 %, does not have 1 in it. One row in twenty\n" +
		"  may say so by chance, and what differs between the two for the whole run, such as where their rows lie, is not in the interval: compare\n" +
		"  a build with itself to see how much that is\n\n")
	t.WriteString("| operation | at a time | tenant | old: requests/s | new | new ÷ old | interval | changed | CPU µs: old | new | PostgreSQL CPU µs: old | new |\n")
	t.WriteString("|---|--:|---|--:|--:|--:|---|---|--:|--:|--:|--:|\n")
	for pair := range slices.Chunk(all, 2) {
		before, after := pair[0], pair[1]
		least, most, known := interval(after.ratios)
		verdict, between := "no", fmt.Sprintf("%.3f–%.3f", least, most)
		switch {
		case !known:
			verdict, between = "too few rounds", "–"
		case least > 1:
			verdict = "faster"
		case most < 1:
			verdict = "slower"
		}
		fmt.Fprintf(t, "| %s | %d | %s | %.4g | %.4g | %.3f | %s | %s |", after.operation, after.concurrency, after.class, before.rate(), after.rate(),
			median(after.ratios), between, verdict)
		for _, cost := range []func(result) time.Duration{
			func(r result) time.Duration { return r.serverCPU }, func(r result) time.Duration { return r.databaseCPU },
		} {
			fmt.Fprintf(t, " %s | %s |", micros(perRequest(pair[:1], cost)), micros(perRequest(pair[1:], cost)))
		}
		t.WriteString("\n")
	}
}

// interval is where the median of what was sampled lies, with a confidence of 95 % whatever the distribution is: between the k-th least and
// the k-th most sample, where fewer than k of n coins show heads in 2.5 of 100 cases at the most. So few samples as five do not suffice.
func interval(samples []float64) (least, most float64, known bool) {
	sorted := slices.Sorted(slices.Values(samples))
	n, k, tail, chance := len(sorted), 0, 0.0, math.Pow(0.5, float64(len(sorted)))
	for tail+chance <= 0.025 {
		tail += chance
		k++
		chance = chance * float64(n-k+1) / float64(k)
	}
	if k == 0 {
		return 0, 0, false
	}
	return sorted[k-1], sorted[n-k], true
}
