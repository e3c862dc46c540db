package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// isTerminal reports whether somebody sits at a stream.
func isTerminal(stream any) bool {
	file, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(file.Fd()))
}

// confirm asks before many sessions end. Without a terminal nobody can answer, and nothing is done.
func confirm(ctx context.Context, cmd *cobra.Command, question string) error {
	if !isTerminal(cmd.InOrStdin()) {
		return usageError{fmt.Errorf("there is no terminal to ask %q: add --yes to do it, or --dry-run to see what would end", question)}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", question)
	answer := make(chan string, 1)
	// Reading from a terminal cannot be interrupted, so the goroutine ends with the program.
	go func() {
		line, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n') // no answer is a no
		answer <- line
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case line := <-answer:
		if text := strings.ToLower(strings.TrimSpace(line)); text == "y" || text == "yes" {
			return nil
		}
		return errors.New("not confirmed: nothing has ended")
	}
}

// newProgress shows how far a long run is, on a terminal only, and leaves no trace of itself when it is done.
func newProgress(cmd *cobra.Command, total int, what string) *progressbar.ProgressBar {
	const refresh = 100 * time.Millisecond
	out := cmd.ErrOrStderr()
	visible := isTerminal(out) && total > 1
	if !visible {
		out = io.Discard
	}
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(out), progressbar.OptionSetVisibility(visible),
		progressbar.OptionSetDescription(what), progressbar.OptionShowCount(), progressbar.OptionThrottle(refresh),
		progressbar.OptionSetWidth(30), progressbar.OptionSetRenderBlankState(true), progressbar.OptionClearOnFinish())
}
