package main

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// taker counts what is written, and how often.
type taker struct {
	mu     sync.Mutex
	text   strings.Builder
	writes int
	err    error
}

func (w *taker) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes++
	if w.err != nil {
		return 0, w.err
	}
	return w.text.Write(p)
}

func (w *taker) state() (lines []string, writes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Split(strings.TrimSuffix(w.text.String(), "\n"), "\n"), w.writes
}

func TestRequestsAreLoggedTogether(t *testing.T) {
	out := &taker{}
	logger, stop := openLog(t.Context(), out, slog.LevelInfo)
	for range 50 {
		logger.InfoContext(t.Context(), "request", "status", 200)
	}
	logger.With("a", 1).WarnContext(t.Context(), "request")
	lines, writes := out.state()
	require.Len(t, lines, 51, "a warning is written at once, and what waits before it")
	assert.LessOrEqual(t, writes, 2)
	assert.Contains(t, lines[50], `"level":"WARN"`)

	logger.InfoContext(t.Context(), "request")
	require.Eventually(t, func() bool { lines, _ := out.state(); return len(lines) == 52 }, 10*time.Second, time.Millisecond,
		"it does not wait for the next line")
	for range 2000 { // more than is kept
		logger.InfoContext(t.Context(), "request", "text", strings.Repeat("x", 100))
	}
	require.NoError(t, stop())
	lines, _ = out.state()
	require.Len(t, lines, 2052)
	for _, line := range lines {
		require.True(t, strings.HasPrefix(line, "{") && strings.HasSuffix(line, "}"), line)
	}
}

func TestALogThatNobodyTakes(t *testing.T) {
	out := &taker{err: io.ErrClosedPipe}
	logger, stop := openLog(t.Context(), out, slog.LevelInfo)
	for range 1000 {
		logger.InfoContext(t.Context(), "request", "text", strings.Repeat("x", 100))
	}
	out.mu.Lock()
	out.err = nil
	out.mu.Unlock()
	logger.WarnContext(t.Context(), "again")
	lines, _ := out.state()
	assert.Contains(t, lines[len(lines)-1], "again")
	assert.Less(t, len(lines), 1000)
	require.NoError(t, errors.Join(stop()))
}
