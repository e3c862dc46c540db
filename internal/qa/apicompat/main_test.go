package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMayBreak(t *testing.T) {
	for versions, want := range map[[2]string]bool{
		{"0.1.0", "0.1.0"}: false, {"0.1.0", "0.1.1"}: false, {"0.9.0", "0.10.0"}: true, {"0.2.0", "0.1.9"}: false,
		{"0.1.0", "1.0.0"}: true, {"1.0.0", "1.1.0"}: false, {"1.9.0", "2.0.0"}: true, {"2.0.0", "1.9.0"}: false,
		{"1.1.0", "0.2.0"}: false,
	} {
		assert.Equal(t, want, mayBreak(versions[0], versions[1]), "%v", versions)
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	document := func(name, version string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte("info: {version: '"+version+"'}"), 0o600))
		return file
	}
	// The programs true, false and fault end as oasdiff does: nothing breaks, something, a fault.
	fault := filepath.Join(dir, "fault")
	require.NoError(t, os.WriteFile(fault, []byte("#!/bin/sh\nexit 102\n"), 0o700)) //nolint:gosec // a program
	released, same, higher := document("a", "0.1.0"), document("b", "0.1.1"), document("c", "0.2.0")
	require.NoError(t, run(t.Context(), "true", "accepted", released, same))
	require.ErrorContains(t, run(t.Context(), "false", "accepted", released, same), "0.1.1 breaks clients of 0.1.0")
	require.NoError(t, run(t.Context(), "false", "accepted", released, higher))
	require.Error(t, run(t.Context(), fault, "accepted", released, higher))
	require.ErrorContains(t, run(t.Context(), "true", "accepted", released, document("d", "soon")), "three numbers")
}
