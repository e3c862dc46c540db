package e2e_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRecipeIsWhatRuns holds the code in docs/providers.md against the code that the other test runs.
func TestRecipeIsWhatRuns(t *testing.T) {
	page, err := os.ReadFile(root + "/docs/providers.md")
	require.NoError(t, err)
	for language, files := range map[string][]string{
		"js": {"provider/provider.mjs"},
		"go": {"zitadel_test.go", "zitadel_clients_test.go"},
	} {
		var code strings.Builder
		for _, file := range files {
			data, err := fs.ReadFile(os.DirFS("."), file)
			require.NoError(t, err)
			code.Write(data)
		}
		blocks := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
		require.Greater(t, len(blocks), 3, language)
		for _, block := range blocks {
			assert.Contains(t, code.String(), block[1], "it is in none of %v", files)
		}
	}
}
