package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// generator is a row of the matrix: commands, run in the directory of its name.
type generator struct {
	name                     string
	generate, compile, story []string
	// output is where the generated code is; nothing is generated when empty.
	output string
	// version tells the generator's.
	version func(work string) string
	// picture is given to the story in place of the platform's token.
	picture string
}

func generators(work, picture string) []generator {
	bin := func(name string) string { return filepath.Join(work, "node_modules", ".bin", name) }
	// The client in gen/ is the service's own module, so its story is generated and compiled where it stands.
	root, _ := filepath.Abs(".")
	story := filepath.Join(work, "oapi-codegen", "story")
	tsc, node := []string{bin("tsc"), "-p", "."}, []string{"node", "compiled/story.js"}
	return []generator{
		{
			name: "oapi-codegen", output: "generated", version: goModule(root, "github.com/oapi-codegen/oapi-codegen/v2"),
			generate: []string{"sh", "-c", `mkdir -p generated && cp "$0/gen/api.gen.go" generated/`, root},
			compile:  []string{"go", "build", "-C", root, "-o", story, "./internal/qa/sdkcheck/oapi-codegen"},
			story:    []string{story},
		},
		{
			name: "ogen", output: "api", version: goModule("", "github.com/ogen-go/ogen"),
			generate: []string{"go", "tool", "ogen", "--clean", "--config", ".ogen.yml", "--target", "api", "--package", "api", "../openapi.sdk.yaml"},
			compile:  []string{"go", "build", "-o", "story", "."},
			story:    []string{"./story"},
		},
		{
			name: "openapi-typescript", output: "generated", version: npmPackage("openapi-typescript"),
			generate: []string{bin("openapi-typescript"), "../openapi.sdk.yaml", "-o", "generated/api.ts"}, compile: tsc, story: node,
		},
		{
			name: "hey-api", output: "generated", version: npmPackage("@hey-api/openapi-ts"),
			generate: []string{bin("openapi-ts")}, compile: tsc, story: node,
		},
		{
			name: "orval", output: "generated", version: npmPackage("orval"),
			generate: []string{bin("orval"), "--config", "orval.config.ts"}, compile: tsc, story: node,
		},
		{
			name: "kubb", output: "generated", version: npmPackage("@kubb/core"), generate: []string{bin("kubb"), "generate"}, compile: tsc, story: node,
		},
		{
			name: "rtk-query", output: "generated", version: npmPackage("@rtk-query/codegen-openapi"),
			generate: []string{"sh", "-c", `mkdir generated && "$0" openapi.config.json`, bin("rtk-query-codegen-openapi")}, compile: tsc, story: node,
		},
		{
			// With the contract as it is. What is generated asks the compiler not to look at it.
			name: "swagger-typescript-api", output: "generated", version: npmPackage("swagger-typescript-api"),
			generate: []string{"sh", "-c", `"$0" generate -p ../openapi.yaml -o generated -n api.ts && sed -i /@ts-nocheck/d generated/api.ts`, bin("swagger-typescript-api")},
			compile:  tsc, story: node,
		},
		{
			name: "explorer", version: chromium, story: []string{"node", "explorer.mjs"}, picture: picture,
		},
	}
}

// npmPackage tells the version of an installed package.
func npmPackage(name string) func(string) string {
	return func(work string) string {
		data, err := os.ReadFile(filepath.Join(work, "node_modules", name, "package.json")) //nolint:gosec // our own names
		var about struct{ Version string }
		if errors.Join(err, json.Unmarshal(data, &about)) != nil {
			return "?"
		}
		return about.Version
	}
}

// goModule tells the version of a module that go.mod names.
func goModule(dir, name string) func(string) string {
	return func(work string) string {
		if dir == "" {
			dir = filepath.Join(work, "ogen")
		}
		text, err := exec.Command("go", "list", "-C", dir, "-m", "-f", "{{.Version}}", name).Output() //nolint:gosec,noctx // short, our own names
		if err != nil {
			return "?"
		}
		return strings.TrimPrefix(strings.TrimSpace(string(text)), "v")
	}
}

// chromium tells the browser's version.
func chromium(string) string {
	text, err := exec.Command("chromium", "--version").Output() //nolint:noctx // short
	words := strings.Fields(string(text))
	if err != nil || len(words) < 2 {
		return "?"
	}
	return words[1]
}

// countLines counts those of all files below a directory.
func countLines(dir string) (int, error) {
	lines := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".ts") && !strings.HasSuffix(path, "gen.go") {
			return err
		}
		data, err := os.ReadFile(path) //nolint:gosec // below our own directory
		lines += bytes.Count(data, []byte("\n"))
		return err
	})
	return lines, err
}
