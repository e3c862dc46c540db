package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	overlay := func(target string) []string {
		file := filepath.Join(t.TempDir(), "overlay.yaml")
		require.NoError(t, os.WriteFile(file, []byte(`overlay: 1.0.0
info: {title: x, version: 1.0.0}
actions: [{target: `+target+`, update: {c: 3}}]
`), 0o600))
		return []string{file}
	}
	const document = "openapi: 3.1.0\nz: 1\na: {b: 2}\n"
	var out bytes.Buffer
	require.NoError(t, run(overlay("$.a"), strings.NewReader(document), &out))
	_, rest, _ := strings.Cut(out.String(), "\n")
	assert.Equal(t, "openapi: 3.1.0\nz: 1\na: {b: 2, c: 3}\n", rest, "in the same order")

	require.ErrorContains(t, run(overlay("$.nothing"), strings.NewReader(document), &out), "did not match any targets")
	require.Error(t, run(overlay("$.a"), strings.NewReader("a: ["), &out))
	require.Error(t, run([]string{"/nowhere"}, strings.NewReader(document), &out))
	require.Error(t, run(nil, strings.NewReader(document), &out))
}
