package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/sessiond/sessiond/client"
)

// tokenFreshness is how long a token of a command is used before the command runs again. It is well below the life of an
// access token, so a long run does not outlive its token.
const tokenFreshness = time.Minute

// commandTokens runs a command, without a shell, and takes what it prints for the token.
func commandTokens(command []string, stderr io.Writer) client.TokenSource {
	var token string
	var since time.Time
	return func(ctx context.Context) (string, error) {
		if token != "" && time.Since(since) < tokenFreshness {
			return token, nil
		}
		run := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // G204: the operator's own configuration
		run.Stderr = stderr
		printed, err := run.Output()
		if err != nil {
			return "", fmt.Errorf("the token command %s: %w", command[0], err)
		}
		if token, err = readToken(string(printed)); err != nil {
			return "", fmt.Errorf("the token command %s: %w", command[0], err)
		}
		since = time.Now()
		return token, nil
	}
}

// fileTokens reads a file whenever a token is needed: whoever writes it may put a new one there at any time.
func fileTokens(path string) client.TokenSource {
	return func(context.Context) (string, error) {
		written, err := os.ReadFile(path) //nolint:gosec // G304: which file is the operator's to say
		if err != nil {
			return "", err
		}
		token, err := readToken(string(written))
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		return token, nil
	}
}

// readToken is a token without the white space around it. The characters are those of RFC 6750, section 2.1; anything else,
// an error message perhaps, is not sent anywhere and not shown.
func readToken(text string) (string, error) {
	token := strings.TrimSpace(text)
	if token == "" {
		return "", errors.New("there is no token in it")
	}
	foreign := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~+/=", r)
	}
	if strings.ContainsFunc(token, foreign) {
		return "", errors.New("what is in it is not a token")
	}
	return token, nil
}
