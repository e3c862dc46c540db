package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// terminal opens a terminal, with somebody at the other end who types an answer.
func terminal(t *testing.T, types string) (*os.File, func() string) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	screen, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	_, err = keyboard.WriteString(types)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, errors.Join(keyboard.Close(), screen.Close())) })
	return screen, func() string {
		_, err := fmt.Fprint(screen, "\x04") // the end of what is shown
		require.NoError(t, err)
		var shown bytes.Buffer
		for !strings.HasSuffix(shown.String(), "\x04") {
			one := make([]byte, 1024)
			n, err := keyboard.Read(one)
			require.NoError(t, err)
			shown.Write(one[:n])
		}
		return shown.String()
	}
}

// at runs a command at a terminal and returns what is shown there besides the outcome.
func (s *service) at(types string, args ...string) (outcome, string) {
	s.t.Helper()
	screen, shown := terminal(s.t, types)
	input(s.t, screen)
	var stdout bytes.Buffer
	err := run(s.t.Context(), append([]string{"sessions"}, args...), s.getenv, &stdout, screen)
	o := outcome{stdout: stdout.String()}
	if err != nil {
		o.message, o.code = err.Error(), exitCode(err)
	}
	return o, shown()
}

func TestConfirmation(t *testing.T) {
	for name, c := range map[string]struct {
		types string
		want  outcome
		left  string
	}{
		"yes":     {"yes\n", outcome{stdout: "3 sessions ended\n"}, "s-4"},
		"y":       {"Y\n", outcome{stdout: "3 sessions ended\n"}, "s-4"},
		"no":      {"n\n", outcome{message: "not confirmed: nothing has ended", code: exitFailed}, "s-4 s-3 s-2 s-1"},
		"nothing": {"\n", outcome{message: "not confirmed: nothing has ended", code: exitFailed}, "s-4 s-3 s-2 s-1"},
		"the end": {"\x04", outcome{message: "not confirmed: nothing has ended", code: exitFailed}, "s-4 s-3 s-2 s-1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := populated(t)
			o, shown := s.at(c.types, "revoke-all", "--tenant", "acme")
			assert.Equal(t, c.want, o)
			assert.Contains(t, shown, "End 3 sessions of tenant acme on "+s.url+"? [y/N] ")
			assert.Equal(t, c.left, s.still())
		})
	}
}

func TestConfirmationOfIDs(t *testing.T) {
	s := populated(t)
	o, shown := s.at("n\n", "revoke", "s-1", "s-2")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, shown, "End 2 sessions on "+s.url+"? [y/N] ")
	assert.Equal(t, "s-4 s-3 s-2 s-1", s.still())
	o, shown = s.at("", "revoke", "s-1")
	assert.Equal(t, outcome{stdout: "1 session ended\n"}, o)
	assert.NotContains(t, shown, "[y/N]", "a single one is not many")
}

func TestProgress(t *testing.T) {
	s := populated(t)
	o, shown := s.at("", "revoke", "s-1", "s-2", "s-3", "--yes")
	assert.Equal(t, outcome{stdout: "3 sessions ended\n"}, o)
	assert.Regexp(t, `sessions +0%.*\(0/3\)`, shown)
	_, shown = s.at("", "get", "s-4")
	assert.NotContains(t, shown, "%")
	piped(t, "")
	assert.Empty(t, s.run("list", "--all").stderr, "no bar without a terminal")
}
