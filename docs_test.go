package sessiond_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// repository is the names of the files of the repository, and what tests they have.
type repository struct {
	files []string
	tests strings.Builder
}

func readRepository(t *testing.T) *repository {
	t.Helper()
	r := &repository{}
	require.NoError(t, filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if hidden := strings.HasPrefix(entry.Name(), ".") && name != "."; hidden || entry.Name() == "node_modules" {
				return fs.SkipDir
			}
			return err
		}
		r.files = append(r.files, filepath.ToSlash(name))
		if strings.HasSuffix(name, "_test.go") {
			text, err := os.ReadFile(name) //nolint:gosec // G304: a file of the repository
			r.tests.Write(text)
			return err
		}
		return nil
	}))
	return r
}

// pages are the documentation but for the changelog, which tells of what was, and pages beside test data.
func (r *repository) pages(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for _, file := range r.files {
		if path.Ext(file) != ".md" || file == "CHANGELOG.md" || strings.Contains(file, "testdata/") {
			continue
		}
		text, err := os.ReadFile(file) //nolint:gosec // G304: a file of the repository
		require.NoError(t, err)
		pages[file] = string(text)
	}
	return pages
}

// has reports whether a path, or the end of one, is that of a file or directory.
func (r *repository) has(name string) bool {
	for _, file := range r.files {
		if strings.Contains("/"+file+"/", "/"+strings.TrimSuffix(name, "/")+"/") {
			return true
		}
	}
	return false
}

// anchors are those of the headings of a page, as GitHub makes them.
func anchors(page string) []string {
	var all []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		text := strings.ReplaceAll(strings.ToLower(heading[1]), " ", "-")
		all = append(all, regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(text, ""))
	}
	return all
}

func TestLinksOfTheDocumentation(t *testing.T) {
	pages := readRepository(t).pages(t)
	links := 0
	for page, text := range pages {
		text = regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(text, "")
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(link[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			links++
			file := page
			if target != "" {
				file = path.Join(path.Dir(page), target)
				_, err := os.Stat(file)
				require.NoError(t, err, "%s links to %s", page, link[1])
			}
			if anchor != "" {
				assert.Contains(t, anchors(pages[file]), anchor, "%s links to %s", page, link[1])
			}
		}
	}
	assert.Greater(t, links, 30)
}

func TestNamesInTheDocumentation(t *testing.T) {
	r := readRepository(t)
	files, tests := 0, 0
	for page, text := range r.pages(t) {
		for _, name := range regexp.MustCompile("`([\\w./-]*\\w\\.(?:go|sql)|[\\w-]+(?:/[\\w-]+)*/)`").FindAllStringSubmatch(text, -1) {
			files++
			assert.True(t, r.has(name[1]), "%s names %s, which is no file", page, name[1])
		}
		for _, name := range regexp.MustCompile("`((?:Test|Benchmark)[A-Z]\\w*)(…?)`").FindAllStringSubmatch(text, -1) {
			end := `\(`
			if name[2] != "" {
				end = ""
			}
			tests++
			found := regexp.MustCompile(`(?m)^func ` + name[1] + end).MatchString(r.tests.String())
			assert.True(t, found, "%s names %s, which is no test", page, name[1])
		}
	}
	assert.Greater(t, files, 100)
	assert.Greater(t, tests, 100)
}
