package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const cliPage = "../../docs/cli.md"

// TestTranscriptsAreWhatRuns runs every command of docs/cli.md, in its order, and holds what it prints against the page.
// With UPDATE_DOCS=1 the page is written anew.
func TestTranscriptsAreWhatRuns(t *testing.T) {
	page, err := os.ReadFile(cliPage)
	require.NoError(t, err)
	s := populated(t)
	piped(t, "")
	commands, code := 0, 0
	block := regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
	rendered := block.ReplaceAllStringFunc(string(page), func(text string) string {
		var shown strings.Builder
		for _, line := range regexp.MustCompile(`(?m)^\$ (.+)$`).FindAllStringSubmatch(text, -1) {
			fmt.Fprintf(&shown, "$ %s\n", line[1])
			if line[1] == "echo $?" {
				fmt.Fprintln(&shown, code)
				continue
			}
			words := strings.Fields(line[1])
			require.Equal(t, []string{"sessiond", "sessions"}, words[:2])
			o := s.run(words[2:]...)
			shown.WriteString(s.fixed(o.stdout + o.stderr))
			if o.message != "" {
				fmt.Fprintf(&shown, "sessiond: %s\n", s.fixed(o.message))
			}
			code = o.code
			commands++
		}
		return "```console\n" + shown.String() + "```"
	})
	rendered = strings.NewReplacer("http://SERVER", "https://sessions.example.com", "REQUEST", "0199b7e4-6c1d-7c5e-9a57-0d4a3c1f8e21").Replace(rendered)
	if os.Getenv("UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile(cliPage, []byte(rendered), 0o600)) //nolint:gosec // G703: a constant path
	}
	assert.Equal(t, string(page), rendered)
	assert.Equal(t, 12, commands)
}

// TestPageShowsTheExample holds the Go code of docs/cli.md against the example that is run.
func TestPageShowsTheExample(t *testing.T) {
	page, err := os.ReadFile(cliPage)
	require.NoError(t, err)
	example, err := os.ReadFile("../../client/example_test.go")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	require.Len(t, blocks, 1)
	assert.Contains(t, string(example), blocks[0][1])
}

// TestReadmeHasTheFlagsOfServe holds the table of flags in README.md against those that there are.
func TestReadmeHasTheFlagsOfServe(t *testing.T) {
	page, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	var told, known []string
	for _, row := range regexp.MustCompile("(?m)^\\| `--.*$").FindAllString(string(page), -1) {
		names, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		for _, name := range regexp.MustCompile("`--([a-z-]+)`").FindAllStringSubmatch(names, -1) {
			told = append(told, name[1])
		}
	}
	serveCommand().Flags().VisitAll(func(flag *pflag.Flag) { known = append(known, flag.Name) })
	assert.ElementsMatch(t, known, told)
}
